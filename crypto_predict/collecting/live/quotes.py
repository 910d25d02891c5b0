"""The top of the book of every pair, once a minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

from crypto_predict.collecting.live.apart import apart
from crypto_predict.errors import SourceError, UnusableHistory
from crypto_predict.market import Interval, Pair, Quote
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import QuoteSource

AT_ONCE = 4  # questions; the rate budget of the exchange holds for all of them

_log = logging.getLogger(__name__)


class TopOfBook:
    """The newest quotes of one source.

    A stream sends a quote when it has changed: while it is connected, the last one stays true, and is stored with the
    time at which it was. Where a stream has not sent any, the exchange is asked.
    """

    def __init__(
        self, source: str, exchange: QuoteSource | None, clock: Clock, store: Callable[[str, Pair, Quote], None]
    ) -> None:
        self._source, self._exchange, self._clock, self._store = source, exchange, clock, store
        self._newest: dict[Pair, Quote] = {}  # that the present connection has sent
        self._asking: asyncio.Task[None] | None = None

    def received(self, pair: Pair, quote: Quote) -> None:
        """Take a quote of the stream."""
        self._newest[pair] = quote

    def interrupted(self) -> None:
        """Note that the stream is not connected: its last quotes may no longer be true."""
        self._newest.clear()

    def every_minute(self, pairs: Collection[Pair]) -> None:
        """Store one quote of each pair."""
        now = self._clock.now()
        for pair in pairs:
            if (quote := self._newest.get(pair)) is not None:
                is_old = now - quote.time > Interval.MINUTE_1.length
                self._store(self._source, pair, replace(quote, time=now) if is_old else quote)
        missing = sorted(set(pairs) - self._newest.keys())
        if missing and self._exchange is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(self._exchange, missing))

    def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, exchange: QuoteSource, pairs: Collection[Pair]) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def ask(pair: Pair) -> None:
            async with places:
                try:
                    quote = await apart(partial(exchange.quote, pair), "quote")
                except (SourceError, UnusableHistory) as error:
                    _log.debug("%s: no quote of %s: %s", self._source, pair, error)
                except Exception:  # noqa: BLE001 a defect of this program must not end the collection
                    _log.exception("%s: no quote of %s", self._source, pair)
                else:
                    self._store(self._source, pair, quote)

        await asyncio.gather(*map(ask, pairs))
