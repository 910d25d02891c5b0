"""The minute forecasts of real prices, out of sample, beside a Gaussian band; and how long they take.

The prices are those of BTC and ETH in dollars on Bitfinex, of the first quarter of 2019, of which the second half is
forecast with daily fits on everything before. The files are not part of the repository.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from threadpoolctl import threadpool_limits

from bench.figures import Figure
from crypto_predict.forecasting.minutes.backtest import MinuteBacktest, score, walk_forward
from crypto_predict.forecasting.minutes.features import Minutes, MinuteState
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.history import Candles
from crypto_predict.market import Interval
from crypto_predict.sources.csv_file import MOST_LINES, read_csv

FILES = {base: Path("../shared/data", f"bitfinex_{base}-USD_1m_2019Q1.csv.gz") for base in ("BTC", "ETH")}
WINKLER = {1: 0.82, 5: 0.88, 15: 0.90}  # by minutes ahead, at most
COVERAGE, MOST_OFF, MOST_OFF_PARTS = 80.0, 2.0, 6.0  # percent, and points
PAIRS, WARM = 200, 2_880  # pairs that a collector follows, and minutes that they have seen
MOST_SECONDS, MOST_FIT_SECONDS = 1.0, 3.0  # of CPU


def measure() -> Iterator[Figure]:
    """Measure both files, or say which one is missing."""
    if missing := [str(path) for path in FILES.values() if not path.exists()]:
        print(f"the minute forecasts are not measured, {' and '.join(missing)} is not here", file=sys.stderr)
        return
    candles = {base: _read(path, base) for base, path in FILES.items()}
    scores = [list(map(score, walk_forward(Minutes.of(one)))) for one in candles.values()]
    for index, (ahead, goal) in enumerate(WINKLER.items()):
        yield from _figures([one[index] for one in scores], ahead, goal)
    yield from _speed(candles["BTC"])


def _figures(scores: Sequence[MinuteBacktest], ahead: int, goal: float) -> Iterator[Figure]:
    """Yield the figures of one horizon: means over the pairs, or the worst pair where each has to reach the goal."""
    what, gaussian = f"{ahead} min ahead:", "Gaussian of the last day"
    yield Figure(
        f"{what} Winkler score, mean", fmean(one.relative_winkler or 0.0 for one in scores), 1, gaussian, "", goal
    )
    yield Figure(f"{what} CRPS, mean", fmean(one.relative_crps or 0.0 for one in scores), 1, gaussian, "", 1)
    yield Figure(f"{what} error, worst", max(one.relative_mae or 0.0 for one in scores), 1, "persistence", "", 1)
    coverage = max(_off(one.coverage) for one in scores)
    yield Figure(f"{what} coverage, worst, off 80 % by", coverage, MOST_OFF, "at most", "points", 1)
    parts = [part for one in scores for part in (*one.by_volatility, *one.by_hours) if part is not None]
    worst = max(map(_off, parts))
    yield Figure(f"{what} in a quarter, worst, off 80 % by", worst, MOST_OFF_PARTS, "at most", "points", 1)


def _off(coverage: float) -> float:
    return abs(100 * coverage - COVERAGE)


def _speed(candles: Candles) -> Iterator[Figure]:
    """Yield the CPU seconds of a closed minute of all pairs, and of a daily fit of one pair."""
    with threadpool_limits(1):
        began = time.process_time()
        coefficients = Coefficients.fit(Minutes.of(candles))
        fit = time.process_time() - began
    states = [MinuteState() for _ in range(PAIRS)]
    *before, last = candles[: WARM + 1]
    for state in states:
        for candle in before:
            state.add(candle)
    coefficients.forecast(states[0])  # what is computed once
    began = time.process_time()
    for state in states:
        state.add(last)
        coefficients.forecast(state)
    yield Figure(
        f"minute forecasts of {PAIRS} pairs", time.process_time() - began, MOST_SECONDS, "limit", "s of CPU", 1
    )
    yield Figure(f"fit of {len(candles):,} minutes", fit, MOST_FIT_SECONDS, "limit", "s of CPU", 1)


def _read(path: Path, base: str) -> Candles:
    return Candles.of((candle for candle, _ in read_csv(path, MOST_LINES, base)), Interval.MINUTE_1)
