"""`docs/dataset.md`: its commands are executed, and show the market with its verdicts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.exports import filled
from tests.support.serving import ROOT

GUIDE = (ROOT / "docs" / "dataset.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of the guide find the program, its interpreter and a database."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "data").mkdir()
    filled(str(folder / "data" / "market.db"))
    for name in ("collect.py", "train.py", "crypto_predict"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


def shown(place: Path, language: str) -> list[str]:
    """Return what the blocks of a language print, one after the other; `test_exported` reads what a training reads."""
    outputs = []
    for block in re.findall(rf"(?ms)^```{language}\n(.*?)^```", GUIDE):
        if "train.py" in block:
            continue
        words = ["sh", "-ec"] if language == "sh" else [sys.executable, "-c"]
        words.append(block.replace("/tmp/copy.db", "copy.db"))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            words, cwd=place, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    return outputs


def test_every_command_of_the_guide_shows_the_market_with_its_verdicts(place: Path) -> None:
    """Export, DuckDB and import in order, then polars and pandas: one table, typed, with what is missing and why."""
    export, duckdb, imported = shown(place, "sh")
    assert "4 files written (280 rows" in export
    assert "4 files, 280 rows, sound" in export
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in duckdb.splitlines() if "binance" in line]
    assert rows == [
        ["binance", "BTC-USDT", verdict, count]
        for verdict, count in (("disconnected", "10"), ("exchange down", "10"), ("quiet", "32"), ("traded", "188"))
    ]
    assert "260 candles in 4 files, 260 new or changed" in imported
    assert "BTC/USDT" in imported
    (frames,) = shown(place, "python")
    for verdict, count in (("disconnected", 10), ("exchange down", 10), ("quiet", 32), ("traded", 188)):
        assert re.search(rf"BTC-USDT ┆ {verdict} +┆ {count} ", frames)
    assert re.search(r"disconnected +no answer +10", frames)
    assert re.search(r"exchange down +HTTP 503 +10", frames)
