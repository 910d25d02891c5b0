"""The verdict on every minute, against a slow oracle that looks at each quarter of a minute."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.market import Candle, Interval, Span, StoredCandle
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.market.verdict import NO_STREAM, Judged, Verdict, judge, silences

START = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTERS = 40  # of a minute, in ten minutes
CONNECTED, DISCONNECTED, DOWN = StreamState.CONNECTED, StreamState.DISCONNECTED, StreamState.EXCHANGE_DOWN
TEN = Span(START, START + 10 * MINUTE)


def at(quarter: int) -> datetime:
    return START + quarter * MINUTE / 4


def stream(first: int, last: int, state: StreamState, reason: str = "") -> StreamSpan:
    return StreamSpan(Span(at(first), at(last)), state, reason)


def stored(minute: int, volume: float = 1.0, trades: int | None = None) -> StoredCandle:
    return StoredCandle(Candle(START + minute * MINUTE, 2.0, 3.0, 1.0, 2.0, volume, trades=trades), None)


@st.composite
def stream_spans(draw: st.DrawFn) -> list[StreamSpan]:
    """States of a stream before, in and after ten minutes: ascending and apart, with and without holes."""
    edges = sorted(draw(st.sets(st.integers(-6, QUARTERS + 6), max_size=14)))
    result = []
    for first, last in pairwise(edges):
        state = draw(st.sampled_from([CONNECTED, CONNECTED, DISCONNECTED, DOWN, None]))
        if state is not None:
            reason = "" if state is CONNECTED else draw(st.sampled_from(["timeout", "maintenance"]))
            result.append(stream(first, last, state, reason))
    return result


def oracle(minute: int, streams: Sequence[StreamSpan]) -> tuple[Verdict, set[str]]:
    """Return the verdict on a minute without a candle and the reasons that it can have, by its four quarters."""
    quarters = [
        next((state for state in streams if at(quarter) in state.span), None)
        for quarter in range(4 * minute, 4 * minute + 4)
    ]
    states = [DISCONNECTED if state is None else state.state for state in quarters]
    if DOWN in states:
        return Verdict.EXCHANGE_DOWN, {state.reason for state in quarters if state and state.state is DOWN}
    if set(states) == {CONNECTED}:
        return Verdict.QUIET, {""}
    return Verdict.DISCONNECTED, {state.reason for state in quarters if state and state.state is DISCONNECTED} or {
        NO_STREAM
    }


@given(stream_spans(), st.sets(st.integers(0, 9)), st.lists(st.integers(0, 10), max_size=6, unique=True))
def test_every_minute_has_exactly_one_verdict_and_it_is_that_of_the_oracle(
    streams: list[StreamSpan], minutes: set[int], edges: list[int]
) -> None:
    """None is left out or doubled, whatever was stored, heard and asked for."""
    ends = iter(sorted(edges)[: len(edges) // 2 * 2])
    covered = [Span(START + first * MINUTE, START + last * MINUTE) for first, last in zip(ends, ends, strict=True)]
    candles = [stored(minute) for minute in sorted(minutes)]
    result = list(judge(TEN, Interval.MINUTE_1, candles, streams, covered))
    assert [judged.open_time for judged in result] == [START + minute * MINUTE for minute in range(10)]
    for minute, judged in enumerate(result):
        if minute in minutes:
            assert judged == Judged(START + minute * MINUTE, Verdict.TRADED, True, "", stored(minute))
            continue
        verdict, reasons = oracle(minute, streams)
        assert (judged.verdict, judged.stored) == (verdict, None)
        assert judged.reason in reasons
        assert judged.is_asked == any(judged.open_time in span for span in covered)


@given(stream_spans())
def test_silences_are_the_longest_parts_with_one_verdict(streams: list[StreamSpan]) -> None:
    """They cover the span without a hole or an overlap, and neighbours differ."""
    result = list(silences(TEN, Interval.MINUTE_1, streams))
    assert [result[0][0].start, *(silent.end for silent, *_ in result)] == [
        *(silent.start for silent, *_ in result),
        TEN.end,
    ]
    assert all(before[1:] != after[1:] for before, after in pairwise(result))


@pytest.mark.parametrize("interval", [Interval.MINUTE_5, Interval.MINUTE_10])
@given(streams=stream_spans())
def test_a_longer_interval_has_the_worst_verdict_of_its_minutes(interval: Interval, streams: list[StreamSpan]) -> None:
    """An hour is quiet only if the stream was connected throughout."""
    ranks = [Verdict.QUIET, Verdict.DISCONNECTED, Verdict.EXCHANGE_DOWN]
    minutes = list(judge(TEN, Interval.MINUTE_1, [], streams, []))
    for judged in judge(TEN, interval, [], streams, []):
        inside = [each.verdict for each in minutes if interval.floor(each.open_time) == judged.open_time]
        assert judged.verdict is max(inside, key=ranks.index)


@pytest.mark.parametrize(
    ("volume", "trades", "verdict"),
    [
        (1.0, None, Verdict.TRADED),
        (0.0, 1, Verdict.TRADED),  # an amount too small for the digits of its volume
        (0.0, 0, Verdict.QUIET),
        (0.0, None, Verdict.QUIET),
    ],
)
def test_a_candle_without_volume_and_trades_is_quiet(volume: float, trades: int | None, verdict: Verdict) -> None:
    """Whatever is known of the stream: the exchange itself has said so."""
    (judged,) = judge(Span(START, START + MINUTE), Interval.MINUTE_1, [stored(0, volume, trades)], [], [])
    assert (judged.verdict, judged.is_asked) == (verdict, True)


def test_a_trade_in_a_microsecond_without_a_connection_would_not_have_been_heard() -> None:
    connected = StreamSpan(Span(START, at(4) - timedelta(microseconds=1)), CONNECTED, "")
    (judged,) = judge(Span(START, START + MINUTE), Interval.MINUTE_1, [], [connected], [])
    assert judged.verdict is Verdict.DISCONNECTED


def test_a_minute_is_asked_for_if_all_of_it_is_covered() -> None:
    half = Span(START, START + MINUTE * 1.5)
    result = judge(Span(START, START + 2 * MINUTE), Interval.MINUTE_1, [], [], [half])
    assert [judged.is_asked for judged in result] == [True, False]


def test_years_without_a_stream_are_one_silence() -> None:
    """What was collected before there were streams is explained at once. An empty span has none."""
    assert list(silences(Span(START, START), Interval.MINUTE_1, [stream(0, 4, DOWN)])) == []
    years = Span(START - timedelta(days=3650), START + 3 * MINUTE)
    result = list(silences(years, Interval.MINUTE_1, [stream(0, 4, CONNECTED)]))
    assert [(silent.start, verdict) for silent, verdict, _ in result] == [
        (years.start, Verdict.DISCONNECTED),
        (START, Verdict.QUIET),
        (START + MINUTE, Verdict.DISCONNECTED),
    ]
