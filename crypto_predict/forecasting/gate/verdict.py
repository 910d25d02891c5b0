"""The release gate on scores: an interval out of calibration, or a model worse than the one it replaces, must not ship.

Being no better than persistence is published, and is never a reason. `quality` judges the histories.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from statistics import fmean

from crypto_predict.baked.schema import COVERAGE, Gate
from crypto_predict.baked.scores import Backtest, Loss, Score
from crypto_predict.forecasting.evaluation.metrics import diebold_mariano
from crypto_predict.market import Pair
from crypto_predict.settings import GateThresholds
from crypto_predict.wording import counted


def calibration_faults(backtest: Backtest, thresholds: GateThresholds) -> list[str]:
    """Why the interval does not mean 80 %: the horizons at which too few or too many outcomes lie inside.

    A horizon is refused where its coverage lies outside the thresholds and, for as many forecasts as do not overlap, a
    calibrated interval would miss by so much with a probability below `bad_luck`. From some 200 such forecasts on the
    thresholds alone decide; of 113, fewer than 67 % must be inside to be refused, and of 20 (90 days ahead, over five
    years) no more than 40 %. Of fewer than 35 none is refused for being too wide: even all inside is no miracle then.
    """
    return [fault for score in backtest.scores for fault in _coverage_faults(score, backtest, thresholds)]


def champion_faults(backtest: Backtest, champion: Backtest, thresholds: GateThresholds) -> list[str]:
    """Where the model is worse, beyond chance, than the `champion` it would replace.

    At every horizon the absolute errors and the Winkler scores of both, at the cutoffs they share, go into a one-sided
    Diebold-Mariano test, whose level is divided by the number of tests (Bonferroni): all tests together refuse a model
    that is as good with a probability of at most `worse_p`. Only forecasts whose spans do not overlap enter a test, the
    newest among them: at 90 days and a hundred weekly cutoffs the test on all of them, with their autocovariances, errs
    eight times as often as it says. A horizon with too few common cutoffs gives no verdict.
    """
    duels = [duel for duel in _duels(backtest, champion) if len(duel.losses) >= thresholds.least_common]
    return [fault for duel in duels for fault in duel.faults(thresholds, tests=len(duels))]


def verdict(reasons: Mapping[Pair, Sequence[str]], thresholds: GateThresholds, *, enforced: bool) -> Gate:
    """What the gate says of all pairs together, for the model card; each reason names its pair."""
    together = tuple(f"{pair}: {reason}" for pair, found in reasons.items() for reason in found)
    return Gate(passed=not together, enforced=enforced, reasons=together, thresholds=thresholds.as_numbers())


def _coverage_faults(score: Score, backtest: Backtest, thresholds: GateThresholds) -> list[str]:
    if thresholds.least_coverage <= score.coverage <= thresholds.most_coverage:
        return []
    effective = _effective_forecasts(score, backtest)
    if _luck(score.coverage, effective) >= thresholds.bad_luck / 2:  # either side has its half
        return []
    fault = (
        f"calibration: {score.coverage:.1%} of the outcomes {counted(score.horizon_days, 'day')} ahead lie inside the "
        f"{COVERAGE:.0%} interval, out of {score.forecasts} forecasts ({effective} without overlap); "
        f"{thresholds.least_coverage:.0%} to {thresholds.most_coverage:.0%} are allowed"
    )
    return [fault]


def _effective_forecasts(score: Score, backtest: Backtest) -> int:
    """How many of the forecasts have spans that do not overlap, and so are independent or nearly."""
    span = (backtest.last_cutoff - backtest.first_cutoff).days
    return min(score.forecasts, span // score.horizon_days + 1)


def _luck(coverage: float, forecasts: int) -> float:
    """How probable it is that a calibrated interval holds a share as far on this side of 80 %; rounded up."""
    if coverage < COVERAGE:
        inside = range(math.ceil(coverage * forecasts - 1e-9) + 1)
    else:
        inside = range(math.floor(coverage * forecasts + 1e-9), forecasts + 1)
    return math.fsum(_binomial(count, forecasts) for count in inside)


def _binomial(count: int, forecasts: int) -> float:
    """The probability of exactly so many inside a calibrated interval."""
    ways = math.lgamma(forecasts + 1) - math.lgamma(count + 1) - math.lgamma(forecasts - count + 1)
    return math.exp(ways + count * math.log(COVERAGE) + (forecasts - count) * math.log(1 - COVERAGE))


@dataclass(frozen=True, slots=True)
class _Duel:
    """One kind of loss at one horizon, of both models at the same cutoffs."""

    kind: str
    horizon_days: int
    losses: list[float]  # (n,) in the order of the cutoffs
    champion_losses: list[float]  # (n,)
    overlap: int  # consecutive cutoffs whose forecast spans overlap, their own included

    def faults(self, thresholds: GateThresholds, tests: int) -> list[str]:
        """Why the model lost it; nothing where it did not, or not beyond chance."""
        mean, champion = fmean(self.losses), fmean(self.champion_losses)
        level = thresholds.worse_p / tests
        if mean <= champion * (1 + thresholds.worse_by) or (p := self._p_value()) >= level:
            return []
        fault = (
            f"worse: {counted(self.horizon_days, 'day')} ahead the mean {self.kind} over {len(self.losses)} common "
            f"cutoffs is {mean:.4g}, {_growth(mean, champion)} the {champion:.4g} of the model it would replace "
            f"(Diebold-Mariano, one-sided p = {p:.2g}, below {level:.2g})"
        )
        return [fault]

    def _p_value(self) -> float:
        """How probable so much worse a result is for a model that is as good; 1 where nobody can tell."""
        losses, champion_losses = self.losses[:: -self.overlap], self.champion_losses[:: -self.overlap]
        result = diebold_mariano(losses, champion_losses, overlap=1)
        if result is None:
            return 1.0
        return result.p_value / 2 if result.statistic > 0 else 1 - result.p_value / 2


def _duels(backtest: Backtest, champion: Backtest) -> list[_Duel]:
    """Every comparison that the two models' losses allow."""
    ours, theirs = _by_horizon(backtest.losses), _by_horizon(champion.losses)
    duels = []
    for horizon in sorted(ours.keys() & theirs.keys()):
        cutoffs = sorted(ours[horizon].keys() & theirs[horizon].keys())
        pairs = [(ours[horizon][cutoff], theirs[horizon][cutoff]) for cutoff in cutoffs]
        overlap = _overlap(cutoffs, horizon)
        errors = _Duel("absolute log error", horizon, [a.error for a, _ in pairs], [b.error for _, b in pairs], overlap)
        winklers = _Duel(
            "Winkler score", horizon, [a.winkler for a, _ in pairs], [b.winkler for _, b in pairs], overlap
        )
        duels += [errors, winklers]
    return duels


def _by_horizon(losses: Sequence[Loss]) -> dict[int, dict[date, Loss]]:
    found: dict[int, dict[date, Loss]] = {}
    for loss in losses:
        found.setdefault(loss.horizon_days, {})[loss.cutoff] = loss
    return found


def _overlap(cutoffs: Sequence[date], horizon_days: int) -> int:
    """How many consecutive cutoffs have forecast spans that overlap, their own included."""
    step = min(((after - before).days for before, after in pairwise(cutoffs)), default=horizon_days)
    return math.ceil(horizon_days / step)


def _growth(mean: float, champion: float) -> str:
    return f"{mean / champion - 1:.1%} above" if champion > 0 else "above"
