"""Probabilities that released forecasts gave to a close above a round price, and how good they were.

People ask for round prices: will it close above 100,000? So each forecast with quantiles is asked for those that lie in
its range of 98 %, and gives the same answer as ``/probability`` of its release. The score is Brier's ("Verification of
forecasts expressed in terms of probability", Monthly Weather Review 78, 1950), beside that of persistence with a
Gaussian distribution of the past year's volatility at the same prices.

Its parts are those of Murphy ("A new vector partition of the probability score", Journal of Applied Meteorology 12,
1973): reliability, resolution and uncertainty, by tenths of the probability that was said. The resolution is the
generalised one of Stephenson, Coelho and Jolliffe ("Two extra components in the Brier score decomposition", Weather and
Forecasting 23, 2008), which has what varies within a tenth, so the score is exactly the sum of its parts.
"""

from collections.abc import Mapping

import numpy as np
from scipy import special

from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import BrierScore, LiveProbabilities, SaidAndCame
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.comparison import rounded
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market.forecast import LEVELS

TAIL = 0.01  # on either side of the range of 98 % in which a price is near
MOST_PRICES = 9  # round ones that each forecast is asked for; mostly five or more
TENTHS = 10  # of the probability that was said

_MOST_LOG_PRICE = 709.0  # np.exp overflows above it
_STEPS = np.array([1.0, 2.0, 5.0, 10.0])
_OURS, _PERSISTENCE = "", "persistence_"  # before the names of their losses


def round_prices(low: FloatArray, high: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the round prices within each range from `low` (n,) to `high` (n,), above 0: rows (m,) and prices (m,).

    They are the multiples of the least step of 1, 2 or 5 times a power of ten of which at most `MOST_PRICES` lie within
    the range, its ends included; none in a range without a width. A row is the number of a range.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        steps = 10 ** np.floor(np.log10((high - low) / MOST_PRICES))[:, None] * _STEPS
        counts = np.floor(high[:, None] / steps) - np.ceil(low[:, None] / steps) + 1
        least = np.argmax(counts <= MOST_PRICES, axis=1)[:, None]
        step, count = (np.take_along_axis(values, least, axis=1) for values in (steps, counts))
        prices = (np.ceil(low[:, None] / step) + np.arange(MOST_PRICES)) * step
        rows, places = np.nonzero((np.arange(MOST_PRICES) < count) & np.isfinite(prices) & (prices > 0))
    return rows.astype(np.int64), prices[rows, places]


def losses(
    actual: FloatArray, persistence: FloatArray, sigma: FloatArray, quantiles: FloatArray
) -> dict[str, FloatArray]:
    """Return the sums (n,) over the questions to each forecast, by name: of `questions`, Brier scores and tenths.

    Outcomes and persistence are log prices, sigma (n,) is that of persistence's Gaussian, `quantiles` are (n, 7).
    """
    levels, count = np.array(LEVELS), len(actual)
    low, high = metrics.tail_quantiles(quantiles, levels, TAIL)
    rows, prices = round_prices(np.exp(low), np.exp(np.minimum(high, _MOST_LOG_PRICE)))
    asked = np.log(prices)
    came = (actual[rows] > asked).astype(np.float64)
    ours = 1 - metrics.pit(asked, quantiles[rows], levels)
    distance, width = persistence[rows] - asked, np.maximum(sigma[rows], np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        reference = special.ndtr(distance / width)
    return {
        "questions": _by_row(rows, np.ones(len(rows)), count),
        "came": _by_row(rows, came, count),
        **_sums(_OURS, ours, came, rows, count),
        **_sums(_PERSISTENCE, reference, came, rows, count),
    }


def _sums(name: str, said: FloatArray, came: FloatArray, rows: IntArray, count: int) -> dict[str, FloatArray]:
    """Return the sums over the questions to each of `count` forecasts: of the Brier score, and of each tenth."""
    columns = {f"{name}brier": _by_row(rows, (said - came) ** 2, count)}
    places = rows * TENTHS + np.minimum(said * TENTHS, TENTHS - 1).astype(np.int64)
    for what, values in (("said", said), ("came", came), ("times", np.ones(len(said)))):
        table = _by_row(places, values, count * TENTHS).reshape(count, TENTHS)
        columns |= {f"{name}{what}_{tenth}": table[:, tenth] for tenth in range(TENTHS)}
    return columns


def _by_row(rows: IntArray, values: FloatArray, count: int) -> FloatArray:
    """Return the sums (count,) of values (m,) with the same number of a row (m,)."""
    return np.bincount(rows, values, count).astype(np.float64)


def scores(sums: Mapping[str, float], days: int, relative: Estimate | None) -> LiveProbabilities | None:
    """Return the scores from the sums of `losses` over all forecasts; None without a question."""
    questions = sums["questions"]
    if not questions:
        return None
    came = sums["came"] / questions
    uncertainty = came * (1 - came)
    tenths = [tenth for tenth in range(TENTHS) if sums[f"times_{tenth}"]]
    return LiveProbabilities(
        questions=round(questions),
        days=days,
        uncertainty=rounded(uncertainty),
        ours=_score(_OURS, sums, uncertainty),
        persistence=_score(_PERSISTENCE, sums, uncertainty),
        relative_brier=relative,
        tenths=tuple(
            SaidAndCame(
                said=rounded(sums[f"said_{tenth}"] / sums[f"times_{tenth}"]),
                came=rounded(sums[f"came_{tenth}"] / sums[f"times_{tenth}"]),
                questions=round(sums[f"times_{tenth}"]),
            )
            for tenth in tenths
        ),
    )


def _score(name: str, sums: Mapping[str, float], uncertainty: float) -> BrierScore:
    brier, reliability = sums[f"{name}brier"] / sums["questions"], 0.0
    for tenth in range(TENTHS):
        if times := sums[f"{name}times_{tenth}"]:
            difference = sums[f"{name}said_{tenth}"] - sums[f"{name}came_{tenth}"]
            reliability += difference**2 / times / sums["questions"]
    return BrierScore(rounded(brier), rounded(reliability), rounded(reliability + uncertainty - brier))
