"""The source of an exchange's candles and quotes over REST: what does not depend on the exchange."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, TypeVar

from crypto_predict.errors import SourceError, Unreachable, UnusableHistory
from crypto_predict.market import Interval, Pair
from crypto_predict.market.events import Dated
from crypto_predict.sources.exchange import Bounds, Exchange, Settings
from crypto_predict.sources.network.limits import Allowance, RateBudget
from crypto_predict.sources.network.retry import Failure, RetryPolicy
from crypto_predict.sources.network.session import BoundedSession, answer_within, host_of, seconds_left
from crypto_predict.sources.network.wire import Malformed

Answer = TypeVar("Answer")

_BOUNDS, _PRODUCTION = Bounds(), RetryPolicy()


class ExchangeSource:
    """An adapter for the REST of its `exchange`, within the exchange's rate. Several threads may share it.

    An adapter adds `candles` and `quote`. Its errors are those of `market.ports.CandleSource`; a history that exceeds
    its bounds is a `SourceError`, too.
    """

    exchange: ClassVar[Exchange]
    simulated = False

    def __init__(
        self,
        settings: Settings,
        bounds: Bounds = _BOUNDS,
        policy: RetryPolicy = _PRODUCTION,
        budget: RateBudget | None = None,
    ) -> None:
        self.budget = budget or RateBudget(*self.exchange.rate)
        self.session = BoundedSession(self.exchange, settings, policy, self.received)
        self._bounds, self._policy = bounds, policy
        self._url, self._host = settings.api_url, host_of(settings.api_url)

    @property
    def id(self) -> str:
        """The id of the exchange."""
        return self.exchange.id

    @property
    def intervals(self) -> frozenset[Interval]:
        """The intervals of the exchange's candles."""
        return frozenset(self.exchange.intervals)

    @property
    def dated(self) -> Dated | None:
        """The time of the exchange's clock at its newest answer; None before the first one."""
        return self.session.dated

    def traded(self, pair: Pair) -> Pair:
        """Return the pair that the exchange trades for `pair`.

        Raises:
            UnusableHistory: The exchange cannot have such a pair.
        """
        return self.exchange.traded(pair)

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """Return `limit` rounded down to the interval: the exchange trades day and night."""
        return interval.floor(limit)

    def received(self, headers: Mapping[str, str]) -> None:
        """Take note of the headers of an answer, refusals included."""

    def allowance(self) -> Allowance:
        """Return what one history, or one quote, may take."""
        return Allowance(self.id, self._bounds)

    def get(self, path: str, query: Mapping[str, str | int]) -> object:
        """Return the JSON of an answer that is not a refusal, for an exchange without an SDK."""
        return self.session.read(f"{self._url}{path}", query)

    def ask(
        self,
        pair: Pair,
        send: Callable[[], object],
        read: Callable[[object], Answer],
        allowance: Allowance,
        weight: int = 1,
    ) -> Answer:
        """Return what `read` makes of the answer that `send` returns; it is repeated as the policy allows.

        `send` makes one request of `weight` about `pair` with the session and returns the JSON, None if the answer is
        empty. `read` raises `Malformed` if the answer is not in the exchange's format.

        Raises:
            SourceError: The exchange cannot be reached, refuses or sends another format, or `allowance` is used up.
            UnusableHistory: The exchange does not have the pair.
        """
        try:
            with answer_within(allowance.seconds()):
                return self._policy.run(self.id, lambda: self._ask_once(send, read, allowance, weight), seconds_left)
        except SourceError as error:
            if isinstance(error.__cause__, Failure) and error.__cause__.pair_is_unknown:
                raise UnusableHistory(self.id, [f"it does not have the pair {self.traded(pair)}"]) from error
            allowance.seconds()  # names the bound if that is what was exceeded
            raise

    def _may_wait(self, allowance: Allowance) -> float:
        """Return the seconds for which the rate budget may be waited for."""
        allowance.seconds()  # raises with the name of the bound
        if (seconds := seconds_left()) > 0:
            return seconds
        reason = f"{self._host} is asked as often as it allows already; try again in a minute"
        raise Failure(reason, again=False, becomes=Unreachable)

    def _ask_once(
        self, send: Callable[[], object], read: Callable[[object], Answer], allowance: Allowance, weight: int
    ) -> Answer:
        """Ask once. A `Failure` is a refusal, a missing answer, or one in another format."""
        self.budget.spend(weight, most=lambda: self._may_wait(allowance))
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
