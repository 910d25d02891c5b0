"""How long candles are kept."""

import dataclasses
import threading
from datetime import timedelta

import pytest

from crypto_predict.collecting import retention
from crypto_predict.collecting.retention import BATCH, parse_keep
from crypto_predict.errors import InvalidValue
from crypto_predict.market import Interval
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, candle, candles, span

DAY = 1440  # minutes
HOURS = dataclasses.replace(MINUTES, interval=Interval.HOUR_1)
NOW = START + 12.5 * DAY * MINUTE
KEEP = parse_keep("1m:2d,1h:1y")


@pytest.fixture
def database(database: WritableDatabase) -> WritableDatabase:
    """Twelve days of minutes, and hours of the same days."""
    for series in (MINUTES, HOURS):
        database.follow(series, simulated=False)
    database.write(MINUTES, candles(0, 12 * DAY), span(0, 12 * DAY))
    database.write(HOURS, [candle(minute) for minute in range(0, 12 * DAY, 60)], span(0, 12 * DAY))
    return database


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1m:90d", {Interval.MINUTE_1: 90}),
        ("1m:90d,5m:2y", {Interval.MINUTE_1: 90, Interval.MINUTE_5: 730}),
        (" 1h:3w , 1d:100y ", {Interval.HOUR_1: 21, Interval.DAY_1: 36_500}),
    ],
)
def test_each_interval_has_its_time(text: str, days: dict[Interval, int]) -> None:
    assert parse_keep(text) == {interval: timedelta(days=count) for interval, count in days.items()}


MALFORMED = ", 90d 1m 1m: 1m:0d 1m:90 1m:90h 1m:-90d 1m:1.5d 1m:90d, 1m:90d,1m:90d 1m:90d;5m:2y 2m:90d 1m:101y"


@pytest.mark.parametrize("text", ["", *MALFORMED.split(), "1m:99999y", "1m:٣d", "1m:" + "9" * 5000 + "d"])
def test_what_is_not_a_list_of_times_is_named(text: str) -> None:
    """A repeated interval too: one of the two would be wrong."""
    with pytest.raises(
        InvalidValue, match=r"^(keep: .* such as 1m:90d,5m:2y|interval: '2m' is not one of 1m)"
    ) as caught:
        parse_keep(text)
    assert len(str(caught.value)) < 400


def test_whole_days_older_than_kept_are_deleted(database: WritableDatabase) -> None:
    """The day of which a part is still kept stays whole. A second time nothing is left to delete."""
    stop = threading.Event()
    assert [retention.purge(database, KEEP, NOW, stop) for _ in range(2)] == [10 * DAY, 0]
    assert [row.candle for row in database.candles(MINUTES, EVER, MANY)] == candles(10 * DAY, 12 * DAY)
    assert database.coverage(MINUTES) == [span(10 * DAY, 12 * DAY)]
    assert database.coverage(HOURS) == [span(0, 12 * DAY)]


def test_others_read_and_write_between_two_batches(database: WritableDatabase, address: str) -> None:
    """No lock is held in the pause, and a batch is small: that is the longest that a writer waits."""
    left: list[int] = []
    with open_writer(address) as other:

        class Pause(threading.Event):
            """A pause in which another process writes."""

            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None
                assert timeout >= retention.PAUSE
                assert other.write_closed({MINUTES: [candle(12 * DAY + len(left))]}) == 1
                left.append(len(other.candles(MINUTES, EVER, MANY)))
                return False

        retention.purge(database, KEEP, NOW, Pause())
    assert left == [12 * DAY - BATCH + 1, 12 * DAY - 2 * BATCH + 2]
    assert [row.candle for row in database.candles(MINUTES, EVER, MANY)] == candles(10 * DAY, 12 * DAY + 2)


def test_a_deletion_that_is_stopped_continues_later(database: WritableDatabase) -> None:
    """It ends after the batch at the latest."""
    stop = threading.Event()
    stop.set()
    assert retention.purge(database, KEEP, NOW, stop) == 0

    class Stopped(threading.Event):
        """Is set while the deletion waits."""

        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return super().wait(timeout)

    assert retention.purge(database, KEEP, NOW, Stopped()) == BATCH
    assert retention.purge(database, KEEP, NOW, threading.Event()) == 10 * DAY - BATCH
