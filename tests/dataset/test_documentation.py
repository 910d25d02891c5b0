"""`docs/dataset.md`: its commands are executed, and show the market with its verdicts."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.baked.store import load
from crypto_predict.market import Pair
from tests.support.exports import filled
from tests.support.serving import ROOT

GUIDE = (ROOT / "docs" / "dataset.md").read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which the commands of the guide find the program and its interpreter."""
    (tmp_path / "data").mkdir()
    for name in ("collect.py", "train.py", "crypto_predict"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return tmp_path


def blocks(language: str, *, of_training: bool = False) -> list[str]:
    """Return the blocks of a language, those of training or the others."""
    every = re.findall(rf"(?ms)^```{language}\n(.*?)^```", GUIDE)
    return [block for block in every if ("train.py" in block) is of_training]


def shown(place: Path, language: str, block: str) -> str:
    """Return what a block of a language prints."""
    words = ["sh", "-ec"] if language == "sh" else [sys.executable, "-c"]
    words.append(block.replace("/tmp/copy.db", "copy.db"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        words, cwd=place, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_of_the_guide_shows_the_market_with_its_verdicts(place: Path) -> None:
    """Export, DuckDB and import in order, then polars and pandas: one table, typed, with what is missing and why."""
    filled(str(place / "data" / "market.db"))
    export, duckdb, imported = (shown(place, "sh", block) for block in blocks("sh"))
    assert "4 files written (280 rows" in export
    assert "4 files, 280 rows, sound" in export
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in duckdb.splitlines() if "binance" in line]
    assert rows == [
        ["binance", "BTC-USDT", verdict, count]
        for verdict, count in (("disconnected", "10"), ("exchange down", "10"), ("quiet", "32"), ("traded", "188"))
    ]
    assert "260 candles in 4 files, 260 new or changed" in imported
    assert "BTC/USDT" in imported
    (frames,) = (shown(place, "python", block) for block in blocks("python"))
    for verdict, count in (("disconnected", 10), ("exchange down", 10), ("quiet", 32), ("traded", 188)):
        assert re.search(rf"BTC-USDT ┆ {verdict} +┆ {count} ", frames)
    assert re.search(r"disconnected +no answer +10", frames)
    assert re.search(r"exchange down +HTTP 503 +10", frames)


def test_a_model_is_trained_from_the_folder(place: Path) -> None:
    """The gate asks for 180 days."""
    since = datetime.now(UTC).date() - timedelta(days=200)
    days = f"--backfill --source simulated --pair BTC/USDT --interval 1d --since {since} --database days.db"
    shown(place, "sh", f".venv/bin/python collect.py {days}")
    shown(place, "sh", ".venv/bin/python collect.py --export data/market --database days.db")
    (training,) = blocks("sh", of_training=True)
    shown(place, "sh", training)
    assert load(place / "model.pkl").card.pairs[Pair("BTC", "USDT")].source == "file:data/market:simulated"
