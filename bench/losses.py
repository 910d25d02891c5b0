"""How often losses were larger than the value at risk, and how large they were: ``python -m bench.losses``.

Every forecast of the backtest is asked for the loss that 1 and 5 of 100 outcomes exceed, from the last price on, and
for the mean of the losses beyond it. If it is calibrated, as many outcomes exceed the former, and their losses have
that mean. The forecasts overlap: neighbours exceed it together.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from bench.histories import backtests, parser_of
from crypto_predict.baked.distribution import Distribution
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.market.forecast import LEVELS
from crypto_predict.wording import counted

RARE = (0.01, 0.05)  # probabilities of a larger loss


class Loss(NamedTuple):
    """What was said about the largest losses of one forecast, and what came, as shares of the last price."""

    probability: float  # of a larger loss than the value at risk
    mean: float  # of these losses
    came: float
    is_beyond: bool  # whether it was one of them


def losses(found: Forecasts) -> Iterator[Loss]:
    """Yield the losses of each of `RARE` at every cutoff of one horizon."""
    rows = zip(found.quantiles.tolist(), found.persistence.tolist(), found.actual.tolist(), strict=True)
    for quantiles, last, actual in rows:
        distribution, price = Distribution(LEVELS, tuple(quantiles)), math.exp(last)
        for share in RARE:
            mean = 1 - distribution.mean_below(share) / price
            yield Loss(share, mean, -math.expm1(actual - last), math.exp(actual) < distribution.quantile(share))


def summed(found: Sequence[Loss]) -> Iterator[tuple[float, float, float, float, int]]:
    """Yield for each probability: the share beyond, the means that were said and that came there, and the number.

    Means are those of the forecasts whose outcome was beyond; NaN without any.
    """
    groups = defaultdict(list)
    for loss in found:
        groups[loss.probability].append(loss)
    for probability, group in sorted(groups.items()):
        beyond = [loss for loss in group if loss.is_beyond]
        said, came = (fmean(loss[place] for loss in beyond) if beyond else math.nan for place in (1, 2))
        yield probability, len(beyond) / len(group), said, came, len(group)


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask the backtests of all pairs, and print a table."""
    options = parser_of("losses", __doc__).parse_args(arguments)
    found: dict[int, list[Loss]] = {horizon: [] for horizon in HORIZONS}
    for _, past in backtests(options):
        for horizon in HORIZONS:
            found[horizon] += losses(past.forecasts(horizon))
    print("ahead: probability of a larger loss, share that came, mean loss said there and come, forecasts")
    for horizon in HORIZONS:
        for probability, share, said, came, count in summed(found[horizon]):
            shares = " ".join(f"{100 * value:5.2f} %" for value in (probability, share, said, came))
            print(f"{counted(horizon, 'day'):7}: {shares} {count:9,}")


if __name__ == "__main__":
    main()
