"""The record of each model: what was released of it, at the closes that followed, beside persistence and the others."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.ledger import MODEL_DAYS, Outcome, Release
from crypto_predict.baked.models import ModelScore, Quantiles
from crypto_predict.baked.schema import LiveModel, LiveRecord
from crypto_predict.forecasting import live_models
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.record import Record
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import history_of, make_candle
from tests.support.ledgers import START, make_outcome, make_quantiles, make_release, members, sealed
from tests.support.models import BTC, make_model

pytestmark = pytest.mark.repeats

GOOD, SHARP, BIASED = make_quantiles(), make_quantiles(0.5), make_quantiles(1.0, 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all tests, as Hypothesis runs many examples in one test."""
    return tmp_path_factory.mktemp("ledger")


def releases(day: int, models: Mapping[str, Quantiles], *, hours: int = 0) -> Release:
    """The release of these models so many days after `START`, `hours` after that day's close."""
    release = make_release(START + day * DAY)
    return replace(release, models=dict(models), made_at=release.made_at + timedelta(hours=hours))


def outcome(day: int, close: float) -> Outcome:
    return make_outcome(START + day * DAY, close)


def record_of(folder: Path, *entries: Release | Outcome) -> LiveRecord:
    """The record that a ledger of these entries has once it is read."""
    path = folder / "ledger.jsonl"
    path.write_bytes(sealed(*map(members, entries)))
    return Record.read(path).scorecard().pairs[BTC]


def model_of(record: LiveRecord, name: str) -> LiveModel:
    (model,) = (model for model in record.models if model.name == name)
    return model


def daily(days: int, models: Mapping[str, Quantiles], seed: int = 0) -> list[Release | Outcome]:
    """A release a day of models around 100, and closes that are a Gaussian of 3 % around 100."""
    moves = np.random.default_rng(seed).normal(0, 0.03, days)
    entries: list[Release | Outcome] = []
    for day, move in enumerate(moves.tolist()):
        entries += [releases(day, models), outcome(day + 1, 100 * math.exp(move))]
    return entries


def test_a_release_has_the_quantiles_of_every_model_that_the_server_answers() -> None:
    """Ours, Prophet and the others, 1, 7, 30 and 90 days after the last candle."""
    model, record = make_model(), Record()
    rival = tuple(tuple(11.0 + 0.01 * level + day / 1000 for level in LEVELS) for day in range(365))
    forecast = replace(model.forecasts[BTC], models={"mine": rival})
    record.release(model.card, {BTC: forecast})
    (release,) = record.ledger.newest
    evaluator = Evaluator(forecast)
    assert list(release.models) == list(evaluator.models) == ["combined", "prophet", "mine"]
    for name, rows in release.models.items():
        for days, row in zip(MODEL_DAYS, rows, strict=True):
            distribution = evaluator.distribution(forecast.last + days * DAY, name)
            assert row == pytest.approx([distribution.quantile(level) for level in LEVELS], rel=1e-5)
    alone = Record()
    alone.release(model.card, {BTC: replace(forecast, prophet_bands=())})
    assert list(alone.ledger.newest[0].models) == ["combined", "mine"], "without a backtest Prophet has no range"


def test_the_figures_of_a_model_are_those_computed_by_hand(folder: Path) -> None:
    """Ten closes, each 1 % above 100, of which every third is 5 % below it instead."""
    moves = np.where(np.arange(10) % 3 == 2, -0.05, 0.01)
    entries: list[Release | Outcome] = []
    for day, move in enumerate(moves.tolist()):
        entries += [releases(day, {"garch": SHARP}), outcome(day + 1, 100 * math.exp(move))]
    model = model_of(record_of(folder, *entries), "garch")
    score = model.scores[0]
    quantiles = np.log(np.array([SHARP[0]] * 10) / 100)
    crps = metrics.crps_quantiles(moves, quantiles, np.array(LEVELS)).mean()
    assert (model.releases, score.horizon_days, score.forecasts) == (10, 1, 10)
    assert score.relative_mae is not None
    assert score.relative_crps is not None
    assert score.relative_mae.value == pytest.approx(1.0), "its median is the newest price, as persistence is"
    reference = metrics.crps_gaussian(moves, 0 * moves, np.full(10, 0.03)).mean()
    assert score.relative_crps.value == pytest.approx(crps / reference, rel=1e-5)
    assert (score.coverage_50.value, score.coverage_80.value, score.coverage_90.value) == (0.7, 0.7, 0.7)
    assert [horizon.horizon_days for horizon in model.scores] == [1, 7]
    assert model.scores[1].forecasts == 4
    assert model.pending == 10 * len(MODEL_DAYS) - 10 - 4
    assert model.since == make_release(START).made_at
    assert model.newest == make_release(START + 9 * DAY).made_at


def test_a_young_record_does_not_say_who_is_better(folder: Path) -> None:
    record = record_of(folder, *daily(5, {"combined": GOOD, "mine": BIASED}))
    (pairwise,) = record.pairwise
    assert (pairwise.model, pairwise.other, pairwise.forecasts, pairwise.p_value) == ("combined", "mine", 5, None)
    assert pairwise.words == "combined cannot be compared with mine at 1 day: too few forecasts"
    assert [model.scores[0].p_value for model in record.models] == [None, None]


def test_the_better_model_is_named_once_there_is_evidence_and_otherwise_nobody_can_say(folder: Path) -> None:
    """One model is moved by 10 %, against a day's move of 3 %. Two are equal but for a thousandth of their width."""
    record = record_of(folder, *daily(60, {"combined": GOOD, "even": make_quantiles(1.001), "mine": BIASED}))
    words = {(score.model, score.other): score.words for score in record.pairwise if score.horizon_days == 1}
    assert words["combined", "mine"].startswith("combined is better than mine at 1 day by ")
    assert words["combined", "mine"].endswith(" %, p < 0.01")
    assert words["combined", "even"].startswith("nobody can say whether combined or even is better at 1 day")
    assert model_of(record, "mine").scores[0].words.startswith("is worse than persistence at 1 day by ")
    weeks = [score for score in record.pairwise if score.horizon_days == 7]
    assert {score.forecasts for score in weeks} == {54}, "the forecasts of seven days overlap, and are the later ones"


def test_a_model_that_comes_or_goes_leaves_its_record_as_it_is(folder: Path) -> None:
    """Its figures are those of the days it was there; two models are compared at the releases that had both."""
    both = daily(20, {"combined": GOOD, "mine": SHARP})
    before = record_of(folder, *both)
    entries = [*both, *(replace_models(entry, 20, {"combined": GOOD, "new": BIASED}) for entry in daily(20, {}, 1))]
    after = record_of(folder, *entries)
    gone, was = model_of(after, "mine"), model_of(before, "mine")
    assert (gone.since, gone.newest, gone.releases) == (was.since, was.newest, 20)
    assert gone.scores[0] == was.scores[0]
    assert [model.name for model in after.models] == ["combined", "mine", "new"]
    assert [model.scores[0].forecasts for model in after.models] == [40, 20, 20]
    daily_pairs = {(score.model, score.other): score for score in after.pairwise if score.horizon_days == 1}
    assert daily_pairs.keys() == {("combined", "mine"), ("combined", "new")}
    assert daily_pairs["combined", "mine"] == before.pairwise[0]
    assert daily_pairs["combined", "new"].forecasts == 20


def replace_models(entry: Release | Outcome, days: int, models: Mapping[str, Quantiles]) -> Release | Outcome:
    """The same entry so many days later, a release with these models."""
    if isinstance(entry, Outcome):
        return replace(entry, day=entry.day + days * DAY)
    return replace(make_release(entry.last + days * DAY), models=dict(models))


def test_of_the_releases_after_one_close_the_first_is_scored(folder: Path) -> None:
    """The others are nearly the same forecast, of a shorter time; a model that is only in them has no score."""
    entries: list[Release | Outcome] = [
        releases(0, {"combined": BIASED}),
        releases(0, {"combined": GOOD, "late": GOOD}, hours=6),
        releases(0, {"combined": GOOD, "late": GOOD}, hours=12),
        outcome(1, 100.0 * math.exp(0.1)),
    ]
    record = record_of(folder, *entries)
    combined, late = record.models
    assert (combined.releases, combined.pending, late.releases, late.pending) == (3, 3, 2, 0)
    (score,) = combined.scores
    assert score.forecasts == 1
    assert score.relative_mae is not None
    assert score.relative_mae.value == pytest.approx(0.0, abs=1e-4)
    assert (late.scores, record.pairwise) == ((), ())


def test_releases_of_the_second_format_have_no_models_and_newer_ones_have(folder: Path) -> None:
    """The ledger that is released today is scored as before, and each model from its first release on."""
    old = [{name: value for name, value in members(releases(0, {})).items() if name != "models"} | {"format": 2}]
    path = folder / "ledger.jsonl"
    path.write_bytes(sealed(*old, members(outcome(1, 101.0))))
    before = Record.read(path).scorecard().pairs[BTC]
    assert (before.due, before.models, before.pairwise) == (1, (), ())
    new: list[Release | Outcome] = [outcome(1, 101.0), releases(1, {"combined": GOOD}), outcome(2, 102.0)]
    path.write_bytes(sealed(*old, *map(members, new)))
    after = Record.read(path).scorecard().pairs[BTC]
    assert after.due == 3
    assert [(model.name, model.scores[0].forecasts) for model in after.models] == [("combined", 1)]


def test_days_that_only_a_model_forecast_are_settled_too(folder: Path) -> None:
    """The close of 90 days ahead, where no release has forecast that day for thirty days."""
    path = folder / "ledger.jsonl"
    path.write_bytes(sealed(members(releases(0, {"combined": GOOD}))))
    record = Record.read(path)
    days = [datetime.combine(START + after * DAY, time.min, UTC) for after in (90, 91)]
    record.settle([history_of([make_candle(day, 120.0) for day in days], BTC, "alpaca")])
    live = record.scorecard().pairs[BTC]
    assert (live.due, live.pending, live.models[0].pending) == (0, 30, 3)
    assert [(score.horizon_days, score.forecasts) for score in live.models[0].scores] == [(90, 1)]
    assert record.ledger.entries == 2


def test_the_models_that_were_released_last_are_shown(folder: Path) -> None:
    """A fork may try many; the scorecard stays small, and the ledger has all of them."""
    entries = [releases(day, {"combined": GOOD, f"m{day:02}": GOOD}) for day in range(40)]
    names = [model.name for model in record_of(folder, *entries).models]
    assert names == ["combined", *(f"m{day:02}" for day in range(25, 40))]
    assert len(names) == live_models.MOST_SHOWN


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # days to the next release
        st.sets(st.sampled_from(["combined", "garch", "mine"])),
        st.floats(0.2, 3.0),  # width
        st.floats(-0.2, 0.2),  # move of the day's close
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60)
@given(steps=STEPS, reverse=st.booleans())
def test_the_record_is_that_of_all_forecasts_scored_one_by_one(
    folder: Path, steps: list[tuple[int, set[str], float, float]], *, reverse: bool
) -> None:
    """Whatever comes, goes and lacks its candle, and in whatever order the closes become known."""
    day, made, closes = 0, list[tuple[int, dict[str, Quantiles]]](), dict[int, float]()
    for wait, names, width, move in steps:
        day += wait
        made.append((day, {name: make_quantiles(width, index / 50) for index, name in enumerate(sorted(names))}))
        closes[day] = 100 * math.exp(move)
    entries: list[Release | Outcome] = [releases(day, models, hours=n) for n, (day, models) in enumerate(made)]
    entries += [outcome(day, close) for day, close in sorted(closes.items(), reverse=reverse)]
    record = record_of(folder, *entries)
    first: dict[int, dict[str, Quantiles]] = {}
    for day, models in made:
        if models:
            first.setdefault(day, models)
    expected = {
        (name, horizon): [
            (day, closes[day + horizon])
            for day, models in sorted(first.items())
            if name in models and day + horizon in closes
        ]
        for name in ("combined", "garch", "mine")
        for horizon in MODEL_DAYS
    }
    scores: dict[tuple[str, int], ModelScore] = {
        (model.name, score.horizon_days): score for model in record.models for score in model.scores
    }
    assert scores.keys() == {key for key, due in expected.items() if due}
    for (name, horizon), score in scores.items():
        rows = [(first[day][name][MODEL_DAYS.index(horizon)], close) for day, close in expected[name, horizon]]
        errors = [abs(math.log(close / quantiles[3])) for quantiles, close in rows]
        assert score.forecasts == len(rows)
        assert score.winkler.value >= 0
        assert score.coverage_80.value == pytest.approx(
            sum(quantiles[1] <= close <= quantiles[5] for quantiles, close in rows) / len(rows),
            abs=0.5 / len(rows) - 1e-9,
        )
        reference = sum(abs(math.log(close / 100)) for _, close in rows)
        if score.relative_mae is not None:
            assert score.relative_mae.value == pytest.approx(sum(errors) / reference, rel=1e-3, abs=1e-6)
    for pairwise in record.pairwise:
        due = (expected[name, pairwise.horizon_days] for name in (pairwise.model, pairwise.other))
        first_due, second_due = ({day for day, _ in rows} for rows in due)
        assert pairwise.forecasts == len(first_due & second_due) > 0
