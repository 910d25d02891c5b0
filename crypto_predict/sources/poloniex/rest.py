"""Poloniex's candles and top of book, without keys.

Wire format::

    GET /markets/BTC_USDT/candles?interval=MINUTE_1&startTime=…&endTime=…&limit=500
    [["22814.01", "22937.42", "22832.57", "22937.42", "3916.58", "0.17", "2982.64", "0.13", 33, 0, "22877.44",
      "MINUTE_1", 1659664800000, 1659664859999]]
    GET /markets/BTC_USDT/ticker24h
    {"symbol": "BTC_USDT", "bid": "26447.57", "bidQuantity": "0.01", "ask": "26447.58", "askQuantity": "0.06",
     "closeTime": "1692870839630", "ts": "1692870845446"}
    {"code": 24101, "message": "Invalid symbol"}

A candle is low, high, open, close, volume in the quote and in the base currency, the same two volumes bought by takers,
number of trades, time of writing, VWAP, interval, and the times at which it opens and closes. Times are milliseconds
since 1970. Any number may be text. Of more than 500 candles the newest are sent. The times of a ticker are those of the
last trade and of its message, both perhaps days ago: a quote has the time of the answer. A refusal has a code, whatever
the status of HTTP is, 200 included.
"""

from crypto_predict.market import Candle, Interval, Quote, Span
from crypto_predict.sources.network.source import ExchangeSource
from crypto_predict.sources.network.wire import Malformed, decimal, instant, milliseconds, rows, whole
from crypto_predict.sources.poloniex import EXCHANGE

# Weights of requests. Ten tickers a second are allowed. Poloniex does not promise a number for candles: 20 requests a
# second, which read 10,000 candles, are a careful choice.
TICKER, CANDLES = 20, 10

_NUMBERS = ("low", "high", "open", "close", "amount", "quantity", "buyTakerAmount", "buyTakerQuantity")
_TRADES, _INTERVAL, _OPENS, _LEAST = 8, 11, 12, 14  # places of other values, and the number of all


class Poloniex(ExchangeSource):
    """Candles and top of book of Poloniex's spot market."""

    exchange = EXCHANGE
    weights = CANDLES, TICKER

    def _page(self, symbol: str, interval: Interval, span: Span) -> tuple[list[Candle], bool]:
        query: dict[str, str | int] = {
            "interval": interval.name,
            # Without both ends the newest candles are sent. The last millisecond of the last candle is included,
            # whether Poloniex compares it with the opening of a candle or with its close.
            "startTime": milliseconds(span.start),
            "endTime": milliseconds(interval.ceil(span.end)) - 1,
            "limit": EXCHANGE.page,
        }
        answer = self.session.read(f"/markets/{symbol}/candles", query)
        return [_read_candle(row, interval) for row in rows(answer, "candles", EXCHANGE.page)], False

    def _quote(self, symbol: str) -> Quote:
        answer = self.session.read(f"/markets/{symbol}/ticker24h", {})
        if not isinstance(answer, dict) or answer.get("symbol") != symbol:
            raise Malformed(f"no ticker of {symbol}")
        numbers = (decimal(answer.get(name), name) for name in ("bid", "bidQuantity", "ask", "askQuantity"))
        return Quote(self.session.now(), *numbers)


def _read_candle(row: object, interval: Interval) -> Candle:
    if not isinstance(row, list) or len(row) < _LEAST:
        raise Malformed(f"a candle that is not a list of {_LEAST} values")
    if row[_INTERVAL] != interval.name:
        raise Malformed(f"a candle of another interval than {interval.name}")
    low, high, open_, close, amount, quantity, taker_amount, taker_quantity = map(decimal, row, _NUMBERS)
    opening, trades = instant(row[_OPENS], "startTime"), whole(row[_TRADES], "tradeCount")
    return Candle(opening, open_, high, low, close, quantity, amount, trades, taker_quantity, taker_amount)
