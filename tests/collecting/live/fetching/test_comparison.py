"""Candles of streams against those of REST, on a real database."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.collecting.live.fetching.comparison import PATIENCE, REMEMBERED, Comparison
from crypto_predict.market import Candle, SeriesKey
from crypto_predict.market.candle import differ
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.store import WritableDatabase
from tests.support.clocks import MovedClock
from tests.support.minutes import MINUTE, MINUTES, START, candle, candles, span


class Live:
    """A database with streams, and the comparison."""

    def __init__(self, database: WritableDatabase) -> None:
        self.database = database
        self.clock = MovedClock(START)
        self.missed: list[datetime] = []
        self.comparison = Comparison(database, self.clock, self._note)
        database.follow(MINUTES, simulated=False)

    def stream(self, *sent: Candle) -> None:
        """Let the stream deliver."""
        self.database.write_closed({MINUTES: sent})
        self.comparison.streamed(MINUTES, [candle.open_time for candle in sent])

    def answer(self, received: Sequence[Candle], minute: int) -> None:
        """Let REST answer in a minute."""
        self.clock.move_to(START + minute * MINUTE)
        with self.comparison.storing(MINUTES, received):
            self.database.write(MINUTES, received)

    def connected(self, first: int, last: int, state: StreamState = StreamState.CONNECTED) -> None:
        """Store that the stream was in a state from one minute to another."""
        self.database.write_streams(MINUTES.source, [MINUTES.pair], StreamSpan(span(first, last), state, ""))

    @property
    def counts(self) -> tuple[int, int]:
        """The candles compared, and those that differed."""
        (series,) = self.database.collected()
        return series.compared, series.mismatched

    def _note(self, series: SeriesKey, openings: Sequence[datetime]) -> None:
        assert series == MINUTES
        self.missed += openings


@pytest.fixture
def live(database: WritableDatabase) -> Live:
    """An empty database, once on each kind, in the minute 0."""
    return Live(database)


@pytest.fixture
def on_file(file: WritableDatabase) -> Live:
    """The same on SQLite alone."""
    return Live(file)


def test_each_candle_of_a_stream_is_compared_once_and_rest_wins(live: Live) -> None:
    other = candle(2)._replace(close=101.25)
    live.stream(*candles(1, 2), other, *candles(3, 5))
    live.answer(candles(0, 4), 6)
    assert live.counts == (3, 1)
    live.answer(candles(0, 4), 7)
    assert live.counts == (3, 1)
    live.answer(candles(2, 5), 8)
    assert live.counts == (4, 1)
    assert [row.candle for row in live.database.candles(MINUTES, span(0, 9), 9)] == candles(0, 5)
    assert live.database.revisions(MINUTES, span(0, 9)) == [other]


def test_a_traded_minute_that_a_connected_stream_did_not_send_is_a_mismatch(live: Live) -> None:
    """So is found that a stream is mute for one pair. Minutes without volume are not sent by every exchange."""
    quiet = candle(3)._replace(volume=0.0)
    for minute in range(9):
        live.connected(minute, minute + 1)  # each heartbeat extends the state
    live.stream(candle(1))
    live.answer([candle(1), candle(2), quiet, candle(4)], 9)
    assert live.missed == [START + 2 * MINUTE, START + 4 * MINUTE]
    assert live.counts == (3, 2)
    live.answer([candle(1), candle(2), quiet, candle(4)], 10)
    assert live.counts == (3, 2)


@pytest.mark.parametrize(
    ("first", "last", "state"),
    [(3, 9, StreamState.CONNECTED), (0, 3, StreamState.CONNECTED), (0, 9, StreamState.EXCHANGE_DOWN)],
    ids=["connected later", "disconnected at the close", "down"],
)
def test_a_stream_need_not_send_what_closed_while_it_was_not_connected(
    first: int, last: int, state: StreamState, on_file: Live
) -> None:
    on_file.connected(first, last, state)
    on_file.answer(candles(2, 3), 9)
    assert (on_file.missed, on_file.counts) == ([], (0, 0))


def test_a_candle_may_come_later_than_the_answer_of_rest(on_file: Live) -> None:
    on_file.connected(0, 9)
    on_file.answer(candles(1, 2), 2)
    assert on_file.clock.now() < START + 2 * MINUTE + PATIENCE
    on_file.stream(candle(1))
    on_file.answer(candles(1, 2), 4)
    assert (on_file.missed, on_file.counts) == ([], (1, 0))


def test_what_was_before_the_collector_began_is_not_missed(on_file: Live) -> None:
    on_file.connected(-9, 9)
    on_file.answer(candles(-8, 0), 9)
    assert (on_file.missed, on_file.counts) == ([], (0, 0))


def test_a_candle_that_is_not_stored_yet_is_compared_later(on_file: Live) -> None:
    """The writer keeps candles while the database is away."""
    on_file.comparison.streamed(MINUTES, [START + MINUTE])
    on_file.answer(candles(2, 4), 5)
    with on_file.comparison.storing(MINUTES, candles(1, 2)):
        pass
    assert on_file.counts == (0, 0)
    on_file.stream(candle(1)._replace(high=999.0))
    on_file.answer(candles(1, 2), 6)
    assert on_file.counts == (1, 1)


def test_a_failed_transaction_is_compared_again(on_file: Live) -> None:
    on_file.stream(candle(1)._replace(high=999.0))
    with pytest.raises(ZeroDivisionError), on_file.comparison.storing(MINUTES, candles(1, 2)):
        raise ZeroDivisionError
    assert on_file.counts == (0, 0)
    on_file.answer(candles(1, 2), 6)
    assert on_file.counts == (1, 1)


def test_the_memory_is_bounded_and_what_is_forgotten_is_not_missed(on_file: Live) -> None:
    """REST may be away for hours."""
    many = REMEMBERED + 100
    on_file.connected(0, many + 9)
    on_file.stream(*candles(0, many))
    on_file.answer(candles(0, many), many + 5)
    assert (on_file.missed, on_file.counts) == ([], (REMEMBERED, 0))


VALUES = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0]))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=9, max_size=9))
def test_candles_differ_in_a_value_that_both_have(values: list[tuple[float | None, float | None]]) -> None:
    opening = datetime(2024, 1, 1, tzinfo=UTC)
    first, second = (Candle._make([opening, *(pair[side] for pair in values)]) for side in (0, 1))
    assert differ(first, second) == differ(second, first)
    assert differ(first, second) == any(None not in pair and pair[0] != pair[1] for pair in values)
