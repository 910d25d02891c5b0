"""The distributions of the forecast against those of other models, out of sample, in the one harness for all.

Every cutoff from the 800th day on is a day's close; a distribution uses only the candles up to there. Scores are of log
price, in percent, and the means over the same cutoffs for all. Persistence has a Gaussian distribution with the
volatility of the past year.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import reduce
from statistics import fmean
from typing import NamedTuple

import numpy as np

from bench.figures import Figure
from bench.models import DAYS
from crypto_predict.baked.schema import HORIZON_DAYS
from crypto_predict.forecasting.evaluation import harness, metrics
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.replay import HORIZONS, replay
from crypto_predict.forecasting.models.garch import Garch
from crypto_predict.forecasting.models.gaussian import Gaussian
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History, read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.sources.catalog import open_sources
from crypto_predict.wording import counted, days_listed

LONGEST = 3650  # days of history that are read
FIRST = 799  # the first cutoff, an index: the 800th day
# Of GARCH's CRPS. The simulated market is in one regime for ever, which is what GARCH assumes and no real market is.
MOST, MOST_SIMULATED = 1.0, 1.02
# Of the CRPS and the Winkler score of a Gaussian distribution: a quarter ahead ours is as good, not better.
MOST_GAUSSIAN = {1: (1.0, 1.0), 7: (1.0, 1.0), 30: (1.0, 1.0), 90: (1.01, 1.02)}
PERSISTENCE = "persistence, Gaussian"


class Interval80(NamedTuple):
    """The scores of the 80 % interval and of the point, of one pair at one horizon."""

    winkler: float  # in percent of log price
    gaussian_winkler: float
    inside: float  # a share
    inside_weekends: float  # of the targets on Saturdays and Sundays
    relative_error: float  # of the point, to persistence


class Scores(NamedTuple):
    """The scores of one pair at one horizon."""

    interval: Interval80  # of the forecast
    crps: Mapping[str, float]  # mean by model, the forecast first, persistence last; in percent of log price


def measure(source: str, pairs: Sequence[Pair], until: date | None) -> Iterator[Figure]:
    """Score the distributions of all pairs, print the ratios of each, and yield the means over pairs."""
    scores_of, most = [], MOST
    for pair in pairs:
        history = read(source, pair, until)
        most = MOST_SIMULATED if history.simulated else most
        scores_of.append(scores(history))
        print(f"{pair}: {_words(scores_of[-1])}", file=sys.stderr)
    for column, horizon in enumerate(HORIZONS):
        at_horizon = [scores[column] for scores in scores_of]
        name = f"CRPS {counted(horizon, 'day')} ahead, {counted(len(pairs), 'pair')}"
        goals = dict.fromkeys((Gaussian.name, PERSISTENCE), MOST_GAUSSIAN[horizon][0]) | {Garch.name: most}
        ours, *peers = ((model, fmean(score.crps[model] for score in at_horizon)) for model in at_horizon[0].crps)
        for peer, crps in peers:
            yield Figure(name, ours[1], crps, peer, "%", goals.get(peer, 1))
        winkler, gaussian = (fmean(score.interval[place] for score in at_horizon) for place in (0, 1))
        most_winkler = MOST_GAUSSIAN[horizon][1]
        yield Figure(name.replace("CRPS", "Winkler score"), winkler, gaussian, PERSISTENCE, "%", most_winkler)


def _words(scores: Sequence[Scores]) -> str:
    """Return the ratios of one pair at each of `HORIZONS`."""
    lines = [f"CRPS relative to persistence's {days_listed(HORIZONS)} ahead"]
    ours, *peers = scores[0].crps
    for model in (ours, *peers):
        ratios = " ".join(f"{score.crps[model] / score.crps[PERSISTENCE]:.3f}" for score in scores)
        relative = " ".join(f"{score.crps[ours] / score.crps[model]:.3f}" for score in scores)
        lines.append(
            f"  {model}: {ratios}" + (f"; the forecast's relative to it: {relative}" if model in peers else "")
        )
    for horizon, (interval, _) in zip(HORIZONS, scores, strict=True):
        lines.append(
            f"  {counted(horizon, 'day')} ahead: Winkler score {interval.winkler / interval.gaussian_winkler:.3f} of "
            f"the Gaussian's, {interval.inside:.1%} inside, {interval.inside_weekends:.1%} on Saturdays and Sundays; "
            f"error {interval.relative_error:.3f} of persistence's"
        )
    return "\n".join(lines)


def read(source: str, pair: Pair, until: date | None) -> History:
    """Read the daily history of one pair."""
    sources = open_sources((source,), {}, 0, (pair,))
    history, _ = read_history(sources, pair, Interval.DAY_1, LONGEST, until, datetime.now(UTC))
    return history


def scores(history: History) -> list[Scores]:
    """Return the scores of one history at each of `HORIZONS`."""
    series = DailySeries.of(history)
    past = replay(series, HORIZONS, 1, DAYS)
    assert past is not None, "the history is long enough for a backtest"
    models = [
        harness.ours(past),
        *(harness.issue(model, history, HORIZONS, 1, math.inf) for model in (Garch(), Gaussian())),
        harness.prophet(past, np.full(HORIZON_DAYS, math.nan)),  # what follows the last day is not scored
    ]
    return [_scores(series, {model.name: model.forecasts(series, horizon) for model in models}) for horizon in HORIZONS]


def _scores(series: DailySeries, models: Mapping[str, Forecasts]) -> Scores:
    """Return the scores of the models, the forecast first, at their common targets of one horizon."""
    common = reduce(np.intersect1d, (forecasts.cutoffs for forecasts in models.values()))
    common = common[common >= FIRST]
    due = {name: forecasts.only(np.isin(forecasts.cutoffs, common)) for name, forecasts in models.items()}
    ours = next(iter(due.values()))
    losses, reference = ours.losses(), ours.reference_losses()
    weekends = np.isin((series.days[common] + ours.horizon) % 7, [6, 0])  # ordinals of Saturdays and Sundays
    inside = ours.inside()["coverage"]
    interval = Interval80(
        winkler=100 * float(losses["winkler"].mean()),
        gaussian_winkler=100 * float(reference["winkler"].mean()),
        inside=float(inside.mean()),
        inside_weekends=float(inside[weekends].mean()),
        relative_error=metrics.mae(ours.actual, ours.predicted) / metrics.mae(ours.actual, ours.persistence),
    )
    crps = {name: forecasts.losses()["crps"] for name, forecasts in due.items()} | {PERSISTENCE: reference["crps"]}
    return Scores(interval, {name: 100 * float(loss.mean()) for name, loss in crps.items()})
