"""The collector with each exchange: what they send differs, what is stored in the end does not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

import pytest

from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, DELISTED, StreamState
from crypto_predict.store import open_reader, open_writer
from tests.support.databases import new_database
from tests.support.live import collecting_here, minutes_of, states, stored, until
from tests.support.replay.coinbase import VENUE as COINBASE
from tests.support.replay.coinbase import CoinbaseInMotion
from tests.support.replay.exchanges import VENUES
from tests.support.replay.motion import MINUTE, Motion, Traits
from tests.support.replay.poloniex import VENUE as POLONIEX
from tests.support.replay.poloniex import PoloniexInMotion
from tests.support.replay.server import ReplayServer
from tests.support.replay.streams import Frame, changed
from tests.support.replay.venue import Venue

START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
BEGIN = datetime(2024, 5, 17, tzinfo=UTC)
LIVE = Span(START, START + timedelta(days=1))
SPEED = 60.0


def market(venue: Venue, skew: timedelta = timedelta(0)) -> Motion:
    """Return a market of two pairs whose minutes all have trades, as some exchanges leave out the others.

    Its clock is ahead of the collector's by `skew`.
    """
    pairs = [venue.traded, replace(venue.traded, base="ETH")]
    return Motion(Clock(START, SPEED), pairs, 0, BEGIN, Traits(quiet=0.0, skew=skew))


def openings(database: str, source: str, pair: Pair, end: datetime) -> list[datetime]:
    return [candle.open_time for candle in stored(database, minutes_of(source, pair), Span(BEGIN, end))]


def true_openings(motion: Motion, pair: Pair, end: datetime) -> list[datetime]:
    return [candle.open_time for candle in motion.truth(pair, Span(BEGIN, end))]


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.id)
def test_every_minute_the_top_of_the_book_and_a_pair_that_is_added(venue: Venue, tmp_path: Path) -> None:
    """Alpaca allows one connection, which is ended for the new pair; some exchanges send trades alone."""
    source, database, motion = venue.id, new_database("sqlite", tmp_path), market(venue)
    sends_candles = resolve_name(venue.exchange.feed)(venue.exchange.settings({}), motion.clock).sends_candles
    first, second = motion.pairs
    with (
        ReplayServer(venue.live(motion)) as server,
        collecting_here(database, motion.clock, venue.environ(server), "--pair", "BTC/USD"),
    ):
        until(lambda: stored(database, minutes_of(source, first), Span(BEGIN, START)), "history")
        with open_writer(database) as writer:
            writer.follow(minutes_of(source, second), simulated=False)
        begun = motion.now()
        end = Interval.MINUTE_1.floor(begun) + 4 * MINUTE
        until(lambda: motion.now() > end)
        until(
            lambda: all(
                openings(database, source, pair, end) == true_openings(motion, pair, end) for pair in motion.pairs
            )
        )
        for pair in motion.pairs:
            until(partial(is_quoted, database, source, pair), "the top of the book is stored")
            until(partial(is_connected, database, source, pair), "the stream is stored as connected")
            if not sends_candles:
                until(partial(whole_built, database, source, pair, LIVE.end), "a candle is built of all trades")
    built = {pair: whole_built(database, source, pair, end - MINUTE) for pair in motion.pairs}
    assert not sends_candles or not any(built.values())
    for pair, candles in built.items():
        official = {candle.open_time: (*candle[1:6], candle.trades) for candle in motion.truth(pair, Span(BEGIN, end))}
        assert candles.items() <= official.items(), "no trade was lost or doubled when a pair was added"


def is_quoted(database: str, source: str, pair: Pair) -> bool:
    with open_reader(database) as reader:
        return bool(reader.quotes(source, pair, LIVE, 9))


def is_connected(database: str, source: str, pair: Pair) -> bool:
    return any(state.state is StreamState.CONNECTED for state in states(database, source, pair, LIVE))


def whole_built(database: str, source: str, pair: Pair, end: datetime) -> dict[datetime, tuple[float | None, ...]]:
    """Prices, volume and trades of the built candles that are neither partial nor late, by their openings."""
    with open_reader(database) as reader:
        rows = reader.built(minutes_of(source, pair), Span(START, end), 99)
    return {
        candle.open_time: (candle.open, candle.high, candle.low, candle.close, candle.volume, candle.ticks)
        for candle in rows
        if not (candle.partial or candle.late)
    }


def is_built(database: str, source: str, pair: Pair) -> bool:
    with open_reader(database) as reader:
        return bool(reader.built(minutes_of(source, pair), LIVE, 9))


def test_pairs_that_poloniex_does_not_stream_harm_no_other(tmp_path: Path) -> None:
    """Its answer names none of them. REST does not have one of them any more, and of the other one it has all."""
    database = new_database("sqlite", tmp_path)
    good, unstreamed, unknown = pairs = [Pair(name, "USDT") for name in ("BTC", "ETH", "LTC")]
    motion = Motion(Clock(START, SPEED), pairs, 0, BEGIN, Traits(quiet=0.0))
    motion.delist(unknown, BEGIN)
    exchange = PoloniexInMotion(motion)
    exchange.refused.add("ETH_USDT")
    with open_writer(database) as writer:
        for pair in pairs:
            writer.follow(minutes_of("poloniex", pair), simulated=False)
    with (
        ReplayServer(exchange) as server,
        collecting_here(database, motion.clock, POLONIEX.environ(server)),
        open_reader(database) as reader,
    ):
        until(lambda: is_built(database, "poloniex", good), "a candle is built")
        until(partial(is_quoted, database, "poloniex", unstreamed), "the top of the book is stored")
        end = Interval.MINUTE_1.floor(motion.now())
        until(lambda: openings(database, "poloniex", unstreamed, end) == true_openings(motion, unstreamed, end))
        until(lambda: DELISTED in {collected.state for collected in reader.collected()}, "the unknown pair is delisted")
        assert {collected.series.pair: collected.state for collected in reader.collected()} == {
            good: ACTIVE,
            unstreamed: ACTIVE,
            unknown: DELISTED,
        }
    assert not is_built(database, "poloniex", unstreamed)
    assert not is_connected(database, "poloniex", unstreamed)


def test_a_minute_of_which_coinbase_does_not_send_every_trade_is_that_of_rest(tmp_path: Path) -> None:
    """Its trades are numbered, so that a missing one is seen. The other minutes have what REST has not."""
    database, motion = new_database("sqlite", tmp_path), market(COINBASE)
    exchange, pair = CoinbaseInMotion(motion), motion.pairs[0]
    begun = Interval.MINUTE_1.floor(START) + MINUTE
    broken, end = begun + 2 * MINUTE, begun + 5 * MINUTE

    def without_trades(frame: Frame) -> Sequence[Frame]:
        message = json.loads(frame)
        passed = datetime.fromisoformat(message["time"]) - broken
        is_lost = message["product_id"] == "BTC-USD" and MINUTE / 3 < passed < 2 * MINUTE / 3
        return [] if is_lost else [frame]

    exchange.streams.inject(changed(without_trades))
    with (
        ReplayServer(exchange) as server,
        collecting_here(database, motion.clock, COINBASE.environ(server), "--pair", "BTC/USD"),
    ):
        series = minutes_of(COINBASE.id, pair)

        def minutes() -> dict[datetime, int | None]:
            return {candle.open_time: candle.trades for candle in stored(database, series, Span(begun, end))}

        truth = {candle.open_time: candle.trades for candle in motion.truth(pair, Span(begun, end))}
        until(lambda: minutes() == truth | {broken: None})
        assert not is_built(database, COINBASE.id, pair)


def test_candles_that_come_over_rest_alone_have_minute_forecasts(tmp_path: Path) -> None:
    """Poloniex streams trades. Forecasts rest on the official candles, not on those built from these."""
    database = new_database("sqlite", tmp_path)
    pair = Pair("BTC", "USDT")
    motion = Motion(Clock(START, SPEED), [pair], 0, BEGIN - timedelta(hours=13), Traits(quiet=0.0))
    series, day = minutes_of("poloniex", pair), Span(BEGIN, BEGIN + timedelta(days=1))
    with (
        ReplayServer(PoloniexInMotion(motion)) as server,
        collecting_here(database, motion.clock, POLONIEX.environ(server), "--pair", "BTC/USD"),
        open_writer(database) as reader,
    ):
        until(lambda: reader.minute_records().get(series), "a forecast has its outcome")
        first, *_, last = reader.minute_forecasts(series, day, 99)
        closes = {candle.open_time + MINUTE: candle.close for candle in motion.truth(pair, day)}
        assert (first.price, last.price) == (closes[first.cutoff], closes[last.cutoff])


@pytest.mark.parametrize("ahead", [timedelta(seconds=40), timedelta(minutes=10)], ids=str)
@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.id)
def test_a_clock_that_is_ahead_makes_no_open_candle_official(venue: Venue, ahead: timedelta, tmp_path: Path) -> None:
    """Over REST the exchanges send their open candle, too. It would be stored, served, and revised later."""
    source, database, motion = venue.id, new_database("sqlite", tmp_path), market(venue, -ahead)
    pair = motion.pairs[0]
    series, day = minutes_of(source, pair), Span(BEGIN, BEGIN + timedelta(days=1))
    end = Interval.MINUTE_1.floor(motion.now()) + 4 * MINUTE
    with (
        ReplayServer(venue.live(motion)) as server,
        collecting_here(database, motion.clock, venue.environ(server), "--pair", "BTC/USD"),
    ):

        def is_whole() -> bool:
            result = stored(database, series, day)
            assert not result or result[-1].open_time + MINUTE <= motion.now(), "a candle that is stored has closed"
            return openings(database, source, pair, end) == true_openings(motion, pair, end)

        until(is_whole)
    with open_reader(database) as reader:
        # A trade that this machine reads late revises its minute, which had closed.
        assert venue is COINBASE or reader.revisions(series, day) == []
        assert not reader.quarantine(series, day)
