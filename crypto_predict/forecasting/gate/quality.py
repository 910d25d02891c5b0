"""What is wrong with a history: everything that a live market never does and a broken feed does.

A true crash is never among it. What tells a unit error, a bad tick, a splice or a shuffle from a crash is not the size
of the move but its way: a market that never closes passes every price in between, so that a day's range holds the close
of the day before, or nearly so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from crypto_predict.forecasting.arrays import BoolArray, FloatArray, rolling_median
from crypto_predict.history import Candles, History, place
from crypto_predict.market import Candle
from crypto_predict.settings import GateThresholds
from crypto_predict.wording import counted, lasted

_ENOUGH = 30  # days, for a share or a median to mean anything
_VOLUME_DAYS = 30  # before a day, over which its ordinary volume is taken
_LEAST_MEDIAN = 1e-4  # log price; what a day moves at least, where most of a history does not move
_LEAST_DETACHMENT = 0.001  # log price; below it, one tick of a stablecoin would count as a jump
_TORN, _TORN_DAYS = 0.01, 10  # log price and days: what counts as a small jump, and what as a burst of them
_MADE_UP = 0.25  # the share of torn days from which on ranges are no ranges, but made up from closes
_NO_OPENS = 3  # opens that are so many times closer to their own close than to the one before are made up from closes


def history_faults(history: History, thresholds: GateThresholds, limit: datetime, days: int) -> list[str]:
    """Why no model of this daily history must ship; nothing where one may.

    Args:
        history: As read, with the defects of its source.
        thresholds: Where the lines are drawn.
        limit: The instant (UTC) by which its newest candle could have closed.
        days: How many days of history were asked for.
    """
    found = [str(defect) for defect in history.defects]
    if not len(history.candles):
        return [*found, "no usable candle is left"]
    series = _Series.of(history)
    return [
        *found,
        *_age_faults(history, thresholds, limit),
        *_length_faults(history, thresholds, days),
        *_gap_faults(history, thresholds),
        *_flatness_faults(series, thresholds),
        *_line_faults(series, thresholds),
        *_copy_faults(series, thresholds),
        *_continuity_faults(series, thresholds),
        *_range_faults(series, thresholds),
    ]


def anchor_faults(hours: Sequence[Candle], last: Candle, thresholds: GateThresholds) -> list[str]:
    """Why the newest hourly close must not be what a forecast sets out from.

    An hour in another unit is not where the market was left an hour before, up or down. One whose last trade is a bad
    tick is, but closes where no market gets to within an hour, or not on so little volume.

    Args:
        hours: The closed hourly candles since the last daily close, ascending; hours without a trade may be missing.
        last: The last daily candle.
        thresholds: Where the lines are drawn.
    """
    found: list[str] = []
    before = last.close
    for hour in hours:
        if faults := hour.faults():
            return [*found, f"the hour of {hour.open_time:%Y-%m-%d %H:%M} is impossible: {'; '.join(faults)}"]
        found += _hour_faults(hour, before, last.volume / 24, thresholds)
        before = hour.close
    return found


def _hour_faults(hour: Candle, before: float, volume: float, thresholds: GateThresholds) -> list[str]:
    """Whether an hour goes on from the price `before` it; `volume` is what an ordinary hour has."""
    missed = math.log(max(1.0, hour.low / before, before / hour.high))
    name = f"jump: the hour of {hour.open_time:%Y-%m-%d %H:%M}"
    if missed > thresholds.widest_open:
        fault = (
            f"{name} goes from {hour.low:g} to {hour.high:g}, and the price before was {before:g}; "
            f"{_percent(thresholds.widest_open)} apart are allowed"
        )
        return [fault]
    spiked = hour.close / before >= thresholds.largest_factor
    sunk = before / hour.close >= thresholds.largest_factor and hour.volume < thresholds.wick_turnover * volume
    if spiked or sunk:
        fault = (
            f"{name} closes at {hour.close:g} on a volume of {hour.volume:g}, and the price before was {before:g}; a "
            f"factor of {thresholds.largest_factor:g} is a bad tick, but for a crash with the volume of one"
        )
        return [fault]
    return []


@dataclass(frozen=True)
class _Series:
    """The candles as arrays, prices in logarithms."""

    candles: Candles
    adjacent: BoolArray  # (n - 1,) whether a candle follows the one before without a gap
    open: FloatArray  # (n,)
    high: FloatArray  # (n,)
    low: FloatArray  # (n,)
    close: FloatArray  # (n,)
    volume: FloatArray  # (n,) not a logarithm

    @classmethod
    def of(cls, history: History) -> _Series:
        """The arrays of a daily history of at least one candle."""
        candles = history.candles
        adjacent = np.diff(candles.open_time) == history.interval.seconds
        open_, high, low = np.log(candles.open), np.log(candles.high), np.log(candles.low)
        return cls(candles, adjacent, open_, high, low, candles.log_close, candles.volume)

    def day(self, index: int) -> str:
        """Return the day of one candle, and its line if it comes from a file."""
        line = None if self.candles.line is None else int(self.candles.line[index])
        return place(self.candles[index].open_time, line)


def _age_faults(history: History, thresholds: GateThresholds, limit: datetime) -> list[str]:
    last = history.candles[-1].open_time
    age = (limit - last - history.interval.length) / timedelta(hours=1)
    if age < thresholds.stalest_hours:
        return []
    fault = (
        f"stale: the newest candle, of {last:%Y-%m-%d}, closed {lasted(age)} before {limit:%Y-%m-%d %H:%M}; less "
        f"than {lasted(thresholds.stalest_hours)} are allowed (--until {last:%Y-%m-%d} trains as of that day)"
    )
    return [fault]


def _length_faults(history: History, thresholds: GateThresholds, days: int) -> list[str]:
    first, last = history.candles[0].open_time, history.candles[-1].open_time
    span = (last + history.interval.length - first) / timedelta(days=1)
    least = min(thresholds.least_days, 0.9 * days)
    return [] if span >= least else [f"too short: {counted(round(span), 'day')}; at least {least:g} are needed"]


def _gap_faults(history: History, thresholds: GateThresholds) -> list[str]:
    if not history.gaps:
        return []
    found = []
    missing = sum(gap.missing for gap in history.gaps)
    expected = missing + len(history.candles)
    if missing > max(1, thresholds.most_missing * expected):
        found.append(
            f"gaps: {missing} of {expected} candles are missing; at most {thresholds.most_missing:.2%} are allowed"
        )
    longest = max(history.gaps, key=lambda gap: gap.missing)
    if longest.missing > thresholds.longest_gap:
        found.append(
            f"gap: {longest.missing} candles are missing in a row from {longest.start:%Y-%m-%d} on; "
            f"at most {thresholds.longest_gap} are allowed"
        )
    return found


def _flatness_faults(series: _Series, thresholds: GateThresholds) -> list[str]:
    same_close = np.diff(series.close) == 0
    same_prices = same_close & (np.diff(series.open) == 0) & (np.diff(series.high) == 0) & (np.diff(series.low) == 0)
    found = []
    for name, same, most in (
        ("flat: the same close", same_close, thresholds.most_equal_closes),
        ("frozen: the same open, high, low and close", same_prices, thresholds.most_frozen),
    ):
        length, end = _longest_run(same)
        if length + 1 > most:
            found.append(f"{name} on {length + 1} days in a row up to {series.day(end)}; at most {most} are allowed")
    share = float(same_close.mean()) if len(same_close) >= _ENOUGH else 0.0
    if share > thresholds.most_unchanged:
        found.append(
            f"flat: {share:.1%} of the days close where the day before did; "
            f"at most {thresholds.most_unchanged:.0%} are allowed to"
        )
    return found


def _line_faults(series: _Series, thresholds: GateThresholds) -> list[str]:
    """Where closes keep to a line: a feed that hangs and trembles, or a gap that was filled in."""
    if len(series.close) < _ENOUGH:
        return []
    moves = np.diff(series.close)  # (n - 1,)
    median = max(_LEAST_MEDIAN, float(np.median(np.abs(moves))))
    still = np.abs(moves) < thresholds.least_move * median
    # Days without a move are bounded already; counted as alike too, they would refuse coins of a coarse tick.
    alike = (_bends(moves) < thresholds.least_bend * median) & ~still[1:]
    found = []
    length, end = _longest_run(still)
    if length > thresholds.most_still:
        found.append(
            f"almost flat: {counted(length, 'day')} in a row up to {series.day(end)} move by less than "
            f"{thresholds.least_move * median:.2g} of the price; at most {thresholds.most_still} are allowed to"
        )
    length, end = _longest_run(alike)
    if length + 1 > thresholds.most_straight:
        found.append(
            f"straight: the moves of {counted(length + 1, 'day')} in a row up to {series.day(end + 1)} are alike, as "
            f"where a gap was filled in; at most {thresholds.most_straight} are allowed to be"
        )
    return found


def _bends(moves: FloatArray) -> FloatArray:
    """How far each of n moves in log price is from going on as the one before did, on a line or a curve of growth."""
    moves = np.clip(moves, -1.0, 1.0)  # the powers of larger ones overflow, and no gap is filled in that steeply
    in_logarithms = np.abs(np.diff(moves))
    in_prices = np.abs(np.expm1(moves[1:]) + np.expm1(-moves[:-1]))
    return np.asarray(np.minimum(in_logarithms, in_prices), dtype=np.float64)


def _longest_run(flags: BoolArray) -> tuple[int, int]:
    """The length of the longest run of True, and the index just behind its last one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(ends - starts))
    return int(ends[longest] - starts[longest]), int(ends[longest])


def _copy_faults(series: _Series, thresholds: GateThresholds) -> list[str]:
    if np.ptp(series.volume) == 0:  # made up; it cannot tell a copy from a price that came back
        return []
    first: dict[tuple[float, ...], int] = {}
    copies = []
    candles = series.candles
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    for index, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        if series.volume[index] > 0 and first.setdefault(values, index) != index:
            copies.append((index, first[values]))
    if len(copies) <= thresholds.most_copies:
        return []
    copy, original = copies[0]
    fault = (
        f"copied: {len(copies)} candles equal an earlier one in every price and in volume; the first: "
        f"{series.day(copy)} equals {series.day(original)}; at most {thresholds.most_copies} are allowed"
    )
    return [fault]


def _continuity_faults(series: _Series, thresholds: GateThresholds) -> list[str]:
    before, low, high, opened = series.close[:-1], series.low[1:], series.high[1:], series.open[1:]  # (n - 1,)
    missed = np.maximum(0.0, np.maximum(low - before, before - high))
    # Over a gap the market had days to move.
    allowed = np.where(series.adjacent, thresholds.widest_break, math.log(max(1.0, thresholds.largest_factor)))
    jumps = (missed > allowed) | (series.adjacent & (np.abs(opened - before) > thresholds.widest_open))
    return [
        *_jump_faults(series, jumps, thresholds),
        *_torn_faults(series, series.adjacent & (missed > _TORN), thresholds),
        *_detachment_faults(series, thresholds),
    ]


def _jump_faults(series: _Series, jumps: BoolArray, thresholds: GateThresholds) -> list[str]:
    if not jumps.any():
        return []
    index = int(np.flatnonzero(jumps)[0]) + 1
    before, after = series.candles[index - 1], series.candles[index]
    fault = (
        f"jump: on {counted(int(jumps.sum()), 'day')} the price is not where it was left, as after a change of unit, "
        f"a bad tick, a splice or a shuffle; the first: {series.day(index)} opens at {after.open:g} with a range of "
        f"{after.low:g} to {after.high:g}, the day before closed at {before.close:g}; a range may miss that by "
        f"{_percent(thresholds.widest_break)}, an open by {_percent(thresholds.widest_open)}"
    )
    return [fault]


def _torn_faults(series: _Series, torn: BoolArray, thresholds: GateThresholds) -> list[str]:
    """Where small jumps come in a burst: a week whose rows changed places need not move by much."""
    if len(torn) < _TORN_DAYS or torn.mean() > _MADE_UP:
        return []
    bursts = np.convolve(torn, np.ones(_TORN_DAYS), "valid")  # (n - 10,) torn days among ten
    if bursts.max() <= thresholds.most_torn:
        return []
    first = int(np.flatnonzero(bursts > thresholds.most_torn)[0])
    fault = (
        f"torn: on {int(bursts[first])} of the {_TORN_DAYS} days from {series.day(first + 1)} on the range misses the "
        f"close of the day before by more than {_percent(_TORN)}, as in a shuffle; at most {thresholds.most_torn} of "
        f"{_TORN_DAYS} are allowed to"
    )
    return [fault]


def _detachment_faults(series: _Series, thresholds: GateThresholds) -> list[str]:
    overnight = np.abs(series.open[1:] - series.close[:-1])[series.adjacent]
    bodies = np.abs(series.close - series.open)[1:][series.adjacent]
    if len(overnight) < _ENOUGH or np.median(overnight) > _NO_OPENS * np.median(bodies):
        return []
    for window, where in ((len(overnight), ""), (_ENOUGH, f" of {_ENOUGH} in a row")):
        detachments, ordinary = rolling_median(overnight, window), rolling_median(bodies, window)
        beyond = np.flatnonzero(detachments > np.maximum(_LEAST_DETACHMENT, thresholds.most_detached * ordinary))
        if len(beyond):
            first = int(beyond[0])
            day = series.day(int(np.flatnonzero(series.adjacent)[first]) + 1)
            fault = (
                f"detached: a day{where} opens {math.expm1(detachments[first]):.2%} away from the close of the day "
                f"before (median, from {day} on), and closes {math.expm1(ordinary[first]):.2%} away from its own open, "
                f"as where prices are reversed, shuffled or in the wrong columns; at most "
                f"{thresholds.most_detached:g} times that is allowed"
            )
            return [fault]
    return []


def _range_faults(series: _Series, thresholds: GateThresholds) -> list[str]:
    widest = math.log(max(1.0, thresholds.largest_factor))
    # Panic sells at any price; nobody buys at many times the price at which the day opens and closes.
    spiked = series.high - np.maximum(series.open, series.close) >= widest
    wide = np.flatnonzero(series.high - series.low >= widest)
    # The very first day of a market has nothing to compare its volume with, and auctions open at any price.
    beyond = [int(day) for day in wide if day > 0 and (spiked[day] or not _traded(series, int(day), thresholds))]
    if not beyond:
        return []
    candle = series.candles[beyond[0]]
    fault = (
        f"range: on {counted(len(beyond), 'day')} prices span a factor of {thresholds.largest_factor:g} or more "
        f"without the volume for it, as a bad tick does; the first: {series.day(beyond[0])} from {candle.low:g} to "
        f"{candle.high:g}"
    )
    return [fault]


def _traded(series: _Series, day: int, thresholds: GateThresholds) -> bool:
    """Whether so much more was traded than on the days before that prices can have gone anywhere."""
    ordinary = float(np.median(series.volume[max(0, day - _VOLUME_DAYS) : day]))
    return ordinary > 0 and float(series.volume[day]) >= thresholds.wick_turnover * ordinary


def _percent(distance: float) -> str:
    """A distance of log prices as a share."""
    return f"{math.expm1(distance):.0%}"
