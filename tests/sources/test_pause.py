"""What an exchange asks all of a process to wait: the real sources and streams, and a server that counts."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.registry import Registry
from crypto_predict.errors import Unreachable
from crypto_predict.market import Interval, Quote, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import FeedEvent, Interrupted
from crypto_predict.sources.exchange import Bounds
from crypto_predict.sources.network.pause import LONGEST, Pause, forget
from crypto_predict.store import open_writer
from tests.support.databases import new_database
from tests.support.live import until
from tests.support.replay.binance import VENUE as BINANCE
from tests.support.replay.exchanges import VENUES
from tests.support.replay.minutes import BTC, QUICK, START
from tests.support.replay.server import Ban, ReplayServer, answer
from tests.support.replay.venue import MINUTE, Source, Venue

TOP = Quote(START, 1.0, 2.0, 3.0, 4.0)
SPAN = Span(START, START + 10 * MINUTE)


def questions(venue: Venue, url: str) -> list[Callable[[], object]]:
    """Return every kind of question, each of a source of its own: as in a process with a collector and a server."""

    def source() -> Source:
        return venue.open(url, Bounds(), QUICK)

    return [
        lambda: list(source().candles(BTC, Interval.MINUTE_1, SPAN)),
        *[lambda: source().quote(BTC)] * 12,
    ]


def interruption(venue: Venue, server: ReplayServer) -> Interrupted:
    """Return why the live stream of the exchange has no connection."""
    feed = venue.exchange.open_feed(venue.environ(server), Clock())
    assert feed is not None

    async def read() -> FeedEvent:
        return await anext(feed.events([venue.traded]))

    event = asyncio.run(read())
    assert isinstance(event, Interrupted)
    return event


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.id)
@pytest.mark.parametrize("status", [418, 403])
def test_during_a_ban_no_question_of_any_kind_is_sent(status: int, venue: Venue, tmp_path: Path) -> None:
    """A ban of Binance becomes longer with each request: two minutes can become three days."""
    with (
        open_writer(new_database("sqlite", tmp_path)) as file,
        venue.serving(venue.minutes(10), quote=TOP) as server,
        server.failing(ban := Ban(status, 3600)),
    ):
        first, *others = questions(venue, server.url)
        with pytest.raises(Unreachable, match=rf"answered {status} .*; it is not asked before 20.* UTC"):
            first()
        with ThreadPoolExecutor(8) as threads:
            refusals = [future.exception() for future in [threads.submit(other) for other in (first, *others)]]
        for refusal in refusals:
            assert isinstance(refusal, Unreachable)
            assert f" UTC: it has answered {status} " in refusal.reason
        with pytest.raises(Unreachable, match="is not asked before 20"):
            Registry(file, [venue.source(server)], Clock(START + MINUTE)).add(BTC)
        end = interruption(venue, server)
        assert f" UTC: it has answered {status} " in end.reason
        assert not end.exchange_down
        assert (len(server.requests), ban.early) == (1, [])


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.id)
def test_after_429_all_wait_and_are_answered_then(venue: Venue) -> None:
    """Whoever met the refusal: a backfill, the newest minutes or the top of the book."""
    with venue.serving(venue.minutes(10), quote=TOP) as server, server.failing(ban := Ban(429, 1)):
        with pytest.raises(Unreachable, match=r"it asks to wait 1 s, longer than the 0 s"):
            venue.source(server, longest_retry_after=0.0).quote(BTC)
        with ThreadPoolExecutor(13) as threads:
            answers = [future.result() for future in [threads.submit(ask) for ask in questions(venue, server.url)]]
        assert ban.early == []
    assert answers[0] == venue.minutes(10)
    assert all(isinstance(quote, Quote) and quote.bid == TOP.bid for quote in answers[1:])


def test_the_first_question_after_a_pause_goes_alone() -> None:
    """If the exchange refuses again, only one request was wasted, and none is sent during the second pause."""
    with BINANCE.serving([], quote=TOP) as server, server.failing(ban := Ban(429, 1, times=3)):
        with pytest.raises(Unreachable):
            BINANCE.source(server, longest_retry_after=0.0).quote(BTC)
        with ThreadPoolExecutor(8) as threads:
            quotes = [threads.submit(BINANCE.source(server, attempts=5).quote, BTC) for _ in range(8)]
            assert {future.result().bid for future in quotes} == {TOP.bid}
        assert (len(server.requests), ban.early) == (3 + 8, [])


def test_a_ban_of_requests_is_one_of_the_handshake_and_the_reverse() -> None:
    """Both are of this machine's address. A limit on requests is not: the stream goes on."""
    with BINANCE.serving([], quote=TOP) as server:
        server.inject(answer(429, retry_after="3600"))
        with pytest.raises(Unreachable):
            BINANCE.source(server).quote(BTC)
        assert "answered 404" in interruption(BINANCE, server).reason  # it has no streams
        forget(server.url.partition("//")[2])
        server.inject(answer(418, retry_after="3600"))
        assert "answered 418" in interruption(BINANCE, server).reason
        with pytest.raises(Unreachable, match="it has answered 418"):
            BINANCE.source(server).quote(BTC)
        assert len(server.requests) == 3


def test_a_pause_without_a_length_grows_with_each_refusal_in_a_row() -> None:
    pause = Pause()
    for expected in (0.01, 0.02, 0.04):
        pause.refused(429, {}, first=0.01)
        pause.refused(429, {}, first=0.01)  # was under way
        refused = pause.now()
        assert refused is None or refused.seconds <= expected
        until(lambda: pause.now() is None)
    pause.refused(418, {}, first=100.0)
    refused = pause.now()
    assert refused is not None
    assert refused.seconds > 19_000  # 24 times 100 s, and 8 times as long after three refusals
    assert refused.until - datetime.now(UTC) > timedelta(seconds=19_000)


@pytest.mark.parametrize("text", ["999999999", "Fri, 31 Dec 9998 23:59:59 GMT"])
def test_a_pause_of_years_is_not_believed(text: str) -> None:
    """It would hold until this process ends."""
    pause = Pause()
    pause.refused(429, {"Retry-After": text})
    refused = pause.now()
    assert refused is not None
    assert LONGEST - 60 < refused.seconds <= LONGEST
