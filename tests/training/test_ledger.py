"""The ledger through the command line: consecutive releases, each with the ledger of the one before."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crypto_predict.baked import store
from crypto_predict.baked.evaluation import COMBINED, PROPHET
from crypto_predict.baked.schema import Model
from crypto_predict.market import DAY, Interval, Pair, Span
from crypto_predict.sources.simulated import Simulated
from tests.support.training import REVISION, TRAINED_AT, Outputs, in_process, price_file

BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")
FIRST, SECOND, THIRD = date(2025, 5, 31), date(2025, 6, 10), date(2025, 6, 30)


class Released(Outputs):
    """The folder of one release."""

    @property
    def model(self) -> Model:
        """The model, read from its file."""
        return store.load(self.model_file)

    def contents(self) -> dict[str, bytes]:
        """Return the content of every file by its name."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


def release(folder: Path, last: date, *options: str, pairs: str = "BTC/USD") -> int:
    """Train on the simulated market up to this day, ten minutes after its end; return the exit code."""
    folder.mkdir(exist_ok=True)
    epoch = int(datetime(last.year, last.month, last.day, 0, 10, tzinfo=UTC).timestamp()) + 86_400
    market = ("--source", "simulated", "--days", "200", "--every", "50", "--pair", pairs, "--until", str(last))
    output = ("--output", str(folder / "model.pkl"))
    return in_process(*market, *output, *options, environ={"SOURCE_DATE_EPOCH": str(epoch), **REVISION})


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> list[Released]:
    """Three releases, the second and third with a second pair, each with the ledger and the model of the one before."""
    history: list[Released] = []
    for last in (FIRST, SECOND, THIRD):
        folder = tmp_path_factory.mktemp(f"{last}")
        before = ("--ledger", str(history[-1].ledger), "--champion", str(history[-1].model_file)) if history else ()
        assert release(folder, last, *before, pairs="BTC/USD,ETH/USD" if history else "BTC/USD") == 0
        history.append(Released(folder))
    return history


def test_the_first_release_begins_a_ledger_with_the_forecasts_of_the_model(releases: list[Released]) -> None:
    first = releases[0]
    assert first.contents().keys() == {"model.pkl", "model.ledger.jsonl"}
    (line,) = first.lines()
    assert (line["kind"], line["pair"], line["made_at"]) == ("release", "BTC/USD", "2025-06-01T00:10:00Z")
    record = first.model.scorecard.simulated[BTC]
    assert (record.due, record.pending, record.words) == (0, 30, "no forecast has come due yet")
    standings = {standing.horizon_days: standing for standing in first.model.card.pairs[BTC].forecast}
    for standing in map(standings.__getitem__, (1, 7, 30)):
        entered = [line[name][standing.horizon_days - 1] for name in ("prediction", "low", "high")]
        assert entered == [standing.prediction, standing.low, standing.high]


def test_every_ledger_begins_with_the_bytes_of_the_one_before(releases: list[Released]) -> None:
    """The record is append-only. Every model names the head of its ledger, and keeps simulated prices apart."""
    data = [released.ledger.read_bytes() for released in releases]
    assert data[1].startswith(data[0])
    assert data[2].startswith(data[1])
    assert len(data[0]) < len(data[1]) < len(data[2])
    for released in releases:
        lines, scorecard = released.lines(), released.model.scorecard
        assert (scorecard.entries, scorecard.head, scorecard.pairs) == (len(lines), lines[-1]["sha256"], {})


def closes_of(pair: Pair) -> dict[str, float]:
    """Return the closes of the simulated market, by ISO date."""
    span = Span(datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
    return {f"{c.open_time:%Y-%m-%d}": c.close for c in Simulated(0).candles(pair, Interval.DAY_1, span)}


def came_due(lines: list[dict[str, Any]], pair: Pair, closes: dict[str, float]) -> np.ndarray[Any, Any]:
    """Return (n, 6) horizon, actual, prediction, low, high and persistence of each forecast with an outcome."""
    rows = []
    for line in lines:
        if line["kind"] == "release" and line["pair"] == str(pair):
            forecasts = zip(line["prediction"], line["low"], line["high"], strict=True)
            for horizon, forecast in enumerate(forecasts, start=1):
                target = str(date.fromisoformat(line["last"]) + timedelta(days=horizon))
                if target in closes:
                    rows.append((horizon, closes[target], *forecast, line["anchor"]["price"]))
    return np.array(rows)


@pytest.mark.parametrize(("pair", "due"), [(BTC, 50), (ETH, 20)])
def test_the_live_record_follows_from_forecasts_and_closes(releases: list[Released], pair: Pair, due: int) -> None:
    """Computed again from the ledger and the closes of the market."""
    rows = came_due(releases[2].lines(), pair, closes_of(pair))
    horizons, actual, predicted, low, high, persistence = rows.T
    errors, reference = np.abs(np.log(actual / predicted)), np.abs(np.log(actual / persistence))
    record = releases[2].model.scorecard.simulated[pair]
    assert (record.due, record.pending, record.overdue, record.hindsight) == (due, 30 * record.releases - due, 0, 0)
    assert record.due == len(rows)
    assert record.mae == pytest.approx(errors.mean())
    assert record.relative_mae == pytest.approx(errors.mean() / reference.mean())
    assert record.coverage == pytest.approx(np.mean((low <= actual) & (actual <= high)))
    assert [score.horizon_days for score in record.by_horizon] == ([1, 3, 7, 14, 30] if due == 50 else [1, 3, 7, 14])
    for score in record.by_horizon:
        chosen = horizons == score.horizon_days
        assert score.due == chosen.sum()
        assert score.mae == pytest.approx(errors[chosen].mean())
    assert [forecast.target for forecast in record.latest] == [THIRD - n * DAY for n in range(len(record.latest))]
    assert record.latest[0].actual == closes_of(pair)["2025-06-30"]


def test_every_model_of_a_release_has_a_record(releases: list[Released]) -> None:
    """Those that the default of --rivals names, from the releases that have come due: one of 1, 7 and 30 days."""
    model = releases[2].model
    record = model.scorecard.simulated[BTC]
    names = set(releases[2].lines()[-1]["models"])
    assert names == {COMBINED, PROPHET, *model.forecasts[BTC].models} == {COMBINED, PROPHET, "garch"}
    assert {live.name for live in record.models} == names
    for live in record.models:
        assert (live.releases, live.since) == (3, datetime(2025, 6, 1, 0, 10, tzinfo=UTC))
        assert [(score.horizon_days, score.forecasts) for score in live.scores] == [(1, 2), (7, 2), (30, 1)]
        assert live.pending == 3 * 4 - 5
    assert {(score.model, score.other) for score in record.pairwise} == set(combinations(sorted(names), 2))
    assert all(score.words.endswith("too few forecasts") for score in record.pairwise)


def test_the_same_training_with_the_same_ledger_gives_the_same_bytes(releases: list[Released], tmp_path: Path) -> None:
    """So does running it again with its own ledger: a release is recorded once."""
    second, again = releases[1], Released(tmp_path / "again")
    for options in (
        ["--ledger", str(releases[0].ledger)],
        ["--ledger", str(again.ledger), "--champion", str(again.model_file)],
    ):
        assert release(again.folder, SECOND, *options, pairs="BTC/USD,ETH/USD") == 0
        assert again.contents() == second.contents()


def test_a_ledger_that_is_not_continued_is_kept_aside(
    releases: list[Released], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A forgotten option must not destroy a record that cannot be made again."""
    again = Released(tmp_path / "again")
    assert release(again.folder, FIRST) == 0
    assert again.contents() == releases[0].contents()
    assert release(again.folder, SECOND) == 0
    (aside,) = again.contents().keys() - {"model.pkl", "model.ledger.jsonl"}
    assert again.contents()[aside] == releases[0].ledger.read_bytes()
    assert f"it is kept as {again.folder / aside}" in caplog.text
    assert [line["kind"] for line in again.lines()] == ["release"]
    assert release(tmp_path / "new", SECOND, "--champion", str(releases[0].model_file)) == 0
    assert "the live record starts again: --champion has a ledger, and --ledger does not name it" in caplog.text


def test_outcomes_before_the_fitted_days_are_recorded_too(releases: list[Released], tmp_path: Path) -> None:
    """Releases may be further apart than the fitted history is long."""
    late = Released(tmp_path / "late")
    assert release(late.folder, THIRD + 60 * DAY, "--ledger", str(releases[0].ledger), "--days", "30", "--no-gate") == 0
    assert late.model.card.pairs[BTC].candles == 30
    record = late.model.scorecard.simulated[BTC]
    assert (record.due, record.overdue) == (30, 0)


def test_a_broken_ledger_ends_with_4_and_nothing_is_written(
    releases: list[Released], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tests/baked/test_ledger` has the kinds of damage."""
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(releases[1].ledger.read_bytes().replace(b'"close":', b'"close":1', 1))
    assert release(tmp_path / "new", THIRD, "--ledger", str(broken), "--backtest", str(tmp_path / "backtest.csv")) == 4
    assert f"no usable ledger in {broken}: " in (errors := capsys.readouterr().err)
    assert "damaged or altered" in errors
    assert list((tmp_path / "new").iterdir()) == []
    assert not (tmp_path / "backtest.csv").exists()


@pytest.mark.parametrize("beside", [False, True])
def test_a_truncated_ledger_is_refused_by_its_model(
    beside: bool, releases: list[Released], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remaining lines are valid. The model is that of --champion, or stands beside the ledger."""
    shorter, output = tmp_path / "old.ledger.jsonl", tmp_path / ("" if beside else "new")
    shorter.write_bytes(releases[0].ledger.read_bytes())
    champion = [] if beside else ["--champion", str(releases[1].model_file)]
    if beside:
        shorter = shorter.rename(tmp_path / "model.ledger.jsonl")
        (tmp_path / "model.pkl").write_bytes(releases[1].model_file.read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert release(output, THIRD, "--ledger", str(shorter), *champion) == 4
    assert "its end is missing, or it belongs to another model" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before
    assert beside or list(output.iterdir()) == []


def test_a_release_before_the_newest_in_the_ledger_is_refused_before_the_training(
    releases: list[Released], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a forgotten SOURCE_DATE_EPOCH or a wrong clock. The history does not exist and is not read."""
    files = ("--pair", "BTC/USD", "--source", f"file:{tmp_path}/none.csv", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, "--ledger", str(releases[1].ledger), environ=TRAINED_AT) == 2
    assert "training time: 2024-05-18 12:10:47+00:00 is not at or after" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_ledger_and_model_unchanged(releases: list[Released], tmp_path: Path) -> None:
    """The ledger would fit, but must not contain an incomplete release. `ulimit` stands for the full disk."""
    folder = tmp_path / "full"
    folder.mkdir()
    standing = {"model.pkl": b"the previous model", "model.ledger.jsonl": releases[0].ledger.read_bytes()}
    for name, content in standing.items():
        (folder / name).write_bytes(content)
    arguments = (*price_file(tmp_path, 60), "--no-gate", "--output", str(folder / "model.pkl"))
    command = [sys.executable, "train.py", *arguments, "--ledger", str(folder / "model.ledger.jsonl")]
    run = subprocess.run(
        ["bash", "-c", 'unset COVERAGE_PROCESS_CONFIG; ulimit -f 8; exec "$@"', "bash", *command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert run.stderr.splitlines()[-1].endswith("File too large; the model was not changed")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == standing


@pytest.mark.parametrize("beside", [False, True])
def test_a_champion_determines_the_end_of_a_ledger_without_a_model(
    beside: bool, releases: list[Released], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With any file names; the given ledger is not lost, as a newer one beside an old champion may be intended."""
    new, champion = Released(tmp_path / "new"), tmp_path / "old.pkl"
    ledger = new.ledger if beside else tmp_path / "old.jsonl"
    new.folder.mkdir()
    ledger.write_bytes(releases[1].ledger.read_bytes())
    champion.write_bytes(releases[0].model_file.read_bytes())
    assert release(new.folder, THIRD, "--ledger", str(ledger), "--champion", str(champion)) == 0
    assert ". Their training was interrupted" in caplog.text
    assert new.ledger.read_bytes().startswith(releases[0].ledger.read_bytes())
    made = [line["made_at"] for line in new.lines() if line["kind"] == "release"]
    assert made == ["2025-06-01T00:10:00Z", "2025-07-01T00:10:00Z"]
    if beside:
        (aside,) = new.contents().keys() - {"model.pkl", "model.ledger.jsonl"}
        ledger = new.folder / aside
    assert ledger.read_bytes() == releases[1].ledger.read_bytes()
