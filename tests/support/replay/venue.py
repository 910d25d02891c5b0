"""The contract of the replay servers: one exchange, and its market on the server."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol, cast

import pytest
from hypothesis import strategies as st

from crypto_predict.errors import SourceError
from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource, DatedSource, QuoteSource
from crypto_predict.sources import exchange
from crypto_predict.sources.exchange import Bounds
from crypto_predict.sources.network.retry import RetryPolicy
from tests.support.replay import server as replay
from tests.support.replay.minutes import BTC, QUICK, START
from tests.support.replay.motion import Motion
from tests.support.replay.server import Exchange, Fault, ReplayServer

TETHER = Pair("BTC", "USDT")
MINUTE = timedelta(minutes=1)
_BOUNDS = Bounds()


class Source(CandleSource, QuoteSource, DatedSource, Protocol):
    """The source of an exchange."""


def _ten_minutes(source: Source) -> list[Candle]:
    return list(source.candles(BTC, Interval.MINUTE_1, Span(START, START + 10 * MINUTE)))


@dataclass(frozen=True)
class Venue:
    """One exchange. Its market has BTC in dollars, or in what it trades in their place."""

    exchange: exchange.Exchange
    minutes: Callable[[int], list[Candle]]  # with every value that it sends
    market: Callable[[Sequence[Candle], Interval, int, Quote | None], Exchange]  # in answers of at most so many candles
    row: Callable[[Candle], Any]  # of a minute
    rows_changed: Callable[[Any, Callable[[list[Any]], list[Any]]], Any]  # the answer with these rows
    refusal: Callable[[str], dict[str, Any]]  # with this message
    cuts: st.SearchStrategy[Callable[[Sequence[Candle]], Exchange]]  # ways in which it cuts minutes into answers
    live: Callable[[Motion], Exchange]  # a market in motion
    stream_path: str
    keys: tuple[str, ...] = ()  # that the live market accepts

    @property
    def id(self) -> str:
        """The id of the exchange."""
        return self.exchange.id

    @property
    def traded(self) -> Pair:
        """What it trades for BTC in dollars."""
        return self.exchange.traded(BTC)

    def environ(self, server: ReplayServer) -> dict[str, str]:
        """Return the settings of a collector that collects from this server."""
        stream = server.url.replace("http", "ws") + self.stream_path
        addresses = {self.exchange.api.variable: server.url, self.exchange.stream.variable: stream}
        return {**addresses, **dict(zip(self.exchange.keys, self.keys, strict=True)), "SOURCE": self.id}

    @property
    def page(self) -> int:
        """The candles in one full answer."""
        return self.exchange.page

    def open(self, url: str, bounds: Bounds, policy: RetryPolicy) -> Source:
        """Return the source of the exchange at this address."""
        environ = {self.exchange.api.variable: url}
        return cast("Source", self.exchange.open_source(environ, bounds=bounds, policy=policy))

    def serving(
        self,
        candles: Sequence[Candle],
        interval: Interval = Interval.MINUTE_1,
        rows: int | None = None,
        quote: Quote | None = None,
    ) -> ReplayServer:
        """Return a server with `candles` and a quote of BTC, in answers of at most `rows`; not started yet."""
        return ReplayServer(self.market(candles, interval, rows or self.page, quote))

    def source(self, server: ReplayServer, bounds: Bounds = _BOUNDS, **policy: Any) -> Source:
        """Return the source that reads from the server, with a quick policy and its changes."""
        return self.open(server.url, bounds, replace(QUICK, **policy))

    def read(
        self, server: ReplayServer, count: int, pair: Pair = BTC, bounds: Bounds = _BOUNDS, **policy: Any
    ) -> list[Candle]:
        """Return the first `count` minutes that the source reads from the server."""
        span = Span(START, START + count * MINUTE)
        return list(self.source(server, bounds, **policy).candles(pair, Interval.MINUTE_1, span))

    def altered(self, change: Callable[[list[Any]], list[Any]]) -> Fault:
        """Change the rows of the true answer."""
        return replay.altered(lambda answer: self.rows_changed(answer, change))

    def row_changed(self, key: Any, value: Any) -> Fault:
        """Change one value in the third row of the true answer."""

        def change(rows: list[Any]) -> list[Any]:
            rows[2][key] = value
            return rows

        return self.altered(change)

    def refused(self, status: int, message: str, **headers: str) -> Fault:
        """Refuse as this exchange does."""
        return replay.answer(status, json.dumps(self.refusal(message)), **headers)

    def given_up(
        self, fault: Fault, quote: Quote | None = None, ask: Callable[[Source], object] = _ten_minutes
    ) -> SourceError:
        """Return the error of a source that meets `fault` in all its attempts. Without the fault it must answer."""
        with self.serving(self.minutes(10), quote=quote) as server:
            source = self.source(server)
            server.inject(fault, times=QUICK.attempts)
            with pytest.raises(SourceError) as caught:
                ask(source)
            assert len(server.requests) == QUICK.attempts
            assert str(caught.value).startswith(f"{self.id}: {server.url.removeprefix('http://')} ")
            assert caught.value.reason.endswith(f"(tried {QUICK.attempts} times)")
            ask(source)
        return caught.value
