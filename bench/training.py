"""What a training costs: the processor seconds of ``train.py`` on five years, beside one fit of Prophet alone.

Each is a whole process, so that imports count too, and so do all of its threads. The fit says how fast the machine is:
it takes 1.6 s on a quiet one.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench import models
from bench.figures import Figure, in_turn
from crypto_predict.forecasting.evaluation.harness import issue
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.forecasting.models.rival import Rival

MOST = 2.5  # fits of Prophet that a training takes, five years of tests included: 4 s on a quiet machine
MOST_KB = 60  # of a model file of one pair, with the models of the default
ROUNDS = 2
OVERHEAD = 0.5  # milliseconds, at most
EXAMPLE = Path("rivals/example.py")


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Train in `folder`, and test the example of a rival every day."""
    champion = folder / "champion.pkl"
    # Without hours: to invent those of a market would take as long as to learn them; `hours` measures that.
    command = ["train.py", "--pair", str(models.BTC), "--source", source, "--days", str(models.DAYS), "--no-gate"]
    command += ["--hours", "0"]
    fit = f"from bench.models import *; pickle_prophet({source!r}, Path({str(folder / 'prophet.pkl')!r}))"
    commands = {
        "training on five years": [*command, "--output", str(champion)],
        "the same, with the model to replace": [*command, "--output", str(champion), "--champion", str(champion)],
        "one fit of Prophet": ["-c", fit],
    }
    *ours, peer = in_turn(
        {name: partial(_processor_seconds, words) for name, words in commands.items()}, ROUNDS
    ).items()
    for name, seconds in ours:
        yield Figure(f"{name}: processor time", seconds, peer[1], peer[0], "s", MOST)
    yield Figure("model file of a pair", champion.stat().st_size / 1000, MOST_KB, "limit", "kB", 1)
    with Rival(EXAMPLE, seconds=60) as rival:
        issued = issue(rival, models.read(source), HORIZONS, every=1, limit=600)
    milliseconds = 1e3 * (issued.seconds - rival.own_seconds) / len(issued.cutoffs)
    yield Figure("forecast of a rival: time beside its own", milliseconds, OVERHEAD, "limit", "ms", 1)


def _processor_seconds(command: Sequence[str]) -> float:
    before = os.times()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system
