"""When the model is trained next, and how the last attempt failed: ``model.training.json`` beside ``model.pkl``.

Whoever trains repeatedly writes it after each attempt, a release once. The server reads it; without the file, no
training is planned.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from crypto_predict.baked import files
from crypto_predict.errors import UnusableModel

MOST_BYTES = 65_536
MOST_REASON = 500  # characters of a reason


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that left the earlier model in place."""

    at: datetime  # UTC, when it ended
    reason: str  # one line, without secrets


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of whoever trains repeatedly."""

    every: timedelta  # from one training to the next
    next_at: datetime  # UTC, when the next attempt begins
    failure: Failure | None = None  # of the last attempt; None: it succeeded


def schedule_beside(model: Path) -> Path:
    """Return the path of the schedule beside a model: ``model.training.json`` beside ``model.pkl``."""
    return model.parent / f"{model.stem}.training.json"


def content(schedule: Schedule) -> bytes:
    """Return the content of the file."""
    failure = schedule.failure
    members: dict[str, Any] = {
        "every_seconds": int(schedule.every.total_seconds()),
        "next_at": schedule.next_at.isoformat(),
        "failure": None if failure is None else {"at": failure.at.isoformat(), "reason": failure.reason[:MOST_REASON]},
    }
    return f"{json.dumps(members)}\n".encode()


def write(schedule: Schedule, path: Path) -> None:
    """Write the schedule atomically."""
    files.write_atomically(path, content(schedule))


def read(path: Path) -> Schedule | None:
    """Read the schedule without trusting it; None if the file does not exist.

    Raises:
        UnusableModel: It is too large, damaged or not a schedule.
    """
    if not path.exists():
        return None
    with files.opened(path, "schedule", MOST_BYTES, "", partial(UnusableModel, path)) as file:
        data = file.read(MOST_BYTES + 1)
    try:
        members = json.loads(data)
        every, failure = timedelta(seconds=int(members["every_seconds"])), members["failure"]
        if every <= timedelta(0):
            raise ValueError(f"every_seconds {members['every_seconds']} is not positive")
        failed = failure and Failure(_instant(failure["at"]), str(failure["reason"])[:MOST_REASON])
        return Schedule(every, _instant(members["next_at"]), failed)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UnusableModel(path, f"its content is not a schedule: {error}") from error


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.utcoffset() != timedelta(0):
        raise ValueError(f"{text} is not in UTC")
    return instant
