"""How often prices came about that were given a probability: ``python -m bench.probabilities``.

Every forecast of the backtest is asked how probable a price is above the last one plus or minus 2 to 30 %. Answers of
similar probability are grouped. If they are calibrated, the share of a group that came about is its mean probability.
The forecasts overlap, and so do the questions: neighbours come about together.

Then every forecast is asked for the round prices near it, as the live record does, and scored beside persistence.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from bench.histories import backtests, parser_of
from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.schema import LiveProbabilities
from crypto_predict.forecasting import live_probabilities
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.forecasting.live_days import SUMS, LiveDays
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.market.forecast import LEVELS
from crypto_predict.wording import counted

MOVES = (-0.3, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.3)  # of the last price
EDGES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)  # between groups of probabilities


class Asked(NamedTuple):
    """A probability, and whether the price came about."""

    probability: float
    happened: bool


def asked(found: Forecasts) -> Iterator[Asked]:
    """Yield the probability of each of `MOVES` at every cutoff of one horizon."""
    rows = zip(found.quantiles.tolist(), found.persistence.tolist(), found.actual.tolist(), strict=True)
    for quantiles, last, actual in rows:
        distribution = Distribution(LEVELS, tuple(quantiles))
        for move in MOVES:
            limit = last + math.log1p(move)
            yield Asked(distribution.above(math.exp(limit)), actual > limit)


def grouped(answers: Sequence[Asked]) -> Iterator[tuple[float, float, int]]:
    """Yield mean probability, share that came about and number of each group, by ascending probability."""
    groups = defaultdict(list)
    for answer in answers:
        groups[bisect_right(EDGES, answer.probability)].append(answer)
    for _, group in sorted(groups.items()):
        yield fmean(one.probability for one in group), fmean(one.happened for one in group), len(group)


def at_round_prices(found: Sequence[tuple[DailySeries, Forecasts]]) -> LiveProbabilities:
    """Return the scores of one horizon, of all pairs, at round prices."""
    days, totals = LiveDays(found[0][1].horizon), defaultdict[str, float](float)
    for series, one in found:
        losses = live_probabilities.losses(one.actual, one.persistence, one.deviation, one.quantiles)
        for name, values in losses.items():
            totals[name] += float(values.sum())
        by_day = np.column_stack([losses.get(name, np.zeros(len(one.actual))) for name in SUMS])
        days.add([series.day(cutoff + one.horizon) for cutoff in one.cutoffs], by_day)
    scores = live_probabilities.scores(totals, *days.relative_brier())
    assert scores is not None, "every forecast has a width"
    return scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask the backtests of all pairs, and print a table for each horizon."""
    options = parser_of("probabilities", __doc__).parse_args(arguments)
    answers: dict[int, list[Asked]] = {horizon: [] for horizon in HORIZONS}
    forecasts: dict[int, list[tuple[DailySeries, Forecasts]]] = {horizon: [] for horizon in HORIZONS}
    for series, past in backtests(options):
        for horizon in HORIZONS:
            found = past.forecasts(horizon)
            forecasts[horizon].append((series, found))
            answers[horizon] += asked(found)
    for horizon in HORIZONS:
        print(f"\n{counted(horizon, 'day')} ahead: probability, share that came about, questions")
        for probability, share, count in grouped(answers[horizon]):
            print(f"{100 * probability:6.1f} % {100 * share:6.1f} % {count:9,}")
    print("\nround prices: days ahead, questions, different days; uncertainty; ours and persistence's; relative")
    for horizon in HORIZONS:
        scores = at_round_prices(forecasts[horizon])
        print(horizon, f"{scores.questions:,} {scores.days:,}", scores.uncertainty, scores.ours, scores.persistence)
        print("  ", scores.relative_brier)


if __name__ == "__main__":
    main()
