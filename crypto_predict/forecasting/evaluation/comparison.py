"""The scores of every model beside persistence, and of every two models beside each other.

Two models are compared by their CRPS at the targets that both have forecast: the mean of one relative to that of the
other with its interval, and the test of Diebold and Mariano (both in `significance`), as hubs that collect
forecasts publish them (Cramer et al., "Evaluation of individual and ensemble probabilistic forecasts of COVID-19
mortality in the United States", PNAS 119, 2022).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from crypto_predict.baked.models import Estimate, ModelScore, PairwiseScore
from crypto_predict.baked.schema import LEAST_DIFFERENCE, SIGNIFICANCE, Confidence
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.scoring import disjoint
from crypto_predict.forecasting.series import spacing
from crypto_predict.forecasting.significance import confidence, diebold_mariano, resample
from crypto_predict.history.columns import BoolArray, FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS
from crypto_predict.wording import counted

Resamples = tuple[FloatArray, float]  # of `significance.resample`


def score_model(forecasts: Forecasts) -> ModelScore:
    """Return the scores of one horizon, of one forecast or more."""
    ours, reference, inside = forecasts.losses(), forecasts.reference_losses(), forecasts.inside()
    overlap = _overlap(forecasts.horizon, forecasts.cutoffs)
    resamples = resample(len(forecasts.cutoffs), overlap)
    pit = metrics.pit(forecasts.actual, forecasts.quantiles, np.array(LEVELS))
    relative_crps = _ratio(resamples, ours["crps"], reference["crps"])
    p_value = _p_value(resamples, ours["crps"], reference["crps"], overlap)
    uniform = metrics.uniformity(pit[disjoint(forecasts.cutoffs, forecasts.horizon)])
    return ModelScore(
        horizon_days=forecasts.horizon,
        forecasts=len(forecasts.cutoffs),
        relative_mae=_ratio(resamples, ours["mae"], reference["mae"]),
        relative_crps=relative_crps,
        winkler=_mean(resamples, ours["winkler"]),
        relative_winkler=_ratio(resamples, ours["winkler"], reference["winkler"]),
        coverage_50=_mean(resamples, inside["coverage_50"]),
        coverage_80=_mean(resamples, inside["coverage"]),
        coverage_90=_mean(resamples, inside["coverage_90"]),
        pit=tuple(map(rounded, metrics.pit_histogram(pit))),
        pit_p_value=None if uniform is None else rounded(uniform),
        p_value=None if p_value is None else rounded(p_value),
        words=_words("", "persistence", forecasts.horizon, relative_crps, p_value),
    )


def compare(models: Sequence[tuple[str, Forecasts]]) -> Iterator[PairwiseScore]:
    """Yield the comparison of every two of these models at one horizon; none of those without a common target."""
    crps = {name: forecasts.losses()["crps"] for name, forecasts in models}
    for (name, ours), (other, theirs) in combinations(models, 2):
        common, left, right = np.intersect1d(ours.cutoffs, theirs.cutoffs, return_indices=True)
        if len(common):
            overlap = _overlap(ours.horizon, common)
            losses, reference = crps[name][left], crps[other][right]
            resamples = resample(len(common), overlap)
            ratio, p_value = _ratio(resamples, losses, reference), _p_value(resamples, losses, reference, overlap)
            words = _words(name, other, ours.horizon, ratio, p_value)
            shown = None if p_value is None else rounded(p_value)
            yield PairwiseScore(name, other, ours.horizon, len(common), ratio, shown, words)


def _words(name: str, other: str, horizon: int, ratio: Estimate | None, p_value: float | None) -> str:
    """Return a comparison in words: "garch is better than gaussian at 1 day by 2.5 %, p < 0.01"."""
    at = f"at {counted(horizon, 'day')}"
    if ratio is None or p_value is None:
        return f"{name} cannot be compared with {other} {at}: too few forecasts".strip()
    p = f"p = {p_value:.2f}" if p_value >= 0.01 else "p < 0.01"
    if p_value >= SIGNIFICANCE:
        return f"nobody can say whether {name or 'it'} or {other} is better {at}, {p}"
    if abs(1 - ratio.value) < LEAST_DIFFERENCE:
        return f"{name} is as good as {other} {at}: they differ by less than 0.1 %".strip()
    better = "better" if ratio.value < 1 else "worse"
    return f"{name} is {better} than {other} {at} by {100 * abs(1 - ratio.value):.1f} %, {p}".strip()


def _overlap(horizon: int, cutoffs: IntArray) -> int:
    return max(1, math.ceil(horizon / spacing(cutoffs)))


def _p_value(resamples: Resamples | None, losses: FloatArray, reference: FloatArray, overlap: int) -> float | None:
    """Return the p-value of Diebold and Mariano; None with too few forecasts for an interval, as of a young record."""
    test = None if resamples is None else diebold_mariano(losses, reference, overlap)
    return None if test is None else test[1]


def _ratio(resamples: Resamples | None, losses: FloatArray, reference: FloatArray) -> Estimate | None:
    divisor = float(np.mean(reference))
    if not divisor > 0:
        return None
    return estimate(float(np.mean(losses)) / divisor, confidence(resamples, losses, reference))


def _mean(resamples: Resamples | None, values: FloatArray | BoolArray) -> Estimate:
    return estimate(float(np.mean(values)), confidence(resamples, values))


def estimate(value: float, ends: Confidence | None) -> Estimate:
    """Return a figure with its interval, rounded."""
    if ends is None:
        return Estimate(rounded(value), None, None)
    return Estimate(rounded(value), rounded(ends.low), rounded(ends.high))


def rounded(value: float) -> float:
    """Round a figure to six significant digits: more would suggest a precision that is not there."""
    return float(f"{value:.6g}")
