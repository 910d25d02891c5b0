"""What is known of a market at the close of a minute, as numbers from which the next minutes are forecast.

Features exist in two forms that give the same numbers: `Minutes` has them at every minute of a history, `MinuteState`
at the newest minute, and one candle updates it. Both are functions of the candles up to that minute. Prices are natural
logarithms, times are in minutes since 1970, UTC, of openings.

A minute without a candle is quiet: the exchange had no trade to report, so the price stayed and the volume was zero.
More than `LONGEST_QUIET` of them are a gap: what the market did there is not known. No time passes in a gap, its move
does not count, and no forecast is made before `AFTER_GAP` minutes have followed it.

Most features are exponentially weighted means with several half-lives ("Technical Document", RiskMetrics, 4th edition,
1996, section 5.2), so that the fit finds how fast a market forgets. Corsi, "A Simple Approximate Long-Memory Model of
Realized Volatility", Journal of Financial Econometrics 7, 2009, is the model of this kind with three spans:

* volatility: Parkinson's variance of each candle's range, and absolute returns
* surprise: the mean square root of volume, or of the number of trades, over some minutes, relative to that of two days
* trend: the mean return in standard deviations. After a long one-sided move the next moves are larger
* distance to VWAP, the volume-weighted average price of the session: the UTC day (`market.candle`)
* taker imbalance, ``(bought - sold) / volume`` by takers: order flow imbalance, in the sense of Chordia, Roll and
  Subrahmanyam, "Order imbalance, liquidity, and market returns", Journal of Financial Economics 65, 2002
* calendar of the minutes that are forecast: time of day, whole hours and quarters of hours, weekday

Where a source has no number of trades or no taker volumes, their features are 0, which is what a usual minute has.
"""

import math
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import numpy as np

from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.distribution.scale import parkinson
from crypto_predict.history.columns import BoolArray, Candles, FloatArray, IntArray
from crypto_predict.market import EPOCH, Candle, Interval
from crypto_predict.market.candle import Session
from crypto_predict.wording import counted

LONGEST_QUIET = 60  # minutes without a candle that may follow each other without being a gap
AFTER_GAP = 30  # minutes from a gap to the next forecast: the shortest memories contain nothing from before it then
LEAST_HISTORY = 1_440  # minutes before the first forecast: each hour of the day was seen
MOST_MOVE = 0.05  # that one minute counts for: otherwise means would remember one error of a feed for weeks
JUMP = math.log(4 / 3)  # the least move in one minute that no forecast follows: an error of the feed, or a new price
AFTER_JUMP = 15  # minutes from a jump to the next forecast
FROZEN = 1e-12  # probability of so many minutes without a move, below which a price is frozen
LEAST_FROZEN = 15  # minutes
MOST_STILL = 0.99  # share of minutes without a move: a price that moves less often is frozen after two days

_PARKINSON = 4 * math.log(2)
_MOST_VARIANCE = MOST_MOVE**2 / _PARKINSON

MINUTE = Interval.MINUTE_1
DAY, WEEK = 1_440, 10_080  # minutes

_VARIANCE, _SIZE, _RETURN, _VOLUME, _TRADES, _TAKER, _STILL = range(7)  # what is averaged
_HALF_LIVES = {  # minutes
    _VARIANCE: (2, 5, 15, 45, 120, 360, DAY, WEEK),
    _SIZE: (5, 60, 720),
    _RETURN: (5, 20, 60, 240),
    _VOLUME: (2, 10, 60, 2 * DAY),  # the last one is what is usual
    _TRADES: (2, 10, 60, 2 * DAY),
    _TAKER: (5, 60),
    _STILL: (WEEK,),
}
_INPUT = np.array([kind for kind, half_lives in _HALF_LIVES.items() for _ in half_lives])  # (k,)
_DECAY = 0.5 ** (1 / np.array([half_life for half_lives in _HALF_LIVES.values() for half_life in half_lives]))  # (k,)
_COLUMNS = {kind: np.flatnonzero(kind == _INPUT) for kind in _HALF_LIVES}
_DAY_VARIANCE = _COLUMNS[_VARIANCE][6]  # the unit of trends
# The deviation of a weighted mean of independent returns, in deviations of a return: sqrt(sum w^2) / sum w.
_TREND_DEVIATION = np.sqrt((1 - _DECAY) / (1 + _DECAY))[_COLUMNS[_RETURN]]
_LEAST_WEIGHT = 1e-9  # below which values are too long ago to mean something
_NEGLIGIBLE = 1e-30  # a share that is lost in rounding, also beside the least weight

_SESSION_UNIT = math.sqrt(60)  # minutes: the distance to VWAP is in deviations of an hour
_MOST_TREND, _MOST_SIGNED = 10.0, 5.0  # deviations: more is an outlier, of sizes and of a regression on directions
_RATIO_FLOOR = 0.05  # of volumes: an hour without volume is a twentieth of a usual one
FLOOR = 0.05  # of volatility, in mean absolute returns of the fit: below it, a price does not move at all

VOLATILITIES = len(_HALF_LIVES[_VARIANCE]) + len(_HALF_LIVES[_SIZE])
SIZES = VOLATILITIES + 3 + 3 + len(_HALF_LIVES[_RETURN]) + 1 + len(_HALF_LIVES[_TAKER])  # features of `sizes`
SIGNS = len(_HALF_LIVES[_RETURN]) + 1 + len(_HALF_LIVES[_TAKER])  # features of `signs`
_HARMONICS = np.arange(1, 5)  # of a day
_MARKS = np.array([(60, 0), (60, 15), (60, 30), (60, 45), (5, 0)])  # minutes that begin something: cycle, remainder
WEEKDAYS = 7
CALENDAR = 2 * len(_HARMONICS) + len(_MARKS) + WEEKDAYS  # features of `calendar`; the last ones are the weekdays


def sizes(known: FloatArray, usual: float) -> FloatArray:
    """Return (n, `SIZES`) what the size of the next move depends on. `usual` is the usual size of a minute's return.

    `known` is that of `Minutes`. The first `VOLATILITIES` are logarithms of volatility.
    """
    floor = FLOOR * usual
    return np.concatenate(
        [
            np.log(known[:, _COLUMNS[_VARIANCE]] + floor**2) / 2,
            np.log(known[:, _COLUMNS[_SIZE]] + floor),
            _surprise(known[:, _COLUMNS[_VOLUME]]),
            _surprise(known[:, _COLUMNS[_TRADES]]),
            np.log1p(np.minimum(np.abs(_trends(known, floor)), _MOST_TREND)),
            np.abs(np.nan_to_num(known[:, _COLUMNS[_TAKER]])),
        ],
        axis=1,
    )


def signs(known: FloatArray, usual: float) -> FloatArray:
    """Return (n, `SIGNS`) what the direction of the next move may depend on, about 0; arguments as of `sizes`."""
    trends = np.clip(_trends(known, FLOOR * usual), -_MOST_SIGNED, _MOST_SIGNED)
    return np.concatenate([trends, np.nan_to_num(known[:, _COLUMNS[_TAKER]])], axis=1)


def calendar(minute: IntArray, horizon: IntArray) -> FloatArray:
    """Return (n, `CALENDAR`) the calendar of the `horizon` (n,) minutes that follow each `minute` (n,).

    Sines and cosines of the time of day in their middle, the shares of them that begin an hour, a quarter of an hour or
    five minutes, and the weekday of the last one.
    """
    angles = (minute + 1 + horizon / 2)[:, None] * (2 * np.pi / DAY * _HARMONICS)
    cycle, remainder = _MARKS.T
    # How many of the minutes after `minute` up to `minute + horizon` have the remainder.
    counts = ((minute + horizon)[:, None] - remainder) // cycle - (minute[:, None] - remainder) // cycle
    weekday = ((minute + horizon) // DAY + 3) % WEEKDAYS  # 1970-01-01 was a Thursday; 0 is Monday
    is_weekday = (weekday[:, None] == np.arange(WEEKDAYS)) - 1 / WEEKDAYS
    return np.concatenate([np.sin(angles), np.cos(angles), counts / horizon[:, None], is_weekday], axis=1)


def _surprise(means: FloatArray) -> FloatArray:
    """Return the logarithms of means relative to the last one, the usual; 0 where there is none."""
    usual = means[:, -1:]
    has_usual = usual > 0
    ratio = np.divide(np.nan_to_num(means[:, :-1]), usual, out=np.ones_like(means[:, :-1]), where=has_usual)
    return np.asarray(np.log((ratio + _RATIO_FLOOR) / (1 + _RATIO_FLOOR)))


def _trends(known: FloatArray, floor: float) -> FloatArray:
    """Return mean returns and the distance to VWAP, in standard deviations as of the last day."""
    deviation = np.sqrt(known[:, _DAY_VARIANCE, None] + floor**2)
    trends = known[:, _COLUMNS[_RETURN]] / (deviation * _TREND_DEVIATION)
    return np.concatenate([trends, known[:, -1:] / (deviation * _SESSION_UNIT)], axis=1)


@dataclass(frozen=True, eq=False)
class Minutes:
    """The minutes of a history in time order, quiet ones included, those in gaps left out."""

    minute: IntArray  # (n,)
    traded: BoolArray  # (n,) whether there is a candle
    segment: IntArray  # (n,) the number of gaps before
    log_close: FloatArray  # (n,)
    returns: FloatArray  # (n,) since the minute before; after a gap, since the opening of the candle
    can_speak: BoolArray  # (n,) whether there is a candle and a forecast can be made at its close
    # (n, k + 1) exponentially weighted means, NaN where all values are missing; the last column is log close minus log
    # VWAP of the session, 0 before the first volume
    known: FloatArray

    @classmethod
    def of(cls, candles: Candles) -> "Minutes":
        """Return the minutes of candles of one minute, ascending, each once; raise `UnusableHistory` without any."""
        if not len(candles):
            raise UnusableHistory("the minutes", ["0 candles, of which nothing can be learned"])
        minute = candles.open_time // MINUTE.seconds
        steps = np.diff(minute, append=minute[-1] + 1)
        filled = np.where(steps - 1 <= LONGEST_QUIET, steps, 1)  # minutes that each candle stands for
        candle = np.repeat(np.arange(len(minute)), filled)  # of each minute, or the one before
        traded = np.diff(candle, prepend=-1) > 0
        first = np.cumsum(filled) - filled
        minutes = minute[candle] + np.arange(len(candle)) - first[candle]
        segment = np.cumsum(np.diff(minutes, prepend=minutes[0] - 1) > 1)
        log_close = np.log(candles.close)[candle]
        opens, highs, lows = (
            np.where(traded, np.log(column)[candle], log_close) for column in (candles.open, candles.high, candles.low)
        )
        begins = np.diff(segment, prepend=-1) > 0
        previous = np.where(begins, opens, np.concatenate([log_close[:1], log_close[:-1]]))
        returns = log_close - previous
        bounded = np.clip(returns, -MOST_MOVE, MOST_MOVE)
        # The share of the volume that takers bought minus the share that they sold is this minus 1.
        imbalances, trades = np.full(len(candles), np.nan), np.full(len(candle), np.nan)
        if candles.taker_volume is not None:
            np.divide(2 * candles.taker_volume, candles.volume, out=imbalances, where=candles.volume > 0)
        if candles.trades is not None:
            trades = np.where(traded, candles.trades[candle], 0 * candles.trades[candle])  # 0 in a quiet minute, or NaN
        inputs = np.column_stack(
            [
                np.minimum(parkinson(highs, lows, previous), _MOST_VARIANCE),
                np.abs(bounded),
                bounded,
                np.sqrt(np.where(traded, candles.volume[candle], 0.0)),
                np.sqrt(trades),
                np.where(traded, imbalances[candle] - 1, np.nan),
                returns == 0,
            ]
        )
        means = _means(inputs)
        distance = log_close - _session_vwap(candles)[candle]
        distance[np.isnan(distance)] = 0.0
        can_speak = (
            traded
            & (np.arange(1, len(minutes) + 1) >= LEAST_HISTORY)
            & ((segment == 0) | (_since(begins) + 1 >= AFTER_GAP))
            & (_since(np.abs(returns) >= JUMP, before=AFTER_JUMP) >= AFTER_JUMP)
            & ~_is_frozen(_since(returns != 0, before=1), means[:, _COLUMNS[_STILL][0]])
        )
        return cls(minutes, traded, segment, log_close, returns, can_speak, np.column_stack([means, distance]))

    def __len__(self) -> int:
        return len(self.minute)

    def __getitem__(self, rows: slice) -> "Minutes":
        return Minutes(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def moves(self, horizon: int) -> FloatArray:
        """Return (n,) the change of log price over the next `horizon` minutes.

        NaN where its end is not known, where it spans a gap, and where either end has no candle.
        """
        moves = np.full(len(self), np.nan)
        if horizon < len(self):
            both = self.traded[:-horizon] & self.traded[horizon:] & (self.segment[:-horizon] == self.segment[horizon:])
            moves[:-horizon][both] = (self.log_close[horizon:] - self.log_close[:-horizon])[both]
        return moves


class MinuteState:
    """What is known at the close of the newest minute of one pair. `Minutes` defines every number."""

    def __init__(self) -> None:
        """Start without a candle."""
        self.minute = 0  # the opening of the newest candle, in minutes since 1970
        self.price = math.nan  # the newest close
        self._first = 0  # the opening of the first candle
        self._sums, self._weights = np.zeros(len(_INPUT)), np.zeros(len(_INPUT))
        self._session = Session()
        self._vwap: float | None = None
        self._has_trades = False  # whether the newest candle had a number of trades
        self._log_close = math.nan
        self._moves = np.zeros(DAY)  # of log price between closes, by the minute modulo a day
        self._minutes = self._since_gap = self._still = 0
        self._gap = 0  # minutes that are missing in the newest gap
        self._jump, self._since_jump = 0.0, AFTER_JUMP

    @property
    def cutoff(self) -> datetime:
        """The close of the newest candle, in UTC. Add one first."""
        return EPOCH + timedelta(minutes=self.minute + 1)

    def add(self, candle: Candle) -> None:
        """Take in a sound candle of one minute, later than those before.

        Raises:
            ValueError: It is not later.
        """
        seconds = (candle.open_time - EPOCH) // timedelta(seconds=1)
        minute, previous, log_close = seconds // MINUTE.seconds, math.log(candle.open), math.log(candle.close)
        missing = minute - self.minute - 1
        if not self._minutes:
            self._first = minute
        elif missing < 0:
            raise ValueError(f"a candle of {candle.open_time} after that of {self.cutoff - MINUTE.length}")
        else:
            for silent in range(max(self.minute + 1, minute - DAY), minute):
                self._moves[silent % DAY] = 0.0
            self._moves[minute % DAY] = log_close - self._log_close
            if missing > LONGEST_QUIET:
                self._gap, self._since_gap = missing, 0
            else:
                for _ in range(missing):
                    self._take(0.0, 0.0, 0.0, 0.0 if self._has_trades else math.nan, math.nan)
                previous = self._log_close
        self.minute, self.price, self._log_close = minute, candle.close, log_close
        self._has_trades = candle.trades is not None
        extent = max(math.log(candle.high), previous) - min(math.log(candle.low), previous)
        imbalance = math.nan
        if candle.taker_base_volume is not None and candle.volume > 0:
            imbalance = 2 * candle.taker_base_volume / candle.volume - 1
        trades = math.nan if candle.trades is None else candle.trades
        self._take(self._log_close - previous, extent, candle.volume, trades, imbalance)
        self._vwap = self._session.add(seconds, candle)

    def fault(self) -> str | None:
        """Return why no forecast can be made at the close of the newest candle; None if one can."""
        if self._minutes < LEAST_HISTORY:
            return f"{counted(self._minutes, 'minute')} of history, {LEAST_HISTORY:,} are needed"
        if self._gap and self._since_gap < AFTER_GAP:
            return f"{counted(self._since_gap, 'minute')} since a gap of {self._gap:,} minutes, {AFTER_GAP} are needed"
        if self._since_jump < AFTER_JUMP:
            ago = counted(self._since_jump, "minute")
            return f"the price jumped by {math.expm1(self._jump):+.0%} {ago} ago, {AFTER_JUMP} minutes are waited for"
        share = self._means()[_COLUMNS[_STILL]]
        if _is_frozen(np.array([self._still]), share)[0]:
            still = counted(self._still, "minute")
            return f"the price has not moved for {still}, and usually does not move in {share[0]:.0%} of all minutes"
        return None

    def volatility(self) -> float:
        """Return the standard deviation of the moves of a minute over the last day; 0 before there are two moves.

        Over missing minutes the price did not move, and moved all at once after them.
        """
        moves = min(self.minute - self._first, DAY)
        if moves < 2:
            return 0.0
        return float(self._moves[np.arange(self.minute - moves + 1, self.minute + 1) % DAY].std(ddof=1))

    def known(self) -> FloatArray:
        """Return what is known at the newest close, (1, k + 1)."""
        distance = 0.0 if not self._vwap else self._log_close - math.log(self._vwap)
        return np.append(self._means(), distance)[None, :]

    def _take(self, move: float, extent: float, volume: float, trades: float, imbalance: float) -> None:
        """Take in one minute."""
        variance = min(extent**2 / _PARKINSON, _MOST_VARIANCE)
        bounded = min(max(move, -MOST_MOVE), MOST_MOVE)
        kinds = np.array([variance, abs(bounded), bounded, math.sqrt(volume), math.sqrt(trades), imbalance, move == 0])
        values = kinds[_INPUT]
        missing = np.isnan(values)
        self._sums = _DECAY * self._sums + np.where(missing, 0.0, values)
        self._weights = _DECAY * self._weights + ~missing
        self._minutes += 1
        self._since_gap += 1
        self._still = 0 if move else self._still + 1
        self._since_jump += 1
        if abs(move) >= JUMP:
            self._jump, self._since_jump = move, 0

    def _means(self) -> FloatArray:
        return _ratio(self._sums, self._weights)


def _since(events: BoolArray, before: int = 0) -> IntArray:
    """Return (n,) the minutes since the latest event, 0 at one; one lies `before` minutes before the first."""
    minutes = np.arange(len(events))
    return np.asarray(minutes - np.maximum.accumulate(np.where(events, minutes, -before)))


def _is_frozen(still: IntArray, share: FloatArray) -> BoolArray:
    """Return whether a price has not moved for longer than it ever would, if its usual `share` of minutes is still."""
    share = np.clip(share, np.finfo(np.float64).tiny, MOST_STILL)
    return np.asarray((still >= LEAST_FROZEN) & (still * np.log(share) < math.log(FROZEN)))


def _ratio(sums: FloatArray, weights: FloatArray) -> FloatArray:
    """Return weighted means; NaN where there is not enough weight."""
    return np.asarray(np.divide(sums, weights, out=np.full(sums.shape, np.nan), where=weights > _LEAST_WEIGHT))


def _means(inputs: FloatArray) -> FloatArray:
    """Return (n, k) the exponentially weighted means of the inputs (n, 7) up to each minute, missing ones left out."""
    means = np.empty((len(inputs), len(_INPUT)))
    for column, (kind, decay) in enumerate(zip(_INPUT, _DECAY, strict=True)):
        values = inputs[:, kind]
        missing = np.isnan(values)
        weights = decayed_sums(np.where(missing, 0.0, 1.0), decay)
        means[:, column] = _ratio(decayed_sums(np.where(missing, 0.0, values), decay), weights)
    return means


def decayed_sums(values: FloatArray, decay: float) -> FloatArray:
    """Return (n,) for each value the sum of it and all before, each times `decay` to the power of its age.

    The sum over 2 s values is that over the newest s, plus that over the s before times ``decay ** s``.
    """
    sums, span = values.copy(), 1
    while span < len(sums) and decay**span > _NEGLIGIBLE:
        sums[span:] += decay**span * sums[:-span]
        span *= 2
    return sums


def _session_vwap(candles: Candles) -> FloatArray:
    """Return the log VWAP of the session up to each candle; NaN before the first volume."""
    high, low, close, volume = (
        column.tolist() for column in (candles.high, candles.low, candles.close, candles.volume)
    )
    rows = zip(close, close, high, low, close, volume, strict=True)  # the opening does not count
    vwaps = map(Session().add, candles.open_time.tolist(), rows)
    return np.log([math.nan if vwap is None or vwap <= 0 else vwap for vwap in vwaps])
