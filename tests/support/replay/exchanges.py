"""The three exchanges: the real source of each, and its market on the replay server."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

import pytest

from crypto_predict.errors import SourceError
from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource, DatedSource, QuoteSource
from crypto_predict.sources.alpaca.rest import PAGE as ALPACA_PAGE
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.alpaca.settings import AlpacaSettings
from crypto_predict.sources.binance.rest import PAGE as BINANCE_PAGE
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.binance.settings import BinanceSettings
from crypto_predict.sources.network.limits import Bounds
from crypto_predict.sources.network.retry import RetryPolicy
from crypto_predict.sources.poloniex.rest import PAGE as POLONIEX_PAGE
from crypto_predict.sources.poloniex.rest import Poloniex
from crypto_predict.sources.poloniex.settings import PoloniexSettings
from tests.support.replay import server as replay
from tests.support.replay.alpaca import AlpacaExchange, Paging, bar
from tests.support.replay.binance import BinanceExchange, kline
from tests.support.replay.minutes import BTC, QUICK, START, full_minutes, minutes
from tests.support.replay.poloniex import Answers, PoloniexExchange, row
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

    id: str
    page: int  # candles in one full answer
    variable: str  # of its address
    address: str  # without that variable
    settings: Callable[[str], object]  # of a source at this address
    open: Callable[[str, Bounds, RetryPolicy], Source]
    from_environ: Callable[[dict[str, str]], object]  # the settings
    minutes: Callable[[int], list[Candle]]  # with every value that it sends
    market: Callable[[Sequence[Candle], Interval, int, Quote | None], Exchange]  # in answers of at most so many candles
    row: Callable[[Candle], Any]  # of a minute
    rows_changed: Callable[[Any, Callable[[list[Any]], list[Any]]], Any]  # the answer with these rows
    refusal: Callable[[str], dict[str, Any]]  # with this message

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


ALPACA = Venue(
    id="alpaca",
    page=ALPACA_PAGE,
    variable="ALPACA_DATA_URL",
    address="https://data.alpaca.markets",
    settings=AlpacaSettings,
    open=lambda url, bounds, policy: Alpaca(AlpacaSettings(url), bounds, policy),
    from_environ=AlpacaSettings.from_environ,
    minutes=minutes,
    market=lambda candles, interval, rows, quote: AlpacaExchange(
        {(BTC, "1Day" if interval is Interval.DAY_1 else "1Min"): candles},
        Paging(rows=(rows,)),
        {BTC: quote} if quote else {},
    ),
    row=bar,
    rows_changed=lambda answer, change: {**answer, "bars": {str(BTC): change(answer["bars"][str(BTC)])}},
    refusal=lambda message: {"message": message},
)
BINANCE = Venue(
    id="binance",
    page=BINANCE_PAGE,
    variable="BINANCE_API_URL",
    address="https://data-api.binance.vision",  # the main host refuses GitHub's runners
    settings=BinanceSettings,
    open=lambda url, bounds, policy: Binance(BinanceSettings(url), bounds, policy),
    from_environ=BinanceSettings.from_environ,
    minutes=full_minutes,
    market=lambda candles, interval, rows, quote: BinanceExchange(
        {(TETHER, interval): candles}, {TETHER: quote} if quote else {}, page=rows
    ),
    row=lambda candle: kline(candle, Interval.MINUTE_1),
    rows_changed=lambda answer, change: change(answer),
    refusal=lambda message: {"code": -1000, "msg": message},
)
POLONIEX = Venue(
    id="poloniex",
    page=POLONIEX_PAGE,
    variable="POLONIEX_API_URL",
    address="https://api.poloniex.com",
    settings=PoloniexSettings,
    open=lambda url, bounds, policy: Poloniex(PoloniexSettings(url), bounds, policy),
    from_environ=PoloniexSettings.from_environ,
    minutes=full_minutes,
    market=lambda candles, interval, rows, quote: PoloniexExchange(
        {(TETHER, interval): candles}, Answers(rows=(rows,)), {TETHER: quote} if quote else {}
    ),
    row=lambda candle: row(candle, "MINUTE_1"),
    rows_changed=lambda answer, change: change(answer),
    refusal=lambda message: {"code": 500, "message": message},
)
VENUES = (ALPACA, BINANCE, POLONIEX)
