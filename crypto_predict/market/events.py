"""The events of a live stream."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from crypto_predict.market.candle import Candle, Quote
from crypto_predict.market.pair import Pair, SeriesKey


@dataclass(frozen=True, slots=True)
class CandleClosed:
    """A candle is complete, or the exchange has changed it since."""

    series: SeriesKey
    candle: Candle


@dataclass(frozen=True, slots=True)
class QuoteReceived:
    """The top of the book changed."""

    source: str
    pair: Pair
    quote: Quote


class TickReceived(NamedTuple):
    """A trade. Candles are built from these where a stream does not send any. A tuple, because there are many."""

    source: str
    pair: Pair
    time: datetime  # UTC, when it was traded, on the exchange's clock
    price: float
    size: float  # in the base currency
    id: int  # of the trade; ascending in the order of the trades of a pair
    is_bought: bool | None = None  # by a taker; None where the exchange does not send it


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The stream is alive: a message or the answer to a ping has arrived. At most one a second is sent."""

    time: datetime  # UTC, of this machine's clock
    is_confirmed: bool = False  # the exchange has just repeated what it sends: a market without data is quiet


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The stream ended; nothing is missing before `complete_until`."""

    reason: str
    complete_until: datetime  # UTC, not included
    exchange_down: bool = False  # the exchange has answered that it is not available; otherwise the connection failed


@dataclass(frozen=True, slots=True)
class Retiring:
    """The exchange will close the connection soon: another one should take its place before."""


@dataclass(frozen=True, slots=True)
class PairRefused:
    """The connection goes on without a pair. Whether the exchange has it is decided by what REST answers."""

    pair: Pair
    reason: str


FeedEvent = CandleClosed | QuoteReceived | TickReceived | PairRefused | Heartbeat | Interrupted | Retiring
