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

**Impossible ticks** are dropped and counted: a price or size outside `PRICES` and `SIZES`, a time more than a minute in
the future, or more than ten minutes before the minutes that are not saved yet.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
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


class TickCandles:
    """Build candles from the ticks of one source. Not safe to share between threads.

    `counts` has the ticks that are not in a candle: ``late`` ones, whose minute was saved before, ``duplicates``,
    ``invalid`` ones, whose price or size is none, and those of the far ``future`` and ``past``.
    """

    def __init__(self, source: str, clock: Clock, grace: float = GRACE) -> None:
        """Begin without ticks. `grace` is in seconds."""
        self.counts: Counter[str] = Counter()
        self._source, self._clock, self._grace = source, clock, grace
        self._pairs: defaultdict[Pair, _PairTicks] = defaultdict(_PairTicks)
        self._newest = _NEVER  # tick since the last call of `close`
        # Seconds from 1970 to the origin of the monotonic clock, by this machine's clock until ticks show others.
        self._offsets = deque([_seconds(clock.now()) - clock.monotonic()] * OFFSETS, maxlen=OFFSETS)
        self._saved_until = self._complete_until()

    def connected(self, pairs: Iterable[Pair], at: datetime) -> None:
        """Expect every tick of these pairs from `at` on (UTC, this machine's clock)."""
        since = self._monotonic(at)
        for ticks in map(self._pairs.__getitem__, pairs):
            for bar in ticks.unsaved.values():
                self._mark_partial(ticks, bar)
            ticks.since, ticks.until = since, math.inf

    def disconnected(self, pairs: Iterable[Pair], at: datetime) -> None:
        """Do not expect every tick of these pairs from `at` on (UTC, this machine's clock)."""
        until = self._monotonic(at)
        for ticks in map(self._pairs.__getitem__, pairs):
            ticks.until = min(ticks.until, until)

    def add(self, tick: TickReceived) -> None:
        """Take one tick."""
        _, pair, time, price, size, number, _ = tick
        if not (PRICES[0] <= price <= PRICES[1] and SIZES[0] <= size <= SIZES[1]):  # NaN is neither
            self.counts["invalid"] += 1
            return
        ticks = self._pairs[pair]
        bar = ticks.newest
        if not bar.start <= time < bar.end:
            current = self._bar(ticks, tick)
            if current is None:
                return
            bar = current
        # Written out, because this runs for every tick.
        if number in bar.ids:
            self.counts["duplicates"] += 1
            return
        bar.ids.add(number)
        if time > bar.last or (time == bar.last and number > bar.last_id):
            bar.last, bar.last_id, bar.close = time, number, price
            if time > self._newest:  # noqa: PLR1730 max() takes four times as long
                self._newest = time
        if time < bar.first or (time == bar.first and number < bar.first_id):
            bar.first, bar.first_id, bar.open = time, number, price
        bar.volume += size
        if price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price

    def close(self) -> dict[SeriesKey, list[BuiltCandle]]:
        """Return the candles that are complete now, and saved ones with more late ticks; each series ascending.

        It is to be called about once a second.
        """
        if self._newest > _NEVER:
            self._offsets.append(_seconds(self._newest) - self._clock.monotonic())
            self._newest = _NEVER
        until = self._complete_until()
        # Minutes stay saved if the estimate runs back a little, but not if it was wrong before.
        if until > self._saved_until or until < self._saved_until - _MINUTE.length:
            self._saved_until = until
            for ticks in self._pairs.values():
                self._save(ticks)
        built: dict[SeriesKey, list[BuiltCandle]] = defaultdict(list)
        for pair, ticks in self._pairs.items():
            for interval, opening in sorted(ticks.changed, key=lambda key: key[1]):
                built[SeriesKey(self._source, pair, interval)].append(ticks.saved[interval, opening].built())
            ticks.changed.clear()
        return built

    def _bar(self, ticks: "_PairTicks", tick: TickReceived) -> "_Bar | None":
        """Return the minute that a tick belongs to; None if the tick was counted and dropped."""
        time = tick.time
        if not TIMES[0] <= time < TIMES[1]:
            self.counts["past"] += time < TIMES[0]
            self.counts["future"] += time >= TIMES[1]
            return None
        seen = max(ticks.seen, ticks.newest.last)
        if time > seen:  # the time of a repeated tick is not that of the exchange's clock
            self._newest = max(self._newest, time)
        if _seconds(time) > self._now() + FUTURE:
            self.counts["future"] += 1
            return None
        ticks.seen = max(seen, time)
        if time < self._saved_until:
            self._count_late(ticks, tick)
            return None
        start = _MINUTE.floor(time)
        bar = ticks.unsaved.get((_MINUTE, start)) or ticks.unsaved.setdefault((_MINUTE, start), _Bar.of(tick))
        if start > ticks.newest.start:
            ticks.newest = bar
        return bar

    def _count_late(self, ticks: "_PairTicks", tick: TickReceived) -> None:
        time = tick.time
        minute = ticks.saved.get((_MINUTE, _MINUTE.floor(time)))
        if minute is not None and tick.id in minute.ids:
            self.counts["duplicates"] += 1
        elif time < self._saved_until - KEPT:
            self.counts["past"] += 1
        else:
            self.counts["late"] += 1
            for interval in INTERVALS:
                key = interval, interval.floor(time)
                if (unsaved := ticks.unsaved.get(key)) is not None:
                    unsaved.late += 1
                elif (saved := ticks.saved.get(key)) is not None:
                    saved.late += 1
                    ticks.changed.add(key)

    def _save(self, ticks: "_PairTicks") -> None:
        """Save what is complete, and forget what was saved long ago."""
        for interval in INTERVALS:  # minutes first: the longer candles are made of them
            complete = [
                key for key, bar in ticks.unsaved.items() if key[0] is interval and bar.end <= self._saved_until
            ]
            for key in sorted(complete, key=lambda key: key[1]):
                bar = ticks.unsaved.pop(key)
                self._mark_partial(ticks, bar)
                if interval is _MINUTE:
                    bar.ticks = len(bar.ids)
                    for longer in INTERVALS[1:]:
                        start = longer.floor(bar.start)
                        if (longer, start) in ticks.unsaved:
                            ticks.unsaved[longer, start].merge(bar)
                        else:
                            ticks.unsaved[longer, start] = bar.begin(longer, start)
                ticks.saved[key] = bar
                ticks.changed.add(key)
                if bar is ticks.newest:
                    ticks.seen, ticks.newest = max(ticks.seen, bar.last), _NOTHING
        for key in {key for key, bar in ticks.saved.items() if bar.end < self._saved_until - KEPT} - ticks.changed:
            del ticks.saved[key]

    def _mark_partial(self, ticks: "_PairTicks", bar: "_Bar") -> None:
        """Mark a candle in which the present connection is not known to have delivered every tick."""
        offset = median(self._offsets)
        first, last = _seconds(bar.start) - self._grace - offset, _seconds(bar.end) + self._grace - offset
        bar.partial = bar.partial or not ticks.since <= first <= last <= ticks.until

    def _now(self) -> float:
        """Return the seconds since 1970 on the exchange's clock."""
        return self._clock.monotonic() + median(self._offsets)

    def _complete_until(self) -> datetime:
        """Return the end of the newest minute that is complete."""
        return _MINUTE.floor(EPOCH + timedelta(seconds=self._now() - self._grace))

    def _monotonic(self, at: datetime) -> float:
        return self._clock.monotonic() - (self._clock.now() - at).total_seconds()


@dataclass(slots=True, eq=False)
class _Bar:
    """A candle that is being built."""

    start: datetime
    end: datetime  # not included
    open: float
    high: float
    low: float
    close: float
    first: datetime  # time of the open
    first_id: int
    last: datetime  # time of the close
    last_id: int = 0
    volume: float = 0.0
    ids: set[int] = field(default_factory=set)  # of the ticks of a minute
    ticks: int = 0  # of the minutes that are saved
    late: int = 0
    partial: bool = False

    @classmethod
    def of(cls, tick: TickReceived) -> "_Bar":
        """Return the minute of a tick, which is yet to be added."""
        start, price = _MINUTE.floor(tick.time), tick.price
        return cls(start, start + _MINUTE.length, price, price, price, price, tick.time, tick.id, _NEVER)

    def begin(self, interval: Interval, start: datetime) -> "_Bar":
        """Return a longer candle that consists of this one so far."""
        return replace(self, start=start, end=start + interval.length, ids=set())

    def merge(self, part: "_Bar") -> None:
        """Add another part of a longer candle."""
        if part.first < self.first:
            self.first, self.open = part.first, part.open
        if part.last > self.last:
            self.last, self.close = part.last, part.close
        self.high, self.low = max(self.high, part.high), min(self.low, part.low)
        self.volume += part.volume
        self.ticks += part.ticks
        self.partial = self.partial or part.partial

    def built(self) -> BuiltCandle:
        """Return the candle."""
        prices, volume = (self.open, self.high, self.low, self.close), round(self.volume, DECIMALS)
        return BuiltCandle(self.start, *prices, self.ticks, self.late, self.partial, volume)


_Key = tuple[Interval, datetime]  # and the opening
_NOTHING = _Bar(_NEVER, _NEVER, 0, 0, 0, 0, _NEVER, 0, _NEVER)


@dataclass(slots=True)
class _PairTicks:
    """The candles of one pair."""

    newest: _Bar = _NOTHING  # minute that is not saved yet
    unsaved: dict[_Key, _Bar] = field(default_factory=dict)  # the longer ones are made of the minutes that were saved
    saved: dict[_Key, _Bar] = field(default_factory=dict)
    changed: set[_Key] = field(default_factory=set)  # of `saved`, since they were returned
    seen: datetime = _NEVER  # time of the newest tick of saved minutes
    # The present connection or the last one, on the monotonic clock.
    since: float = math.inf
    until: float = math.inf


def _seconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()
