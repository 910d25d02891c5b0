"""The losses of the released forecasts of days beside those of persistence, and the scores that they add up to."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

import numpy as np

from crypto_predict.baked.ledger import Release
from crypto_predict.baked.schema import COVERAGE, LiveDistribution
from crypto_predict.forecasting import live_probabilities
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.live_days import LiveDays
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS

_LEAST_PRICE = np.finfo(np.float64).tiny  # for the low end of an interval, which may be 0


class Due(NamedTuple):
    """A published forecast and its outcome."""

    release: Release
    horizon: int  # days
    target: date
    actual: float


def losses(due: Sequence[Due]) -> dict[str, FloatArray]:
    """Return the losses (n,) of forecasts by name, in log price; those of quantiles are 0 without quantiles.

    Quantiles are compared with a Gaussian around persistence, which widens from the anchor to the target.
    """
    rows, quantile_rows, variances, levels = [], [], [], np.array(LEVELS)
    for release, horizon, target, close in due:
        ends = (values[horizon - 1] for values in (release.prediction, release.low, release.high))
        rows.append((close, release.anchor.price, *ends))
        quantile_rows.append(release.quantiles[horizon - 1] if release.quantiles else (1.0,) * len(LEVELS))
        elapsed = datetime.combine(target, time.min, UTC) + DAY - release.anchor.at
        variances.append((release.volatility or 0.0) ** 2 * (elapsed / DAY))
    prices, quantiles, sigma = np.array(rows), np.log(quantile_rows), np.sqrt(variances)
    actual, persistence, prediction, low, high = np.log(np.maximum(prices, _LEAST_PRICE)).T
    by_level, reach = dict(zip(LEVELS, quantiles.T, strict=True)), GAUSSIAN * sigma
    winkler = interval_score(actual, low, high, COVERAGE)
    tenths = np.minimum(metrics.pit(actual, quantiles, levels) * metrics.PIT_BINS, metrics.PIT_BINS - 1).astype(int)
    of_quantiles = {
        "distributions": np.ones(len(due)),
        "crps": metrics.crps_quantiles(actual, quantiles, levels),
        "reference_crps": metrics.crps_gaussian(actual, persistence, sigma),
        "reference_winkler": interval_score(actual, persistence - reach, persistence + reach, COVERAGE),
        "inside_50": (by_level[0.25] <= actual) & (actual <= by_level[0.75]),
        "inside_90": (by_level[0.05] <= actual) & (actual <= by_level[0.95]),
        **{f"tenth_{tenth}": tenths == tenth for tenth in range(metrics.PIT_BINS)},
        "distribution_winkler": winkler,
        **live_probabilities.losses(actual, persistence, sigma, quantiles),
    }
    has_quantiles = np.array([bool(release.quantiles) for release, *_ in due])
    return {
        "due": np.ones(len(due)),
        "error": np.abs(actual - prediction),
        "reference": np.abs(actual - persistence),
        "inside": (prices[:, 3] <= prices[:, 0]) & (prices[:, 0] <= prices[:, 4]),
        "winkler": winkler,
        **{name: np.where(has_quantiles, values, 0.0) for name, values in of_quantiles.items()},
    }


def scores(sums: Mapping[str, float], days: LiveDays) -> dict[str, Any]:
    """Return the fields that `LiveScore` and `LiveRecord` share, from sums of `losses`, over all days and of each."""
    distribution, probabilities, relative = None, None, _ratio(sums, "error", "reference")
    if due := sums["distributions"]:
        probabilities = live_probabilities.scores(sums, *days.relative_brier())
        distribution = LiveDistribution(
            due=round(due),
            crps=sums["crps"] / due,
            coverage_50=sums["inside_50"] / due,
            coverage_90=sums["inside_90"] / due,
            relative_crps=_ratio(sums, "crps", "reference_crps"),
            relative_winkler=_ratio(sums, "distribution_winkler", "reference_winkler"),
            pit=tuple(sums[f"tenth_{tenth}"] / due for tenth in range(metrics.PIT_BINS)),
        )
    return {
        "due": round(sums["due"]),
        "days": len(days),
        "mae": _ratio(sums, "error", "due"),
        "relative_mae": relative,
        "skill": None if relative is None else 1 - relative,
        "coverage": _ratio(sums, "inside", "due"),
        "coverage_confidence": days.coverage_confidence() if sums["due"] else None,
        "winkler": _ratio(sums, "winkler", "due"),
        "distribution": distribution,
        "probabilities": probabilities,
    }


def _ratio(sums: Mapping[str, float], name: str, of: str) -> float | None:
    """Return the ratio of two sums; None if the second is 0."""
    return sums[name] / sums[of] if sums[of] > 0 else None
