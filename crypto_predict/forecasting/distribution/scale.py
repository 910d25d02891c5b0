"""The scale of the next move of log price: its expected size, log-linear in features that are known before it.

The size of a move y is taken as exp(x b) for the features x. The coefficients b minimise::

    sum(|y| exp(-x b) + x b)  +  sum(strength (b - prior)^2) / 2

The first sum is the negative log-likelihood of a Laplace distribution whose mean absolute deviation is exp(x b)
(Koenker and Machado, "Goodness of fit and related inference processes for quantile regression", Journal of the American
Statistical Association 94, 1999). As a quasi-likelihood it is right on average for moves of any distribution whose
expected size is exp(x b), and a move of twice the size counts twice, not four times as with squares. The second sum
pulls coefficients towards a prior, as in a ridge regression. The whole is convex: there is one minimum, from any start.
"""

import math

import numpy as np

from crypto_predict.history.columns import FloatArray

_MOST_STEPS = 500  # of Newton's method; a handful is usual
_MOST_RATIO = 1e6  # of a move to its scale, which no fit comes near: without it, a bad start is singular in 64 bits
_TOLERANCE = 1e-6  # of the log scale, at every observation


def fit_scale(
    features: FloatArray, moves: FloatArray, prior: FloatArray, strength: FloatArray, start: FloatArray | None = None
) -> FloatArray:
    """Return the coefficients (k,) of the log scale, given `features` (n, k) and the `moves` (n,) that followed.

    Only the sizes of the moves count. Give a size of zero a floor: a market that never moved has no scale. `prior`
    (k,) is the answer without any move. `strength` (k,), positive, is the number of moves that the prior counts for
    where a feature is 1; multiply it by the horizon if that many moves overlap. `start` (k,) is where Newton's method
    begins, for speed: the coefficients of an earlier fit.
    """
    sizes, coefficients = np.abs(moves), (prior if start is None else start).astype(np.float64)
    for _ in range(_MOST_STEPS):
        ratios = np.minimum(sizes * np.exp(-(features @ coefficients)), _MOST_RATIO)
        gradient = features.T @ (1 - ratios) + strength * (coefficients - prior)
        curvature = (features.T * ratios) @ features
        curvature[np.diag_indices_from(curvature)] += strength
        step = np.linalg.solve(curvature, gradient)
        change = float(np.abs(features @ step).max(initial=0.0))
        if change < _TOLERANCE:
            break
        # A step takes the exponential for a parabola, so long ones are damped (Sun and Tran-Dinh, "Generalized
        # self-concordant functions", Mathematical Programming 178, 2019: convergence from any start).
        coefficients -= step * math.log1p(change) / change
    return coefficients
