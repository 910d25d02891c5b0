"""The top of the book of every pair, once a minute."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from functools import partial
from math import inf

from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import Interval, Pair, Quote
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import QuoteSource
from crypto_predict.threads import in_thread

AT_ONCE = 4  # questions; the rate budget of the exchange holds for all of them

_log = logging.getLogger(__name__)


class TopOfBook:
    """The newest quotes of one source.

    A stream sends a quote when it has changed: while it is connected, the last one stays true. One of an earlier minute
    is stored with the present time of its exchange. Where a stream has not sent any, the exchange is asked. A book
    that no market has is left out: a halted pair has zeros, and while the book changes a bid may lie above the ask.
    """

    def __init__(
        self, source: str, exchange: QuoteSource | None, clock: Clock, store: Callable[[str, Pair, Quote], None]
    ) -> None:
        self._source, self._exchange, self._clock, self._store = source, exchange, clock, store
        # What the present connection has sent, and the arrival on the monotonic clock.
        self._newest: dict[Pair, tuple[Quote, float]] = {}
        self._asking: asyncio.Task[None] | None = None

    def received(self, pair: Pair, quote: Quote) -> None:
        """Take a quote of the stream. One that no market has says that the book has no bid or no ask any more."""
        if is_sound(quote):
            self._newest[pair] = quote, self._clock.monotonic()
        else:
            self._newest.pop(pair, None)

    def interrupted(self) -> None:
        """Note that the stream is not connected: its last quotes may no longer be true."""
        self._newest.clear()

    def every_minute(self, pairs: Collection[Pair]) -> None:
        """Store one quote of each pair."""
        minute, now = Interval.MINUTE_1, self._clock.monotonic()
        for pair in sorted(set(pairs) & self._newest.keys()):
            quote, arrived = self._newest[pair]
            present = quote.time + timedelta(seconds=now - arrived)
            is_earlier = minute.floor(quote.time) < minute.floor(present)
            self._store(self._source, pair, replace(quote, time=present) if is_earlier else quote)
        missing = sorted(set(pairs) - self._newest.keys())
        if missing and self._exchange is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(self._exchange, missing))

    async def _ask(self, exchange: QuoteSource, pairs: Collection[Pair]) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def ask(pair: Pair) -> None:
            async with places:
                try:
                    quote = await in_thread(partial(exchange.quote, pair), "quote")
                except (SourceError, UnusableHistory) as error:
                    _log.debug("%s: no quote of %s: %s", self._source, pair, error)
                except Exception:  # noqa: BLE001 a defect of this program must not end the collection
                    _log.exception("%s: no quote of %s", self._source, pair)
                else:
                    if is_sound(quote):
                        self._store(self._source, pair, quote)

        await asyncio.gather(*map(ask, pairs))


def is_sound(quote: Quote) -> bool:
    """Return whether a market can have this bid and ask."""
    sizes = quote.bid_size, quote.ask_size
    return 0 < quote.bid <= quote.ask < inf and all(0 <= size < inf for size in sizes)
