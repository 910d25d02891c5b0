"""Retention: how long candles are kept, and the deletion of older ones beside a running collector."""

import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Event

from crypto_predict.errors import InvalidValue
from crypto_predict.market import Interval
from crypto_predict.market.ports import Retention

BATCH = 5_000  # rows in one transaction: some 20 milliseconds
PAUSE = 0.25  # seconds between two of them; who waits for a file of SQLite tries again every 0.1 seconds

_DAYS = {"d": 1, "w": 7, "y": 365}
_MOST_DAYS = 36_500
_RULE = re.compile(r"([^:,]+):([1-9][0-9]{0,4})([dwy])")
_EXPECTED = (
    "a list of intervals with the time for which their candles are kept, such as 1m:90d,5m:2y: each interval once, "
    "a whole number of days (d), weeks (w) or years (y), 100 years at most"
)


def parse_keep(text: str) -> Mapping[Interval, timedelta]:
    """Read how long the candles of each interval are kept: ``1m:90d,5m:2y``. A year has 365 days."""
    keep: dict[Interval, timedelta] = {}
    for rule in text.split(","):
        match = _RULE.fullmatch(rule.strip())
        if match is None:
            raise InvalidValue("keep", text, _EXPECTED)
        interval, days = Interval.parse(match[1]), int(match[2]) * _DAYS[match[3]]
        if interval in keep or days > _MOST_DAYS:
            raise InvalidValue("keep", text, _EXPECTED)
        keep[interval] = timedelta(days=days)
    return keep


def purge(database: Retention, keep: Mapping[Interval, timedelta], now: datetime, stop: Event) -> int:
    """Delete what is older at `now` (UTC) than its interval is kept, and return how many rows it was.

    Whole UTC days are deleted, so that the VWAP and the longer candles of the days that stay remain right. Between
    two small batches it waits for at least as long as a batch takes, so that others can write. `stop` ends the deletion
    after a batch; a later one continues it.
    """
    removed = 0
    for interval, length in keep.items():
        before = Interval.DAY_1.floor(now - length)
        while not stop.is_set():
            began = time.monotonic()
            count = database.purge(interval, before, BATCH)
            removed += count
            if count < BATCH:
                break
            stop.wait(max(PAUSE, time.monotonic() - began))
    return removed
