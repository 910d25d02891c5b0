"""What holds for the stream of every exchange. What only one does is tested in its own module."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.events import (
    CandleClosed,
    FeedEvent,
    Heartbeat,
    Interrupted,
    QuoteReceived,
    TickReceived,
)
from crypto_predict.sources.network.stream import LONGEST_MESSAGE
from tests.support.replay import alpaca, coinbase, poloniex, streams
from tests.support.replay import server as replay
from tests.support.replay.exchanges import VENUES
from tests.support.replay.motion import MINUTE, TRADES
from tests.support.replay.reading import FAST, QUICK, START, candles_of, market, number_of
from tests.support.replay.server import Fault
from tests.support.replay.streams import Connection, StreamFault
from tests.support.replay.venue import Venue

pytestmark = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.id)


def test_what_the_stream_sends_is_what_the_exchange_has(venue: Venue) -> None:
    """Every value of a candle that it has, so that the stream and REST can be joined and compared."""

    def is_enough(events: Sequence[FeedEvent]) -> bool:
        if not feed.sends_candles:
            return number_of(TickReceived, 2 * TRADES)(events)
        return min(len(candles_of(events, pair)) for pair in live.motion.pairs) >= 4

    speed = QUICK if venue.id == "poloniex" else FAST  # which drops a client that is silent for 30 s
    with market(venue, speed, moving=True, quiet=0.2) as live:
        feed = live.feed()
        events = live.events(until=is_enough, feed=feed)
        now, source = live.motion.now(), venue.source(live.server)
        for pair in live.motion.pairs:
            truth = {candle.open_time: candle for candle in live.motion.truth(pair, Span(START - MINUTE, now))}
            received = candles_of(events, pair)
            for candle in received:
                # A source leaves out a minute that closed less than 4 s ago, unless the span ends within it.
                span = Span(candle.open_time, candle.open_time + MINUTE / 2)
                [official] = source.candles(pair, Interval.MINUTE_1, span)
                for other in (official, truth[candle.open_time]):
                    assert candle[:6] == other[:6]
                    for value, true in zip(candle[6:], other[6:], strict=True):
                        assert value is None or true is None or value == pytest.approx(true, abs=1e-8)
            begun = min(opening for opening, candle in truth.items() if opening > START and candle.trades)
            assert not received or received[0].open_time <= begun, "no minute is left to REST at the start"
    assert {type(event) for event in events} == {
        Heartbeat,
        *([CandleClosed] if feed.sends_candles else [TickReceived]),
        *([QuoteReceived] if feed.sends_quotes else []),
    }
    pairs = {event.pair for event in events if isinstance(event, QuoteReceived | TickReceived)}
    assert pairs in ({*live.motion.pairs}, set())
    beats = [event.time for event in events if isinstance(event, Heartbeat)]
    assert all(after - before > timedelta(seconds=0.9) for before, after in pairwise(beats))
    assert START <= beats[0] < beats[-1] <= now


def test_a_quiet_stream_has_heartbeats_because_pings_are_answered(venue: Venue) -> None:
    """A quiet market is not a dead stream, and a client that sends nothing may be dropped."""
    with market(venue, QUICK, moving=True, quiet=1.0) as live:
        live.exchange.streams.inject(streams.mute)
        events = live.events(until=number_of(Heartbeat, 4))
        assert live.exchange.streams.opened == 1
    assert {type(event) for event in events} == {Heartbeat}
    times = [event.time for event in events if isinstance(event, Heartbeat)]
    assert times[-1] - times[0] > timedelta(seconds=14)


def compressed(connection: Connection) -> None:
    """Send a compressed message, which was not offered: one of a kilobyte may be a gigabyte."""
    assert connection.request.transport is not None
    connection.request.transport.write(bytes([0b1100_0001, 2, 0, 0]))


ENDS: dict[str, tuple[StreamFault, str, bool]] = {
    "dropped": (streams.drop, "closed the connection: no close frame received or sent", False),
    "24 hours": (streams.closed(1000, "24 hours"), "closed the connection: received 1000 (OK) 24 hours", False),
    "going away": (streams.closed(1001), "closed the connection: received 1001 (going away)", False),
    "internal error": (streams.closed(1011), "closed the connection: received 1011 (internal error)", True),
    "restart": (streams.closed(1012), "closed the connection: received 1012 (service restart)", True),
    "overload": (streams.closed(1013), "closed the connection: received 1013 (try again later)", True),
    "half-open": (streams.silence, "did not answer a ping within 20 s", False),
    "too long": (
        streams.burst(" " * (LONGEST_MESSAGE + 1)),
        "closed the connection: sent 1009 (message too big)",
        False,
    ),
    "compressed": (compressed, "closed the connection: sent 1002 (protocol error)", False),
}


@pytest.mark.parametrize(("fault", "reason", "down"), ENDS.values(), ids=ENDS)
def test_whatever_ends_the_connection_ends_the_feed(fault: StreamFault, reason: str, down: bool, venue: Venue) -> None:
    """A feed that connected again by itself would hide the hole."""
    with market(venue, QUICK) as live:
        live.clock.patience = 0.0 if fault is streams.silence else live.clock.patience
        end = live.end(fault)
        live.exchange.streams.wait_open(0)
        assert live.exchange.streams.opened == 1
        assert end.reason.startswith(f"{live.host} {reason}")
        assert end.exchange_down is down
        assert end.complete_until <= live.clock.now()


GARBAGE = ["hello", "", "[" * 100_000, '{"event":' * 100_000, "1" * 100_000, '{"data":', b"\xc1", b'{"event":"pong"}']


@pytest.mark.usefixtures("shallow_finalizers")
@pytest.mark.parametrize("frame", GARBAGE, ids=range(len(GARBAGE)))
def test_a_message_that_cannot_be_read_ends_the_feed(frame: str | bytes, venue: Venue) -> None:
    """It may have been a candle."""
    with market(venue) as live:
        assert live.malformed(frame) in {"no JSON object", "no list in msgpack"}


ERRORS: dict[str, list[tuple[str | bytes, str, bool]]] = {
    "alpaca": [
        (alpaca.packed(*alpaca.refusal(500, "internal error")), '500 "internal error"', True),
        (alpaca.packed(*alpaca.refusal(407, "slow client")), '407 "slow client"', False),
    ],
    "coinbase": [(coinbase.error_frame("Server error", "try later"), '"Server error: try later"', False)],
    "poloniex": [
        (poloniex.error_frame("Platform in maintenance mode"), '"Platform in maintenance mode"', True),
        (poloniex.error_frame("Internal trouble"), '"Internal trouble"', False),
    ],
}


def test_an_error_message_ends_the_stream_with_its_reason(venue: Venue) -> None:
    """The SDK of Alpaca would log it and go on."""
    for frame, answer, down in ERRORS.get(venue.id, []):
        with market(venue) as live:
            end = live.end(streams.burst(frame))
        assert (end.reason, end.exchange_down) == (f"{live.host} answered {answer}", down)


def test_an_error_of_this_program_ends_the_feed_at_once(venue: Venue) -> None:
    """It must not look like a quiet market for minutes."""
    with market(venue, QUICK, moving=True) as live:
        feed = live.feed()

        class Faulty(feed.stream):  # type: ignore[misc, name-defined]  # the stream of any exchange
            def take(self, frame: str | bytes) -> object:
                super().take(frame)
                return 1 // 0

        feed.stream = Faulty
        with pytest.raises(ZeroDivisionError):
            live.events(feed=feed)
        live.exchange.streams.wait_closed()


HANDSHAKES: dict[str, tuple[Fault, str, bool]] = {
    "500": (
        replay.answer(500, "<h1>no</h1>", "text/html"),
        "answered 500 Internal Server Error to the handshake",
        True,
    ),
    "503": (replay.answer(503), "answered 503 Service Unavailable to the handshake", True),
    "599": (replay.answer(599), "answered 599 to the handshake", True),
    "451": (replay.refused(451, "not here"), "answered 451 Unavailable For Legal Reasons to the handshake", True),
    "403": (replay.answer(403, retry_after="0"), "answered 403 Forbidden to the handshake", False),
    "429": (replay.answer(429, retry_after="0"), "answered 429 Too Many Requests to the handshake", False),
    "404": (replay.answer(404), "answered 404 Not Found to the handshake", False),
    "200": (replay.answer(200, "{}"), "answered 200 OK to the handshake", False),
    "moved": (replay.answer(302, location="ws://127.0.0.1:9/"), "answered 302 Found to the handshake", False),
    "reset": (replay.reset, "did not complete the handshake: did not receive a valid HTTP response", False),
    "stall": (replay.stall, "did not accept the connection within 20 s", False),
    "endless headers": (replay.drip_headers, "did not accept the connection within 20 s", False),
}


@pytest.mark.parametrize(("fault", "reason", "down"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_handshake_that_fails_is_an_interruption_and_may_be_tried_again(
    fault: Fault, reason: str, down: bool, venue: Venue
) -> None:
    with market(venue, FAST) as live:
        live.server.inject(fault)
        patience, live.clock.patience = live.clock.patience, 0.0 if "within" in reason else live.clock.patience
        [end] = live.events()
        live.clock.patience = patience
        assert isinstance(end, Interrupted)
        assert end.reason.startswith(f"{live.host} {reason}")
        assert end.exchange_down is down
        assert START - MINUTE < end.complete_until <= live.clock.now()
        assert live.exchange.streams.opened == 0
        assert live.events(until=number_of(Heartbeat, 1))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9", "nowhere.invalid", "a" * 70 + ".invalid"], ids=["port", "name", "long"]
)
def test_an_exchange_that_cannot_be_reached_is_not_said_to_be_down(host: str, venue: Venue) -> None:
    """It may be the network of this machine."""
    with market(venue) as live:
        [end] = live.events(feed=live.feed(f"ws://user:hunter2@{host}"))
    assert isinstance(end, Interrupted)
    assert end.reason.startswith(f"{host} cannot be reached: ")
    assert end.reason.endswith("; check the network and the address")
    assert not end.exchange_down
    assert "hunter2" not in end.reason


def test_the_connection_is_encrypted_and_the_certificate_is_checked(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with market(venue, tls=tls) as live:
        assert live.settings.stream_url.startswith("wss://")
        assert "CERTIFICATE_VERIFY_FAILED" in live.end().reason
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert live.events(until=number_of(Heartbeat, 1))


def test_an_outage_ends_the_connection_and_afterwards_the_same_feed_reads_again(venue: Venue) -> None:
    """What is missing in between is known."""
    with market(venue, QUICK, moving=True) as live:
        feed, outages = live.feed(), list[Span]()

        def begin(_connection: Connection) -> None:
            """Let the exchange be away from now on."""
            now = live.motion.now()
            outages.append(Span(now, now + timedelta(seconds=60)))
            live.motion.outage(outages[0])

        first = live.end(begin, feed=feed)
        assert not first.exchange_down, "only the connection is known to have failed"
        assert first.complete_until < outages[0].end
        refusals: list[Interrupted] = []
        while isinstance(event := live.events(until=bool, feed=feed)[0], Interrupted):
            refusals.append(event)
        assert isinstance(event, Heartbeat | TickReceived)
    assert {refusal.exchange_down for refusal in refusals} == {True}
    assert refusals[0].reason == f"{live.host} answered 503 Service Unavailable to the handshake"


def test_events_that_are_not_taken_end_the_feed_after_a_bounded_number(venue: Venue) -> None:
    """Those that wait are yielded. What is lost is asked for over REST, from `complete_until` on."""
    with market(venue, QUICK) as live:
        flood = live.sending(*live.motion.happenings(START - 60 * MINUTE, START - MINUTE))

        async def take_slowly() -> list[FeedEvent]:
            events: list[FeedEvent] = []
            async with asyncio.timeout(180):
                async for event in live.feed(most_waiting=50).events(live.motion.pairs):
                    events.append(event)
                    if len(events) == 1:
                        await asyncio.to_thread(live.exchange.streams.apply, flood)
                        await asyncio.to_thread(live.exchange.streams.wait_closed)
            return events

        *events, end = asyncio.run(take_slowly())
    assert isinstance(end, Interrupted)
    assert end.reason == f"{live.host} has sent 50 events that were not taken yet; this machine is too slow"
    assert len(events) == 51


@pytest.mark.parametrize("fault", [None, streams.silence], ids=["alive", "half-open"])
def test_a_consumer_that_is_cancelled_closes_the_connection(fault: StreamFault | None, venue: Venue) -> None:
    """As SIGTERM does: a process has three seconds to stop."""
    with market(venue) as live:
        if fault is not None:
            live.exchange.streams.inject(fault)

        async def cancel() -> None:
            async def consume() -> None:
                async with aclosing(live.feed().events(live.motion.pairs)) as events:
                    async for _ in events:
                        pass

            task = asyncio.create_task(consume())
            await asyncio.to_thread(live.exchange.streams.wait_open)
            task.cancel()
            await asyncio.wait([task])
            assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()

        asyncio.run(cancel())
        if fault is None:
            live.exchange.streams.wait_closed()


def test_a_pair_that_an_exchange_cannot_have_is_named_without_a_connection(venue: Venue) -> None:
    with market(venue) as live:
        with pytest.raises(UnusableHistory, match="BTC/BTC"):
            live.events(pairs=[live.motion.pairs[0], Pair("BTC", "BTC")])
        assert live.server.requests == []


@pytest.mark.parametrize(
    "fault", [replay.answer(503), replay.answer(401), replay.reset, None], ids=[503, 401, "reset", ""]
)
def test_a_password_in_the_address_is_sent_and_never_shown(
    fault: Fault | None, venue: Venue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with market(venue) as live:
        if fault is not None:
            live.server.inject(fault)
        url = live.settings.stream_url.replace("//", "//user:hunter2%40@")
        end = live.end(streams.closed(1001, "bye user:hunter2@"), feed=live.feed(url))
        assert live.server.requests[-1].headers["authorization"] == "Basic dXNlcjpodW50ZXIyQA=="
        settings = replace(live.settings, stream_url=url)
    assert end.reason.startswith(f"{live.host} ")
    for secret in ("hunter2", "dXNlcjpodW50ZXIyQA"):
        assert secret not in f"{end} {caplog.text} {settings}"


def test_the_address_of_the_stream_is_a_setting(venue: Venue) -> None:
    variable, default = venue.exchange.stream
    assert venue.exchange.settings({}).stream_url == default
    assert venue.exchange.settings({variable: "ws://[::1]:8/"}).stream_url == "ws://[::1]:8"
    with pytest.raises(InvalidValue, match=variable) as caught:
        venue.exchange.settings({variable: "https://user:hunter2@example.org"})
    assert "hunter2" not in str(caught.value)
