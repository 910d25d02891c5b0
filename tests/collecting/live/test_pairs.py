"""Which series are collected, as anyone may write it into the database, and how much of them is to fetch."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from crypto_predict.collecting.live.pairs import BYTES, Roster, expected
from crypto_predict.collecting.options import DEFAULT_PAIRS
from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, DELISTED, STOPPED, CollectedSeries, Shard
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.simulated import Simulated
from crypto_predict.store import WritableDatabase
from tests.support.live import minutes_of
from tests.support.replay.minutes import BTC, QUICK
from tests.support.replay.venue import TETHER

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
EVERYTHING = Shard()
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ETH = Pair("ETH", "USD")


def sources(*names: str) -> dict[str, CandleSource]:
    every: dict[str, CandleSource] = {
        "simulated": Simulated(0),
        "binance": Binance(Settings("http://127.0.0.1:1"), policy=QUICK),
    }
    return {name: every[name] for name in names or every}


def insert(address: str, source: str, pair: str, seconds: int = 60, *, simulated: bool = False) -> None:
    """Follow a series by SQL, as an administrator does."""
    url = address if address.startswith("postgresql") else f"sqlite:///{address}"
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    statement = (
        "INSERT INTO symbols (source, pair, interval, simulated, state, candles)"
        " VALUES (:source, :pair, :interval, :simulated, 'active', 0)"
    )
    with engine.begin() as connection:
        row = {"source": source, "pair": pair, "interval": seconds, "simulated": simulated}
        connection.execute(text(statement), row)
    engine.dispose()


def test_what_is_active_in_the_database_is_collected(
    address: str, database: WritableDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Also a row that was inserted by hand, and until its state changes. The log has both once."""
    caplog.set_level(logging.INFO)
    roster = Roster(database, EVERYTHING, sources())
    roster.refresh()
    assert roster.series == {}
    insert(address, "simulated", "BTC/USD", simulated=True)
    insert(address, "binance", "BTC/USDT", 3600)
    first, second = minutes_of("simulated", BTC), SeriesKey("binance", TETHER, Interval.HOUR_1)
    roster.refresh()
    assert roster.series.keys() == {first, second}
    database.set_state(first, ACTIVE, SINCE)
    roster.refresh()
    assert {series: stored.since for series, stored in roster.series.items()} == {second: None, first: SINCE}
    database.set_state(first, STOPPED)
    database.set_state(second, DELISTED)
    roster.refresh()
    assert roster.series == {}
    for series in (first, second):
        name = f"{series.pair} {series.interval.label} from {series.source}: "
        lines = [message.removeprefix(name) for message in caplog.messages if message.startswith(name)]
        assert lines == ["followed", "not followed any more"]


@pytest.mark.parametrize(
    ("source", "pair", "seconds", "simulated", "reason"),
    [
        ("kraken", "BTC/USD", 60, False, "the sources here are simulated, binance"),
        ("binance", "BTC/USD", 60, False, "the source trades BTC/USDT in its place"),
        ("binance", "BTC/BTC", 60, False, "both currencies are the same"),
        ("binance", "BTC/USDT", 600, False, "the source does not have this interval"),
        ("binance", "BTC/USDT", 60, True, "its prices are stored as simulated ones"),
    ],
)
def test_a_series_that_cannot_be_collected_is_left_out_with_one_line(  # noqa: PLR0913, PLR0917 one for each column
    source: str,
    pair: str,
    seconds: int,
    simulated: bool,
    reason: str,
    file: WritableDatabase,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    insert(str(tmp_path / "market.db"), source, pair, seconds, simulated=simulated)
    file.follow(minutes_of("simulated", BTC), simulated=True)
    roster = Roster(file, EVERYTHING, sources())
    for _ in range(3):
        roster.refresh()
    assert [series.source for series in roster.series] == ["simulated"]
    assert [record.message for record in caplog.records if reason in record.message] == [caplog.records[0].message]
    assert caplog.records[0].levelno == logging.WARNING


def test_an_empty_database_begins_with_the_default_pairs(database: WritableDatabase) -> None:
    """One that was removed later does not come back with the next start."""
    roster = Roster(database, EVERYTHING, sources("simulated"))
    roster.begin()
    assert {series.pair for series in roster.series} == set(DEFAULT_PAIRS)
    database.set_state(minutes_of("simulated", BTC), STOPPED)
    roster.begin()
    assert {series.pair for series in roster.series} == {*DEFAULT_PAIRS} - {BTC}


def test_named_pairs_are_followed_also_if_they_were_stopped(file: WritableDatabase) -> None:
    """A new pair begins 90 days ago; one that was followed before keeps its first day."""
    roster = Roster(file, EVERYTHING, sources("simulated"), Clock(datetime(2026, 5, 1, 12, tzinfo=UTC)))
    roster.begin([BTC], SINCE)
    file.set_state(minutes_of("simulated", BTC), STOPPED)
    roster.begin([BTC, ETH])
    first = datetime(2026, 1, 31, tzinfo=UTC)
    assert {series.pair: stored.since for series, stored in roster.series.items()} == {BTC: SINCE, ETH: first}


def test_a_pair_is_followed_though_no_exchange_can_be_asked(file: WritableDatabase) -> None:
    """A collector that begins in an outage must collect once that is over."""
    roster = Roster(file, EVERYTHING, sources("binance"))
    roster.begin([BTC])
    assert list(roster.series) == [minutes_of("binance", TETHER)]


def test_pairs_that_no_source_can_have_are_an_error_if_nothing_else_is_collected(file: WritableDatabase) -> None:
    roster = Roster(file, EVERYTHING, sources("binance"))
    with pytest.raises(UnusableHistory, match="both currencies are the same"):
        roster.begin([Pair("BTC", "BTC")])
    roster.begin([Pair("BTC", "BTC"), BTC])
    assert [series.pair for series in roster.series] == [TETHER]


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
