"""How much a collection will fetch, said at its start."""

from datetime import UTC, datetime, timedelta

import pytest

from crypto_predict.collecting.live.fetching.expected import BYTES, expected
from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.collected import ACTIVE, CollectedSeries
from tests.support.live import minutes_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")


def collected(
    pair: Pair, since: float | None, stored: tuple[float, float] | None = None, missing: int = 0
) -> CollectedSeries:
    """A series of minutes that shall begin so many days ago, and has those from one day ago to another."""
    first, newest = (None, None) if stored is None else (NOW - stored[0] * DAY, NOW - stored[1] * DAY)
    start = None if since is None else NOW - since * DAY
    return CollectedSeries(minutes_of("binance", pair), False, ACTIVE, first, newest, 0, missing, start)


@pytest.mark.parametrize(
    ("series", "days"),
    [
        (collected(BTC, 90), 90),
        (collected(BTC, 90, (90, 10)), 10),
        (collected(BTC, 90, (90, 10), missing=2 * 1440), 12),
        (collected(BTC, 90, (20, 0)), 70),
        (collected(BTC, 90, (800, 0)), 0),
        (collected(BTC, 90, (800, 100)), 90),
        (collected(BTC, None, (800, 30)), 30),
        (collected(BTC, None), 0),
    ],
)
def test_what_is_stored_already_is_not_expected(series: CollectedSeries, days: int) -> None:
    """Megabytes that are on the disk would be announced again at each start."""
    facts = expected([series], NOW, {}, "data/market.db")
    assert facts["candles"] == days * 1440
    assert facts.get("from_the_beginning") == (None if series.since else "BTC/USD")


def test_minutes_of_every_pair_count_as_long_as_they_are_kept() -> None:
    hours = CollectedSeries(SeriesKey("binance", BTC, Interval.HOUR_1), False, ACTIVE, None, None, 0, 0)
    series, keep = [collected(BTC, 90), collected(ETH, 90), hours], {Interval.MINUTE_1: 30 * DAY}
    facts = expected(series, NOW, keep, "postgresql://market@localhost/market")
    size = BYTES["PostgreSQL"] / 1e6
    assert (facts["pairs"], facts["candles"]) == (2, 2 * 30 * 1440)
    assert facts["megabytes"] == pytest.approx(2 * 30 * 1440 * size, abs=0.05)
    assert facts["megabytes_a_day"] == pytest.approx(2 * 1440 * size, abs=0.05)
