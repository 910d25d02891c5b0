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
from crypto_predict.sources.network.wire import Malformed

Answer = TypeVar("Answer")

_BOUNDS, _PRODUCTION = Bounds(), RetryPolicy()


class ExchangeSource:
    """An adapter for the REST of its `exchange`, within the exchange's rate. Several threads may share it.

    An exchange adds its two questions about a symbol, `_page` and `_quote`, which raise `Malformed` if the answer is
    not in the exchange's format. The errors are those of `market.ports.CandleSource`; a history that exceeds its bounds
    is a `SourceError`, too.
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
        self.session = BoundedSession(self.exchange.name, settings, policy, self.received, self.exchange.unknown_pair)
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

    def _page(self, symbol: str, interval: Interval, span: Span) -> tuple[list[Candle], bool]:
        """Ask for the candles that open in `span`. Return those of one answer, and whether it says that none follow."""
        raise NotImplementedError

    def _quote(self, symbol: str) -> Quote:
        """Ask for the top of the book."""
        raise NotImplementedError

    def received(self, headers: Mapping[str, str]) -> None:
        """Take note of the headers of an answer, refusals included."""

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return every candle that opens in `span`, ascending, each opening once: the last copy wins.

        One page of candles is held at a time.
        """
        symbol, allowance = self.exchange.symbol(pair), Allowance(self.id, self.bounds)
        is_last = False

        def ask(part: Span) -> list[Candle]:
            nonlocal is_last
            if is_last:
                return []
            question = partial(self._page, symbol, interval, part)
            received, is_last = self._ask(pair, question, allowance, self.weights[0])
            allowance.take(len(received))
            return closed(received, interval, span.end)

        return self._paged(ask, interval, span)

    def _paged(self, ask: Callable[[Span], Sequence[Candle]], interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles of several answers of `ask`."""
        return in_windows(ask, interval, span, self.exchange.page)

    def quote(self, pair: Pair) -> Quote:
        """Return the best bid and ask, with a time of the exchange's clock unless the exchange does not have one."""
        question = partial(self._quote, self.exchange.symbol(pair))
        return self._ask(pair, question, Allowance(self.id, self.bounds), self.weights[1])

    def _ask(self, pair: Pair, question: Callable[[], Answer], allowance: Allowance, weight: int) -> Answer:
        """Return the answer to a question about `pair`; repeat it as the policy allows."""

        def may_wait() -> float:
            allowance.seconds()  # raises with the name of the bound
            if (seconds := seconds_left()) > 0:
                return seconds
            reason = f"{self._host} is asked as often as it allows already; try again in a minute"
            raise Failure(reason, again=False, becomes=Unreachable)

        def ask_once() -> Answer:
            self.budget.spend(weight, most=may_wait)
            try:
                return question()
            except Malformed as error:
                raise self.session.malformed(str(error)) from None

        try:
            with answer_within(allowance.seconds()):
                return self._policy.run(self.id, ask_once, seconds_left)
        except SourceError as error:
            if isinstance(error.__cause__, Failure) and error.__cause__.pair_is_unknown:
                raise UnusableHistory(self.id, [f"it does not have the pair {self.traded(pair)}"]) from error
            allowance.seconds()  # names the bound if that is what was exceeded
            raise
