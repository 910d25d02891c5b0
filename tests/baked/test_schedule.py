"""The schedule beside the model, which training hands to the server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked import schedule
from crypto_predict.baked.schedule import MOST_BYTES, Failure, Schedule, schedule_beside
from crypto_predict.errors import UnusableModel

AT = datetime(2026, 5, 17, 12, tzinfo=UTC)
PLAN = Schedule(timedelta(hours=6), AT, Failure(AT, "no exchange can be reached"))


@pytest.mark.parametrize("plan", [PLAN, Schedule(timedelta(hours=6), AT)])
def test_a_schedule_is_read_as_it_was_written(plan: Schedule, tmp_path: Path) -> None:
    """The trainer writes what the page shows. A model that was trained once has no schedule, which is not an error."""
    path = schedule_beside(tmp_path / "model.pkl")
    assert schedule.read(path) is None
    schedule.write(plan, path)
    assert schedule.read(path) == plan
    assert path.name == "model.training.json"


@given(data=st.binary(max_size=200))
def test_a_damaged_schedule_is_one_clear_error(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The server reads the file while others write to its folder."""
    path = tmp_path_factory.mktemp("schedule") / "model.training.json"
    path.write_bytes(data)
    with pytest.raises(UnusableModel, match="not a schedule"):
        schedule.read(path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        '{"every_seconds": 0, "next_at": "2026-05-17T12:00:00+00:00", "failure": null}',
        '{"every_seconds": 1e400, "next_at": "2026-05-17T12:00:00+00:00", "failure": null}',
        '{"every_seconds": 21600, "next_at": "2026-05-17T12:00:00", "failure": null}',
        '{"every_seconds": 21600, "next_at": "2026-05-17T12:00:00+00:00", "failure": {"at": 1}}',
        "[" * 100_000,
        " " * (MOST_BYTES + 1),
    ],
)
def test_what_is_not_a_schedule_is_refused(content: str, tmp_path: Path) -> None:
    """Members of another type, an instant without a time zone, and files that take long to read."""
    path = tmp_path / "model.training.json"
    path.write_text(content)
    with pytest.raises(UnusableModel):
        schedule.read(path)
