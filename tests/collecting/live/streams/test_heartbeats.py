"""The states of a stream, from what happens to it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crypto_predict.collecting.live.streams.heartbeats import Heartbeats
from crypto_predict.market import Pair
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.market.events import Interrupted
from tests.support.clocks import MovedClock

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
BTC, ETH = PAIRS = Pair("BTC", "USDT"), Pair("ETH", "USDT")
CONNECTED, DISCONNECTED, DOWN = StreamState.CONNECTED, StreamState.DISCONNECTED, StreamState.EXCHANGE_DOWN

Step = tuple[float, str, *tuple[Any, ...]]  # seconds after the start, the method of the heartbeats, and its arguments


class Recorded:
    """A stream, and what of its states was stored."""

    def __init__(self) -> None:
        self.clock = MovedClock(START)
        self.stored: list[tuple[tuple[Pair, ...], StreamSpan]] = []
        self.heartbeats = Heartbeats("binance", self.clock, self._store)

    def play(self, *steps: Step) -> None:
        """Let all of this happen."""
        for seconds, method, *arguments in steps:
            self.clock.elapsed = seconds
            getattr(self.heartbeats, method)(*arguments)

    def of(self, pair: Pair) -> list[tuple[float, float, StreamState]]:
        """Return the states of a pair as stored: later ones replace earlier ones, and those of one state are joined."""
        result: list[tuple[float, float, StreamState]] = []
        for pairs, stream_span in self.stored:
            if pair not in pairs:
                continue
            start, end = ((moment - START).total_seconds() for moment in (stream_span.span.start, stream_span.span.end))
            result = [(first, min(last, start), state) for first, last, state in result if first < start]
            if result and result[-1][1:] == (start, stream_span.state):
                start = result.pop()[0]
            result.append((start, end, stream_span.state))
        return result

    def _store(self, source: str, pairs: Sequence[Pair], state: StreamSpan) -> None:
        assert source == "binance"
        assert state.span.start < state.span.end
        self.stored.append((tuple(pairs), state))


def connection(at: float, *pairs: Pair) -> list[Step]:
    """Connect a stream that delivers at once."""
    return [(0, "following", pairs or PAIRS), (at, "connected", pairs or PAIRS), (at, "data")]


def beats(seconds: Iterable[float]) -> list[Step]:
    """Receive signs of life, each of which is stored, and no data."""
    return [step for second in seconds for step in ((second, "beat"), (second, "flush"))]


def end(seconds: float, *, down: bool = False) -> Interrupted:
    return Interrupted("it ended", START + timedelta(seconds=seconds), down)


@pytest.mark.parametrize(
    ("steps", "states"),
    [
        # What follows the last sign of life is not known, should the process be killed.
        ([*connection(2), (20, "beat"), (35, "flush")], [(2, 20, CONNECTED)]),
        # An interruption has its kind and lasts until the next connection.
        (
            [
                *connection(2),
                *((30, "beat"), (30, "data"), (31, "interrupted", end(25)), (40, "interrupted", end(40, down=True))),
                *((50, "flush"), (60, "connected", PAIRS), (60, "data"), (70, "beat"), (70, "flush")),
            ],
            [(2, 30, CONNECTED), (30, 40, DISCONNECTED), (40, 60, DOWN), (60, 70, CONNECTED)],
        ),
        # A connection that stayed mute was never one.
        (
            [
                *((0, "following", PAIRS), (1, "connected", PAIRS), *beats(range(2, 180))),
                *((180, "interrupted", end(1)), (185, "flush")),
            ],
            [(1, 185, DISCONNECTED)],
        ),
        # It counts from its beginning once data has come.
        (
            [(0, "following", PAIRS), (1, "connected", PAIRS), (50, "beat"), (50, "data"), (50, "flush")],
            [(1, 50, CONNECTED)],
        ),
        # What was stored as connected is replaced if heartbeats went on after the last data.
        (
            [*connection(2), *beats(range(3, 180)), (180, "interrupted", end(2)), (190, "flush")],
            [(2, 190, DISCONNECTED)],
        ),
        # An old hole in the candles of the worst pair does not take back hours of connection.
        (
            [*connection(2), (7_200, "beat"), (7_200, "data"), (7_201, "interrupted", end(60)), (7_201, "flush")],
            [(2, 7_200, CONNECTED), (7_200, 7_201, DISCONNECTED)],
        ),
    ],
    ids=["last beat", "kinds", "mute", "first data", "mute later", "old hole"],
)
def test_a_stream_counts_as_connected_while_it_has_proved_it(
    steps: list[Step], states: list[tuple[float, float, StreamState]]
) -> None:
    stream = Recorded()
    stream.play(*steps)
    assert stream.of(ETH) == states


def test_the_first_outage_begins_with_the_collector_and_has_its_own_reason() -> None:
    """Where nothing is stored it was disconnected; that it had just started says nothing about what follows."""
    stream = Recorded()
    stream.play((0, "following", [BTC]), (0, "flush"), (5, "interrupted", end(5, down=True)), (20, "flush"))
    assert stream.of(BTC) == [(0, 20, DOWN)]
    assert {state.reason for _, state in stream.stored} == {"it ended"}


def test_a_pair_that_joins_is_connected_from_then_on_and_the_others_throughout() -> None:
    stream = Recorded()
    stream.play(*connection(0, BTC), (30, "connected", PAIRS), (60, "beat"), (60, "flush"))
    assert stream.of(BTC) == [(0, 60, CONNECTED)]
    assert stream.of(ETH) == [(30, 60, CONNECTED)]


def test_a_clock_that_is_set_does_not_invent_time_in_which_it_was_connected() -> None:
    stream = Recorded()
    stream.play(*connection(2), (100, "beat"))
    stream.clock.wrong_by = timedelta(hours=1)
    stream.play((130, "beat"), (160, "beat"), (160, "flush"))
    assert stream.of(BTC) == [(2, 130, CONNECTED), (3_730, 3_760, CONNECTED)]
