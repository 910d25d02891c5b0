"""The scripts of the page: their bundle, a copy of their sources that can be changed and built, and what they read."""

import shutil
import subprocess
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import ROOT

SOURCES = ROOT / "page"
PACKAGES = SOURCES / "node_modules"
BUILT = Path("crypto_predict", "web", "page", "built")  # below the folder of the project

needs_bundle = pytest.mark.skipif(
    not (ROOT / BUILT / "NOTICE").exists(), reason="the scripts of the page are not bundled: `make page`"
)


def node() -> str | None:
    """Return the program of Node.js of PATH, or else beside this interpreter; None without one."""
    return shutil.which("node") or shutil.which("node", path=Path(sys.executable).parent)


def why_no_build() -> str:
    """Return why the scripts cannot be bundled here; empty if they can."""
    if node() is None:
        return "Node.js is not installed"
    return "" if (PACKAGES / "esbuild").exists() else "the packages of the page are not installed: `make page`"


needs_build = pytest.mark.skipif(bool(why_no_build()), reason=why_no_build() or "scripts can be bundled")


def copy_sources(folder: Path) -> Path:
    """Copy the sources of the page to `folder/page`, with links to the installed packages; return their folder."""
    page = shutil.copytree(SOURCES, folder / "page", ignore=shutil.ignore_patterns("node_modules"))
    (page / "node_modules").mkdir()
    for package in PACKAGES.iterdir() if PACKAGES.exists() else ():
        if package.suffix != ".stamp":
            (page / "node_modules" / package.name).symlink_to(package.resolve())
    return Path(page)


def bundle(page: Path) -> subprocess.CompletedProcess[str]:
    """Bundle the scripts of a folder. This may fail."""
    return subprocess.run([str(node()), str(page / "build.js")], capture_output=True, text=True, check=False)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of each file by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_prices(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a document with prices in place of their differences, as the scripts of the page make it.

    It is the forecast of a pair, or, with the decimals of its prices, the one of a model.
    """
    unit = 10 ** sent["decimals"]

    def prices(steps: list[int | None]) -> list[float | None]:
        sums = accumulate(step or 0 for step in steps)
        return [None if step is None else units / unit for step, units in zip(steps, sums, strict=True)]

    by_day = {name: prices(sent[name]) for name in ("closes", "fitted", "prediction", "low", "high") if sent.get(name)}
    return {**sent, **by_day, "quantiles": [prices(level) for level in sent.get("quantiles", [])]}
