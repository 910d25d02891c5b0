"""The states of a stream, from what happens to it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from crypto_predict.collecting.live.streams.heartbeats import Heartbeats
from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.market.events import Interrupted

START = datetime(2024, 5, 17, 12, tzinfo=UTC)
BTC, ETH = Pair("BTC", "USDT"), Pair("ETH", "USDT")
CONNECTED, DISCONNECTED, DOWN = StreamState.CONNECTED, StreamState.DISCONNECTED, StreamState.EXCHANGE_DOWN


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        super().__init__(START)
        self.passed, self.offset = 0.0, timedelta(0)

    def now(self) -> datetime:
        """Return what it was set to, and the time since."""
        return START + timedelta(seconds=self.passed) + self.offset

    def monotonic(self) -> float:
        """Return the time that has passed."""
        return self.passed


class Recorded:
    """A stream, and what of its states was stored."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.stored: list[tuple[tuple[Pair, ...], StreamSpan]] = []
        self.heartbeats = Heartbeats("binance", self.clock, self._store)

    def at(self, seconds: float) -> Heartbeats:
        """Move the clock to so many seconds after the start."""
        self.clock.passed = seconds
        return self.heartbeats

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


def connected(stream: Recorded, at: float = 2) -> Recorded:
    """Connect a stream for two pairs, which delivers at once."""
    stream.at(0).following([BTC, ETH])
    stream.at(at).connected([BTC, ETH])
    stream.heartbeats.data()
    return stream


def ended(seconds: float, *, down: bool = False) -> Interrupted:
    return Interrupted("it ended", START + timedelta(seconds=seconds), down)


def test_a_connection_is_stored_up_to_its_last_sign_of_life() -> None:
    """What follows is not known, should the process be killed."""
    stream = connected(Recorded())
    stream.at(20).beat()
    stream.at(35).flush()
    assert stream.of(BTC) == [(2, 20, CONNECTED)]


def test_an_interruption_has_its_kind_and_lasts_until_the_next_connection() -> None:
    stream = connected(Recorded())
    stream.at(30).beat()
    stream.heartbeats.data()
    stream.at(31).interrupted(ended(25))
    stream.at(40).interrupted(ended(40, down=True))
    stream.at(50).flush()
    stream.at(60).connected([BTC, ETH])
    stream.heartbeats.data()
    stream.at(70).beat()
    stream.heartbeats.flush()
    assert stream.of(ETH) == [
        *[(2, 30, CONNECTED), (30, 40, DISCONNECTED)],
        *[(40, 60, DOWN), (60, 70, CONNECTED)],
    ]


def test_the_first_outage_begins_with_the_collector_and_has_its_own_reason() -> None:
    """Where nothing is stored it was disconnected; that it had just started says nothing about what follows."""
    stream = Recorded()
    stream.at(0).following([BTC])
    stream.heartbeats.flush()
    stream.at(5).interrupted(ended(5, down=True))
    stream.at(20).flush()
    assert stream.of(BTC) == [(0, 20, DOWN)]
    assert {state.reason for _, state in stream.stored} == {"it ended"}


def test_a_connection_that_stayed_mute_was_never_one() -> None:
    stream = Recorded()
    stream.at(0).following([BTC])
    stream.at(1).connected([BTC])
    for second in range(2, 180):
        stream.at(second).beat()
        stream.heartbeats.flush()
    stream.at(180).interrupted(ended(1))
    stream.at(185).flush()
    assert stream.of(BTC) == [(1, 185, DISCONNECTED)]


def test_a_connection_counts_from_its_beginning_once_data_has_come() -> None:
    stream = Recorded()
    stream.at(0).following([BTC])
    stream.at(1).connected([BTC])
    stream.at(50).beat()
    stream.heartbeats.data()
    stream.heartbeats.flush()
    assert stream.of(BTC) == [(1, 50, CONNECTED)]


def test_what_was_stored_as_connected_is_replaced_if_it_was_mute_by_then() -> None:
    """Heartbeats went on after the last data."""
    stream = connected(Recorded())
    for second in range(3, 180):
        stream.at(second).beat()
        stream.heartbeats.flush()
    stream.at(180).interrupted(ended(2))
    stream.at(190).flush()
    assert stream.of(BTC) == [(2, 190, DISCONNECTED)]


def test_an_old_hole_in_the_candles_does_not_take_back_hours_of_connection() -> None:
    """A feed counts what is complete by the pair that is worst."""
    stream = connected(Recorded())
    stream.at(7_200).beat()
    stream.heartbeats.data()
    stream.at(7_201).interrupted(ended(60))
    stream.heartbeats.flush()
    assert stream.of(BTC) == [(2, 7_200, CONNECTED), (7_200, 7_201, DISCONNECTED)]


def test_a_pair_that_joins_is_connected_from_then_on_and_the_others_throughout() -> None:
    stream = Recorded()
    stream.at(0).following([BTC])
    stream.at(0).connected([BTC])
    stream.heartbeats.data()
    stream.at(30).connected([BTC, ETH])
    stream.at(60).beat()
    stream.heartbeats.flush()
    assert stream.of(BTC) == [(0, 60, CONNECTED)]
    assert stream.of(ETH) == [(30, 60, CONNECTED)]


def test_a_clock_that_is_set_does_not_invent_time_in_which_it_was_connected() -> None:
    stream = connected(Recorded())
    stream.at(100).beat()
    stream.clock.offset = timedelta(hours=1)
    stream.at(130).beat()
    stream.at(160).beat()
    stream.heartbeats.flush()
    assert stream.of(BTC) == [(2, 130, CONNECTED), (3_730, 3_760, CONNECTED)]
