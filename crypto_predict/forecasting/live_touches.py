"""The released probabilities of a touch, beside the highs and lows that followed, and the rule of reflection.

What is asked for is the same as in the backtest (`evaluation.touches`), from the newest price of a release on: until 1,
6 and 24 hours later, and until the closes 1, 7 and 30 days after its last candle. The highest and the lowest price of
such a span are those of its whole days, and of the hours before and after them. A span is scored once: of the releases
from the same newest price the first one counts. One that had ended when the model was made is not scored, nor is one of
which an hour has no candle.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from crypto_predict.baked.ledger import HOURS, HourlyOutcome, Outcome, Release
from crypto_predict.baked.touches import SCORED_DAYS, TouchScore
from crypto_predict.forecasting.evaluation.touches import (
    BY_DAY,
    BY_HOUR,
    TouchSums,
    by_reflection,
    score_of,
    touch_sums,
)
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS

KEPT = 366 * DAY  # that a forecast waits; no training reads older hours

_HOUR, _INSTANT = timedelta(hours=1), timedelta(microseconds=1)
_LONGEST = (SCORED_DAYS[-1] + 2) * DAY  # before the newest day on record, of which prices are kept
_HORIZONS = (*((ahead, BY_HOUR) for ahead in HOURS), *((ahead, BY_DAY) for ahead in SCORED_DAYS))

_Range = tuple[float, float]  # the highest and the lowest price
_Span = tuple[datetime, int]  # its start, and the place of its horizon


@dataclass(slots=True)
class LiveTouches:
    """The touches of one pair, of real or of simulated prices. Releases and outcomes come in the order of the ledger.

    In memory are sums, the highs and lows of a month, and the forecasts that wait for theirs.
    """

    # By the end of the span: the newest price, (7,) quantiles of the log price then minus its log, (10,) probabilities.
    pending: dict[datetime, dict[_Span, "array[float]"]] = field(default_factory=dict)
    _days: dict[date, _Range] = field(default_factory=dict)
    _hours: dict[date, list[_Range | None]] = field(default_factory=dict)  # (24,) of each day; None: without a candle
    _newest: date = date.min  # whose hours are on record
    _sums: dict[int, TouchSums] = field(default_factory=dict)  # by the place of the horizon

    def add(self, release: Release) -> None:
        """Add the probabilities of a release."""
        for end in [end for end in self.pending if end < release.made_at - KEPT]:
            del self.pending[end]
        start, price = release.anchor.at, release.anchor.price
        quantiles = (*release.hours, *(release.quantiles[ahead - 1] for ahead in SCORED_DAYS if release.quantiles))
        ends = (
            *(start + ahead * _HOUR for ahead in HOURS),
            *(_end(release.last + ahead * DAY) for ahead in SCORED_DAYS),
        )
        first = len(_HORIZONS) - len(release.touched)
        for place, (touched, row) in enumerate(zip(release.touched, quantiles, strict=False), start=first):
            if ends[place] > max(release.made_at, _end(self._newest)):
                moves = (math.log(quantile / price) for quantile in row)
                spans = self.pending.setdefault(ends[place], {})
                spans.setdefault((start, place), array("d", [price, *moves, *touched]))

    def add_day(self, outcome: Outcome) -> None:
        """Add the high and low of a day, and score the spans of whole days that end with it."""
        if outcome.high is not None and outcome.low is not None:
            self._days.setdefault(outcome.day, (outcome.high, outcome.low))
            self._score([_end(outcome.day)])
        self._days = {day: prices for day, prices in self._days.items() if day > outcome.day - _LONGEST}

    def add_hours(self, outcome: HourlyOutcome) -> None:
        """Add the highs and lows of the hours of a day, and score the spans that end up to its end."""
        self._hours.setdefault(outcome.day, list(map(_range, outcome.highs, outcome.lows)))
        self._hours = {day: prices for day, prices in self._hours.items() if day > outcome.day - _LONGEST}
        self._newest = max(self._newest, outcome.day)
        ends = sorted(end for end in self.pending if end <= _end(self._newest))
        self._score(ends)
        for end in ends:
            del self.pending[end]

    def awaited(self) -> set[date]:
        """Return the UTC days of spans that have no outcome, as far as the hours of a day are not known."""
        spans = [(start, end) for end, waiting in self.pending.items() for start, _ in waiting]
        days = {
            start.date() + number * DAY
            for start, end in spans
            for number in range(((end - _INSTANT).date() - start.date()).days + 1)
        }
        return days - self._hours.keys()

    def count_pending(self) -> int:
        """Return the number of forecasts without an outcome."""
        return sum(map(len, self.pending.values()))

    def scores(self) -> tuple[TouchScore, ...]:
        """Return the scores of hours and days ahead, each ascending; none of those without a forecast due."""
        return tuple(score_of(self._sums[place], *_HORIZONS[place]) for place in sorted(self._sums))

    def _score(self, ends: Iterable[datetime]) -> None:
        """Score the spans with these ends whose highest and lowest price are known."""
        rows: dict[int, list[list[float]]] = {}
        for end in ends:
            waiting = self.pending.get(end, {})
            for span in list(waiting):
                start, place = span
                ranges = list(self._ranges(start, end))
                if None not in ranges:
                    highs, lows = zip(*filter(None, ranges), strict=True)
                    rows.setdefault(place, []).append([max(highs), min(lows), *waiting.pop(span)])
        for place, table in rows.items():
            sums = _sums(np.array(table), _HORIZONS[place][1].moves)
            self._sums[place] = self._sums[place].plus(sums) if place in self._sums else sums

    def _ranges(self, start: datetime, end: datetime) -> Iterator[_Range | None]:
        """Yield the highs and lows of the days and hours between two full hours; None: not known."""
        while start < end:
            day = start.date()
            if start + DAY == _end(day) <= end and day in self._days:
                yield self._days[day]
                start += DAY
            else:
                hours = self._hours.get(day)
                yield hours[start.hour] if hours else None
                start += _HOUR


def _sums(table: FloatArray, moves: Sequence[float]) -> TouchSums:
    """Return the sums over spans: rows (n, 20) of the highest and the lowest price, and what `pending` has."""
    highest, lowest, price = table[:, :3].T[:, :, None]
    quantiles, touched = table[:, 3 : 3 + len(LEVELS)], table[:, 3 + len(LEVELS) :]
    asked = np.tile(moves, (len(table), 1))
    came = np.where(asked > 0, highest >= price * (1 + asked), lowest <= price * (1 + asked))
    rule = np.minimum(2 * by_reflection(quantiles, np.log1p(asked))[0], 1)
    return touch_sums(rule, touched, came)


def _end(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC) + DAY


def _range(high: float | None, low: float | None) -> _Range | None:
    return None if high is None or low is None else (high, low)
