"""What a training costs: the processor seconds of ``train.py`` on five years.

It is a whole process, so that imports and Prophet's own fit count too, and so do all of its threads.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import models
from bench.figures import Figure
from crypto_predict.forecasting.evaluation.harness import issue
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.forecasting.models.rival import Rival

LIMIT, LIMIT_WITH_CHAMPION = 8.0, 4.0  # processor seconds, at most
OVERHEAD = 0.5  # milliseconds, at most
EXAMPLE = Path("rivals/example.py")


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Train in `folder`, and test the example of a rival every day."""
    model, champion = folder / "model.pkl", folder / "champion.pkl"
    command = ["train.py", "--pair", str(models.BTC), "--source", source, "--days", str(models.DAYS), "--no-gate"]
    seconds = _processor_seconds([*command, "--output", str(champion)])
    yield Figure("training on five years: processor time", seconds, LIMIT, "limit", "s", 1)
    seconds = _processor_seconds([*command, "--output", str(model), "--champion", str(champion)])
    yield Figure("the same, with the model to replace", seconds, LIMIT_WITH_CHAMPION, "limit", "s", 1)
    with Rival(EXAMPLE, seconds=60) as rival:
        issued = issue(rival, models.read(source), HORIZONS, every=1, limit=600)
    milliseconds = 1e3 * (issued.seconds - rival.own_seconds) / len(issued.cutoffs)
    yield Figure("forecast of a rival: time beside its own", milliseconds, OVERHEAD, "limit", "ms", 1)


def _processor_seconds(command: Sequence[str]) -> float:
    before = os.times()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system
