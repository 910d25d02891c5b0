"""Which series are collected, as anyone may write it into the database."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from crypto_predict.collecting.live.pairs import Roster, RosterChange
from crypto_predict.collecting.options import DEFAULT_PAIRS
from crypto_predict.errors import DatabaseError, UnusableHistory
from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, DELISTED, STOPPED, Shard
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.simulated import Simulated
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.databases import KINDS, new_database
from tests.support.live import minutes_of
from tests.support.replay.minutes import BTC, QUICK
from tests.support.replay.venue import TETHER

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
EVERYTHING = Shard()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once of each kind."""
    return new_database(request.param, tmp_path)


def sources(*names: str) -> dict[str, CandleSource]:
    every: dict[str, CandleSource] = {
        "simulated": Simulated(0),
        "binance": Binance(Settings("http://127.0.0.1:1"), policy=QUICK),
    }
    return {name: every[name] for name in names or every}


def insert(url: str, source: str, pair: str, seconds: int = 60, *, simulated: bool = False) -> None:
    """Follow a series by SQL, as an administrator does."""
    address = url if url.startswith("postgresql") else f"sqlite:///{url}"
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    statement = (
        "INSERT INTO symbols (source, pair, interval, simulated, state, candles)"
        " VALUES (:source, :pair, :interval, :simulated, 'active', 0)"
    )
    with engine.begin() as connection:
        row = {"source": source, "pair": pair, "interval": seconds, "simulated": simulated}
        connection.execute(text(statement), row)
    engine.dispose()


def test_what_is_active_in_the_database_is_collected(url: str) -> None:
    """Also a row that was inserted by hand, and until its state changes."""
    with open_writer(url) as database:
        roster = Roster(database, EVERYTHING, sources())
        assert roster.refresh() == RosterChange()
        insert(url, "simulated", "BTC/USD", simulated=True)
        insert(url, "binance", "BTC/USDT", 3600)
        first, second = minutes_of("simulated", BTC), SeriesKey("binance", TETHER, Interval.HOUR_1)
        assert set(roster.refresh().added) == {first, second}
        assert not roster.refresh()
        database.set_state(first, ACTIVE, SINCE)
        assert roster.refresh() == RosterChange(changed=(first,))
        assert {series.series: series.since for series in roster.series()} == {second: None, first: SINCE}
        database.set_state(first, STOPPED)
        database.set_state(second, DELISTED)
        assert set(roster.refresh().removed) == {first, second}
        assert roster.series() == []


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
    assert [series.series.source for series in roster.series()] == ["simulated"]
    assert [record.message for record in caplog.records if reason in record.message] == [caplog.records[0].message]
    assert caplog.records[0].levelno == logging.WARNING


def test_shards_divide_the_pairs(file: WritableDatabase) -> None:
    pairs = [Pair(f"A{number}", "USD") for number in range(40)]
    for pair in pairs:
        file.follow(minutes_of("simulated", pair), simulated=True)
    parts = []
    for number in (1, 2, 3):
        roster = Roster(file, Shard(number, 3), sources())
        roster.refresh()
        parts.append([series.series.pair for series in roster.series()])
    assert sorted(pair for part in parts for pair in part) == sorted(pairs)
    assert all(parts)


def test_an_empty_database_begins_with_the_default_pairs(url: str) -> None:
    """One that was removed later does not come back with the next start."""
    with open_writer(url) as database:
        roster = Roster(database, EVERYTHING, sources("simulated"))
        roster.begin()
        assert {series.series.pair for series in roster.series()} == set(DEFAULT_PAIRS)
        database.set_state(minutes_of("simulated", BTC), STOPPED)
        roster.begin()
        assert {series.series.pair for series in roster.series()} == {*DEFAULT_PAIRS} - {BTC}


def test_named_pairs_are_followed_also_if_they_were_stopped(file: WritableDatabase) -> None:
    """A new pair begins 90 days ago; one that was followed before keeps its first day."""
    ether = Pair("ETH", "USD")
    roster = Roster(file, EVERYTHING, sources("simulated"), Clock(datetime(2026, 5, 1, 12, tzinfo=UTC)))
    roster.begin([BTC], SINCE)
    file.set_state(minutes_of("simulated", BTC), STOPPED)
    roster.begin([BTC, ether])
    first = datetime(2026, 1, 31, tzinfo=UTC)
    assert {series.series.pair: series.since for series in roster.series()} == {BTC: SINCE, ether: first}


def test_each_shard_follows_its_own_of_the_named_pairs(file: WritableDatabase) -> None:
    for number in (1, 2):
        roster = Roster(file, Shard(number, 2), sources("simulated"))
        roster.begin(DEFAULT_PAIRS)
        assert {series.series.pair for series in roster.series()} == {
            pair for pair in DEFAULT_PAIRS if pair in Shard(number, 2)
        }
    assert {collected.series.pair for collected in file.collected()} == set(DEFAULT_PAIRS)


def test_a_pair_is_followed_though_no_exchange_can_be_asked(file: WritableDatabase) -> None:
    """A collector that begins in an outage must collect once that is over."""
    roster = Roster(file, EVERYTHING, sources("binance"))
    roster.begin([BTC])
    assert [series.series for series in roster.series()] == [minutes_of("binance", TETHER)]


def test_pairs_that_no_source_can_have_are_an_error_if_nothing_else_is_collected(file: WritableDatabase) -> None:
    roster = Roster(file, EVERYTHING, sources("binance"))
    with pytest.raises(UnusableHistory, match="both currencies are the same"):
        roster.begin([Pair("BTC", "BTC")])
    roster.begin([Pair("BTC", "BTC"), BTC])
    assert [series.series.pair for series in roster.series()] == [TETHER]


def test_the_series_stay_while_the_database_is_away(file: WritableDatabase, tmp_path: Path) -> None:
    roster = Roster(file, EVERYTHING, sources("simulated"))
    roster.begin([BTC])
    (tmp_path / "market.db").rename(tmp_path / "away")
    with pytest.raises(DatabaseError):
        roster.refresh()
    assert [series.series.pair for series in roster.series()] == [BTC]
