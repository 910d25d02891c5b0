"""The release gate on scores: refuses an interval out of calibration, or a model worse than the one it replaces.

Being no better than persistence is published, and is never a reason. `quality` judges the histories.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from operator import attrgetter, itemgetter

import numpy as np
from scipy import special

from crypto_predict.baked.models import ModelScore
from crypto_predict.baked.schema import COVERAGE, LEAST_DIFFERENCE, SIGNIFICANCE, Gate, Loss
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.scoring import disjoint
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.forecasting.significance import diebold_mariano
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import Pair
from crypto_predict.wording import counted


def calibration_faults(due: Iterable[Forecasts], thresholds: GateThresholds) -> list[str]:
    """Return where too few or too many outcomes lie inside the 80 % interval; `due` are the forecasts by horizon.

    A horizon is refused if its coverage lies outside the thresholds and a calibrated interval would miss by as much
    with a probability below `bad_luck`, given the number of non-overlapping forecasts. From some 200 of these on the
    thresholds alone decide; of 113, fewer than 67 % must be inside to be refused, and of 20 (90 days ahead, over five
    years) no more than 40 %. With fewer than 35, no interval is refused as too wide: all inside is not unlikely then.
    """
    faults = []
    for forecasts in due:
        count, inside = len(forecasts.cutoffs), forecasts.inside()["coverage"]
        if not count:
            continue
        coverage, independent = float(inside.mean()), len(disjoint(forecasts.cutoffs, forecasts.horizon))
        allowed = thresholds.least_coverage <= coverage <= thresholds.most_coverage
        if not allowed and _luck(coverage, independent) < thresholds.bad_luck / 2:  # either side has its half
            faults.append(
                f"calibration: {coverage:.1%} of the outcomes {counted(forecasts.horizon, 'day')} ahead lie "
                f"inside the {COVERAGE:.0%} interval, out of {count} forecasts ({independent} without "
                f"overlap); {thresholds.least_coverage:.0%} to {thresholds.most_coverage:.0%} are allowed"
            )
    return faults


def serving_faults(scores: Iterable[ModelScore]) -> Iterator[str]:
    """Yield where a model is significantly worse than persistence, which may then not answer by default.

    Its CRPS is judged by the test of Diebold and Mariano, and its absolute error by the confidence interval.
    """
    for score in scores:
        crps, error = score.relative_crps, score.relative_mae
        is_clear = score.p_value is not None and score.p_value < SIGNIFICANCE
        if crps is not None and is_clear and crps.value >= 1 + LEAST_DIFFERENCE:
            yield score.words
        if error is not None and error.low is not None and error.low > 1 and error.value >= 1 + LEAST_DIFFERENCE:
            ahead = counted(score.horizon_days, "day")
            yield f"is worse than persistence: its error {ahead} ahead is {error.value:.3f} times as large"


def champion_faults(losses: Iterable[Loss], champion: Iterable[Loss], thresholds: GateThresholds) -> list[str]:
    """Return where a model with these `losses` is significantly worse than the `champion` it would replace.

    At every horizon the absolute errors and the Winkler scores of both, at their common cutoffs, go into a one-sided
    Diebold-Mariano test. Its level is divided by the number of tests (Bonferroni), so that all tests together refuse an
    equally good model with a probability of at most `worse_p`. Only forecasts whose spans do not overlap enter a test,
    counted back from the newest: at 90 days and a hundred weekly cutoffs the test on all of them, with their
    autocovariances, errs eight times too often. A horizon with too few common cutoffs is not judged.
    """
    duels = [duel for duel in _duels(losses, champion) if len(duel[2]) >= thresholds.least_common]
    faults = []
    for horizon, kind, ours, theirs, overlap in duels:
        apart = slice(None, None, -overlap)  # no two spans overlap
        test = diebold_mariano(ours[apart], theirs[apart], overlap=1)
        if test is None:
            continue
        statistic, two_sided = test
        # The probability that an equally good model has so much larger losses.
        p_value = two_sided / 2 if statistic > 0 else 1 - two_sided / 2
        level, mean, before = thresholds.worse_p / len(duels), float(ours.mean()), float(theirs.mean())
        if mean > before * (1 + thresholds.worse_by) and p_value < level:
            above = f"{mean / before - 1:.1%} above" if before > 0 else "above"
            faults.append(
                f"worse: {counted(horizon, 'day')} ahead the mean {kind} over {len(ours)} common "
                f"cutoffs is {mean:.4g}, {above} the {before:.4g} of the model it would replace "
                f"(Diebold-Mariano, one-sided p = {p_value:.2g}, below {level:.2g})"
            )
    return faults


def _duels(losses: Iterable[Loss], champion: Iterable[Loss]) -> Iterator[tuple[int, str, FloatArray, FloatArray, int]]:
    """Yield every comparison that the two models' losses allow.

    It has the horizon in days, the kind of loss, the losses of both models (n,) in the order of their common cutoffs,
    and how many consecutive cutoffs have overlapping spans.
    """
    ours, theirs = ({(loss.horizon_days, loss.cutoff): loss for loss in side} for side in (losses, champion))
    for horizon, group in groupby(sorted(ours.keys() & theirs.keys()), key=itemgetter(0)):
        common = list(group)
        step = min(((after - before).days for (_, before), (_, after) in pairwise(common)), default=horizon)
        for kind, loss in (("absolute log error", attrgetter("error")), ("Winkler score", attrgetter("winkler"))):
            values, others = (np.array([loss(side[key]) for key in common]) for side in (ours, theirs))
            yield horizon, kind, values, others, math.ceil(horizon / step)


def verdict(reasons: Mapping[Pair, Sequence[str]], thresholds: GateThresholds, *, enforced: bool) -> Gate:
    """Return the gate's verdict on all pairs, for the model card; each reason names its pair."""
    together = tuple(f"{pair}: {reason}" for pair, faults in reasons.items() for reason in faults)
    return Gate(passed=not together, enforced=enforced, reasons=together, thresholds=thresholds.as_numbers())


def _luck(coverage: float, forecasts: int) -> float:
    """Return the binomial probability that a calibrated interval is at least as far off on this side of 80 %."""
    if coverage < COVERAGE:
        return float(special.bdtr(math.ceil(coverage * forecasts - 1e-9), forecasts, COVERAGE))
    return float(special.bdtrc(math.floor(coverage * forecasts + 1e-9) - 1, forecasts, COVERAGE))
