"""The audit as a stream: a backfill and a collector see each verdict at once."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.history import Audit
from crypto_predict.market import EPOCH, Candle, Gap, Interval

MINUTE = timedelta(minutes=1)


def candle(minute: int, close: float = 100.0) -> Candle:
    """A candle of one minute, impossible if `close` is not positive."""
    return Candle(EPOCH + minute * MINUTE, 100.0, 100.0, min(100.0, close), close, 1.0)


def audited(*candles: Candle) -> tuple[Audit, list[bool]]:
    """The audit of a stream of minutes, and its verdicts."""
    audit = Audit(Interval.MINUTE_1)
    return audit, [audit.add(minute, now=EPOCH + timedelta(days=1)) for minute in candles]


def test_every_candle_gets_a_verdict_at_once() -> None:
    off_grid = candle(2)._replace(open_time=EPOCH + timedelta(seconds=150))
    audit, usable = audited(candle(0), candle(1, -1.0), off_grid, candle(3), candle(2000))
    assert usable == [True, False, False, True, False]
    assert audit.received == 5
    assert audit.quarantine == {EPOCH + MINUTE, off_grid.open_time}
    assert audit.gaps() == (Gap(EPOCH + MINUTE, EPOCH + 3 * MINUTE, 2),)


@pytest.mark.parametrize(("first", "second", "quarantined"), [(100.0, -1.0, 1), (-1.0, 100.0, 0)])
def test_the_last_copy_decides_about_the_quarantine_and_the_gap(first: float, second: float, quarantined: int) -> None:
    audit, _ = audited(candle(0), candle(1, first), candle(2), candle(1, second))
    assert (len(audit.quarantine), len(audit.gaps())) == (quarantined, quarantined)
    assert "repeat an opening" in [defect.kind for defect in audit.defects()]


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=200))
def test_gaps_and_quarantine_are_those_of_the_last_copies(stream: list[tuple[int, bool]]) -> None:
    """In any order, with any repetition."""
    audit, _ = audited(*(candle(minute, 100.0 if sound else -1.0) for minute, sound in stream))
    last = dict(stream)
    usable = sorted(minute for minute, sound in last.items() if sound)
    missing = [
        (EPOCH + (before + 1) * MINUTE, EPOCH + after * MINUTE, after - before - 1)
        for before, after in itertools.pairwise(usable)
        if after - before > 1
    ]
    assert [(gap.start, gap.end, gap.missing) for gap in audit.gaps()] == missing
    assert audit.quarantine == {EPOCH + minute * MINUTE for minute, sound in last.items() if not sound}
    repeated = sum(defect.count for defect in audit.defects() if defect.kind == "repeat an opening")
    assert repeated == len(stream) - len(last)
