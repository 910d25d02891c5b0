"""Run `train.py` in a process, or in this one, which is faster; or with another clock."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import train
from crypto_predict.market.clock import Clock
from tests.support.clocks import program_at
from tests.support.histories import as_csv, make_history
from tests.support.serving import running

REVISION = {"GIT_REVISION": "0123456789abcdef0123456789abcdef01234567"}  # the checkout may change between two runs
TRAINED_AT = {"SOURCE_DATE_EPOCH": "1716034247", **REVISION}  # 2024-05-18 12:10:47 UTC
QUICK = ("--every", "25", "--hours", "0")  # few cutoffs and no hours, where they are not the point


@dataclass(frozen=True)
class Outputs:
    """The folder of a training's outputs."""

    folder: Path

    @property
    def model_file(self) -> Path:
        """The model."""
        return self.folder / "model.pkl"

    @property
    def ledger(self) -> Path:
        """The ledger beside it."""
        return self.folder / "model.ledger.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the ledger as JSON."""
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]


def in_process(*arguments: str, environ: Mapping[str, str] = TRAINED_AT) -> int:
    return train.main(arguments, environ)


@contextmanager
def repeating(clock: Clock, environ: Mapping[str, str], log: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``train.py --repeat`` as a process with a clock that agrees with `clock`; kill it at the end.

    What it writes to standard output and standard error is appended to `log`.
    """
    command = (*program_at(clock, "train"), *arguments)
    with log.open("a") as file, running(*command, environ=environ, stdout=file, stderr=file) as process:
        yield process


def price_file(folder: Path, days: int) -> tuple[str, ...]:
    """Write a file of `days` made-up days, and return the arguments to train on them up to the last one."""
    history, path = make_history(days), folder / "prices.csv"
    path.write_text(as_csv(history))
    return ("--source", f"file:{path}", "--pair", "BTC/USD", "--until", f"{history.candles[-1].open_time:%Y-%m-%d}")
