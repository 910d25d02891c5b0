"""What a training costs: the processor seconds of ``train.py`` on five years.

It is a whole process, so that imports and Prophet's own fit count too, and so do all of its threads.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import models
from bench.figures import Figure

LIMIT = 8.0  # processor seconds, at most


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Train in `folder`."""
    pair = ("--pair", str(models.BTC), "--source", source, "--days", str(models.DAYS))
    output = ("--output", str(folder / "model.pkl"), "--no-gate")
    before = os.times()
    subprocess.run([sys.executable, "train.py", *pair, *output], check=True, capture_output=True)
    after = os.times()
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    yield Figure("training on five years: processor time", seconds, LIMIT, "limit", "s", 1)
