"""Minutes from the trades of a stream whose numbers follow each other, so that a missing trade is seen.

A minute is whole if the numbers of its trades follow each other, the number before them is that of a trade of an
earlier minute, and the number after them that of a later one. That proves it whatever the connections did meanwhile.
While no later trade has come, a minute is whole once the exchange's clock has passed its end by `GRACE` and the stream
was alive after that.

Trades may come in any order, and more than once. One that comes late changes its minute, which is returned again. A
minute of which a trade is missing is never returned: REST has it. One without trades does not exist.

The exchange's clock is the monotonic clock of this machine plus the median of what the newest trades were ahead of it.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import fsum
from statistics import median

from crypto_predict.logs import event
from crypto_predict.market import EPOCH, Candle, Interval, Pair
from crypto_predict.market.events import TickReceived

GRACE = timedelta(seconds=2)  # for trades that the exchange sends late
AHEAD = timedelta(minutes=1)  # of the exchange's clock: a later trade is not real
REMEMBERED = timedelta(minutes=10)  # after its end a minute takes late trades
DECIMALS = 8  # of volumes: exchanges add decimal numbers, and a sum of binary ones ends with an error of rounding
CERTAIN, OFFSETS = 5, 9  # of the newest trades: from five on, and of nine at most, the median ignores wrong ones

_MINUTE = Interval.MINUTE_1
_log = logging.getLogger(__name__)


class NumberedMinutes:
    """The minutes of the pairs of one stream, for one thread."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._minutes: dict[Pair, dict[datetime, dict[int, TickReceived]]] = defaultdict(dict)  # by opening and number
        self._changed: dict[Pair, set[datetime]] = defaultdict(set)  # openings of minutes to return once they are whole
        self._first: dict[Pair, datetime] = {}  # opening of the minute of its first trade
        self._offsets = deque[float](maxlen=OFFSETS)  # seconds from 1970 to the origin of the monotonic clock
        self._newest = EPOCH  # time of a trade since the last call of `whole`

    def add(self, trade: TickReceived) -> None:
        """Take a trade. Its id is its number among those of its pair."""
        pair = trade.pair
        opening = _MINUTE.floor(trade.time)
        self._first.setdefault(pair, opening)
        trades = self._minutes[pair].setdefault(opening, {})
        if trade.id not in trades:
            trades[trade.id] = trade
            self._changed[pair].add(opening)
            self._newest = max(self._newest, trade.time)

    def whole(self, monotonic: float) -> Iterator[tuple[Pair, Candle]]:
        """Yield the minutes that are whole now and have changed since they were returned; those of a pair ascending.

        It is to be called about once a second, when a message has just come, with the time on the monotonic clock.
        """
        if self._newest > EPOCH:
            self._offsets.append((self._newest - EPOCH).total_seconds() - monotonic)
            self._newest = EPOCH
        now = None
        if len(self._offsets) >= CERTAIN:
            now = EPOCH + timedelta(seconds=monotonic + median(self._offsets))
        for pair, minutes in self._minutes.items():
            if now is not None:
                self._forget(pair, minutes, now)
            for opening in sorted(self._changed[pair]):
                if _is_whole(minutes, opening, now):
                    self._changed[pair].remove(opening)
                    yield pair, _candle(opening, minutes[opening])

    def _forget(self, pair: Pair, minutes: dict[datetime, dict[int, TickReceived]], now: datetime) -> None:
        """Forget minutes of the future, and those of long ago but one, whose last trade may be before the next minute.

        The first minute is not known to lack a trade: those before it were not sent.
        """
        for opening in [opening for opening in minutes if opening > now + AHEAD]:
            del minutes[opening]
            self._changed[pair].discard(opening)
        for opening, following in pairwise(sorted(minutes)):
            if following + _MINUTE.length + REMEMBERED > now:
                return
            del minutes[opening]
            if opening in self._changed[pair] and opening > self._first[pair]:
                text = "a trade is missing; the minute is that of REST"
                event(_log, logging.INFO, text, source=self._source, pair=pair, minute=f"{opening:%Y-%m-%d %H:%M}")
            self._changed[pair].discard(opening)


def _is_whole(minutes: Mapping[datetime, Mapping[int, TickReceived]], opening: datetime, now: datetime | None) -> bool:
    """Return whether no trade of a minute is missing at `now`, on the exchange's clock."""
    after = min((each for each in minutes if each > opening), default=None)
    if after is None and (now is None or now < opening + _MINUTE.length + GRACE):
        return False
    first, last = min(minutes[opening]), max(minutes[opening])
    before = max((each for each in minutes if each < opening), default=None)
    return (
        last - first + 1 == len(minutes[opening])
        and (before is not None and first - 1 in minutes[before])
        and (after is None or last + 1 in minutes[after])
    )


def _candle(opening: datetime, trades: Mapping[int, TickReceived]) -> Candle:
    ordered = [trades[number] for number in sorted(trades)]
    prices = [trade.price for trade in ordered]
    bought = _volumes([trade for trade in ordered if trade.is_bought])
    return Candle(opening, prices[0], max(prices), min(prices), prices[-1], *_volumes(ordered), len(ordered), *bought)


def _volumes(trades: Sequence[TickReceived]) -> tuple[float, float]:
    """Return the volumes of the base and of the quote currency."""
    base, quote = fsum(trade.size for trade in trades), fsum(trade.price * trade.size for trade in trades)
    return round(base, DECIMALS), round(quote, DECIMALS)
