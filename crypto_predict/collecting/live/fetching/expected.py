"""How much a collection will fetch and store, as far as that is known at its start."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from crypto_predict.market import EPOCH, Interval
from crypto_predict.market.collected import CollectedSeries

# Bytes of a stored candle, indexes included; docs/collecting.md has the same.
BYTES = {"SQLite": 100, "PostgreSQL": 150}

_MINUTE = Interval.MINUTE_1


def expected(
    series: Iterable[CollectedSeries], now: datetime, keep: Mapping[Interval, timedelta], database: str
) -> dict[str, object]:
    """Return how many minutes of these series are not stored yet at `now` (UTC), and the megabytes that they will take.

    `keep` is how long candles are kept. A series without a first day counts from its first stored candle on, and is
    named by ``from_the_beginning``: how much an exchange has before is not known. Every further day of live collecting
    adds ``megabytes_a_day``.
    """
    minutes = [collected for collected in series if collected.series.interval is _MINUTE]
    size = BYTES["PostgreSQL" if database.startswith("postgres") else "SQLite"]
    oldest = now - keep.get(_MINUTE, now - EPOCH)
    candles = sum(
        _missing(collected, max(oldest, collected.since or collected.first_open or now), now) for collected in minutes
    )
    facts: dict[str, object] = {
        "pairs": len(minutes),
        "candles": candles,
        "megabytes": _megabytes(candles * size),
        "megabytes_a_day": _megabytes(len(minutes) * (Interval.DAY_1.length // _MINUTE.length) * size),
    }
    if endless := [str(collected.series.pair) for collected in minutes if collected.since is None]:
        facts["from_the_beginning"] = ",".join(endless)
    return facts


def _missing(collected: CollectedSeries, start: datetime, now: datetime) -> int:
    """Return the number of minutes from `start` to `now` that a series does not have."""
    total = max(0, (now - start) // _MINUTE.length)
    if collected.first_open is None or collected.newest_close is None:
        return total
    stored = max(0, (collected.newest_close - max(start, collected.first_open)) // _MINUTE.length - collected.missing)
    return max(0, total - stored)


def _megabytes(size: int) -> float:
    return round(size / 1e6, 1)
