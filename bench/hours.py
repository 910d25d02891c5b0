"""The forecasts of hours of real prices, out of sample, beside Gaussian bands; and how long they take to learn.

The prices are those of BTC and ETH in dollars on Bitfinex, of 2016 to 2018, of which the second half is forecast with
weekly fits on everything before. The files are not part of the repository.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from threadpoolctl import threadpool_limits

from bench.figures import Figure
from crypto_predict.baked.schema import HourScore
from crypto_predict.baked.touches import TouchScore
from crypto_predict.forecasting.distribution.hours import DAY, Hours, learn
from crypto_predict.forecasting.evaluation import hours
from crypto_predict.forecasting.evaluation.touches import BY_HOUR, touch_scores
from crypto_predict.history import Candles
from crypto_predict.market import Interval
from crypto_predict.sources.csv_file import MOST_LINES, read_csv
from crypto_predict.training.hours import learned_touches

FILES = {base: Path("../shared/data", f"bitfinex_{base}-USD_1h_2016-2018.csv.gz") for base in ("BTC", "ETH")}
WINKLER = {1: (0.88, 0.955), 6: (0.925, 0.955), 24: (0.97, 0.935)}  # by hours ahead, at most: of 30 days, of 24 hours
COVERAGE, MOST_OFF, MOST_OFF_VOLATILITY, MOST_OFF_HOURS = 80.0, 2.0, 5.0, 4.0  # percent, and points
MOST_OFF_TOUCHES, MOST_OFF_TENTH, LEAST_QUESTIONS = 1.0, 4.0, 1_000  # points, overall and in tenths with more questions
YEAR = 365 * DAY  # hours, of which a training learns by default
MOST_SECONDS = 2.0  # of CPU


def measure() -> Iterator[Figure]:
    """Measure both files, or say which one is missing."""
    if missing := [str(path) for path in FILES.values() if not path.exists()]:
        print(f"the hours are not measured, {' and '.join(missing)} is not here", file=sys.stderr)
        return
    candles = {base: _read(path, base) for base, path in FILES.items()}
    with threadpool_limits(1):  # as in a training
        scores, touches = zip(*map(_scores, candles.values()), strict=True)
        began = time.process_time()
        _scores(candles["BTC"][-YEAR:])
        seconds = time.process_time() - began
    for index, ahead in enumerate(hours.HORIZONS):
        yield from _figures([each[index] for each in scores], ahead)
    for of_horizon in zip(*touches, strict=True):
        yield from _touch_figures(of_horizon)
    yield Figure(f"hours of a pair, learned and scored, {YEAR:,}", seconds, MOST_SECONDS, "limit", "s of CPU", 1)


def _scores(candles: Candles) -> tuple[list[HourScore], tuple[TouchScore, ...]]:
    past = Hours.of(candles)
    _, issued = learn(past, hours.HORIZONS)
    scores = [hours.score(past, forecasts) for forecasts in hours.due(past, issued, hours.HORIZONS)]
    return scores, touch_scores(list(learned_touches(past, issued)), BY_HOUR)


def _touch_figures(scores: Sequence[TouchScore]) -> Iterator[Figure]:
    """Yield the figures of touches over one horizon: means over the pairs, and the worst tenth of any."""
    what = f"touched in {scores[0].horizon_hours} h:"
    brier, rule = (fmean(getattr(score, name) for score in scores) for name in ("brier", "brier_reflection"))
    yield Figure(f"{what} Brier score, mean", brier, rule, "twice a close", "", 1)
    off = max(abs(100 * (score.said - score.came)) for score in scores)
    yield Figure(f"{what} said minus came, worst", off, MOST_OFF_TOUCHES, "at most", "points", 1)
    tenths = [tenth for score in scores for tenth in score.tenths if tenth.questions > LEAST_QUESTIONS]
    off = max(abs(100 * (tenth.said - tenth.came)) for tenth in tenths)
    yield Figure(f"{what} the same in a tenth", off, MOST_OFF_TENTH, "at most", "points", 1)


def _figures(scores: Sequence[HourScore], ahead: int) -> Iterator[Figure]:
    """Yield the figures of one horizon: means over the pairs, or the worst pair where each has to reach the goal."""
    what = f"{ahead} h ahead:"
    if ahead in WINKLER:
        month, day = WINKLER[ahead]
        winkler = fmean(score.relative_winkler or 0.0 for score in scores)
        yield Figure(f"{what} Winkler score, mean", winkler, 1, "Gaussian of 30 days", "", month)
        winkler = fmean(score.relative_winkler_day or 0.0 for score in scores)
        yield Figure(f"{what} Winkler score, mean", winkler, 1, "Gaussian of 24 hours", "", day)
    for name, most, shares in (
        ("coverage", MOST_OFF, [score.coverage for score in scores]),
        ("by quarter of volatility", MOST_OFF_VOLATILITY, [part for score in scores for part in score.by_volatility]),
        ("by six hours of the day", MOST_OFF_HOURS, [part for score in scores for part in score.by_hours]),
    ):
        worst = max(abs(100 * share - COVERAGE) for share in shares if share is not None)
        yield Figure(f"{what} {name}, worst, off 80 % by", worst, most, "at most", "points", 1)


def _read(path: Path, base: str) -> Candles:
    return Candles.of((candle for candle, _ in read_csv(path, MOST_LINES, base)), Interval.HOUR_1)
