"""The release gate on histories: patterns that broken feeds produce and live markets do not.

Real crashes are never reported. A crash differs from a unit error, a bad tick, a splice or a shuffle not by the size of
the move but by its path: a market that never closes passes every price in between, so that a day's range contains the
close of the day before, or nearly so. Closes alone have no path: of their moves only the size is judged.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from crypto_predict.baked.schema import CrossCheck
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.forecasting.series import rolling_median
from crypto_predict.history import Candles, History, place
from crypto_predict.history.columns import BoolArray, FloatArray
from crypto_predict.market import Candle
from crypto_predict.wording import counted, lasted

_ENOUGH = 30  # days, for a share or a median to mean anything
_VOLUME_DAYS = 30  # before a day, whose median is its ordinary volume
_LEAST_MEDIAN = 1e-4  # log price; least ordinary move of a day, where most of a history does not move
_LEAST_DETACHMENT = 0.001  # log price; below it, one tick of a stablecoin would count as a jump
_TORN, _TORN_DAYS = 0.01, 10  # log price and days: a small jump, and the window in which several are a burst
_MADE_UP = 0.25  # share of torn days from which the ranges count as made up from closes
_NO_OPENS = 3  # opens this many times closer to their own close than to the previous one are made up from closes


def history_faults(history: History, thresholds: GateThresholds, limit: datetime, days: int) -> list[str]:
    """Return why no model of this daily history may be released, the defects of its source first; empty if one may.

    The newest candle could have closed by `limit` (UTC), and `days` of history were requested.
    """
    faults = [*history.defects.values()]
    if not len(history.candles):
        return [*faults, "no usable candle is left"]
    faults += [*_span_faults(history, thresholds, limit, days), *_gap_faults(history, thresholds)]
    return [*faults, *(fault for check in _CHECKS for fault in check(history.candles, thresholds))]


def anchor_faults(hours: Sequence[Candle], last: Candle, thresholds: GateThresholds) -> list[str]:
    """Return why a forecast may not start at the newest hourly close.

    A price in another unit misses the price of the hour before. A bad tick may not, but closes a factor away within an
    hour, upwards or on little volume. `hours` are the closed hourly candles since the `last` daily one, ascending;
    hours without a trade may be missing.
    """
    jumps: list[str] = []
    before, factor = last.close, thresholds.largest_factor
    for hour in hours:
        name = f"the hour of {hour.open_time:%Y-%m-%d %H:%M}"
        if faults := hour.faults():
            return [*jumps, f"{name} is impossible: {'; '.join(faults)}"]
        missed = math.log(max(1.0, hour.low / before, before / hour.high))
        spiked = hour.close / before >= factor
        little = hour.volume < thresholds.wick_turnover * last.volume / 24
        if missed > thresholds.widest_open:
            jumps.append(
                f"jump: {name} goes from {hour.low:g} to {hour.high:g}, and the price before was {before:g}; "
                f"{_percent(thresholds.widest_open)} apart are allowed"
            )
        elif spiked or (before / hour.close >= factor and little):
            jumps.append(
                f"jump: {name} closes at {hour.close:g} on a volume of {hour.volume:g}, and the price before was "
                f"{before:g}; a factor of {factor:g} is a bad tick, except for a crash on high volume"
            )
        before = hour.close
    return jumps


def cross_check_faults(history: History, check: CrossCheck | None, thresholds: GateThresholds) -> list[str]:
    """Return that the last close of a history is too far from the one at another exchange, if it is."""
    if check is None or abs(check.difference) <= thresholds.most_apart:
        return []
    ours, theirs = f"{history.candles[-1].close:g}", f"{check.close:g} ({check.traded}) at {check.source}"
    distance = f"{abs(check.difference):.1%} apart; at most {thresholds.most_apart:.1%} are allowed"
    return [f"cross-check: the close of {check.day} is {ours}, and {theirs}, {distance}"]


def _day(candles: Candles, index: int) -> str:
    """Return the date of a candle, and its line if it comes from a file."""
    line = None if candles.line is None else int(candles.line[index])
    return place(candles[index].open_time, line)


def _closes_alone(candles: Candles) -> bool:
    """Return whether the close is the only price of every candle, as in a file of closes."""
    return bool((candles.high == candles.low).all())


def _adjacent(candles: Candles) -> BoolArray:
    """Return (n - 1,) whether a candle follows the one before without a gap."""
    return np.asarray(np.diff(candles.open_time) == candles.interval.seconds)


def _span_faults(history: History, thresholds: GateThresholds, limit: datetime, days: int) -> Iterator[str]:
    first, last = history.candles[0].open_time, history.candles[-1].open_time
    closed = last + history.interval.length
    age = (limit - closed) / timedelta(hours=1)
    if age >= thresholds.stalest_hours:
        yield (
            f"stale: the newest candle, of {last:%Y-%m-%d}, closed {lasted(age)} before {limit:%Y-%m-%d %H:%M}; less "
            f"than {lasted(thresholds.stalest_hours)} are allowed (--until {last:%Y-%m-%d} trains as of that day)"
        )
    span, least = (closed - first) / timedelta(days=1), min(thresholds.least_days, 0.9 * days)
    if span < least:
        yield f"too short: {counted(round(span), 'day')}; at least {least:g} are needed"


def _gap_faults(history: History, thresholds: GateThresholds) -> Iterator[str]:
    missing = sum(gap.missing for gap in history.gaps)
    expected = missing + len(history.candles)
    if missing > max(1, thresholds.most_missing * expected):
        yield f"gaps: {missing} of {expected} candles are missing; at most {thresholds.most_missing:.2%} are allowed"
    longest = max(history.gaps, key=lambda gap: gap.missing, default=None)
    if longest is not None and longest.missing > thresholds.longest_gap:
        yield (
            f"gap: {longest.missing} candles are missing in a row from {longest.start:%Y-%m-%d} on; "
            f"at most {thresholds.longest_gap} are allowed"
        )


def _flatness_faults(candles: Candles, thresholds: GateThresholds) -> Iterator[str]:
    same_close = np.diff(candles.log_close) == 0
    others = [np.diff(np.log(prices)) == 0 for prices in (candles.open, candles.high, candles.low)]
    same_prices = np.all([same_close, *others], axis=0)
    for name, same, most in (
        ("flat: the same close", same_close, thresholds.most_equal_closes),
        ("frozen: the same open, high, low and close", same_prices, thresholds.most_frozen),
    ):
        length, end = _longest_run(same)
        if length + 1 > most and not (same is same_prices and _closes_alone(candles)):
            yield f"{name} on {length + 1} days in a row up to {_day(candles, end)}; at most {most} are allowed"
    if len(same_close) >= _ENOUGH and (share := same_close.mean()) > thresholds.most_unchanged:
        yield (
            f"flat: {share:.1%} of the days close at the price of the day before; "
            f"at most {thresholds.most_unchanged:.0%} are allowed to"
        )


def _line_faults(candles: Candles, thresholds: GateThresholds) -> Iterator[str]:
    """Find closes on a line: a feed that hangs and trembles, or a gap that was filled in."""
    if len(candles.log_close) < _ENOUGH:
        return
    moves = np.diff(candles.log_close)  # (n - 1,)
    median = max(_LEAST_MEDIAN, float(np.median(np.abs(moves))))
    still = np.abs(moves) < thresholds.least_move * median
    length, end = _longest_run(still)
    if length > thresholds.most_still:
        yield (
            f"almost flat: {counted(length, 'day')} in a row up to {_day(candles, end)} move by less than "
            f"{thresholds.least_move * median:.2g} of the price; at most {thresholds.most_still} are allowed to"
        )
    # Days without a move are limited above; counted as alike too, they would refuse coins with a coarse tick.
    alike = (_bends(moves) < thresholds.least_bend * median) & ~still[1:]
    length, end = _longest_run(alike)
    if length + 1 > thresholds.most_straight:
        yield (
            f"straight: the moves of {counted(length + 1, 'day')} in a row up to {_day(candles, end + 1)} are alike, "
            f"as where a gap was filled in; at most {thresholds.most_straight} are allowed to be"
        )


def _bends(moves: FloatArray) -> FloatArray:
    """Return how far each of n moves in log price is from repeating the previous one, on a line or an exponential."""
    moves = np.clip(moves, -1.0, 1.0)  # the powers of larger ones overflow, and no gap is filled in that steeply
    in_logarithms = np.abs(np.diff(moves))
    in_prices = np.abs(np.expm1(moves[1:]) + np.expm1(-moves[:-1]))
    return np.asarray(np.minimum(in_logarithms, in_prices))


def _longest_run(flags: BoolArray) -> tuple[int, int]:
    """Return the length of the longest run of True, and the index just behind its last one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(ends - starts))
    return int(ends[longest] - starts[longest]), int(ends[longest])


def _copy_faults(candles: Candles, thresholds: GateThresholds) -> Iterator[str]:
    if np.ptp(candles.volume) == 0:  # a made-up volume cannot distinguish a copy from a price that came back
        return
    values = np.column_stack([candles.open, candles.high, candles.low, candles.close, candles.volume])
    _, first, group = np.unique(values, axis=0, return_index=True, return_inverse=True)
    original = first[group.reshape(-1)]  # (n,) the first candle with the same values
    copies = np.flatnonzero((original != np.arange(len(original))) & (candles.volume > 0))
    if len(copies) > thresholds.most_copies:
        yield (
            f"copied: {len(copies)} candles equal an earlier one in every price and in volume; the first: "
            f"{_day(candles, copies[0])} equals {_day(candles, original[copies[0]])}; "
            f"at most {thresholds.most_copies} are allowed"
        )


def _missed(candles: Candles) -> FloatArray:
    """Return (n - 1,) by how much the range of each day misses the close of the day before."""
    before = candles.log_close[:-1]
    lows, highs = np.log(candles.low)[1:], np.log(candles.high)[1:]
    return np.asarray(np.maximum(0.0, np.maximum(lows - before, before - highs)))


def _jump_faults(candles: Candles, thresholds: GateThresholds) -> Iterator[str]:
    # Over a gap the market had days to move. Between two closes without a range it passed prices that are not known.
    continuous = _adjacent(candles) & (not _closes_alone(candles))
    allowed = np.where(continuous, thresholds.widest_break, math.log(max(1.0, thresholds.largest_factor)))
    detached = continuous & (np.abs(np.log(candles.open)[1:] - candles.log_close[:-1]) > thresholds.widest_open)
    jumps = np.flatnonzero((_missed(candles) > allowed) | detached) + 1
    if len(jumps):
        before, after = candles[jumps[0] - 1], candles[jumps[0]]
        yield (
            f"jump: on {counted(len(jumps), 'day')} the price does not continue the day before (unit, bad tick, "
            f"splice, shuffle?); the first: {_day(candles, jumps[0])} opens at {after.open:g} with a range of "
            f"{after.low:g} to {after.high:g}, the day before closed at {before.close:g}; a range may miss that by "
            f"{_percent(thresholds.widest_break)}, an open by {_percent(thresholds.widest_open)}"
        )


def _torn_faults(candles: Candles, thresholds: GateThresholds) -> Iterator[str]:
    """Find bursts of small jumps: a week whose rows changed places need not move by much."""
    torn = _adjacent(candles) & (_missed(candles) > _TORN)
    if len(torn) < _TORN_DAYS or torn.mean() > _MADE_UP or _closes_alone(candles):
        return
    bursts = np.convolve(torn, np.ones(_TORN_DAYS, dtype=np.int64), "valid")  # (n - 10,) torn days among ten
    if bursts.max() > thresholds.most_torn:
        first = int(np.argmax(bursts > thresholds.most_torn))
        yield (
            f"torn: on {bursts[first]} of {_TORN_DAYS} days from {_day(candles, first + 1)} on the range misses the "
            f"close of the day before by more than {_percent(_TORN)} (shuffle?); at most {thresholds.most_torn} are "
            "allowed"
        )


def _detachment_faults(candles: Candles, thresholds: GateThresholds) -> Iterator[str]:
    opens, adjacent = np.log(candles.open)[1:], _adjacent(candles)
    overnight, bodies = (np.abs(opens - closes)[adjacent] for closes in (candles.log_close[:-1], candles.log_close[1:]))
    if len(overnight) < _ENOUGH or np.median(overnight) > _NO_OPENS * np.median(bodies):
        return
    for window, where in ((len(overnight), ""), (_ENOUGH, f" of {_ENOUGH} in a row")):
        detachments, ordinary = rolling_median(overnight, window), rolling_median(bodies, window)
        beyond = np.flatnonzero(detachments > np.maximum(_LEAST_DETACHMENT, thresholds.most_detached * ordinary))
        if len(beyond):
            first = beyond[0]
            day = _day(candles, np.flatnonzero(adjacent)[first] + 1)
            yield (
                f"detached: a day{where} opens {math.expm1(detachments[first]):.2%} away from the close of the day "
                f"before (median, from {day} on), and closes {math.expm1(ordinary[first]):.2%} away from its own open "
                f"(reversed, shuffled or in the wrong columns?); at most {thresholds.most_detached:g} times that is "
                "allowed"
            )
            return


def _range_faults(candles: Candles, thresholds: GateThresholds) -> Iterator[str]:
    widest = math.log(max(1.0, thresholds.largest_factor))
    # Panic sells at any price; buyers do not pay many times the price at which the day opens and closes.
    highs, lows = np.log(candles.high), np.log(candles.low)
    spiked = highs - np.log(np.maximum(candles.open, candles.close)) >= widest
    wide = np.flatnonzero(highs[1:] - lows[1:] >= widest) + 1  # a market opens at any price on its first day
    beyond = [day for day in wide.tolist() if spiked[day] or not _traded(candles, day, thresholds)]
    if beyond:
        candle = candles[beyond[0]]
        yield (
            f"range: on {counted(len(beyond), 'day')} prices span a factor of {thresholds.largest_factor:g} or more "
            f"without the volume for it (bad tick?); the first: {_day(candles, beyond[0])} from {candle.low:g} to "
            f"{candle.high:g}"
        )


def _traded(candles: Candles, day: int, thresholds: GateThresholds) -> bool:
    """Return whether the volume was so much larger than on the days before that any price may have been traded."""
    ordinary = float(np.median(candles.volume[max(0, day - _VOLUME_DAYS) : day]))
    return ordinary > 0 and float(candles.volume[day]) >= thresholds.wick_turnover * ordinary


def _percent(distance: float) -> str:
    """Format a distance of log prices as a share."""
    return f"{math.expm1(distance):.0%}"


_CHECKS = (_flatness_faults, _line_faults, _copy_faults, _jump_faults, _torn_faults, _detachment_faults, _range_faults)
