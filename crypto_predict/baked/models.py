"""What a model file says of each model that was tested: who made it, its scores, and how it compares with the others.

All figures are out of sample: of the backtest, or of the forecasts that were released. Errors are of log price.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from crypto_predict.market.forecast import LEVELS

NAME = re.compile("[a-z][a-z0-9-]{0,29}")
MOST_MODELS = 12  # of a pair


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % confidence interval, by block bootstrap; the ends are None with too few forecasts."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ModelScore:
    """The scores of one model at one horizon, over the forecasts whose outcome is known.

    What is relative is so to persistence with a Gaussian distribution of the past year's volatility, at the same
    targets: below 1 is better. It is None if persistence has no error.
    """

    horizon_days: int
    forecasts: int
    relative_mae: Estimate | None
    relative_crps: Estimate | None
    winkler: Estimate  # of the 80 % interval
    relative_winkler: Estimate | None
    coverage_50: Estimate  # the share of outcomes inside the central interval
    coverage_80: Estimate
    coverage_90: Estimate
    pit: tuple[float, ...]  # (10,) the shares of outcomes in each tenth of their distribution; 0.1 each is calibrated
    pit_p_value: float | None  # chi-squared test that they are, on non-overlapping forecasts; None with fewer than ten
    p_value: float | None  # Diebold-Mariano of the CRPS, two-sided, against persistence
    words: str


@dataclass(frozen=True, slots=True)
class PairwiseScore:
    """The CRPS of one model relative to that of another, at their common targets."""

    model: str
    other: str
    horizon_days: int
    forecasts: int
    relative_crps: Estimate | None  # below 1: `model` is better; None if `other` has no error
    p_value: float | None  # Diebold-Mariano, two-sided
    words: str  # "garch is better than gaussian at 1 day by 2.5 %, p < 0.01"


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model in the test of one pair."""

    name: str
    source: str  # "built in", or the path of its file as it was given
    sha256: str | None  # of that file
    requirements: tuple[str, ...]  # the lines of rivals/requirements.txt, for a file
    cutoffs: int  # of the backtest
    fits: int
    first_cutoff: date | None
    scores: tuple[ModelScore, ...]  # by horizon, ascending
    left_out: str | None  # why this release goes without it; None if it is part of it

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not NAME.fullmatch(self.name):
            yield f"model {self.name!r:.40} is not a name of small letters, digits and hyphens"
        for text in (self.source, *self.requirements, self.left_out or ""):
            if not text.isprintable():
                yield f"model {self.name}: {text!r:.80} is not printable"


Quantiles = tuple[tuple[float, ...], ...]


def quantile_faults(models: Mapping[str, Quantiles], days: int, most: int = MOST_MODELS) -> Iterator[str]:
    """Yield the violated rules of the prices, or their logarithms, (days, 7) of each model."""
    if len(models) > most:
        yield f"{len(models)} models are more than a pair can have ({most})"
    for name, quantiles in models.items():
        if not NAME.fullmatch(name):
            yield f"model {name!r:.40} is not a name of small letters, digits and hyphens"
        if len(quantiles) != days:
            yield f"model {name} has {len(quantiles)} days, not {days}"
        elif not all(len(row) == len(LEVELS) and list(row) == sorted(row) for row in quantiles):
            yield f"the quantiles of model {name} are not {len(LEVELS)} that ascend"
