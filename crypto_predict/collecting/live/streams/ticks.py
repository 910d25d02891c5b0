"""Candles of 1, 5 and 10 minutes from the ticks of a stream, which are its trades, on the exchange's clock.

**The exchange's clock** is estimated from the ticks: the monotonic clock of this machine plus the median of the offsets
that the newest ticks have shown. So neither a clock of this machine that is wrong or is set, nor a tick with a wrong
time, completes a candle too early.

**A candle is complete**, and saved, when the exchange's clock has passed its end by a grace of 2 s. Until then a tick
goes where its time belongs, in whatever order the ticks come: the open is the price of the earliest tick, the close
that of the latest one, and ticks with the same time are in the order of their ids. The volume is the sum of their
sizes. A minute without ticks does not have a candle.

**Late ticks** belong to a minute that was saved. They are not merged, but counted in every candle that contains the
minute. Longer candles are made of the minutes as they were saved. A saved candle whose count has changed is returned
once more.

**Duplicates** (same pair, minute and id) change nothing: a stream may send a trade again, and while one connection
takes the place of another one, both send it.

**A candle is partial** if the stream was not connected, on the exchange's clock, from a grace before it opened to a
grace after its end: the first one after a connection, and the last one before an interruption.

**Impossible ticks** are dropped and counted.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from statistics import median

from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import BuiltCandle
from crypto_predict.market.events import TickReceived

INTERVALS = (Interval.MINUTE_1, Interval.MINUTE_5, Interval.MINUTE_10)
GRACE = 2.0  # seconds for ticks that come out of order
FUTURE = 60.0  # seconds that a tick may be ahead of the exchange's clock
KEPT = timedelta(minutes=10)  # how long late ticks are counted after their minute was saved
PRICES = (1e-18, 1e18)  # of any currency in any other one
SIZES = (0.0, 1e18)
DECIMALS = 8  # of a volume: exchanges add decimal numbers, and a sum of binary ones ends with an error of rounding
TIMES = (datetime(2009, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
OFFSETS = 9  # of the newest ticks between calls of `close`; the median ignores four wrong ones

_MINUTE = Interval.MINUTE_1
_NEVER = datetime.min.replace(tzinfo=UTC)
_Key = tuple[Interval, datetime, datetime]  # of a candle: the opening, and the end, not included


class TickCandles:
    """Build candles from the ticks of one source. Not safe to share between threads.

    `counts` has the ticks that are not in a candle: ``late`` ones, ``duplicates``, ``invalid`` ones, whose price or
    size no market has, those of the ``future``, beyond `FUTURE`, and of the ``past``, before what is `KEPT`.
    """

    def __init__(self, source: str, clock: Clock) -> None:
        self.counts: Counter[str] = Counter()
        self._source, self._clock = source, clock
        self._pairs: defaultdict[Pair, _PairTicks] = defaultdict(_PairTicks)
        self._newest = _NEVER  # tick since the last call of `close`
        # Seconds from 1970 to the origin of the monotonic clock, by this machine's clock until ticks show others.
        self._offsets = deque([_seconds(clock.now()) - clock.monotonic()] * OFFSETS, maxlen=OFFSETS)
        self._saved_until = self._complete_until()

    def connected(self, pairs: Iterable[Pair], at: datetime) -> None:
        """Expect every tick of these pairs from `at` on (UTC, this machine's clock)."""
        for ticks in map(self._pairs.__getitem__, pairs):
            ticks.since, ticks.until = self._monotonic(at), math.inf

    def disconnected(self, pairs: Iterable[Pair], at: datetime) -> None:
        """Do not expect every tick of these pairs from `at` on (UTC, this machine's clock)."""
        for ticks in map(self._pairs.__getitem__, pairs):
            ticks.until = min(ticks.until, self._monotonic(at))

    def add(self, tick: TickReceived) -> None:
        """Take one tick."""
        _, pair, time, price, size, number, _ = tick
        if not (PRICES[0] <= price <= PRICES[1] and SIZES[0] <= size <= SIZES[1]):  # NaN is neither
            self.counts["invalid"] += 1
            return
        ticks = self._pairs[pair]
        minute = ticks.newest
        if not minute.start <= time < minute.end:
            current = self._minute(ticks, tick)
            if current is None:
                return
            minute = current
        if number in minute.ids:
            self.counts["duplicates"] += 1
            return
        minute.ids.add(number)
        minute.ticks.append(tick)
        if time >= ticks.seen:  # the time of an older tick is not that of the exchange's clock
            ticks.seen = time
            if time > self._newest:  # noqa: PLR1730 max() takes four times as long, and this runs for every tick
                self._newest = time

    def close(self) -> dict[SeriesKey, list[BuiltCandle]]:
        """Return the candles that are complete now, and saved ones with more late ticks; each series ascending.

        It is to be called about once a second.
        """
        if self._newest > _NEVER:
            self._offsets.append(_seconds(self._newest) - self._clock.monotonic())
            self._newest = _NEVER
        before, until = self._saved_until, self._complete_until()
        # Minutes stay saved if the estimate runs back a little, but not if it was wrong before.
        if until > before or until < before - _MINUTE.length:
            self._saved_until = until
        built: dict[SeriesKey, list[BuiltCandle]] = defaultdict(list)
        for pair, ticks in self._pairs.items():
            if self._saved_until != before:
                ticks.changed |= {key for key in ticks.pending if key[2] <= self._saved_until}
                ticks.pending -= ticks.changed
            elif not ticks.changed:
                continue
            # Longer candles are made of the minutes.
            for key in sorted(ticks.changed, key=lambda key: (key[0].length, key[1])):
                if key in ticks.saved or self._save(ticks, key):
                    candle = replace(ticks.saved[key], late=ticks.late[key])
                    built[SeriesKey(self._source, pair, key[0])].append(candle)
            ticks.changed.clear()
            if self._saved_until != before:
                ticks.forget(before, self._saved_until)
        return built

    def _minute(self, ticks: "_PairTicks", tick: TickReceived) -> "_Minute | None":
        """Return the minute that a tick belongs to; None if the tick was counted and dropped."""
        time = tick.time
        if not TIMES[0] <= time < TIMES[1]:
            self.counts["past" if time < TIMES[0] else "future"] += 1
            return None
        if time > ticks.seen:
            self._newest = max(self._newest, time)
        if _seconds(time) > self._now() + FUTURE:
            self.counts["future"] += 1
            return None
        ticks.seen = max(ticks.seen, time)
        keys = [(interval, start := interval.floor(time), start + interval.length) for interval in INTERVALS]
        minute = ticks.minutes.get(keys[0])
        if time < self._saved_until:
            if minute is not None and tick.id in minute.ids:
                self.counts["duplicates"] += 1
            elif time < self._saved_until - KEPT:
                self.counts["past"] += 1
            else:
                self.counts["late"] += 1
                ticks.late.update(keys)
                ticks.changed.update(ticks.saved.keys() & keys)
            return None
        if minute is None:
            minute = ticks.minutes[keys[0]] = _Minute(*keys[0][1:])
            ticks.pending.update(keys)
        if minute.start > ticks.newest.start:
            ticks.newest = minute
        return minute

    def _save(self, ticks: "_PairTicks", key: _Key) -> bool:
        """Build a candle that is complete; return whether it had a tick."""
        interval, opening, end = key
        if interval is _MINUTE:
            minute = ticks.minutes[key]
            if minute is ticks.newest:
                ticks.newest = _NOTHING
            ordered = sorted(minute.ticks, key=attrgetter("time", "id"))
            minute.ticks.clear()  # the ids tell late ticks from repeated ones
            parts = [(*[tick.price] * 4, 1, False, tick.size) for tick in ordered]
        else:
            minutes = sorted(part for part in ticks.saved if part[0] is _MINUTE and opening <= part[1] < end)
            bars = [ticks.saved[part] for part in minutes]
            parts = [(bar.open, bar.high, bar.low, bar.close, bar.ticks, bar.partial, bar.volume or 0) for bar in bars]
        if not parts:
            return False
        opens, highs, lows, closes, counts, partial, volumes = zip(*parts, strict=True)
        prices, volume = (opens[0], max(highs), min(lows), closes[-1]), round(math.fsum(volumes), DECIMALS)
        is_partial = any(partial) or not self._was_connected(ticks, key)
        ticks.saved[key] = BuiltCandle(opening, *prices, sum(counts), 0, is_partial, volume)
        return True

    def _was_connected(self, ticks: "_PairTicks", key: _Key) -> bool:
        """Return whether the present connection is known to have delivered every tick of a candle."""
        offset = median(self._offsets)
        first, last = _seconds(key[1]) - GRACE - offset, _seconds(key[2]) + GRACE - offset
        return ticks.since <= first and last <= ticks.until

    def _now(self) -> float:
        """Return the seconds since 1970 on the exchange's clock."""
        return self._clock.monotonic() + median(self._offsets)

    def _complete_until(self) -> datetime:
        """Return the end of the newest minute that is complete."""
        return _MINUTE.floor(EPOCH + timedelta(seconds=self._now() - GRACE))

    def _monotonic(self, at: datetime) -> float:
        return self._clock.monotonic() - (self._clock.now() - at).total_seconds()


@dataclass(slots=True, eq=False)
class _Minute:
    start: datetime
    end: datetime  # not included
    ids: set[int] = field(default_factory=set)
    ticks: list[TickReceived] = field(default_factory=list)  # until it is saved


_NOTHING = _Minute(_NEVER, _NEVER)


@dataclass(slots=True)
class _PairTicks:
    """The candles of one pair."""

    newest: _Minute = _NOTHING  # that is not saved yet
    minutes: dict[_Key, _Minute] = field(default_factory=dict)
    saved: dict[_Key, BuiltCandle] = field(default_factory=dict)  # without late ticks
    late: Counter[_Key] = field(default_factory=Counter)  # ticks, also of quiet minutes
    pending: set[_Key] = field(default_factory=set)  # that are not complete
    changed: set[_Key] = field(default_factory=set)  # to return now
    seen: datetime = _NEVER  # time of the newest tick
    # The present connection or the last one, on the monotonic clock.
    since: float = math.inf
    until: float = math.inf

    def forget(self, before: datetime, until: datetime) -> None:
        """Forget what was saved long before `until`, and after it: up to `before`, by a wrong clock."""
        for table in (self.minutes, self.saved, self.late):
            for key in [key for key in table if key[2] < until - KEPT or until < key[2] <= before]:
                del table[key]


def _seconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()
