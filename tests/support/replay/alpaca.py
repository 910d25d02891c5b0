"""Alpaca on the replay server: ``GET /v1beta3/crypto/us/bars``, ``latest/quotes``, and its stream."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Any

import msgpack
from aiohttp import WSMsgType, web
from hypothesis import strategies as st

from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.sources.alpaca import EXCHANGE
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.retry import RetryPolicy
from tests.support.replay.minutes import BTC, QUICK, START, minutes
from tests.support.replay.motion import Candled, Happening, Motion, Quoted
from tests.support.replay.server import Answer, Fault, Handler, ReplayServer, check_names
from tests.support.replay.streams import Connection, Frame, Shelf, StandIn, Streams, Topic, live_routes
from tests.support.replay.venue import Venue

_PARAMETERS = frozenset({"symbols", "timeframe", "start", "end", "limit", "page_token"})
_TIMEFRAME = re.compile(r"([1-9]|[1-5][0-9])Min|([1-9]|1[0-9]|2[0-3])Hour|1Day")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
KEYS = ("PKT0THEKEY0THEKEY", "s3cretS3cretS3cret")  # of a user of the stream

_CHANNELS = ("trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars")
_INTERVALS = {
    "1Min": Interval.MINUTE_1,
    "5Min": Interval.MINUTE_5,
    "10Min": Interval.MINUTE_10,
    "15Min": Interval.MINUTE_15,
    "30Min": Interval.MINUTE_30,
    "1Hour": Interval.HOUR_1,
    "4Hour": Interval.HOUR_4,
    "1Day": Interval.DAY_1,
}
_PRICES = {"o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 1.5}
_MICROSECOND = timedelta(microseconds=1)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


class AlpacaExchange(StandIn):
    """Serves the candles of `market` (ascending candles by pair and timeframe) and `quotes`.

    Its pages have so many `rows`, each in turn, and at most the `limit` of the request. With `endless` tokens, the last
    page has one, too, and so has the empty page after it.
    """

    separator = "/"

    def __init__(
        self,
        market: Mapping[tuple[Pair, str], Sequence[Candle]] | Motion,
        rows: Sequence[int] = (10_000,),
        quotes: Mapping[Pair, Quote] | None = None,
        location: str = "us",
        *,
        endless: bool = False,
    ) -> None:
        if not isinstance(market, Motion):
            market = Shelf({(pair, _INTERVALS[name]): candles for (pair, name), candles in market.items()}, quotes)
        super().__init__(market)
        self._path = f"/v1beta3/crypto/{location}"
        self._rows_of_pages, self._endless = rows, endless
        self._served = 0  # pages

    def rest(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        return {f"{self._path}/bars": self._bars, f"{self._path}/latest/quotes": self._latest_quotes}

    def unknown(self) -> web.Response:
        """Return the answer to an unknown endpoint."""
        return _refused(404, "endpoint not found.")

    async def _bars(self, request: web.Request) -> web.Response:
        try:
            question = _Question(request)
        except ValueError as error:
            return _refused(400, str(error))
        return web.json_response(self._page(question))

    async def _latest_quotes(self, request: web.Request) -> web.Response:
        try:
            check_names(request.query, frozenset({"symbols"}))
            symbols = _required(request.query, "symbols").split(",")
        except ValueError as error:
            return _refused(400, str(error))
        return web.json_response({"quotes": {name: top(quote) for name in symbols if (quote := self.quote(name))}})

    def candles(self, symbol: str, question: "_Question") -> Sequence[Candle]:
        """Return the candles that were asked for, ascending."""
        interval = _INTERVALS.get(question.timeframe)
        if interval is None or not self.is_listed(symbol):
            return ()
        begin = interval.floor(self.market.begin)  # the first day has a candle, too
        span = Span(max(question.start, begin), min(question.end, self.market.now()) + _MICROSECOND)
        return self.market.candles(self.pairs[symbol], interval, span, with_open=True)

    def _rows(self, question: "_Question") -> Iterator[tuple[str, Candle]]:
        """Yield symbol and candle, sorted by symbol and then by time."""
        for symbol in sorted(question.symbols):
            for candle in self.candles(symbol, question):
                yield symbol, candle

    def _page(self, question: "_Question") -> dict[str, Any]:
        rows = min(self._rows_of_pages[self._served % len(self._rows_of_pages)], question.limit)
        self._served += 1
        result, after = list(self._rows(question)), question.offset + rows
        bars: dict[str, list[dict[str, Any]]] = {}
        for symbol, candle in result[question.offset : after]:
            bars.setdefault(symbol, []).append(bar(candle))
        return {"bars": bars, "next_page_token": token(after) if self._endless or after < len(result) else None}


class AlpacaInMotion(AlpacaExchange):
    """Serves `motion`: the candles up to now with the open one, the quotes, and the stream of both, to one user.

    The user has one connection at a time. A minute without trades has a bar if a quote came in it. In every other one
    of these there is none, and so no bar.
    """

    def __init__(self, motion: Motion, *, location: str = "us") -> None:
        super().__init__(motion, location=location)
        # What it answers instead to a new connection, by number: 0 is the greeting, 1 the answer to the keys, 2 and 3
        # those to the subscriptions; None is no answer.
        self.answers: dict[int, bytes | None] = {}
        self.most_quotes = 10_000  # that the plan of the user allows
        self.streams = Streams(motion, self._encoded)

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoints."""
        return live_routes(self, self.streams, self._talk, self._path)

    def candles(self, symbol: str, question: "_Question") -> Sequence[Candle]:
        """Return the candles that were asked for, ascending."""
        candles = super().candles(symbol, question)
        return [candle for candle in candles if question.timeframe != "1Min" or not is_still(candle)]

    def _encoded(self, happening: Happening) -> tuple[Topic, Frame] | None:
        if isinstance(happening, Candled) and happening.is_closed and not is_still(happening.candle):
            return f"bars {happening.pair}", bar_frame(happening.pair, happening.candle)
        if isinstance(happening, Quoted):
            minute = Interval.MINUTE_1.floor(happening.quote.time)
            candles = self.market.truth(happening.pair, Span(minute, minute + Interval.MINUTE_1.length))
            if not (candles and is_still(candles[0])):
                return f"quotes {happening.pair}", quote_frame(happening.pair, happening.quote)
        return None

    async def _talk(self, connection: Connection) -> None:
        answer = [{"T": "success", "msg": "connected"}]
        for number in count():
            frame = self.answers.get(number, packed(*answer))
            if frame is not None:
                connection.say(frame)
            message = await connection.websocket.receive()
            if message.type is not WSMsgType.BINARY:
                return
            answer = self._answer(msgpack.unpackb(message.data), connection.topics)

    def _answer(self, message: Mapping[str, Any], topics: set[Topic]) -> list[dict[str, Any]]:
        """Return the answer to a message of a connection, whose `topics` say what it has subscribed to."""
        if message.get("action") == "auth":
            return self._authenticated(message, topics)
        if "authenticated" not in topics:
            return refusal(401, "not authenticated")
        if message.get("action") != "subscribe" or set(message) - {"action", *_CHANNELS}:
            return refusal(400, "invalid syntax")
        if len(message.get("quotes", [])) > self.most_quotes:
            return refusal(405, "symbol limit exceeded")
        symbols = ((name, symbol) for name in _CHANNELS for symbol in message.get(name, []) if self.is_listed(symbol))
        topics |= {f"{name} {symbol}" for name, symbol in symbols}
        return [{"T": "subscription", **{name: _symbols(topics, name) for name in _CHANNELS}}]

    def _authenticated(self, message: Mapping[str, Any], topics: set[Topic]) -> list[dict[str, Any]]:
        if "authenticated" in topics:
            return refusal(403, "already authenticated")
        if (message.get("key"), message.get("secret")) != KEYS:
            return refusal(402, "auth failed")
        if any("authenticated" in other.topics for other in self.streams.connections):
            return refusal(406, "connection limit exceeded")
        topics.add("authenticated")
        return [{"T": "success", "msg": "authenticated"}]


def _symbols(topics: Iterable[Topic], channel: str) -> list[str]:
    return sorted(topic.partition(" ")[2] for topic in topics if topic.partition(" ")[0] == channel)


def refusal(code: int, message: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": message}]


def bar_frame(pair: Pair, candle: Candle, kind: str = "b", **changes: Any) -> bytes:
    """Return the message of a bar, by the `kind` ``u`` of an updated one, with these values changed."""
    stamp = msgpack.Timestamp.from_datetime(candle.open_time)
    return packed({"T": kind, "S": str(pair), **bar(candle), "t": stamp, **changes})


def quote_frame(pair: Pair, quote: Quote) -> bytes:
    return packed({"T": "q", "S": str(pair), **top(quote), "t": msgpack.Timestamp.from_datetime(quote.time)})


def packed(*objects: Any) -> bytes:
    message: bytes = msgpack.packb(objects)
    return message


def is_still(candle: Candle) -> bool:
    """Return whether a minute has neither a trade nor a quote."""
    return not candle.trades and candle.open_time.minute % 2 == 1


class _Question:
    """The parameters of a request, as the documentation of the exchange defines them."""

    def __init__(self, request: web.Request) -> None:
        """Read the parameters; raise `ValueError` with the message of the exchange if one is invalid."""
        given = request.query
        check_names(given, _PARAMETERS)
        self.symbols = _required(given, "symbols").split(",")
        self.timeframe = _matching(_TIMEFRAME, _required(given, "timeframe"), "timeframe")
        now = datetime.now(UTC)
        self.start = _instant(given.get("start"), "start", datetime.combine(now, time(), UTC))
        self.end = _instant(given.get("end"), "end", now)  # included, like start
        if self.end < self.start:
            raise ValueError("end should not be before start")
        self.limit = _limit(given.get("limit", "1000"))
        self.offset = _offset(given["page_token"]) if given.get("page_token") else 0


def bar(candle: Candle) -> dict[str, Any]:
    """Return a candle in Alpaca's format; a candle without a number of trades has no ``n``."""
    return {
        "t": f"{candle.open_time.isoformat()[:19]}Z",
        "o": candle.open,
        "h": candle.high,
        "l": candle.low,
        "c": candle.close,
        "v": candle.volume,
        **({} if candle.trades is None else {"n": candle.trades}),
        "vw": (candle.high + candle.low) / 2,
    }


def top(quote: Quote) -> dict[str, Any]:
    time = f"{quote.time:%Y-%m-%dT%H:%M:%S.%f}000Z"  # nanoseconds
    return {"t": time, "bp": quote.bid, "bs": quote.bid_size, "ap": quote.ask, "as": quote.ask_size}


def token(offset: int) -> str:
    """Return the page token for the bars from `offset` on: JSON in base 64, opaque to clients."""
    return base64.b64encode(json.dumps({"o": offset}).encode()).decode()


def _offset(text: str) -> int:
    try:
        return int(json.loads(base64.b64decode(text, validate=True))["o"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise ValueError("invalid page_token") from error


def _required(given: Any, name: str) -> str:
    if not given.get(name):
        raise ValueError(f"{name} is required")
    return str(given[name])


def _matching(pattern: re.Pattern[str], text: str, name: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"invalid {name}: {text}")
    return text


def _instant(text: str | None, name: str, default: datetime) -> datetime:
    if text is None:
        return default
    if _DAY.fullmatch(text):
        return datetime.fromisoformat(f"{text}T00:00:00Z")
    return datetime.fromisoformat(_matching(_INSTANT, text, name).upper())


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 10_000:
        raise ValueError("invalid limit: must be between 1 and 10000")
    return int(text)


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


async def full_page(request: web.Request, _: Handler) -> Answer:
    """A page of 10,000 candles, each a microsecond later than the one before, with the token of another one."""
    start = datetime.fromisoformat(request.query["start"])
    openings = [start + number * _MICROSECOND for number in range(10_000)]
    bars = {"BTC/USD": [{"t": opening.isoformat(), **_PRICES} for opening in openings]}
    return web.Response(text=json.dumps({"bars": bars, "next_page_token": "x"}), content_type="application/json")


def huge(unit: str, megabytes: int) -> Fault:
    """A JSON list that repeats `unit` up to a size."""

    async def fault(_: web.Request, __: Handler) -> Answer:
        text = ",".join([unit] * (megabytes * 2**20 // (len(unit) + 1)))
        return web.Response(text=f'{{"bars": {{"BTC/USD": [{text}]}}}}', content_type="application/json")

    return fault


def exchange(candles: Sequence[Candle], timeframe: str = "1Min", **options: Any) -> ReplayServer:
    """Return a server with `candles` of BTC/USD, not started yet."""
    return ReplayServer(AlpacaExchange({(BTC, timeframe): candles}, **options))


def read(server: ReplayServer, count: int, policy: RetryPolicy = QUICK, pair: Pair = BTC) -> list[Candle]:
    """Return the first `count` minutes that the source reads from the server."""
    source = Alpaca(Settings(server.url), policy=policy)
    return list(source.candles(pair, Interval.MINUTE_1, Span(START, START + timedelta(minutes=count))))


VENUE = Venue(
    exchange=EXCHANGE,
    minutes=minutes,
    market=lambda candles, interval, rows, quote: AlpacaExchange(
        {(BTC, EXCHANGE.intervals[interval]): candles},
        (rows,),
        {BTC: quote} if quote else {},
    ),
    row=bar,
    rows_changed=lambda answer, change: {**answer, "bars": {str(BTC): change(answer["bars"][str(BTC)])}},
    refusal=lambda message: {"message": message},
    cuts=st.tuples(st.lists(st.integers(30, 420), min_size=1, max_size=5), st.booleans()).map(
        lambda pages: lambda candles: AlpacaExchange({(BTC, "1Min"): candles}, pages[0], endless=pages[1])
    ),
    live=AlpacaInMotion,
    stream_path="/v1beta3/crypto/us",
    keys=KEYS,
)
