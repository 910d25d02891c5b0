"""The source of an exchange's candles and quotes over REST: what does not depend on the exchange."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar, TypeVar

from crypto_predict.errors import SourceError, Unreachable, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, Quote, Span
from crypto_predict.sources.exchange import Bounds, Exchange, Settings
from crypto_predict.sources.network.limits import Allowance, RateBudget
from crypto_predict.sources.network.paging import closed, in_windows
from crypto_predict.sources.network.retry import Failure, RetryPolicy
from crypto_predict.sources.network.session import BoundedSession, answer_within, host_of, seconds_left
from crypto_predict.sources.network.wire import Malformed, rows

Answer = TypeVar("Answer")

_BOUNDS, _PRODUCTION = Bounds(), RetryPolicy()


class ExchangeSource:
    """An adapter for the REST of its `exchange`, within the exchange's rate. Several threads may share it.

    An exchange adds what sends a question about a symbol and returns the JSON, None if the answer is empty, and what
    reads it: `_send_candles` and `_read_candle`, `_send_quote` and `_read_quote`. What reads raises `Malformed` if the
    answer is not in the exchange's format. The errors are those of `market.ports.CandleSource`; a history that exceeds
    its bounds is a `SourceError`, too.
    """

    exchange: ClassVar[Exchange]
    simulated = False
    weights: ClassVar[tuple[int, int]] = 1, 1  # of a request for candles, and for a quote

    def __init__(
        self,
        settings: Settings,
        bounds: Bounds = _BOUNDS,
        policy: RetryPolicy = _PRODUCTION,
        budget: RateBudget | None = None,
    ) -> None:
        self.budget = budget or RateBudget(*self.exchange.rate)
        self.session = BoundedSession(self.exchange, settings, policy, self.received)
        self.id, self.intervals = self.exchange.id, frozenset(self.exchange.intervals)
        self.traded = self.exchange.traded
        self.bounds, self._policy, self._host = bounds, policy, host_of(settings.api_url)

    @property
    def dated(self) -> tuple[datetime, float] | None:
        """The time of the exchange's clock at its newest answer; None before the first one."""
        return self.session.dated

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """Return `limit` rounded down to the interval: the exchange trades day and night."""
        return interval.floor(limit)

    def _send_candles(self, symbol: str, interval: Interval, span: Span) -> object:
        """Ask for the candles that open in `span`, at most one page."""
        raise NotImplementedError

    def _rows(self, answer: object, symbol: str) -> tuple[list[object], bool]:  # noqa: ARG002 of one exchange a part of it
        """Return the candles of an answer, and whether it says that no candle follows."""
        return rows(answer, "candles", self.exchange.page), False

    def _read_candle(self, row: object, interval: Interval) -> Candle:
        """Return one of the rows of an answer."""
        raise NotImplementedError

    def _send_quote(self, symbol: str) -> object:
        """Ask for the top of the book."""
        raise NotImplementedError

    def _read_quote(self, answer: object, symbol: str) -> Quote:
        """Return the top of the book."""
        raise NotImplementedError

    def received(self, headers: Mapping[str, str]) -> None:
        """Take note of the headers of an answer, refusals included."""

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return every candle that opens in `span`, ascending, each opening once: the last copy wins.

        One page of candles is held at a time.
        """
        symbol, allowance = self.exchange.symbol(pair), Allowance(self.id, self.bounds)
        is_last = False

        def read(answer: object) -> list[Candle]:
            nonlocal is_last
            candles, is_last = self._rows(answer, symbol)
            return [self._read_candle(row, interval) for row in candles]

        def ask(part: Span) -> list[Candle]:
            if is_last:
                return []
            send = partial(self._send_candles, symbol, interval, part)
            received = self.ask(pair, send, read, allowance, self.weights[0])
            allowance.take(len(received))
            return closed(received, interval, span.end)

        return self._paged(ask, interval, span)

    def _paged(self, ask: Callable[[Span], Sequence[Candle]], interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles of several answers of `ask`."""
        return in_windows(ask, interval, span, self.exchange.page)

    def quote(self, pair: Pair) -> Quote:
        """Return the best bid and ask, with a time of the exchange's clock unless the exchange does not have one."""
        symbol, allowance = self.exchange.symbol(pair), Allowance(self.id, self.bounds)
        send = partial(self._send_quote, symbol)
        return self.ask(pair, send, lambda answer: self._read_quote(answer, symbol), allowance, self.weights[1])

    def ask(
        self,
        pair: Pair,
        send: Callable[[], object],
        read: Callable[[object], Answer],
        allowance: Allowance,
        weight: int = 1,
    ) -> Answer:
        """Return what `read` makes of the answer about `pair` that `send` returns; repeat it as the policy allows."""

        def may_wait() -> float:
            allowance.seconds()  # raises with the name of the bound
            if (seconds := seconds_left()) > 0:
                return seconds
            reason = f"{self._host} is asked as often as it allows already; try again in a minute"
            raise Failure(reason, again=False, becomes=Unreachable)

        def ask_once() -> Answer:
            self.budget.spend(weight, most=may_wait)
            answer: object = None
            try:
                answer = send()
                if answer is None:
                    raise Malformed("an empty answer")
                return read(answer)
            except Malformed as error:
                fault = str(error)
            except (ValueError, RecursionError):  # from reading JSON; errors of HTTP are a Failure already
                fault = "no JSON, perhaps a page of a proxy in between"
            reason = f"{self._host} answered 200, but not in {self.exchange.name}'s format: {fault}"
            becomes = Unreachable if answer is None else SourceError
            raise Failure(f"{reason}; try later or another source", again=True, becomes=becomes)

        try:
            with answer_within(allowance.seconds()):
                return self._policy.run(self.id, ask_once, seconds_left)
        except SourceError as error:
            if isinstance(error.__cause__, Failure) and error.__cause__.pair_is_unknown:
                raise UnusableHistory(self.id, [f"it does not have the pair {self.traded(pair)}"]) from error
            allowance.seconds()  # names the bound if that is what was exceeded
            raise
