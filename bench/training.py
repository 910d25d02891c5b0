"""What a training costs: the processor seconds of ``train.py`` on five years, and of the training a day after it.

Both are whole processes, so that imports and Prophet's own fit count too, and so do all of their threads. The second
one has the model of the first as ``--champion`` and a history that has moved on by a day, which is one of four retrains
of a release; in the other three it has not, and they cost the same.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from bench import models
from bench.figures import Figure

FROM_SCRATCH, AGAIN = 12.0, 4.0  # processor seconds, at most


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Train twice, in `folder`: without and with an earlier model."""
    last = models.read(source).candles[-1].open_time.date()
    first, second = folder / "first.pkl", folder / "second.pkl"
    seconds = _train(source, last - timedelta(days=1), "--output", str(first))
    yield Figure("training on five years: processor time", seconds, FROM_SCRATCH, "limit", "s", 1)
    seconds = _train(source, last, "--output", str(second), "--champion", str(first))
    yield Figure("the same a day later, with --champion", seconds, AGAIN, "limit", "s", 1)


def _train(source: str, until: date, *arguments: str) -> float:
    """Return the processor seconds of one training, in user and system mode."""
    pair = ("--pair", str(models.BTC), "--source", source, "--days", str(models.DAYS), "--until", str(until))
    before = os.times()
    subprocess.run([sys.executable, "train.py", *pair, "--no-gate", *arguments], check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system
