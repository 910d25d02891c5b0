"""The test of all models through the command line: what a model file has of each, and what a hostile one changes."""

import json
import os
import signal
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.evaluation import COMBINED, PROPHET
from crypto_predict.baked.models import MOST_MODELS, Estimate, ModelReport, ModelScore, PairwiseScore
from crypto_predict.baked.schema import VERSION, Model, PairCard, PairForecast
from crypto_predict.forecasting.gate.verdict import serving_faults
from crypto_predict.market import Pair
from crypto_predict.training import report
from crypto_predict.training.options import RIVALS
from crypto_predict.training.rivals import BUILT_INS
from tests.forecasting.models.test_rivals import FLAT, HOSTILE, POINTS, function
from tests.support.histories import as_csv, make_history, wandering
from tests.support.models import blank, make_model
from tests.support.serving import ROOT, running
from tests.support.training import QUICK, REVISION, in_process, price_file

BTC = Pair("BTC", "USD")
DAYS = 200


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The arguments to train on a few days, quickly."""
    arguments = price_file(tmp_path_factory.mktemp("prices"), DAYS)
    return (*arguments, "--no-gate", "--every", "5", "--rival-every", "25", "--rival-seconds", "20")


def trained(folder: Path, arguments: tuple[str, ...], *more: str) -> Model:
    """Train with these arguments, and return the model."""
    output = folder / "model.pkl"
    assert in_process(*arguments, *more, "--output", str(output)) == 0
    return store.load(output)


def of_btc(model: Model) -> tuple[PairForecast, PairCard]:
    return model.forecasts[BTC], model.card.pairs[BTC]


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    """Write a file with a model, and return its path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


def test_every_model_has_quantiles_scores_and_past_forecasts(prices: tuple[str, ...], tmp_path: Path) -> None:
    names = "prophet,garch,gaussian,theta,damped-trend,local-level,autoregression"
    example = str(ROOT / "rivals" / "example.py")
    forecast, card = of_btc(trained(tmp_path, prices, "--rivals", f"{names},{example}"))
    every = [COMBINED, *names.split(","), "example"]
    assert [report.name for report in card.models] == list(forecast.hindcasts) == every
    assert not [report.left_out for report in card.models if report.left_out]
    assert list(forecast.models) == every[2:]
    assert all(report.scores for report in card.models)
    assert (card.served, card.not_served) == (COMBINED, None)


@pytest.fixture(scope="module")
def alone(prices: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file without any file of a rival."""
    trained(folder := tmp_path_factory.mktemp("alone"), prices, "--rivals", "prophet,garch")
    return folder / "model.pkl"


def without(model: Model, names: Collection[str]) -> Model:
    """The model without the reports of these models."""
    facts = model.card.pairs[BTC]
    kept = tuple(report for report in facts.models if report.name not in names)
    return replace(model, card=replace(model.card, pairs={BTC: replace(facts, models=kept)}))


def test_hostile_rivals_change_nothing_but_one_line_each(
    prices: tuple[str, ...], alone: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bodies = {
        label.lower().replace(" ", "-"): f"print('noise' * 10_000); {body}" for label, (body, _) in HOSTILE.items()
    }
    paths = [written(tmp_path / "rivals", function(body), f"{name}.py") for name, body in bodies.items()]
    model = trained(tmp_path, prices, "--rivals", ",".join(["prophet", "garch", *paths]), "--rival-seconds", "3")
    _, card = of_btc(model)
    reasons = {report.name: report.left_out for report in card.models[3:]}
    assert list(reasons) == list(bodies)
    assert all(reason and len(reason.splitlines()) == 1 for reason in reasons.values())
    assert store.dumps(without(model, reasons)) == alone.read_bytes()
    output, errors = capfd.readouterr()
    assert "noise" not in output + errors
    assert all(f"{name} is left out: " in output for name in reasons)


def test_the_same_history_gives_the_same_bytes(prices: tuple[str, ...], tmp_path: Path) -> None:
    rivals = ("--rivals", f"prophet,garch,gaussian,theta,{ROOT / 'rivals' / 'example.py'}")
    first, second = (store.dumps(trained(tmp_path, prices, *rivals)) for _ in range(2))
    assert first == second


def test_models_that_change_what_they_say_have_no_influence_on_others(
    prices: tuple[str, ...], alone: Path, tmp_path: Path
) -> None:
    """A model that is good enough to be served leaves the forecasts and scores of the others as they are."""
    mine = written(tmp_path / "rivals", function(FLAT))
    model = trained(tmp_path, prices, "--rivals", f"prophet,garch,{mine}")
    before, after = store.load(alone), without(model, {"mine"})
    assert after.card.pairs[BTC].models == before.card.pairs[BTC].models
    assert after.card.pairs[BTC].backtest == before.card.pairs[BTC].backtest
    assert [each for each in after.card.pairs[BTC].pairwise if "mine" not in {each.model, each.other}] == list(
        before.card.pairs[BTC].pairwise
    )
    forecast = after.forecasts[BTC]
    kept = {name: rows for name, rows in forecast.models.items() if name != "mine"}
    past = {name: rows for name, rows in forecast.hindcasts.items() if name != "mine"}
    assert replace(forecast, models=kept, hindcasts=past) == before.forecasts[BTC]


def test_a_champion_may_have_other_models_but_not_an_older_schema(
    prices: tuple[str, ...], alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is compared by what answers by default, ours."""
    model = trained(tmp_path, prices, "--rivals", "gaussian", "--champion", str(alone))
    assert list(model.forecasts[BTC].models) == ["gaussian"]
    before = replace(store.load(alone), forecasts=model.forecasts)
    older = tmp_path / "older.pkl"
    older.write_bytes(store.dumps(before).replace(b"schemaK%c" % VERSION, b"schemaK\x07", 1))
    assert in_process(*prices, "--champion", str(older), "--output", str(tmp_path / "model.pkl")) == 2
    assert "it was written with schema 7" in capsys.readouterr().err


NAMED = "name = '{name}'\n" + POINTS


def test_a_name_belongs_to_one_model(prices: tuple[str, ...], tmp_path: Path) -> None:
    """That of a file may not hide one of ours, even if that is not tested."""
    texts = {"a": "mine", "b": "mine", "c": "combined", "d": "prophet", "e": "theta", "garch": "garch"}
    paths = [written(tmp_path, NAMED.format(name=says), f"{name}.py") for name, says in texts.items()]
    paths.append(written(tmp_path / "other", NAMED.format(name="mine"), "a.py"))
    _, card = of_btc(trained(tmp_path, prices, "--rivals", ",".join(["garch", "garch", *paths])))
    assert [(report.name, report.left_out) for report in card.models] == [
        ("combined", None),
        ("garch", None),
        ("mine", None),
        ("b", "another model has the name mine"),
        ("c", "another model has the name combined"),
        ("d", "another model has the name prophet"),
        ("e", "another model has the name theta"),
        ("garch-2", "another model has the name garch"),
        ("a", "another model has the name mine"),
    ]


def test_whatever_a_file_is_called_its_report_has_a_name(prices: tuple[str, ...], tmp_path: Path) -> None:
    paths = [written(tmp_path / "a b", "", name) for name in ("Mein Modell (2).csv", "007.py", "ä.py")]
    (tmp_path / "a b" / "requirements.txt").write_text("numpy\t>= 2  # arrays\n\n# nothing else\n")
    _, card = of_btc(trained(tmp_path, prices, "--rivals", ",".join(paths)))
    assert [report.name for report in card.models[1:]] == ["mein-modell-2", "model-007", "model"]
    assert {report.requirements for report in card.models[1:]} == {("numpy >= 2",)}


def test_a_model_whose_prices_would_be_shown_as_0_is_left_out(tmp_path: Path) -> None:
    """Such a file could not be read back: the whole release would fail."""
    history = make_history(DAYS, close=lambda day: wandering(day) * 1e-8)
    (tmp_path / "prices.csv").write_text(as_csv(history))
    mine = written(tmp_path / "rivals", function("return [history.close.iloc[-1] / 990] * len(horizons)"))
    arguments = ("--pair", "BTC/USD", "--source", f"file:{tmp_path / 'prices.csv'}", "--no-gate", *QUICK)
    forecast, card = of_btc(trained(tmp_path, arguments, "--rivals", mine))
    assert str(card.models[1].left_out).startswith("its log price may fall to ")
    assert forecast.models == {}


def test_a_pair_has_room_for_so_many_models(prices: tuple[str, ...], tmp_path: Path) -> None:
    flat = [written(tmp_path / "rivals", function(FLAT), f"m{number}.py") for number in range(MOST_MODELS + 1)]
    forecast, card = of_btc(trained(tmp_path, prices, "--rivals", ",".join(flat), "--rival-every", "100"))
    assert len(forecast.models) == MOST_MODELS
    assert card.models[-1].left_out == f"a pair has at most {MOST_MODELS} models beside ours"


HANGING = """
import os, time

def forecast(history, horizons, levels):
    os.write(os.open({fifo!r}, os.O_WRONLY), b"x")
    time.sleep(3600)
"""


@pytest.mark.parametrize(
    ("number", "options", "code"),
    [
        (signal.SIGINT, (), 130),
        (signal.SIGTERM, (), -signal.SIGTERM),
        (signal.SIGKILL, (), -signal.SIGKILL),
        (signal.SIGTERM, ("--repeat", "1h"), 0),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL", "SIGTERM of --repeat"],
)
def test_a_rival_ends_with_its_training(tmp_path: Path, number: int, options: tuple[str, ...], code: int) -> None:
    """The other side of its pipe ends when the last process has closed it."""
    os.mkfifo(fifo := tmp_path / "alive")
    mine = written(tmp_path / "rivals", HANGING.format(fifo=str(fifo)))
    market = ("--source", "simulated", "--days", "150", "--no-gate", *QUICK)
    arguments = (*market, "--rivals", mine, "--output", str(tmp_path / "model.pkl"))
    with running("train.py", *arguments, *options, environ=REVISION) as process, fifo.open("rb") as alive:
        assert alive.read(1) == b"x"
        process.send_signal(number)
        assert alive.read() == b""
        assert process.wait() == code


def test_the_names_of_the_options_are_those_of_the_built_in_models() -> None:
    """Options do not import the models, which takes seconds."""
    assert set(RIVALS) == {PROPHET, *BUILT_INS}
    described = (ROOT / "docs" / "options.md").read_text()
    assert not [name for name in RIVALS if f"`{name}`" not in described]


@pytest.mark.parametrize(
    ("serve", "served", "reason"),
    [
        ("garch", "garch", None),
        ("mine", COMBINED, "mine is left out: RuntimeError: no luck"),
        ("absent", COMBINED, "absent is not among the models that were tested, combined, garch and mine"),
        ("published", COMBINED, "published is not among the models"),
    ],
)
def test_another_model_is_the_default_unless_it_is_not_there(
    prices: tuple[str, ...], tmp_path: Path, serve: str, served: str, reason: str | None
) -> None:
    mine = written(tmp_path / "rivals", function("raise RuntimeError('no luck')"))
    _, card = of_btc(trained(tmp_path, prices, "--rivals", f"garch,{mine}", "--serve", serve))
    assert card.served == served
    assert card.not_served == reason or (reason is not None and str(card.not_served).startswith(reason))


def test_a_model_that_is_worse_than_persistence_is_not_the_default(prices: tuple[str, ...], tmp_path: Path) -> None:
    mine = written(tmp_path / "rivals", function("return [history.close.iloc[-1] * 1.5] * len(horizons)"))
    forecast, card = of_btc(
        trained(tmp_path, prices, "--rivals", mine, "--serve", "mine", "--rival-every", "1", "--every", "1")
    )
    assert card.served == COMBINED
    assert str(card.not_served).startswith("mine is worse than persistence at 1 day by ")
    assert "mine" in forecast.models  # it is served to those who ask for it


def test_a_history_without_a_backtest_has_no_other_default(tmp_path: Path) -> None:
    arguments = (*price_file(tmp_path, 100), "--no-gate", "--serve", "garch")
    forecast, card = of_btc(trained(tmp_path, arguments))
    assert (card.models, forecast.models, forecast.hindcasts, card.served) == ((), {}, {}, COMBINED)
    assert card.not_served == "garch is not tested: the history is too short"


def scored(**changes: Any) -> ModelScore:
    """Scores that equal persistence's, but for the changes."""
    same = Estimate(1.0, 0.98, 1.02)
    fields = {"horizon_days": 7, "relative_mae": same, "relative_crps": same, "p_value": 0.5, "words": "is worse"}
    score: ModelScore = blank(ModelScore, **(fields | changes))
    return score


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"relative_mae": None, "relative_crps": None, "p_value": None}, None),
        ({"relative_crps": Estimate(1.1, 1.05, 1.2), "p_value": 0.01}, "is worse"),
        ({"relative_crps": Estimate(1.1, 0.9, 1.3), "p_value": 0.2}, None),
        ({"relative_crps": Estimate(0.9, 0.8, 0.95), "p_value": 0.01}, None),
        ({"relative_crps": Estimate(1.0001, 1.00005, 1.0002), "p_value": 0.01}, None),  # reads as 0.0 %
        (
            {"relative_mae": Estimate(2.18, 2.0, 2.4)},
            "is worse than persistence: its error 7 days ahead is 2.180 times as large",
        ),
        ({"relative_mae": Estimate(1.1, 0.98, 1.3)}, None),
        ({"relative_mae": Estimate(1.1, None, None)}, None),
    ],
)
def test_only_a_significant_difference_from_persistence_counts(changes: dict[str, Any], fault: str | None) -> None:
    assert next(iter(serving_faults([scored(**changes)])), None) == fault


def compared(model: str, other: str, horizon: int, ratio: float | None, p_value: float | None) -> PairwiseScore:
    relative = None if ratio is None else Estimate(ratio, None, None)
    return PairwiseScore(model, other, horizon, 100, relative, p_value, "")


def ranked(name: str, *ratios: float | None) -> ModelReport:
    """A model with these CRPS relative to persistence's, at 1, 7, ... days."""
    estimates = [None if ratio is None else Estimate(ratio, ratio - 0.01, ratio + 0.01) for ratio in ratios]
    scores = [
        scored(horizon_days=1 + 6 * place, forecasts=1_000, relative_crps=estimate)
        for place, estimate in enumerate(estimates)
    ]
    built: ModelReport = blank(ModelReport, name=name, scores=tuple(scores))
    return built


def test_the_report_says_who_is_better_and_where_nobody_can_say(tmp_path: Path) -> None:
    model = make_model()
    facts = replace(
        model.card.pairs[BTC],
        models=(
            ranked("combined", 0.96, None),
            ranked("garch", 0.95, 1.02),
            blank(ModelReport, name="mine", left_out="TypeError: no prices"),
        ),
        pairwise=(
            compared("combined", "garch", 1, 1.02, 0.001),
            compared("combined", "garch", 7, 0.99, 0.2),
            compared("combined", "garch", 30, None, None),
            compared("combined", "prophet", 7, 0.5, 0.001),
            compared("combined", "prophet", 1, 0.5, 0.001),
        ),
        not_served="mine is left out: TypeError: no prices",
    )
    card = replace(model.card, pairs={BTC: facts})
    lines = report.as_text(card, tmp_path / "model.pkl", {BTC: 1.0}).splitlines()
    rows = [line.split()[:6] for line in lines[lines.index("the models of BTC/USD") + 2 :][2:6]]
    assert rows == [
        ["1", "day", "garch", "1,000", "1.000", "0.950"],
        ["1", "day", "combined", "1,000", "1.000", "0.960"],
        ["7", "days", "garch", "1,000", "1.000", "1.020"],
        ["7", "days", "combined", "1,000", "1.000", "-"],
    ]
    assert {
        "garch is better than combined at 1 day",
        "combined is better than prophet at 1 and 7 days",
        "nobody can say which is better: combined or garch at 7 days",
        "too few forecasts to compare combined and garch at 30 days",
        "mine is left out: TypeError: no prices",
        "the default is combined: mine is left out: TypeError: no prices",
    } <= set(lines)
    summary = " ".join(report.as_summary(card, tmp_path / "model.pkl", {BTC: 1.0}).split())
    assert "1 day ahead beside persistence's, the best first: garch 0.950 and combined 0.960" in summary
    assert "BTC/USD: mine is left out: TypeError: no prices" in summary
    encoded = json.loads(report.as_json(card, tmp_path / "model.pkl", {BTC: 1.0}))["card"]["pairs"]["BTC/USD"]
    assert [each["name"] for each in encoded["models"]] == ["combined", "garch", "mine"]
    assert len(encoded["pairwise"]) == 5
