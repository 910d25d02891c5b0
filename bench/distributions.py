"""The distributions of the forecast against persistence's Gaussian and GARCH(1,1), out of sample.

Every cutoff from the 800th day on is a day's close; a distribution uses only the candles up to there. Scores are of log
price, in percent, and the means over the same cutoffs for all. The Gaussian has the volatility of the past year.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np
from arch import arch_model
from scipy import special

from bench.figures import Figure
from bench.models import DAYS
from crypto_predict.baked.schema import COVERAGE
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.replay import HORIZONS, gaussian_half_widths, replay
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history import History, read_history
from crypto_predict.history.columns import FloatArray, IntArray
from crypto_predict.market import Interval, Pair
from crypto_predict.market.forecast import LEVELS
from crypto_predict.sources.catalog import open_sources
from crypto_predict.wording import counted, days_listed

LONGEST = 3650  # days of history that are read
FIRST = 799  # the first cutoff, an index: the 800th day
REFIT_EVERY = 30  # days between two fits of GARCH
# Of GARCH's CRPS. The simulated market is in one regime for ever, which is what GARCH assumes and no real market is.
MOST, MOST_SIMULATED = 1.0, 1.02
_SCALE = 100.0  # returns in percent, as the optimiser expects


class Interval80(NamedTuple):
    """The scores of the 80 % interval and of the point, of one pair at one horizon."""

    winkler: float  # in percent of log price
    gaussian_winkler: float
    inside: float  # a share
    inside_weekends: float  # of the targets on Saturdays and Sundays
    relative_error: float  # of the point, to persistence


class Scores(NamedTuple):
    """The mean CRPS of one pair at one horizon, in percent of log price, and the scores of its interval."""

    interval: Interval80
    ours: float
    persistence: float
    garch_gaussian: float
    garch_t: float

    @property
    def garch(self) -> float:
        """The better one of the two, for this pair and horizon: known only afterwards, which favours the peer."""
        return min(self.garch_gaussian, self.garch_t)


class Garch(NamedTuple):
    """GARCH(1,1) forecasts at cutoffs, indices into the closes."""

    cutoffs: IntArray  # (m,)
    variances: FloatArray  # (m, 90) of log price over 1, 2, ... days
    freedom: FloatArray | None  # (m,) of Student's t; None: Gaussian


def measure(source: str, pairs: Sequence[Pair], until: date | None) -> Iterator[Figure]:
    """Score the distributions of all pairs, print the ratios of each, and yield the means over pairs."""
    found, most = [], MOST
    for pair in pairs:
        history = read(source, pair, until)
        most = MOST_SIMULATED if history.simulated else most
        found.append(scores(history))
        print(f"{pair}: {_words(found[-1])}", file=sys.stderr)
    for column, horizon in enumerate(HORIZONS):
        at_horizon = [one[column] for one in found]
        name = f"CRPS {counted(horizon, 'day')} ahead, {counted(len(pairs), 'pair')}"
        ours = fmean(one.ours for one in at_horizon)
        for peer, crps, goal in (
            ("persistence, Gaussian", fmean(one.persistence for one in at_horizon), 1),
            ("GARCH(1,1)", fmean(one.garch for one in at_horizon), most),
        ):
            yield Figure(name, ours, crps, peer, "%", goal)
        winkler, gaussian = (fmean(one.interval[place] for one in at_horizon) for place in (0, 1))
        yield Figure(name.replace("CRPS", "Winkler score"), winkler, gaussian, "persistence, Gaussian", "%", 1)


def _words(found: Sequence[Scores]) -> str:
    """Return the ratios of one pair at each of `HORIZONS`."""
    ours = " ".join(f"{one.ours / one.persistence:.3f}" for one in found)
    peers = " ".join(
        f"{one.garch / one.persistence:.3f} ({'t' if one.garch == one.garch_t else 'Gaussian'})" for one in found
    )
    lines = [f"CRPS relative to persistence's {days_listed(HORIZONS)} ahead: {ours}; of GARCH(1,1) {peers}"]
    for horizon, (interval, *_) in zip(HORIZONS, found, strict=True):
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
    sigma = gaussian_half_widths(series.log_close, 1) / GAUSSIAN
    gaussian, student = garch(series.log_close, "normal"), garch(series.log_close, "t")
    found = []
    for horizon in HORIZONS:
        due = past.forecasts(horizon)
        due = due.only(due.cutoffs >= FIRST)
        actual, centre = due.actual, due.persistence
        losses = (
            metrics.crps_quantiles(actual, due.quantiles, np.array(LEVELS)),
            metrics.crps_gaussian(actual, centre, sigma[due.cutoffs] * math.sqrt(horizon)),
            _garch_crps(gaussian, actual - centre, due.cutoffs, horizon),
            _garch_crps(student, actual - centre, due.cutoffs, horizon),
        )
        sizes = sigma[due.cutoffs] * math.sqrt(horizon) * GAUSSIAN
        found.append(Scores(_interval(series, due, sizes), *(100 * float(np.mean(loss)) for loss in losses)))
    return found


def _interval(series: DailySeries, due: Forecasts, gaussian: FloatArray) -> Interval80:
    """Return the scores of forecasts; `gaussian` (n,) are the half-widths of the interval of their peer."""
    inside = (due.low <= due.actual) & (due.actual <= due.high)
    weekends = np.isin((series.days[due.cutoffs] + due.horizon) % 7, [6, 0])  # ordinals of Saturdays and Sundays
    centre = due.persistence
    return Interval80(
        winkler=100 * float(interval_score(due.actual, due.low, due.high, COVERAGE).mean()),
        gaussian_winkler=100 * float(interval_score(due.actual, centre - gaussian, centre + gaussian, COVERAGE).mean()),
        inside=float(inside.mean()),
        inside_weekends=float(inside[weekends].mean()),
        relative_error=float(metrics.mae(due.actual, due.predicted) / metrics.mae(due.actual, centre)),
    )


def garch(log_close: FloatArray, distribution: Literal["normal", "t"]) -> Garch:
    """Forecast the variance at every cutoff from `FIRST` on with a GARCH(1,1) of returns without a mean.

    It is refitted every `REFIT_EVERY` days to all returns up to then, and filters the returns in between. The variance
    over several days is the sum of those of its recursion (Bollerslev, "Generalized autoregressive conditional
    heteroskedasticity", Journal of Econometrics 31, 1986). `distribution` of the innovations: "normal" or "t".
    """
    returns = _SCALE * np.diff(log_close)  # (n - 1,); the one at index i - 1 ends at the close i
    variances, freedom = [], []
    for cutoff in range(FIRST, len(log_close), REFIT_EVERY):
        last = min(cutoff + REFIT_EVERY, len(log_close)) - 1
        model = arch_model(returns[:last], mean="Zero", vol="GARCH", p=1, q=1, dist=distribution)
        fitted = model.fit(last_obs=cutoff, disp="off", show_warning=False)
        ahead = fitted.forecast(horizon=HORIZONS[-1], start=cutoff - 1, reindex=False).variance.to_numpy()
        variances.append(np.cumsum(ahead, axis=1) / _SCALE**2)
        freedom.append(np.full(len(ahead), fitted.params.get("nu", math.nan)))
    cutoffs = np.arange(FIRST, len(log_close))
    degrees = np.concatenate(freedom)
    return Garch(cutoffs, np.concatenate(variances), degrees if distribution == "t" else None)


def _garch_crps(forecast: Garch, moves: FloatArray, cutoffs: IntArray, horizon: int) -> FloatArray:
    """Return the CRPS of moves of log price (n,) over a horizon from the cutoffs (n,)."""
    rows = cutoffs - FIRST
    sigma = np.sqrt(forecast.variances[rows, horizon - 1])
    if forecast.freedom is None:
        return metrics.crps_gaussian(moves, np.zeros(len(moves)), sigma)
    return crps_student(moves, sigma, forecast.freedom[rows])


def crps_student(moves: FloatArray, sigma: FloatArray, freedom: FloatArray) -> FloatArray:
    """Return the CRPS of every move for Student's t around 0 with standard deviation `sigma`; more than 2 `freedom`.

    Jordan, Krueger and Lerch, "Evaluating probabilistic forecasts with scoringRules", Journal of Statistical Software
    90, 2019, appendix A.
    """
    unit = sigma * np.sqrt((freedom - 2) / freedom)
    z = moves / unit
    density = (1 + z * z / freedom) ** (-(freedom + 1) / 2) / (np.sqrt(freedom) * special.beta(0.5, freedom / 2))
    spread = special.beta(0.5, freedom - 0.5) / special.beta(0.5, freedom / 2) ** 2
    inner = z * (2 * special.stdtr(freedom, z) - 1) + 2 * density * (freedom + z * z) / (freedom - 1)
    return np.asarray(unit * (inner - 2 * np.sqrt(freedom) / (freedom - 1) * spread))
