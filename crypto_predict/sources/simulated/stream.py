"""The invented market as it moves: each candle when it closes, and quotes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from crypto_predict.market import Candle, Interval, Pair, Quote, SeriesKey, price_decimals
from crypto_predict.market.clock import Clock
from crypto_predict.market.events import CandleClosed, FeedEvent, Heartbeat, Interrupted, QuoteReceived
from crypto_predict.sources.simulated.market import GENESIS, Simulated

QUOTE_EVERY = 5  # seconds; the pairs take turns
SPREAD = 2e-4  # of the price
MOST_BEHIND = timedelta(minutes=10)  # if the clock jumps further, the candles in between are left to REST

_MINUTE = Interval.MINUTE_1
_SECOND = timedelta(seconds=1)


class SimulatedFeed:
    """The invented market as a stream. Its candles are those of `Simulated` with the same seed."""

    id = Simulated.id
    sends_candles = True
    sends_quotes = True

    def __init__(self, seed: int, clock: Clock) -> None:
        self._market, self._clock = Simulated(seed), clock

    async def events(self, pairs: Sequence[Pair]) -> AsyncGenerator[FeedEvent]:
        """Yield the candles that close from now on, as `CandleFeed.events` does.

        Where the clock jumps forward, the candles in between come at once, or the feed ends if there are too many. If
        it is set back, nothing comes twice.
        """
        minutes = {pair: _reader(self._market, pair) for pair in pairs}
        newest = self._clock.now()
        for minute in minutes.values():  # the first day of hundreds of pairs takes seconds
            await minute(_MINUTE.floor(self._clock.now()))
            if self._clock.now() - newest >= _SECOND:
                newest = self._clock.now()
                yield Heartbeat(newest)
        newest = max(newest, self._clock.now())
        complete_until = _MINUTE.floor(newest)
        while True:
            now = self._clock.now()
            if now - complete_until > MOST_BEHIND:
                yield Interrupted(f"the clock has jumped to {now:%Y-%m-%d %H:%M:%S}", complete_until)
                return
            yield Heartbeat(now)
            while (close := complete_until + _MINUTE.length) <= now:
                for pair, minute in minutes.items():
                    if candle := await minute(complete_until):
                        yield CandleClosed(SeriesKey(self.id, pair, _MINUTE), candle)
                complete_until = close
            if now >= newest:
                passed = range(int(newest.timestamp()) + 1, int(now.timestamp()) + 1)[-QUOTE_EVERY:]  # seconds
                turns = {second % QUOTE_EVERY for second in passed}
                newest = now
                for number, (pair, minute) in enumerate(minutes.items()):
                    if number % QUOTE_EVERY in turns and (candle := await minute(complete_until)):
                        yield QuoteReceived(self.id, pair, _quote(candle, now))
            # To the next second, and a little further, so as not to wake up before it.
            await self._clock.sleep(1.001 - now.microsecond / 1e6)


def _reader(market: Simulated, pair: Pair) -> Callable[[datetime], Awaitable[Candle | None]]:
    """Return what reads a minute; None before 2017. Its day, which is kept, must not precede the last one."""
    days: Iterator[Sequence[Candle]] | None = None
    day: Mapping[datetime, Candle] = {}
    end = GENESIS  # of that day

    def load(first: datetime) -> None:
        nonlocal days, day, end
        days = days or market.days_of_minutes(pair, first)
        while end <= first:
            day = {candle.open_time: candle for candle in next(days)}
            end = max(day) + _MINUTE.length

    async def read(opening: datetime) -> Candle | None:
        if opening >= end:
            await asyncio.to_thread(load, Interval.DAY_1.floor(opening))
        return day.get(opening)

    return read


def _quote(candle: Candle, now: datetime) -> Quote:
    """Return a top of the book between the open and the close of the present minute."""
    price = candle.open + (candle.close - candle.open) * now.second / 60
    digits = price_decimals(price) + 2
    bid, ask = round(price * (1 - SPREAD / 2), digits), round(price * (1 + SPREAD / 2), digits)
    size = (candle.volume or 1.0) / 64
    return Quote(now, bid, size * (1 + now.second % 7), ask, size * (1 + now.second % 5))
