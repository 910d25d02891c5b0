import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.schema import Backtest, Loss, Model, PairCard
from crypto_predict.market import Pair
from tests.support.histories import as_csv, make_history
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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        (HEAD, "no row follows the header"),
        ("date,high,low\n2021-01-01,5,5\n", "missing columns: open, close; the columns found are"),
        (HEAD + "soon,1,1,1,1,1\n", "line 2: time 'soon' is not a date"),
        (HEAD + "".join(DAYS).replace(",12.5", ",much", 1), "line 2: volume 'much' is not a number"),
    ],
    ids=["empty", "header only", "other columns", "no time", "no number"],
)
def test_an_unusable_history_ends_with_3_and_its_reason(
    content: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The earlier model stays unchanged."""
    assert train_on(content, tmp_path) == 3
    assert reason in capsys.readouterr().err
    assert (tmp_path / "model.pkl").read_bytes() == b"the previous model"


FUTURE = "1 of 61 candles open in the future; the first: 2999-01-01 in line 62"
IMPOSSIBLE = "60 of 60 candles are impossible; the first: 2021-01-01 in line 2"


@pytest.mark.parametrize(
    ("content", "refused", "unusable"),
    [
        (HEAD + DAYS[0], "too short: 1 day;", "1 usable candles of BTC/USD, 30 are needed"),
        (HEAD + "".join(DAYS) + "2999-01-01,1,1,1,1,1\n", FUTURE, FUTURE),
        (HEAD + "".join(DAYS).replace(",12.5", ",-12.5"), IMPOSSIBLE, IMPOSSIBLE),
    ],
    ids=["one candle", "future", "impossible"],
)
def test_without_the_gate_an_unusable_history_ends_with_3(
    content: str, refused: str, unusable: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the gate, the same history is refused with 4 for the same reasons."""
    assert train_on(content, tmp_path) == 4
    assert refused in capsys.readouterr().err
    assert train_on(content, tmp_path, "--no-gate") == 3
    assert unusable in capsys.readouterr().err
    assert (tmp_path / "model.pkl").read_bytes() == b"the previous model"


def test_a_refusal_names_every_reason_of_every_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All faults are reported at once."""
    (tmp_path / "BTC.csv").write_text(HEAD + "".join([*DAYS[:20], *DAYS[30:], DAYS[5]]))
    (tmp_path / "ETH.csv").write_text(HEAD + DAYS[0].replace(",12.5", ",inf"))
    files = ("--source", f"file:{tmp_path / '{base}.csv'}", "--output", str(tmp_path / "model.pkl"))
    assert in_process("--pair", "BTC/USD,ETH/USD", *files) == 4
    lines = capsys.readouterr().err.partition("refused by the gate:\n")[2].splitlines()
    reasons = [
        ("BTC/USD", "1 of 51 candles repeat an opening; the first: 2021-01-06 in line 52 after 2021-01-06 in line 7"),
        ("BTC/USD", "stale: the newest candle, of 2021-03-01"),
        ("BTC/USD", "too short: 60 days; at least 180 are needed"),
        ("BTC/USD", "gaps: 10 of 60 candles are missing"),
        ("BTC/USD", "gap: 10 candles are missing in a row from 2021-01-21 on"),
        ("ETH/USD", "1 of 1 candles are impossible; the first: 2021-01-01 in line 2: volume inf"),
        ("ETH/USD", "no usable candle is left"),
    ]
    expected = [f"  {pair}: file:{tmp_path}/{{base}}.csv: {reason}" for pair, reason in reasons]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


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


def champion(trained: Path, folder: Path, share: float) -> Path:
    """Save a champion like the trained model, with every loss multiplied by `share`."""
    model = store.load(trained / "model.pkl")
    card = replace(model.card, pairs={BTC: with_losses(model.card.pairs[BTC], share)})
    store.save(replace(model, card=card), folder / "champion.pkl")
    return folder / "champion.pkl"


def with_losses(card: PairCard, share: float) -> PairCard:
    assert isinstance(card.backtest, Backtest)
    losses = tuple(scaled(card.backtest.losses, share))
    return replace(card, backtest=replace(card.backtest, losses=losses))


def scaled(losses: Iterable[Loss], share: float) -> Iterable[Loss]:
    return (replace(loss, error=share * loss.error, winkler=share * loss.winkler) for loss in losses)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_worse_than_the_one_it_replaces_is_refused(
    trained: tuple[tuple[str, ...], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Model and ledger stay unchanged; the backtest is written and shows why."""
    arguments, folder = trained
    better = champion(folder, tmp_path, 0.5)
    for name in ("model.pkl", "model.ledger.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    before = contents(tmp_path)
    files = ("--output", str(tmp_path / "model.pkl"), "--champion", str(better))
    assert in_process(*arguments, *files, "--backtest", str(tmp_path / "backtest.csv")) == 4
    reasons = capsys.readouterr().err.partition("refused by the gate:\n")[2].splitlines()
    assert [reason.partition(" ahead ")[0] for reason in reasons] == [
        *2 * ["  BTC/USD: worse: 1 day"],
        *2 * ["  BTC/USD: worse: 7 days"],
    ]
    assert "100.0% above" in reasons[0]
    after = contents(tmp_path)
    assert after.pop("backtest.csv").startswith(b"pair,cutoff,")
    assert after == before


def test_without_the_gate_the_worse_model_is_written_with_the_verdict(
    trained: tuple[tuple[str, ...], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, folder = trained
    files = ("--output", str(tmp_path / "model.pkl"), "--champion", str(champion(folder, tmp_path, 0.5)))
    assert in_process(*arguments, *files, "--no-gate", "--verbose") == 0
    gate = store.load(tmp_path / "model.pkl").card.gate
    assert (gate.passed, gate.enforced, len(gate.reasons)) == (False, False, 4)
    assert "the gate (lifted by --no-gate):\n  BTC/USD: worse: 1 day ahead" in capsys.readouterr().out


def test_a_model_as_good_as_the_one_it_replaces_is_accepted(
    trained: tuple[tuple[str, ...], Path], tmp_path: Path
) -> None:
    """Champion and output are the same file."""
    arguments, folder = trained
    (tmp_path / "model.pkl").write_bytes((folder / "model.pkl").read_bytes())
    files = ("--output", str(tmp_path / "model.pkl"), "--champion", str(tmp_path / "model.pkl"))
    assert in_process(*arguments, *files, "--seed", "1") == 0
    assert store.load(tmp_path / "model.pkl").card.seed == 1


def test_a_simulated_champion_is_not_compared_with_a_real_model(
    trained: tuple[tuple[str, ...], Path], tmp_path: Path
) -> None:
    arguments, folder = trained
    path = champion(folder, tmp_path, 0.5)
    model: Model = store.load(path)
    simulated = {pair: replace(card, simulated=True) for pair, card in model.card.pairs.items()}
    store.save(replace(model, card=replace(model.card, pairs=simulated)), path)
    assert in_process(*arguments, "--output", str(tmp_path / "model.pkl"), "--champion", str(path)) == 0


@pytest.mark.parametrize("content", [None, b"", b"no model"])
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
    reasons = capsys.readouterr().err.partition("refused by the gate:\n")[2].splitlines()
    days = [match[1] for reason in reasons if (match := re.search(r"outcomes (\d+) days? ahead", reason))]
    assert days[:3] == ["1", "3", "7"], "what was asked for, and what is judged in every release"
    assert {reason.rpartition("; ")[2] for reason in reasons} == {limits}
    assert not (tmp_path / "model.pkl").exists()
    assert not (tmp_path / "model.ledger.jsonl").exists()


def test_one_faulty_pair_refuses_the_whole_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sound pair is not among the reasons."""
    (tmp_path / "BTC.csv").write_text(as_csv(make_history(200)))
    (tmp_path / "ETH.csv").write_text(as_csv(make_history(200, missing=frozenset(range(50, 60)))))
    files = ("--source", f"file:{tmp_path / '{base}.csv'}", "--output", str(tmp_path / "model.pkl"))
    pairs = ("--pair", "BTC/USD,ETH/USD", "--until", "2021-07-19", *QUICK)
    assert in_process(*pairs, *files) == 4
    reasons = capsys.readouterr().err.partition("refused by the gate:\n")[2].splitlines()
    assert all(reason.startswith("  ETH/USD: ") for reason in reasons)
    assert not (tmp_path / "model.pkl").exists()
    assert in_process(*pairs, *files, "--no-gate") == 0
    gate = store.load(tmp_path / "model.pkl").card.gate
    assert gate.reasons
    assert all(reason.startswith("ETH/USD: gap") for reason in gate.reasons)


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


def test_pairs_are_scored_over_their_own_histories(tmp_path: Path) -> None:
    (tmp_path / "BTC.csv").write_text(as_csv(make_history(260)))
    long = make_history(260)
    (tmp_path / "ETH.csv").write_text(as_csv(replace(long, candles=long.candles[70:])))
    files = ("--source", f"file:{tmp_path / '{base}.csv'}", "--output", str(tmp_path / "model.pkl"))
    assert in_process("--pair", "BTC/USD,ETH/USD", "--until", "2021-09-17", *QUICK, *files) == 0
    cards = store.load(tmp_path / "model.pkl").card.pairs.values()
    backtests = [card.backtest for card in cards if card.backtest is not None]
    assert [backtest.cutoffs for backtest in backtests] == [6, 4]
    assert backtests[0].first_cutoff < backtests[1].first_cutoff
    assert backtests[0].last_cutoff == backtests[1].last_cutoff


def test_a_horizon_longer_than_the_history_is_left_out_of_the_scores(tmp_path: Path) -> None:
    """It has no outcomes yet."""
    files = (*price_file(tmp_path, 200), *QUICK, "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, "--horizons", "1,365") == 0
    assert (backtest := store.load(tmp_path / "model.pkl").card.pairs[BTC].backtest) is not None
    assert [score.horizon_days for score in backtest.scores] == [1]
