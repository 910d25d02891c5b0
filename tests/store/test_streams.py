"""States of streams, and candles built from ticks."""

import dataclasses
import itertools
from collections.abc import Callable
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import BuiltCandle, StreamSpan, StreamState
from crypto_predict.store import Database, WritableDatabase
from tests.support.databases import ON_BOTH
from tests.support.minutes import EVER, MANY, MINUTE, MINUTES, START, span

CONNECTED, DISCONNECTED, DOWN = StreamState
BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")


def state(first: int, last: int, state: StreamState = CONNECTED, reason: str = "") -> StreamSpan:
    """Return the state of some seconds after `START`."""
    return StreamSpan(Span(START + timedelta(seconds=first), START + timedelta(seconds=last)), state, reason)


@ON_BOTH
def test_a_span_replaces_what_it_overlaps_of_another_state(writer: WritableDatabase, reader: Database) -> None:
    """That a stream was silent is known only afterwards. Of spans that become one, the first reason stays."""
    writer.write_streams("binance", [BTC], state(0, 100))
    writer.write_streams("binance", [BTC], state(80, 110, DISCONNECTED, "no message for 20 s"))
    writer.write_streams("binance", [BTC], state(110, 115, DISCONNECTED, "timeout"))
    writer.write_streams("binance", [BTC], state(30, 40, DOWN, "HTTP 503"))
    silent = state(80, 115, DISCONNECTED, "no message for 20 s")
    down = state(30, 40, DOWN, "HTTP 503")
    assert reader.streams("binance", BTC, EVER) == [state(0, 30), down, state(40, 80), silent]
    assert reader.streams("binance", BTC, Span(START + timedelta(seconds=40), silent.span.start)) == [state(40, 80)]
    writer.write_streams("binance", [BTC], state(-5, 200))
    writer.write_streams("binance", [], state(200, 220))
    writer.write_streams("binance", [BTC], state(220, 220))
    assert reader.streams("binance", BTC, EVER) == [state(-5, 200)]
    assert reader.streams("binance", ETH, EVER) == reader.streams("alpaca", BTC, EVER) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=st.lists(
        st.tuples(
            st.sets(st.sampled_from([BTC, ETH]), min_size=1),
            st.integers(0, 20),
            st.integers(1, 8),
            st.sampled_from(StreamState),
        ),
        max_size=8,
    )
)
def test_the_last_state_that_was_written_holds_at_every_second(
    shared: WritableDatabase,
    new_series: Callable[[], SeriesKey],
    written: list[tuple[set[Pair], int, int, StreamState]],
) -> None:
    """Spans of a pair are ascending and as long as can be."""
    source = new_series().source
    model: dict[Pair, dict[int, StreamState]] = {BTC: {}, ETH: {}}
    for pairs, first, length, stream_state in written:
        shared.write_streams(source, sorted(pairs), state(first, first + length, stream_state))
        for pair in pairs:
            model[pair] |= dict.fromkeys(range(first, first + length), stream_state)
    for pair, seconds in model.items():
        runs = [
            [second for _, second in group]
            for _, group in itertools.groupby(
                enumerate(sorted(seconds)), key=lambda item: (item[1] - item[0], seconds[item[1]])
            )
        ]
        expected = [state(run[0], run[-1] + 1, seconds[run[0]]) for run in runs]
        assert shared.streams(source, pair, EVER) == expected


def built(minute: int, ticks: int, *, late: int = 0, partial: bool = False) -> BuiltCandle:
    """Return a candle whose close is its number of ticks."""
    return BuiltCandle(START + minute * MINUTE, 2.0, 9.0, 1.0, float(ticks), ticks, late, partial, ticks / 4)


@ON_BOTH
def test_built_candles_are_read_back(writer: WritableDatabase, reader: Database) -> None:
    """Also of intervals that are not collected. They are not candles of the exchange."""
    fives = dataclasses.replace(MINUTES, interval=Interval.MINUTE_5)
    minutes = [built(0, 1, partial=True), built(1, 2), built(2, 3, late=2)]
    writer.write_built({MINUTES: minutes, fives: [built(0, 9)]})
    writer.write_built({})
    assert reader.built(MINUTES, EVER, MANY) == minutes
    assert reader.built(MINUTES, span(1, 9), 1) == minutes[1:2]
    assert reader.built(fives, EVER, MANY) == [built(0, 9)]
    assert type(reader.built(fives, EVER, MANY)[0].partial) is bool
    assert reader.candles(MINUTES, EVER, MANY) == []


@ON_BOTH
def test_of_two_built_candles_the_one_of_more_ticks_stays(writer: WritableDatabase, reader: Database) -> None:
    """A collector that was started again saw less of the minute. With as many ticks, the late ones have grown."""
    first, later = built(0, 5), built(0, 5, late=1)
    for written, stays in (
        ([first], first),
        ([built(0, 3, partial=True)], first),
        ([later], later),
        ([built(0, 7), built(0, 6)], built(0, 7)),
        ([built(0, 2), built(0, 8), built(0, 4)], built(0, 8)),
    ):
        writer.write_built({MINUTES: written})
        assert reader.built(MINUTES, EVER, MANY) == [stays]
