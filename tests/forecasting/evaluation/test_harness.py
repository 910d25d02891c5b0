"""The harness: what a model is asked for and when, and that ours has the scores of the card there."""

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_predict.forecasting.evaluation.comparison import score_model
from crypto_predict.forecasting.evaluation.harness import cutoffs_of, issue, ours, prophet
from crypto_predict.forecasting.evaluation.replay import Replay, replay, splits
from crypto_predict.forecasting.evaluation.scoring import score
from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import START, make_history

HORIZONS = (1, 7, 30)


class Recorder:
    """A model that notes what it is given. Its quantiles are a fixed range around the close."""

    name, first_cutoff = "recorder", None

    def __init__(self, refit_every: int = 1, first_cutoff: date | None = None, *, updates: bool = False) -> None:
        self.refit_every, self.updates, self.first_cutoff = refit_every, updates, first_cutoff
        self.calls: list[tuple[str, date]] = []
        self.answer: Callable[[FloatArray], FloatArray] = lambda quantiles: quantiles

    def fit(self, history: pd.DataFrame) -> None:
        """Note the newest day, and spoil what was handed over."""
        self._note("fit", history)

    def update(self, history: pd.DataFrame) -> None:
        """Note the newest day."""
        self._note("update", history)

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Return the range."""
        return self.answer(self._close * (0.9 + 0.2 * np.array(levels)) * np.ones((len(horizons), 1)))

    def _note(self, call: str, history: pd.DataFrame) -> None:
        assert history["close"].notna().all()
        self.calls.append((call, history.index[-1].date()))
        self._close = float(history["close"].iloc[-1])
        history.iloc[:] = math.nan

    def days(self, call: str) -> list[date]:
        """Return the newest days of the histories of such calls."""
        return [day for name, day in self.calls if name == call]


def day(number: int) -> date:
    return START.date() + timedelta(days=number)


def test_histories_end_at_the_cutoffs_and_are_copies() -> None:
    """What a model does with its copy reaches neither the next history nor the scores."""
    history, model = make_history(200), Recorder()
    issued = issue(model, history, HORIZONS, 10, 60)
    assert model.calls == [("fit", day(cutoff)) for cutoff in range(99, 200, 10)]
    assert issued.cutoffs.tolist() == list(range(99, 200, 10))
    assert issued.quantiles[0, 0] == pytest.approx(history.candles.log_close[99] + np.log(0.9 + 0.2 * np.array(LEVELS)))
    assert issued.fits == 11


@pytest.mark.parametrize(
    ("every", "refit_every", "updates", "fits", "cutoffs"),
    [
        (1, 28, True, range(99, 200, 28), range(99, 200)),
        (7, 28, True, range(100, 199, 28), [*range(100, 199, 7), 199]),
        (10, 28, True, range(99, 200, 30), range(99, 200, 10)),
        (1, 28, False, [121, 149, 177, 199], [121, 149, 177, 199]),
        (40, 28, False, [129, 169, 199], [129, 169, 199]),
    ],
)
def test_a_model_is_fitted_as_often_as_it_says_and_updated_in_between(
    every: int,
    refit_every: int,
    updates: bool,
    fits: Sequence[int],
    cutoffs: Sequence[int],
) -> None:
    model = Recorder(refit_every, updates=updates)
    issued = issue(model, make_history(200), HORIZONS, every, 60)
    assert model.days("fit") == [day(cutoff) for cutoff in fits]
    assert [asked for _, asked in model.calls] == [day(cutoff) for cutoff in cutoffs]
    assert issued.fits == len(fits)


@pytest.mark.parametrize(("every", "step"), [(7, 1), (7, 2), (30, 7), (7, 30)])
def test_the_next_release_has_the_same_cutoffs_and_ours_has_them_too(every: int, step: int) -> None:
    """So that it is compared with the last one, and every model with ours. Ours count back from the newest day."""
    days = [200, 200 + step]
    earlier, later = (
        set(cutoffs_of(Recorder(), DailySeries.of(make_history(count)), every, step).tolist()) for count in days
    )
    assert {cutoff for cutoff in earlier if cutoff >= min(later)} - {199} <= later
    assert len(later) >= (100 // max(every, step)) - 1
    assert later <= set(splits(days[1], step))


def test_no_forecast_is_asked_for_before_the_first_cutoff_of_a_model() -> None:
    """It may have learned from what followed earlier ones. The newest forecast is served, not scored."""
    model = Recorder(first_cutoff=day(180))
    issue(model, make_history(200), HORIZONS, 1, 60)
    assert model.days("fit") == [day(cutoff) for cutoff in range(180, 200)]
    late = Recorder(first_cutoff=day(1000))
    issued = issue(late, make_history(200), HORIZONS, 1, 60)
    assert late.days("fit") == [day(199)]
    assert len(issued.forecasts(DailySeries.of(make_history(200)), 1).cutoffs) == 0


def test_days_without_a_candle_are_neither_cutoffs_nor_targets() -> None:
    history = make_history(200, missing=frozenset({120, 150}))
    series = DailySeries.of(history)
    issued = issue(Recorder(), history, HORIZONS, 1, 60)
    assert {120, 150}.isdisjoint(issued.cutoffs.tolist())
    assert issued.cutoffs.tolist() == cutoffs_of(Recorder(), series, 1).tolist()
    assert set(issued.cutoffs.tolist()) - set(issued.forecasts(series, 7).cutoffs.tolist()) == {
        113,
        143,
        *range(193, 200),
    }


def test_a_model_that_takes_too_long_keeps_its_newest_forecast() -> None:
    model = Recorder()
    with pytest.raises(ModelFailed, match="no forecast within 0 seconds"):
        issue(model, make_history(200), HORIZONS, 1, 0)
    assert model.days("fit") == [day(199)]


def test_progress_counts_every_cutoff() -> None:
    steps: list[int] = []
    issued = issue(Recorder(), make_history(200), HORIZONS, 10, 60, steps.append)
    assert sum(steps) == len(issued.cutoffs)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda quantiles: quantiles[:, ::-1], "its quantiles 1 days ahead cross"),
        (lambda quantiles: quantiles[:-1], "its answer has the shape"),
        (lambda quantiles: np.where(quantiles == quantiles[-1, -1], -1.0, quantiles), "is not a positive price"),
        (lambda quantiles: 2_000 * quantiles, "is 1,000 times off the last close"),
        (lambda quantiles: quantiles if len(quantiles) < 100 else quantiles[:, 3], "points and quantiles by turns"),
    ],
)
def test_an_answer_that_is_not_prices_excludes_the_model(
    answer: Callable[[FloatArray], FloatArray], reason: str
) -> None:
    model = Recorder()
    model.answer = answer
    with pytest.raises(ModelFailed, match=reason):
        issue(model, make_history(200), HORIZONS, 10, 60)


def test_points_far_ahead_have_ranges_that_widen_between_the_scored_days() -> None:
    model = Recorder()
    model.answer = lambda quantiles: quantiles[:, 3]
    issued = issue(model, make_history(400), HORIZONS, 7, 60)
    assert issued.ahead is not None
    widths = issued.ahead[:, -1] - issued.ahead[:, 0]
    assert (np.diff(issued.ahead, axis=1) > 0).all()
    for place, horizon in enumerate(issued.horizons):
        scored = issued.quantiles[-1, place, -1] - issued.quantiles[-1, place, 0]
        assert widths[horizon - 1] == pytest.approx(scored), horizon


@pytest.fixture(scope="module")
def past() -> Replay:
    past = replay(DailySeries.of(make_history(300, missing=frozenset({200}))), HORIZONS, 14, 1825)
    assert past is not None
    return past


@pytest.mark.parametrize("place", range(len(HORIZONS)))
def test_ours_has_the_scores_of_the_card_in_the_harness(past: Replay, place: int) -> None:
    """One harness for all: what the card says of ours is what its row beside the others says."""
    backtest = score(past, HORIZONS)
    assert backtest is not None
    of_card = backtest.scores[place]
    of_harness = score_model(ours(past).forecasts(past.series, of_card.horizon_days))
    assert of_harness.forecasts == of_card.forecasts
    for name in ("relative_mae", "relative_crps", "relative_winkler", "winkler", "coverage_50", "coverage_90"):
        estimate, interval = getattr(of_harness, name), of_card.confidence.get(name)
        assert estimate is not None
        assert estimate.value == getattr(of_card, name), name
        ends = (None, None) if interval is None else (interval.low, interval.high)
        assert (estimate.low, estimate.high) == pytest.approx(ends), name
    assert of_harness.coverage_80.value == of_card.coverage
    assert (of_harness.pit, of_harness.pit_p_value) == (of_card.pit, of_card.pit_p_value)


def test_prophet_alone_has_the_errors_of_the_card_in_the_harness(past: Replay) -> None:
    backtest = score(past, HORIZONS)
    assert backtest is not None
    assert backtest.prophet is not None
    alone = prophet(past, np.zeros(365))
    for of_card in backtest.prophet.scores:
        of_harness = score_model(alone.forecasts(past.series, of_card.horizon_days))
        assert of_harness.relative_mae is not None
        assert of_harness.relative_mae.value == of_card.relative_mae
