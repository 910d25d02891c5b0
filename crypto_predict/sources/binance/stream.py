"""Binance's closed candles and quotes as they happen, without keys.

The SDK is not used: it would connect again by itself, and the minutes in between would be missing without a word.

Wire format, of the streams ``btcusdt@kline_1m`` and ``btcusdt@bookTicker``::

    {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": 1715904060012, "s": "BTCUSDT", "k": {
        "t": 1715904000000, "T": 1715904059999, "s": "BTCUSDT", "i": "1m", "f": 100, "L": 102,
        "o": "1.5", "c": "1.5", "h": "1.5", "l": "1.5", "v": "0.5", "n": 3, "x": true,
        "q": "0.75", "V": "0.25", "Q": "0.375", "B": "0"}}}
      open and close time, symbol, interval, first and last trade, open, close, high, low, volume, trades, whether it is
      closed, quote volume, taker volumes of base and of quote

    {"stream": "btcusdt@bookTicker", "data": {"u": 1, "s": "BTCUSDT", "b": "1.5", "B": "0.5", "a": "1.6", "A": "0.7"}}
      bid, bid size, ask, ask size; without a time

    {"e": "serverShutdown", "E": 1715904060012}
      the connection will be closed soon: another one takes its place

The open candle comes every two seconds. A connection lives for 24 hours at most, and has at most 1,024 streams. Binance
accepts a stream of a pair that it does not have, and sends nothing: REST is what tells.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from websockets.asyncio.client import ClientConnection

from crypto_predict import logs
from crypto_predict.market import Candle, Interval, Pair, Quote
from crypto_predict.market.events import QuoteReceived, Retiring
from crypto_predict.sources.binance import EXCHANGE
from crypto_predict.sources.binance.rest import read_candle
from crypto_predict.sources.network.stream import Feed, Stream
from crypto_predict.sources.network.wire import Malformed, decimal, json_object

LIFETIME = 23 * 3600  # seconds after which a connection is to be replaced: the exchange closes it after a day

_REORDERED = 10  # candles that may come before an earlier one of the same pair
_HEAD = '{"stream":"'
_logger = logging.getLogger(__name__)


class _Stream(Stream):
    exchange = EXCHANGE
    sends_candles, sends_quotes = True, True
    pairs_a_connection = 100  # two streams each; an address has at most 6,400 characters, and servers refuse 8,190
    ping_every, most_pings = 15, 5  # a candle closes every minute

    def __init__(self, feed: Feed, pairs: Mapping[str, Pair]) -> None:
        super().__init__(feed, pairs)
        self._books = {_topics(symbol)[1]: symbol for symbol in pairs}
        # By pair: the close up to which no candle is missing, the last candles by opening, the newest quote with its
        # arrival. Of hundreds a second, one is put.
        self._until = dict.fromkeys(pairs.values(), Interval.MINUTE_1.floor(self.clock.now()))
        self._recent: dict[Pair, dict[datetime, Candle]] = {pair: {} for pair in pairs.values()}
        self._quotes: dict[str, tuple[datetime, str | bytes]] = {}
        self._retire_at = self.clock.monotonic() + LIFETIME
        self._has_malformed_quotes = False

    def address(self, symbols: Sequence[str]) -> str:
        topics = "/".join(topic for symbol in symbols for topic in _topics(symbol))
        return f"{self.feed.settings.stream_url}/stream?streams={topics}"

    async def subscribe(self, websocket: ClientConnection, symbols: Sequence[str]) -> None:
        """Do nothing: the address subscribes."""

    def complete_until(self) -> datetime:
        return min(self._until.values())

    def every_second(self) -> None:
        """Put the newest quotes; a machine that is too slow for them keeps its candles."""
        if self.clock.monotonic() > self._retire_at:
            self._retire_at = math.inf
            self.put(Retiring())
        if self.waiting.empty():
            quotes, self._quotes = self._quotes, {}
            for symbol, (arrived, frame) in quotes.items():
                self._put_quote(symbol, arrived, frame)

    def take(self, frame: str | bytes) -> None:
        # Nearly all frames are quotes and open candles. Their JSON is not read.
        if isinstance(frame, str) and frame.startswith(_HEAD):
            topic = frame[len(_HEAD) : frame.find('"', len(_HEAD))]
            if (symbol := self._books.get(topic)) is not None:
                self._quotes[symbol] = self.clock.now(), frame
                return
            if '"x":false' in frame:
                return
        data = _payload(frame)
        if data.get("e") == "serverShutdown":
            self.put(Retiring())
        elif data.get("e") == "kline":
            candle, symbol = _read_candle(data.get("k"))
            if candle is not None and symbol in self.pairs:
                self._take_candle(self.pairs[symbol], candle)
        # Other kinds are new ones, which were not asked for.

    def _take_candle(self, pair: Pair, candle: Candle) -> None:
        """Put a candle. One that comes again is put only if its values have changed."""
        recent = self._recent[pair]
        if recent.get(candle.open_time) == candle:
            return
        self.put_minute(pair, candle)
        recent[candle.open_time] = candle
        while self._until[pair] in recent:
            self._until[pair] += Interval.MINUTE_1.length
        if len(recent) > _REORDERED:
            del recent[min(recent)]

    def _put_quote(self, symbol: str, arrived: datetime, frame: str | bytes) -> None:
        """Put a quote with the time of its arrival: the exchange gives none. A malformed one is logged once."""
        try:
            data = _payload(frame)
            if data.get("s") != symbol:
                raise Malformed(f"no quote of {symbol}")
            quote = Quote(arrived, *(decimal(data.get(name), name) for name in ("b", "B", "a", "A")))
        except Malformed as error:
            if not self._has_malformed_quotes:
                logs.event(_logger, logging.WARNING, "malformed quote", source=EXCHANGE.id, reason=str(error))
            self._has_malformed_quotes = True
        else:
            self.put(QuoteReceived(EXCHANGE.id, self.pairs[symbol], quote))


feed = partial(Feed, _Stream)


def _topics(symbol: str) -> tuple[str, str]:
    """Return the names of the streams of candles and of quotes."""
    return f"{symbol.lower()}@kline_1m", f"{symbol.lower()}@bookTicker"


def _payload(frame: str | bytes) -> Mapping[str, object]:
    """Return the message in a frame of a combined stream, or one that stands alone."""
    message = json_object(frame)
    data = message.get("data", message)
    if not isinstance(data, dict):
        raise Malformed("a frame without a message")
    return data


def _read_candle(k: object) -> tuple[Candle | None, str]:
    """Return a candle and its symbol; None if the candle is still open."""
    if not (
        isinstance(k, dict) and isinstance(k.get("x"), bool) and k.get("i") == "1m" and isinstance(k.get("s"), str)
    ):
        raise Malformed("a message of a candle without a candle of one minute")
    if not k["x"]:
        return None, k["s"]
    return read_candle([k.get(name) for name in "tohlcvqnVQ"]), k["s"]
