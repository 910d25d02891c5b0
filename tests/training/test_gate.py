import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.market import Pair
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import as_csv, make_history
from tests.support.serving import ROOT
from tests.support.training import QUICK, TRAINED_AT, in_process, price_file

BTC = Pair("BTC", "USD")
HEAD = "time,open,high,low,close,volume\n"
DAYS = as_csv(make_history(60)).splitlines(keepends=True)[1:]


def train_on(content: str, folder: Path, *options: str) -> int:
    """Train on a file with this content, with a model at the output."""
    (folder / "prices.csv").write_text(content)
    (folder / "model.pkl").write_bytes(b"the previous model")
    files = ("--pair", "BTC/USD", "--source", f"file:{folder / 'prices.csv'}", "--output", str(folder / "model.pkl"))
    return in_process(*files, *options)


def refusals(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The reasons of the gate, one a line."""
    return capsys.readouterr().err.partition("refused by the gate:\n")[2].splitlines()


FUTURE = "1 of 61 candles open in the future; the first: 2999-01-01 in line 62"
IMPOSSIBLE = "60 of 60 candles are impossible; the first: 2021-01-01 in line 2"


NO_TIME = "line 2: time 'soon' is not a date"


@pytest.mark.parametrize(
    ("content", "code", "refused", "unusable"),
    [
        ("", 3, "it is empty", "it is empty"),
        (HEAD + "soon,1,1,1,1,1\n", 3, NO_TIME, NO_TIME),
        (HEAD + DAYS[0], 4, "too short: 1 day;", "1 usable candles of BTC/USD, 30 are needed"),
        (HEAD + "".join(DAYS) + "2999-01-01,1,1,1,1,1\n", 4, FUTURE, FUTURE),
        (HEAD + "".join(DAYS).replace(",12.5", ",-12.5"), 4, IMPOSSIBLE, IMPOSSIBLE),
    ],
    ids=["empty", "no time", "one candle", "future", "impossible"],
)
def test_an_unusable_history_ends_with_3_unless_the_gate_refuses_it_first(  # noqa: PLR0913, PLR0917 two fixtures
    content: str, code: int, refused: str, unusable: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The earlier model stays unchanged. `tests/sources/test_csv_file.py` has the faults of a file."""
    assert train_on(content, tmp_path) == code
    assert refused in capsys.readouterr().err
    assert train_on(content, tmp_path, "--no-gate") == 3
    assert unusable in capsys.readouterr().err
    assert (tmp_path / "model.pkl").read_bytes() == b"the previous model"


def test_a_refusal_names_every_reason_of_every_faulty_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All faults are reported at once; a sound pair is not among them. Without the gate the card has them."""
    (tmp_path / "BTC.csv").write_text(HEAD + "".join([*DAYS[:20], *DAYS[30:], DAYS[5]]))
    (tmp_path / "ETH.csv").write_text(HEAD + DAYS[0].replace(",12.5", ",inf"))
    (tmp_path / "SOL.csv").write_text(as_csv(make_history(200)))
    source = f"file:{tmp_path}/{{base}}.csv"
    files = ("--source", source, "--output", str(tmp_path / "model.pkl"), "--until", "2021-07-19", *QUICK)
    assert in_process("--pair", "BTC/USD,ETH/USD,SOL/USD", *files) == 4
    lines = refusals(capsys)
    reasons = [
        ("BTC/USD", "1 of 51 candles repeat an opening; the first: 2021-01-06 in line 52 after 2021-01-06 in line 7"),
        ("BTC/USD", "stale: the newest candle, of 2021-03-01"),
        ("BTC/USD", "too short: 60 days; at least 180 are needed"),
        ("BTC/USD", "gaps: 10 of 60 candles are missing"),
        ("BTC/USD", "gap: 10 candles are missing in a row from 2021-01-21 on"),
        ("ETH/USD", "1 of 1 candles are impossible; the first: 2021-01-01 in line 2: volume inf"),
        ("ETH/USD", "no usable candle is left"),
    ]
    expected = [f"  {pair}: {source}: {reason}" for pair, reason in reasons]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected
    assert not (tmp_path / "model.pkl").exists()
    (tmp_path / "ETH.csv").write_text(as_csv(make_history(200, missing=frozenset(range(50, 60)))))
    assert in_process("--pair", "ETH/USD,SOL/USD", *files, "--no-gate") == 0
    gate = store.load(tmp_path / "model.pkl").card.gate
    assert gate.reasons
    assert all(reason.startswith("ETH/USD: gap") for reason in gate.reasons)


def test_a_threshold_can_be_moved_and_a_faulty_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("--source", "simulated", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, environ={"GATE_STALEST_HOURS": "0"}) == 4
    assert "less than 0 hours are allowed" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        in_process(*files, environ={"GATE_STALEST_HOURS": "many"})
    assert end.value.code == 2
    assert "GATE_STALEST_HOURS: 'many' is not a number from 0 up" in capsys.readouterr().err


# From here on: the gate on scores.


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, ...], Path]:
    """The arguments of a training that scores 30 cutoffs, one a week, and the folder it wrote to."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = (*price_file(folder, 418), "--every", "7", "--horizons", "1,7")
    assert in_process(*arguments, "--output", str(folder / "model.pkl")) == 0
    return arguments, folder


def better_champion(trained: Path, folder: Path, *, simulated: bool = False) -> Path:
    """Save a champion like the trained model, with half of every loss."""
    model, path = store.load(trained / "model.pkl"), folder / "champion.pkl"
    facts = model.card.pairs[BTC]
    assert facts.backtest is not None
    losses = (replace(loss, error=loss.error / 2, winkler=loss.winkler / 2) for loss in facts.backtest.losses)
    facts = replace(facts, backtest=replace(facts.backtest, losses=tuple(losses)), simulated=simulated)
    store.save(replace(model, card=replace(model.card, pairs={BTC: facts})), path)
    return path


def test_a_model_worse_than_the_one_it_replaces_is_refused(
    trained: tuple[tuple[str, ...], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Model and ledger stay unchanged; the backtest is written and shows why. Without the gate the card says so.

    A simulated champion is not compared with a real model.
    """
    arguments, folder = trained
    better = better_champion(folder, tmp_path)
    for name in ("model.pkl", "model.ledger.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    files = ("--output", str(tmp_path / "model.pkl"), "--champion", str(better))
    assert in_process(*arguments, *files, "--backtest", str(tmp_path / "backtest.csv")) == 4
    reasons = refusals(capsys)
    assert [reason.partition(" ahead ")[0] for reason in reasons] == [
        *2 * ["  BTC/USD: worse: 1 day"],
        *2 * ["  BTC/USD: worse: 7 days"],
    ]
    assert "100.0% above" in reasons[0]
    assert (tmp_path / "backtest.csv").read_bytes().startswith(b"pair,cutoff,")
    assert {path: path.read_bytes() for path in before} == before

    assert in_process(*arguments, *files, "--no-gate", "--verbose") == 0
    gate = store.load(tmp_path / "model.pkl").card.gate
    assert (gate.passed, gate.enforced, len(gate.reasons)) == (False, False, 4)
    assert "the gate (lifted by --no-gate):\n  BTC/USD: worse: 1 day ahead" in capsys.readouterr().out
    better_champion(folder, tmp_path, simulated=True)
    assert in_process(*arguments, *files) == 0


def test_a_model_as_good_as_the_one_it_replaces_is_accepted(
    trained: tuple[tuple[str, ...], Path], tmp_path: Path
) -> None:
    """Champion and output are the same file."""
    arguments, folder = trained
    (tmp_path / "model.pkl").write_bytes((folder / "model.pkl").read_bytes())
    files = ("--output", str(tmp_path / "model.pkl"), "--champion", str(tmp_path / "model.pkl"))
    assert in_process(*arguments, *files, "--seed", "1") == 0
    assert store.load(tmp_path / "model.pkl").card.seed == 1


def test_another_default_is_compared_with_the_default_before_and_never_stops_a_release(
    trained: tuple[tuple[str, ...], Path], tmp_path: Path
) -> None:
    """Its losses are in the card. If it is worse than what answered before, ours answers, and is not compared with it.

    Ours is not compared either once the other model is no longer asked for.
    """
    arguments, folder = trained
    output = tmp_path / "model.pkl"
    assert in_process(*arguments, "--serve", "garch", "--output", str(output)) == 0
    model = store.load(output)
    before, other = store.load(folder / "model.pkl").card.pairs[BTC], model.card.pairs[BTC]
    assert before.backtest is not None
    assert other.backtest is not None
    assert (other.served, other.not_served) == ("garch", None)
    middle = model.forecasts[BTC].models["garch"][0][LEVELS.index(0.5)]
    assert math.log(other.forecast[0].prediction) == pytest.approx(middle, abs=1e-5)
    assert replace(other.backtest, losses=before.backtest.losses) == before.backtest
    reports = {report.name: report for report in other.models}
    for loss, error in ((other.backtest, reports["garch"]), (before.backtest, reports["combined"])):
        coming = [each.winkler for each in loss.losses if each.horizon_days == 1]
        assert sum(coming) / len(coming) == pytest.approx(error.scores[0].winkler.value, rel=1e-4)

    better = ("--champion", str(better_champion(tmp_path, tmp_path)), "--output", str(output))
    assert in_process(*arguments, *better, "--serve", "garch") == 0
    card = store.load(output).card
    reason = card.pairs[BTC].not_served
    assert str(reason).startswith("garch does not pass the gate: worse: 1 day ahead the mean absolute log error over ")
    assert (card.pairs[BTC].served, card.gate.reasons) == ("combined", ())
    assert card.pairs[BTC].backtest == before.backtest
    assert in_process(*arguments, *better) == 0


FLAT = "def forecast(history, horizons, levels):\n    return [[history.close.iloc[-1]] * len(levels)] * len(horizons)\n"


def test_a_file_that_is_the_default_is_compared_with_the_release_of_the_day_before(tmp_path: Path) -> None:
    """Its cutoffs are a week apart and do not move with the newest day."""
    serve = ("--rivals", str(ROOT / "rivals" / "example.py"), "--serve", "example", "--horizons", "1")
    days = []
    for count in (417, 418):
        (folder := tmp_path / str(count)).mkdir()
        days.append((*price_file(folder, count), *serve, "--no-gate", "--output", str(folder / "model.pkl")))
    assert in_process(*days[0]) == 0
    assert store.load(tmp_path / "417" / "model.pkl").card.pairs[BTC].served == "example"
    champion = better_champion(tmp_path / "417", tmp_path)
    assert in_process(*days[1], "--champion", str(champion)) == 0
    reason = store.load(tmp_path / "418" / "model.pkl").card.pairs[BTC].not_served
    assert str(reason).startswith("example does not pass the gate: worse: 1 day ahead")


def test_the_gate_judges_the_calibration_of_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With these thresholds a range passes that never holds. Two forecasts are too few to be worse than persistence."""
    (tmp_path / "flat.py").write_text(FLAT)
    arguments = (*price_file(tmp_path, 200), *QUICK, "--rivals", f"garch,{tmp_path / 'flat.py'}", "--horizons", "1")
    files = (*arguments, "--rival-every", "80", "--output", str(tmp_path / "model.pkl"))
    environ = {**TRAINED_AT, "GATE_LEAST_COVERAGE": "0", "GATE_MOST_COVERAGE": "0.01", "GATE_BAD_LUCK": "3"}
    assert in_process(*files, "--serve", "flat", environ=environ) == 0
    assert store.load(tmp_path / "model.pkl").card.pairs[BTC].served == "flat"
    assert in_process(*files, environ=environ) == 4
    assert len(refusals(capsys)) > 1
    assert in_process(*files, "--no-gate", "--serve", "garch", environ=environ) == 0
    card = store.load(tmp_path / "model.pkl").card
    assert card.pairs[BTC].served == "combined"
    assert str(card.pairs[BTC].not_served).startswith("garch does not pass the gate: calibration: ")
    assert all(reason.startswith("BTC/USD: calibration: ") for reason in card.gate.reasons)


@pytest.mark.parametrize("content", [None, b"no model"])
def test_an_unreadable_champion_ends_with_2_before_the_training(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "champion.pkl"
    if content is not None:
        path.write_bytes(content)
    # The history does not exist either, and is not read.
    files = ("--pair", "BTC/USD", "--source", f"file:{tmp_path / 'none.csv'}", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, "--champion", str(path)) == 2
    assert re.search(r"--champion: '.* is not a usable model: ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("environ", "limits"),
    [
        ({"GATE_MOST_COVERAGE": "0.01", "GATE_BAD_LUCK": "3"}, "70% to 1% are allowed"),
        ({"GATE_LEAST_COVERAGE": "1.01", "GATE_BAD_LUCK": "3"}, "101% to 90% are allowed"),
    ],
)
def test_an_interval_out_of_calibration_is_refused_at_every_horizon(
    environ: dict[str, str], limits: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The thresholds are set so that every interval fails."""
    files = (*price_file(tmp_path, 200), *QUICK, "--horizons", "1,3", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, environ={**TRAINED_AT, **environ}) == 4
    reasons = refusals(capsys)
    days = [match[1] for reason in reasons if (match := re.search(r"outcomes (\d+) days? ahead", reason))]
    assert days[:3] == ["1", "3", "7"], "what was asked for, and what is judged in every release"
    assert {reason.rpartition("; ")[2] for reason in reasons} == {limits}
    assert not (tmp_path / "model.pkl").exists()
    assert not (tmp_path / "model.ledger.jsonl").exists()


@pytest.mark.parametrize("days", [30, 119, 130])
def test_without_the_gate_a_short_history_is_forecast_but_not_scored(
    days: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fewer than 120 days are not enough to score a forecast."""
    files = (*price_file(tmp_path, days), *QUICK, "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, "--no-gate", "--verbose", "--backtest", str(tmp_path / "backtest.csv")) == 0
    assert ("BTC/USD is not scored: the history is too short for a backtest" in capsys.readouterr().out) == (days < 120)
    card = store.load(tmp_path / "model.pkl").card
    assert (card.pairs[BTC].backtest is None) == (days < 120)
    bands = store.load(tmp_path / "model.pkl").forecasts[BTC].prophet_bands
    assert (bands == ()) == (days < 120), "without a backtest, the interval of Prophet alone is not calibrated"
    assert card.gate.reasons[0].startswith(f"BTC/USD: too short: {days} days")
    assert ((tmp_path / "backtest.csv").read_text().count("\n") == 1) == (days < 120)


def test_too_few_candles_in_the_requested_days_end_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Earlier candles serve the backtest only."""
    path = tmp_path / "prices.csv"
    path.write_text(as_csv(make_history(300, missing=frozenset(range(150, 298)))))
    files = ("--pair", "BTC/USD", "--source", f"file:{path}", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, "--until", "2021-10-27", "--days", "30", "--no-gate") == 3
    assert "2 usable candles in the last 30 days, 30 are needed" in capsys.readouterr().err
