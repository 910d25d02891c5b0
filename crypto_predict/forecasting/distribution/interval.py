"""The multiplier that turns a predicted standard deviation into the half-width of a central interval."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from crypto_predict.baked.schema import COVERAGE

GAUSSIAN = NormalDist().inv_cdf((1 + COVERAGE) / 2)  # half-width of the interval in standard deviations


def conformal_multiplier(
    past: Sequence[float], inside: float, independent: float, prior: float, weight: float
) -> float:
    """Return the conformal quantile of `past` scores, in standard deviations and ascending: `inside` is its share.

    Lei et al., "Distribution-Free Predictive Inference for Regression", Journal of the American Statistical Association
    113, 2018. While few of the scores are `independent` (do not overlap), it is shrunk towards `prior`, the multiplier
    without any score, which weighs as much as `weight` of these.
    """
    if not past:
        return prior
    rank = min(math.ceil((len(past) + 1) * inside), len(past))
    return (independent * past[rank - 1] + weight * prior) / (independent + weight)
