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
from crypto_predict.forecasting.evaluation.harness import issue
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.forecasting.models.rival import Rival

LIMIT = 8.0  # processor seconds, at most
OVERHEAD = 0.5  # milliseconds, at most
EXAMPLE = Path("rivals/example.py")


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Train in `folder`, and test the example of a rival every day."""
    pair = ("--pair", str(models.BTC), "--source", source, "--days", str(models.DAYS))
    output = ("--output", str(folder / "model.pkl"), "--no-gate")
    before = os.times()
    subprocess.run([sys.executable, "train.py", *pair, *output], check=True, capture_output=True)
    after = os.times()
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    yield Figure("training on five years: processor time", seconds, LIMIT, "limit", "s", 1)
    with Rival(EXAMPLE, seconds=60) as rival:
        issued = issue(rival, models.read(source), HORIZONS, every=1, limit=600)
    milliseconds = 1e3 * (issued.seconds - rival.own_seconds) / len(issued.cutoffs)
    yield Figure("forecast of a rival: time beside its own", milliseconds, OVERHEAD, "limit", "ms", 1)
