"""The backtest through the command line: its rows, and the figures of card and report computed from them."""

import io
import pickle
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from prophet.serialize import model_from_json
from scipy import stats

from crypto_predict.baked import plain, store
from crypto_predict.baked.evaluation import PROPHET, Evaluator
from crypto_predict.baked.schema import Backtest, Model, ProphetScore, Score
from crypto_predict.market import Pair
from tests.support.histories import START, as_csv, make_history, rhythmic
from tests.support.training import in_process

pytestmark = pytest.mark.repeats

BTC = Pair("BTC", "USD")
COLUMNS = "pair,cutoff,horizon_days,target,actual,prediction,low,high,persistence"
DAYS, FITTED, EVERY, HORIZONS = 800, 600, 8, (1, 7, 30, 90)
LAST = START.date() + timedelta(days=DAYS - 1)
FIRST = pd.Timestamp(START.date())
LOG_CLOSES = np.log([rhythmic(day) for day in range(DAYS)])  # (DAYS,)

SIX_DIGITS = 5e-6  # that figures are written with

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """One training on a predictable market, and its outputs."""

    folder: Path
    report: str

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of the CSV file."""
        return read(self.folder / "backtest.csv")

    def column(self, horizon: int) -> pd.DataFrame:
        """The rows of one horizon, with the half-width of persistence's Gaussian interval in log price.

        It is that of a random walk with the deviation of the daily returns of the year up to the cutoff.
        """
        rows = self.rows[self.rows["horizon_days"] == horizon]
        past = [np.diff(LOG_CLOSES[max(0, day - 365) : day + 1]) for day in (rows["cutoff"] - FIRST).dt.days]
        deviations = np.array([returns.std(ddof=1) for returns in past])
        return rows.assign(gaussian=NormalDist().inv_cdf(0.9) * deviations * np.sqrt(horizon))

    @property
    def model(self) -> Model:
        """The model, read from its file."""
        return store.load(self.folder / "model.pkl")

    @property
    def backtest(self) -> Backtest:
        """The backtest in the card."""
        result = self.model.card.pairs[BTC].backtest
        assert result is not None
        return result

    def score(self, horizon: int) -> Score:
        """The score of one horizon in the card."""
        (result,) = [score for score in self.backtest.scores if score.horizon_days == horizon]
        return result

    def prophet(self, horizon: int) -> ProphetScore:
        """The score of Prophet alone in the card."""
        assert self.backtest.prophet is not None
        (prophet_score,) = [score for score in self.backtest.prophet.scores if score.horizon_days == horizon]
        return prophet_score


def read(path: Path) -> pd.DataFrame:
    """Read the rows of a backtest file and check its header."""
    assert path.read_text().partition("\n")[0] == COLUMNS
    return pd.read_csv(path, parse_dates=["cutoff", "target"])


def train_on(prices: Path, folder: Path, last: date) -> int:
    files = [f"--output={folder}/model.pkl", f"--backtest={folder}/backtest.csv", f"--prophet-json={folder}/{{base}}"]
    market = ("--pair", "BTC/USD", "--source", f"file:{prices}", "--days", str(FITTED), "--until", str(last))
    return in_process(*market, "--verbose", "--every", str(EVERY), *files)


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "rhythmic.csv"
    path.write_text(as_csv(make_history(DAYS, rhythmic)))
    return path


@pytest.fixture(scope="module")
def training(prices: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    folder = tmp_path_factory.mktemp("training")
    with redirect_stdout(io.StringIO()) as report:
        assert train_on(prices, folder, LAST) == 0
    return Training(folder, report.getvalue())


def test_every_forecast_is_one_row(training: Training) -> None:
    """Cutoffs end with the last day; a horizon beyond it has no outcome and no row."""
    rows, last = training.rows, pd.Timestamp(LAST)
    cutoffs = sorted(rows["cutoff"].unique())
    assert cutoffs == [last - timedelta(days=EVERY * n) for n in range(len(cutoffs), 0, -1)]
    assert cutoffs[0] - FIRST >= timedelta(days=364)
    due = [(cutoff, horizon) for cutoff in cutoffs for horizon in HORIZONS if cutoff + timedelta(horizon) <= last]
    assert list(zip(rows["cutoff"], rows["horizon_days"], strict=True)) == due
    assert set(rows["pair"]) == {"BTC/USD"}
    assert (rows["target"] - rows["cutoff"] == pd.to_timedelta(rows["horizon_days"], "D")).all()
    for price, day in (("actual", "target"), ("persistence", "cutoff")):
        closes = LOG_CLOSES[(rows[day] - FIRST).dt.days]
        np.testing.assert_allclose(rows[price], np.exp(closes), rtol=1e-11)


@pytest.fixture(scope="module")
def earlier(prices: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The training on the same market two cutoffs earlier."""
    folder = tmp_path_factory.mktemp("earlier")
    assert train_on(prices, folder, LAST - timedelta(days=2 * EVERY)) == 0
    return Training(folder, "")


def test_no_forecast_uses_later_prices(training: Training, earlier: Training) -> None:
    """An earlier training makes the same forecasts at the same cutoffs."""
    due = training.rows["target"] <= pd.Timestamp(earlier.model.forecasts[BTC].last)
    rows = training.rows[due].reset_index(drop=True)
    pd.testing.assert_frame_equal(earlier.rows, rows, check_exact=True)
    assert (rows["prediction"] != rows["persistence"]).any(), "else there is little to compare"


def test_the_backtest_makes_the_forecasts_that_would_have_been_released(training: Training, earlier: Training) -> None:
    """The row of a cutoff equals the forecast baked on that day.

    Except for Prophet's part, which is fitted for every release, but once a week in the backtest, and for intervals,
    which may not shrink with the horizon.
    """
    released = {standing.horizon_days: standing for standing in earlier.model.card.pairs[BTC].forecast}
    rows = training.rows[training.rows["cutoff"] == pd.Timestamp(earlier.model.forecasts[BTC].last)]
    assert list(rows["horizon_days"]) == [1, 7]
    for row in rows.to_dict("records"):
        standing = released[row["horizon_days"]]
        assert row["target"] == pd.Timestamp(standing.day)
        assert row["prediction"] == pytest.approx(standing.prediction, rel=1e-4)
        assert (row["low"], row["high"]) == pytest.approx((standing.low, standing.high), rel=1e-3)


def winkler(actual: Any, low: Any, high: Any) -> Array:
    """Compute the Winkler score of the 80 % interval: its width plus ten times the miss."""
    return np.asarray(high - low + 10 * np.maximum(0, np.maximum(low - actual, actual - high)))


def figures(of: pd.DataFrame, steps: Array) -> dict[str, float]:
    """The figures of rows by the names that a score has for them; `steps` are the returns before the first cutoff."""
    error, reference = np.log(of.actual / of.prediction), np.log(of.actual / of.persistence)
    low, high, actual = np.log(of.low), np.log(of.high), np.log(of.actual)
    ours, gaussian = winkler(actual, low, high), winkler(reference, -of.gaussian, of.gaussian)
    return {
        "forecasts": len(actual),
        "mae": np.abs(error).mean(),
        "rmse": np.sqrt((error**2).mean()),
        "mae_price": np.abs(of.actual - of.prediction).mean(),
        "rmse_price": np.sqrt(((of.actual - of.prediction) ** 2).mean()),
        "mape": np.abs(1 - of.prediction / of.actual).mean(),
        "mase": np.abs(error).mean() / np.abs(steps).mean(),
        "rmsse": np.sqrt((error**2).mean() / (steps**2).mean()),
        "winkler": ours.mean(),
        "coverage": np.mean((of.low <= of.actual) & (of.actual <= of.high)),
        "relative_mae": np.abs(error).mean() / np.abs(reference).mean(),
        "relative_winkler": ours.mean() / gaussian.mean(),
    }


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_figures_of_the_card_follow_from_the_rows(training: Training, horizon: int) -> None:
    """Computed again from the CSV file: of all cutoffs, of each year, the losses, and the result of Prophet alone.

    Losses are those of one cutoff a week, for the next release; cutoffs eight days apart are all stored.
    """
    score, of, backtest = training.score(horizon), training.column(horizon), training.backtest
    steps = np.diff(LOG_CLOSES[: (backtest.first_cutoff - FIRST.date()).days + 1])
    expected = figures(of, steps)
    assert {name: getattr(score, name) for name in expected} == pytest.approx(expected, rel=SIX_DIGITS)
    assert score.relative_mae is not None
    assert score.skill == pytest.approx(1 - score.relative_mae, abs=1e-6)

    years = [year for year in backtest.years if year.horizon_days == horizon]
    assert [year.year for year in years] == sorted(set(of["cutoff"].dt.year))
    for year in years:
        expected = figures(of[of["cutoff"].dt.year == year.year], steps)
        for name in ("forecasts", "relative_mae", "coverage", "relative_winkler"):
            assert getattr(year, name) == pytest.approx(expected[name], rel=SIX_DIGITS)

    losses = [loss for loss in backtest.losses if loss.horizon_days == horizon]
    errors = np.abs(np.log(of["actual"] / of["prediction"]))
    winklers = winkler(*np.log(of[["actual", "low", "high"]].to_numpy().T))
    np.testing.assert_allclose([loss.error for loss in losses], errors, rtol=SIX_DIGITS)
    np.testing.assert_allclose([loss.winkler for loss in losses], winklers, rtol=SIX_DIGITS)

    alone = training.prophet(horizon)
    assert alone.forecasts == score.forecasts
    assert alone.relative_mae is not None
    assert alone.relative_mae > 1
    assert 0.6 < alone.coverage <= 1
    assert backtest.prophet is not None
    assert f"{alone.relative_mae:.2f}" in backtest.prophet.words


def test_direction_and_p_value_are_those_of_the_moves(training: Training) -> None:
    """Forecasts without a move have no direction. Of forecasts that do not overlap, the p value is Student's."""
    of, score = training.column(1), training.score(1)
    moved = of["prediction"] != of["persistence"]
    right = ((of["prediction"] > of["persistence"]) == (of["actual"] > of["persistence"]))[moved]
    interval = stats.binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    result = (score.direction, score.direction_low, score.direction_high)
    assert result == pytest.approx((right.mean(), interval.low, interval.high), rel=SIX_DIGITS)
    assert training.score(90).direction is None
    logs = np.log(of[["actual", "prediction", "persistence"]])
    differences = (logs["actual"] - logs["prediction"]).abs() - (logs["actual"] - logs["persistence"]).abs()
    assert score.p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=SIX_DIGITS)


def test_the_report_prints_the_figures_of_the_card(training: Training) -> None:
    """By horizon and by year."""
    lines = [" ".join(line.split()) for line in training.report.splitlines()]
    for score in training.backtest.scores:
        days = "1 day" if score.horizon_days == 1 else f"{score.horizon_days} days"
        alone = training.prophet(score.horizon_days)
        prophets = f"{alone.relative_mae:.3f} {alone.coverage:.1%}"
        figures = f"{score.mape:.1%} {score.relative_mae:.3f} {p_value(score.p_value)} {prophets}"
        assert f"BTC/USD {days} {score.forecasts} {figures}" in lines
        crps = f"{score.relative_crps:.3f}{reach(score, 'relative_crps', '.3f', 1)}"
        winkler = f"{score.relative_winkler:.3f}{reach(score, 'relative_winkler', '.3f', 1)}"
        inside = f"{score.coverage:.1%}{reach(score, 'coverage', '.1f', 100)}"
        shares = f"{score.coverage_50:.1%} {inside} {score.coverage_90:.1%}"
        assert f"BTC/USD {days} {crps} {winkler} {shares} {p_value(score.pit_p_value)}" in lines
    for year, horizons in ((2022, 4), (2023, 3)):  # no forecast of 90 days made in 2023 has come due
        cells = [
            f"{score.relative_mae:.3f} {score.coverage:.0%} {score.relative_winkler:.3f}"
            for score in training.backtest.years
            if score.year == year
        ]
        assert len(cells) == horizons
        assert " ".join([str(year), *cells, *["-"] * (4 - horizons)]) in lines


def p_value(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.01" if p < 0.01 else f"{p:.2f}"


def reach(score: Score, name: str, digits: str, factor: int) -> str:
    """Half of a confidence interval as it is printed; nothing without one."""
    ends = score.confidence.get(name)
    return "" if ends is None else f" \N{PLUS-MINUS SIGN}{factor * (ends.high - ends.low) / 2:{digits}}"


def test_a_predictable_market_is_predicted(training: Training) -> None:
    """This market follows the week: Prophet earns a weight and beats persistence."""
    score = training.score(1)
    assert score.relative_mae is not None
    assert score.relative_mae < 0.95
    assert score.words == f"better than persistence at 1 day by {1 - score.relative_mae:.1%}, p < 0.01"
    assert training.backtest.prophet is not None
    alone = training.backtest.prophet.scores[0]
    assert (alone.horizon_days, alone.weight > 0.1) == (1, True)
    forecast = training.model.forecasts[BTC]
    assert forecast.prophet_weights[0] == pytest.approx(alone.weight, rel=1e-5)
    tomorrow = Evaluator(forecast).at(forecast.last + timedelta(days=1)).price
    assert tomorrow != round(forecast.last_close, 2)


def test_prophets_part_of_the_forecast_matches_prophet(training: Training) -> None:
    """With corrected level and weight; prices of 10^9 are not rounded noticeably."""
    forecast = training.model.forecasts[BTC]
    assert forecast.first == LAST - timedelta(days=FITTED - 1)
    prophet = model_from_json((training.folder / "BTC").read_text())
    days = pd.date_range(forecast.last, forecast.end)
    curve = prophet.predict(pd.DataFrame({"ds": days}))["yhat"].to_numpy()
    correction = np.log(forecast.anchor.price) - curve[0]
    assert forecast.level_correction == pytest.approx(correction, abs=1e-8)
    weight = np.array(forecast.prophet_weights)
    expected = np.exp(weight * (curve[1:] + correction) + (1 - weight) * np.log(forecast.anchor.price))
    evaluator = Evaluator(forecast)
    answered = [evaluator.at(day.date()).price for day in days[1:]]
    np.testing.assert_allclose(answered, expected, rtol=1e-9)
    assert weight[0] > 0.1


def test_prophet_alone_matches_prophet(training: Training) -> None:
    """In the past and the future; prices of 10^9 are not rounded noticeably."""
    forecast = training.model.forecasts[BTC]
    prophet = model_from_json((training.folder / "BTC").read_text())
    days = pd.date_range(forecast.first, forecast.end, freq="5D")
    expected = np.exp(prophet.predict(pd.DataFrame({"ds": days}))["yhat"].to_numpy())
    evaluator = Evaluator(forecast)
    answered = [evaluator.at(day.date(), PROPHET) for day in days]
    np.testing.assert_allclose([prediction.price for prediction in answered], expected, rtol=1e-9)
    assert all(prediction.low < prediction.price < prediction.high for prediction in answered)
    assert expected[-1] != pytest.approx(evaluator.at(days[-1].date()).price, rel=1e-3)


def test_the_scores_of_prophet_alone_take_less_than_2_kb(training: Training) -> None:
    """Every release adds its file to a layer of the image."""
    forecast, backtest = training.model.forecasts[BTC], training.backtest
    assert len(pickle.dumps(plain.encode(forecast.prophet_bands))) < 700
    assert len(pickle.dumps(plain.encode(backtest.prophet))) < 900


def test_pairs_horizons_and_cutoffs_follow_histories_and_options(tmp_path: Path) -> None:
    """Each pair has the cutoffs of its own history, and rows and scores at horizons with outcomes."""
    long, path = make_history(260), tmp_path / "backtest.csv"
    (tmp_path / "BTC.csv").write_text(as_csv(long))
    (tmp_path / "ETH.csv").write_text(as_csv(replace(long, candles=long.candles[70:])))
    market = ("--source", f"file:{tmp_path / '{base}.csv'}", "--pair", "BTC/USD,ETH/USD", "--until", "2021-09-17")
    files = (f"--output={tmp_path / 'model.pkl'}", f"--backtest={path}")
    assert in_process(*market, *files, "--horizons", "10,2,365", "--every", "25") == 0
    rows = read(path)
    cutoffs = {pair: sorted(of["cutoff"].unique()) for pair, of in rows.groupby("pair")}
    assert list(zip(rows["pair"], rows["cutoff"], rows["horizon_days"], strict=True)) == [
        (pair, cutoff, horizon) for pair, own in cutoffs.items() for cutoff in own for horizon in (2, 10)
    ]
    assert {after - before for own in cutoffs.values() for before, after in pairwise(own)} == {timedelta(days=25)}
    assert [(len(own), own[-1]) for own in cutoffs.values()] == [(n, pd.Timestamp("2021-08-23")) for n in (5, 3)]
    cards = store.load(tmp_path / "model.pkl").card.pairs
    scores = [backtest.scores for card in cards.values() if (backtest := card.backtest) is not None]
    assert [[score.horizon_days for score in of] for of in scores] == [[2, 10], [2, 10]]
