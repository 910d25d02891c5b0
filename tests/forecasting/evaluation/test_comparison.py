"""The scores of models, and their comparison with each other, against other programs."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from crypto_predict.baked.models import ModelScore, PairwiseScore
from crypto_predict.forecasting.evaluation.comparison import compare, score_model
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.evaluation.harness import Issued, issue
from crypto_predict.forecasting.models.contract import frame
from crypto_predict.forecasting.models.garch import Garch
from crypto_predict.forecasting.models.gaussian import Gaussian
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import make_history

HORIZON, EVERY = 7, 3
HISTORY = make_history(700, missing=frozenset({500, 501}))
SERIES = DailySeries.of(HISTORY)
OVERLAP = math.ceil(HORIZON / EVERY)


@pytest.fixture(scope="module")
def tested() -> dict[str, Issued]:
    """Two models at the same cutoffs, the first one with a drift."""
    garch, gaussian = (issue(model, HISTORY, (1, HORIZON), EVERY, 60) for model in (Garch(), Gaussian()))
    drift = 0.002 * np.array(garch.horizons)
    quantiles = garch.quantiles + drift[:, None]
    return {"garch": replace(garch, points=garch.points + drift, quantiles=quantiles), "gaussian": gaussian}


def crps(actual: float, quantiles: Any) -> float:
    """Return the integral of the squared difference of the distributions, by quadrature.

    The distribution is Gaussian between two quantiles, and exponential beyond the outer ones.
    """
    scores = stats.norm.ppf(LEVELS)
    slopes = np.diff(scores) / np.diff(quantiles)
    low, high = (LEVELS[0] / (stats.norm.pdf(scores[end]) * slopes[end]) for end in (0, -1))

    def below(price: float) -> float:
        if price < quantiles[0]:
            return float(LEVELS[0] * math.exp((price - quantiles[0]) / low))
        if price > quantiles[-1]:
            return float(1 - LEVELS[0] * math.exp((quantiles[-1] - price) / high))
        return float(stats.norm.cdf(np.interp(price, quantiles, scores)))

    def loss(price: float) -> float:
        return (below(price) - (price >= actual)) ** 2

    reach = 40 * max(low, high)
    edges = sorted({actual, *quantiles, quantiles[0] - reach, quantiles[-1] + reach, actual - reach, actual + reach})
    return float(sum(integrate.quad(loss, *ends, epsabs=1e-9)[0] for ends in pairwise(edges)))


def outcomes(issued: Issued) -> pd.DataFrame:
    """Return the scored forecasts and all losses, computed from the table of prices with pandas alone."""
    prices = frame(HISTORY)["close"].resample("D").asfreq()
    logs = np.log(prices)
    deviation = np.log(prices.ffill()).diff().rolling(365, min_periods=30).std() * math.sqrt(HORIZON)
    table = pd.DataFrame({"close": logs, "actual": logs.shift(-HORIZON), "deviation": deviation})
    table = table.iloc[issued.cutoffs].reset_index(drop=True)
    quantiles = pd.DataFrame(issued.quantiles[:, issued.horizons.index(HORIZON)], columns=list(LEVELS))
    table = table.join(quantiles).dropna().reset_index(drop=True)
    miss = (table[0.1] - table["actual"]).clip(lower=0) + (table["actual"] - table[0.9]).clip(lower=0)
    reach = table["deviation"] * stats.norm.ppf(0.9)
    off = (table["actual"] - table["close"]).abs()
    z = (table["actual"] - table["close"]) / table["deviation"]
    return table.assign(
        error=(table["actual"] - table[0.5]).abs(),
        off=off,
        winkler=table[0.9] - table[0.1] + 10 * miss,
        persistence_winkler=2 * reach + 10 * (off - reach).clip(lower=0),
        crps=[crps(row["actual"], row[list(LEVELS)].to_numpy()) for _, row in table.iterrows()],
        persistence_crps=table["deviation"]
        * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)),
    )


def p_value(differences: Any) -> float:
    """Return the two-sided p-value of Diebold and Mariano by the robust regression of statsmodels."""
    count = len(differences)
    fitted = sm.OLS(np.asarray(differences), np.ones(count)).fit(
        cov_type="HAC", cov_kwds={"maxlags": OVERLAP - 1, "kernel": "uniform"}
    )
    factor = math.sqrt((count + 1 - 2 * OVERLAP + OVERLAP * (OVERLAP - 1) / count) / count)
    return float(2 * stats.t.sf(abs(fitted.tvalues[0]) * factor, count - 1))


def test_every_figure_of_a_report_is_that_of_pandas_and_scipy(tested: dict[str, Issued]) -> None:
    """Computed from the prices again, without a line of what computed them."""
    table = outcomes(tested["garch"])
    score = score_model(tested["garch"].forecasts(SERIES, HORIZON))
    assert score.forecasts == len(table) > 80
    means = table.mean()
    inside = {
        share: table["actual"].between(table[low], table[high]).mean()
        for share, low, high in ((50, 0.25, 0.75), (80, 0.1, 0.9), (90, 0.05, 0.95))
    }
    figures = {
        "relative_mae": means["error"] / means["off"],
        "relative_crps": means["crps"] / means["persistence_crps"],
        "relative_winkler": means["winkler"] / means["persistence_winkler"],
        "winkler": means["winkler"],
        **{f"coverage_{share}": value for share, value in inside.items()},
    }
    for name, expected in figures.items():
        estimate = getattr(score, name)
        assert estimate.value == pytest.approx(expected, rel=6e-6), name
        assert estimate.low is None or estimate.low < expected < estimate.high, name  # None: all inside
    assert score.p_value == pytest.approx(p_value(table["crps"] - table["persistence_crps"]), rel=1e-4)
    below = (table["actual"] < table[0.05]).mean()
    assert sum(score.pit) == pytest.approx(1)
    assert score.pit[0] == pytest.approx((table["actual"] < table[0.1]).mean())
    assert below <= score.pit[0]

    other = outcomes(tested["gaussian"])
    [pair] = compare([(name, issued.forecasts(SERIES, HORIZON)) for name, issued in tested.items()])
    assert (pair.model, pair.other, pair.forecasts) == ("garch", "gaussian", len(table))
    assert pair.relative_crps is not None
    assert pair.relative_crps.value == pytest.approx(means["crps"] / other["crps"].mean(), rel=6e-6)
    assert pair.p_value == pytest.approx(p_value(table["crps"] - other["crps"]), rel=1e-3)


def compared(first: Forecasts, second: Forecasts) -> PairwiseScore:
    [pair] = compare([("first", first), ("second", second)])
    return pair


@given(
    kept=st.integers(0, 2**20).map(lambda bits: np.array([bits >> place & 1 for place in range(20)], dtype=bool)),
    also=st.integers(0, 2**20).map(lambda bits: np.array([bits >> place & 1 for place in range(20)], dtype=bool)),
)
def test_only_common_targets_count_and_the_order_of_two_models_does_not(
    tested: dict[str, Issued], kept: Any, also: Any
) -> None:
    """The ratio is the other way round, the test the same."""
    garch, gaussian = (issued.forecasts(SERIES, HORIZON) for issued in tested.values())
    some = [np.resize(chosen, len(garch.cutoffs)) for chosen in (kept, also)]
    first, second = garch.only(some[0]), gaussian.only(some[1])
    common = some[0] & some[1]
    if not common.any():
        assert not list(compare([("first", first), ("second", second)]))
        return
    forth, back = compared(first, second), compared(second, first)
    assert forth.forecasts == back.forecasts == common.sum()
    assert forth.relative_crps is not None
    assert back.relative_crps is not None
    assert forth.relative_crps.value * back.relative_crps.value == pytest.approx(1, rel=1e-5)
    assert forth.p_value == back.p_value
    on_common = compared(garch.only(common), gaussian.only(common))
    assert (on_common.relative_crps, on_common.p_value) == (forth.relative_crps, forth.p_value)


def shifted(forecasts: Forecasts, by: Callable[[Any], Any]) -> Forecasts:
    """Return forecasts whose quantiles are moved by an amount for each cutoff."""
    moved = forecasts.quantiles + by(np.arange(len(forecasts.cutoffs)))[:, None]
    return Forecasts(**{**vars(forecasts), "quantiles": moved, "predicted": moved[:, 3]})


def test_words_say_who_is_better_and_where_nobody_can_say(tested: dict[str, Issued]) -> None:
    good = tested["gaussian"].forecasts(SERIES, HORIZON)
    bad, alike = shifted(good, lambda at: 0.2 + 0 * at), shifted(good, lambda at: 1e-3 * (-1.0) ** at)
    near = shifted(good, lambda at: 1e-5 * np.sign(good.predicted - good.actual)[at])
    few = np.arange(len(good.cutoffs)) < OVERLAP
    patterns = {
        r"first is better than second at 7 days by \d+\.\d %, p < 0\.01": compared(good, bad),
        r"first is worse than second at 7 days by \d+\.\d %, p < 0\.01": compared(bad, good),
        r"nobody can say whether first or second is better at 7 days, p = 0\.\d\d": compared(good, alike),
        r"first is as good as second at 7 days: they differ by less than 0\.1 %": compared(good, near),
        r"first cannot be compared with second at 7 days: too few forecasts": compared(good.only(few), bad.only(few)),
    }
    for pattern, pair in patterns.items():
        assert re.fullmatch(pattern, pair.words), pair.words
    assert score_model(bad).words.startswith("is worse than persistence at 7 days by ")


def test_a_single_forecast_has_figures_without_intervals(tested: dict[str, Issued]) -> None:
    forecasts = tested["garch"].forecasts(SERIES, HORIZON)
    score: ModelScore = score_model(forecasts.only(np.arange(len(forecasts.cutoffs)) == 0))
    assert score.forecasts == 1
    assert score.relative_crps is not None
    assert (score.relative_crps.low, score.relative_crps.high) == (None, None)
    assert (score.p_value, score.pit_p_value) == (None, None)
    assert score.words == "cannot be compared with persistence at 7 days: too few forecasts"
