"""The whole collector against an exchange in motion: streams, REST and a real database, at a multiple of the speed."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.live.collector import Collector
from crypto_predict.market import Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import DELISTED, STOPPED, CollectedSeries, Shard
from crypto_predict.store import open_reader, open_writer
from tests.support.databases import KINDS, new_database, new_postgresql
from tests.support.live import minutes_of, stored, until
from tests.support.live_markets import (
    BEGIN,
    BTC,
    CALM,
    ETH,
    SOL,
    START,
    collecting,
    connected_until,
    interruptions,
    is_whole,
    market,
    quoted,
    wait_connected,
    wait_whole,
)
from tests.support.replay.binance import candle_frame
from tests.support.replay.motion import MINUTE, Candled, candle_of


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_database_has_every_candle_of_history_and_stream_once(kind: str, tmp_path: Path) -> None:
    """Both are joined without a hole, a double or a revision."""
    database = new_database(kind, tmp_path)
    with (
        market() as result,
        collecting(database, result),
    ):
        end = wait_whole(database, result, minutes=4)
    with open_reader(database) as reader:
        for pair in (BTC, ETH):
            series = minutes_of("binance", pair)
            assert reader.revisions(series, Span(BEGIN, end)) == []
            assert reader.gaps(series, Span(BEGIN, end)) == []


def test_the_top_of_the_book_and_the_state_of_the_stream_are_stored_for_each_minute(tmp_path: Path) -> None:
    """Of three minutes in a row: one in which this machine stands still has no quote, or looks like a silent stream."""
    database = new_database("sqlite", tmp_path)
    with (
        market(Clock(START, 2 * CALM)) as result,
        collecting(database, result),
    ):
        first = wait_connected(database, result)

        def is_recorded(opening: datetime) -> bool:
            span = Span(opening, opening + 3 * MINUTE)
            return all(
                quoted(database, pair, span) == {opening, opening + MINUTE, opening + 2 * MINUTE}
                and connected_until(database, pair, span.start) >= span.end
                for pair in (BTC, ETH)
            )

        def openings() -> list[datetime]:
            return [first + number * MINUTE for number in range((result.close() - first) // MINUTE - 2)]

        until(lambda: any(map(is_recorded, openings())), "three minutes have quotes and a connected stream")
        wait_whole(database, result)


def test_a_pair_that_is_added_to_the_database_is_followed_beside_the_others(tmp_path: Path) -> None:
    """They do not miss anything, and their connection is not ended for it."""
    database = new_database("sqlite", tmp_path)
    with (
        market(Clock(START, CALM), pairs=(BTC, ETH, SOL)) as result,
        collecting(database, result, "--pair", "BTC/USD"),
    ):
        first = wait_connected(database, result)
        with open_writer(database) as writer:
            writer.follow(minutes_of("binance", SOL), simulated=False)
        until(lambda: is_whole(database, result, SOL, result.close() - MINUTE), "the new pair is whole")
        result.exchange.streams.wait_open(opened=2)
        end = wait_whole(database, result, BTC, SOL)
        until(lambda: connected_until(database, SOL, end) > end, "the new pair is connected")
    assert interruptions(database, BTC, first) == []


def test_a_pair_that_is_removed_or_delisted_is_left_alone_and_harms_no_other(tmp_path: Path) -> None:
    """Its candles stay."""
    database = new_database("sqlite", tmp_path)
    with market(pairs=(BTC, ETH, SOL)) as result:
        with collecting(database, result, "--pair", "BTC/USD,ETH/USD,SOL/USD", "--no-forecasts") as collector:
            end = wait_whole(database, result, BTC, ETH, SOL, minutes=1)
            result.motion.delist(SOL, result.motion.now())
            with open_writer(database) as writer:
                writer.set_state(minutes_of("binance", ETH), STOPPED)
            until(lambda: followed(collector) == {BTC}, "the collector has looked at the database")
            stopped = result.motion.now() + MINUTE  # a question that was asked before may be answered now
            until(lambda: result.motion.now() > stopped)
            requests = len(result.server.requests)
            wait_whole(database, result, BTC, minutes=3)
            figures = collector.figures()
            assert figures is not None
            assert "forecast_step_seconds" not in figures[1][()], "no forecasts are made"
        assert stored(database, minutes_of("binance", ETH), Span(stopped, result.motion.now())) == []
        symbols = {request.query.get("symbol") for request in result.server.requests[requests:]}
        assert symbols.isdisjoint({"ETHUSDT", "SOLUSDT"})
        assert described(database, SOL).state == DELISTED
        assert is_whole(database, result, SOL, end)


def followed(collector: Collector) -> set[Pair]:
    figures = collector.figures()
    return {Pair.parse(labels[1]) for labels in figures[1] if len(labels) == 3} if figures else set()


def described(database: str, pair: Pair) -> CollectedSeries:
    with open_reader(database) as reader:
        return next(collected for collected in reader.collected() if collected.series.pair == pair)


def test_a_revised_candle_is_stored_with_what_it_replaces_and_an_impossible_one_is_quarantined(tmp_path: Path) -> None:
    """A stream that sends a candle again with other values is right the second time; of the others REST has sound ones.

    Both are counted. There are mistakes for an hour, since a connection that ends misses some.
    """
    database, series = new_database("sqlite", tmp_path), minutes_of("binance", BTC)
    with market() as result, open_writer(database) as reader:
        with collecting(database, result) as collector:
            opening = wait_whole(database, result, minutes=1)
            mistaken = [opening + number * MINUTE for number in range(1, 60)]
            for number, minute in enumerate(mistaken):
                result.motion.mistake(BTC, minute, **({"low": -1.0} if number % 2 else {"volume": 123.0}))
            span = Span(BEGIN, mistaken[-1])
            until(lambda: reader.revisions(series, span), "a mistake is revised")
            until(lambda: reader.quarantine(series, span), "a mistake is in quarantine")
            until(lambda: described(database, BTC).mismatched, "the mistake is counted")
            end = wait_whole(database, result, BTC)
            figures = collector.figures()
            assert figures is not None
            row = figures[1]["binance", "BTC/USDT", "1m"]
            assert row["mismatched_total"]
            assert row["rejected_rows_total"]
        replaced, rows = reader.revisions(series, Span(BEGIN, end)), reader.quarantine(series, Span(BEGIN, end))
        assert {candle.open_time for candle in replaced} <= set(mistaken[::2])
        # REST may answer before the stream on a busy machine: then the mistake first replaces what REST had.
        rest = {candle.open_time: candle for candle in result.truth(BTC, end)}
        for candle in replaced:
            assert candle in {rest[candle.open_time], rest[candle.open_time]._replace(volume=123.0)}
        assert 123.0 in {candle.volume for candle in replaced}
        assert {row.candle.low for row in rows} == {-1.0}
        assert {row.candle.open_time for row in rows} <= set(mistaken[1::2])
        assert all(row.reason for row in rows)


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(hours=20)], ids=str)
def test_a_candle_of_the_future_is_quarantined_and_does_not_hide_the_lag(ahead: timedelta, tmp_path: Path) -> None:
    """However the stream came to send it: neither clock has reached it."""
    database = new_database("sqlite", tmp_path)
    with market() as result:
        with collecting(database, result):
            opening = wait_whole(database, result, minutes=1) + ahead
            invented = candle_of((), opening, 1.0)
            frame = candle_frame("BTCUSDT", Candled(BTC, invented, is_closed=True, time=result.motion.now()))
            message = f'{{"stream":"btcusdt@kline_1m","data":{frame}}}'
            span = Span(opening, opening + MINUTE)
            with open_reader(database) as reader:

                def is_quarantined() -> bool:
                    """Send the candle once more: a busy machine may not have been connected the last time."""
                    result.exchange.streams.apply(lambda connection: connection.say(message))
                    return bool(reader.quarantine(minutes_of("binance", BTC), span))

                until(is_quarantined, "the candle is in quarantine")
            wait_whole(database, result, minutes=3)
            assert (described(database, BTC).newest_close or BEGIN) < opening
        with open_reader(database) as reader:
            rows = reader.quarantine(minutes_of("binance", BTC), span)
            assert all("too far in the future" in row.reason for row in rows)
            assert not reader.candles(minutes_of("binance", BTC), span, 1)


def test_two_shards_collect_all_pairs_of_one_database() -> None:
    database = new_postgresql()
    pairs = (BTC, ETH, SOL)
    assert {pair in Shard(1, 2) for pair in pairs} == {True, False}
    with market(pairs=pairs) as result:
        names = ("--pair", "BTC/USD,ETH/USD,SOL/USD")
        first = collecting(database, result, *names, "--shard", "1/2")
        with first as half, collecting(database, result, *names, "--shard", "2/2") as other:
            wait_whole(database, result, *pairs)
            for collector, shard in ((half, Shard(1, 2)), (other, Shard(2, 2))):
                own = {str(pair) for pair in pairs if pair in shard}
                # not at once if the first one has taken over the pairs of the second one, which took long to start
                until(lambda: forecast(collector) == own, f"of {shard} only its own pairs are forecast")  # noqa: B023 called in this turn
                figures = collector.figures()
                assert figures is not None
                assert figures[1][()]["shards"] == 1


def forecast(collector: Collector) -> set[str]:
    """Return the pairs that a collector forecasts."""
    figures = collector.figures()
    return {labels[1] for labels, row in figures[1].items() if "forecasts_total" in row} if figures else set()
