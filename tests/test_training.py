import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from prophet.serialize import model_from_json

import train
from crypto_predict.baked import store
from crypto_predict.baked.evaluation import Curve
from crypto_predict.market import Pair
from tests.histories import as_csv, make_history

BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")
TRAINED_AT = {"SOURCE_DATE_EPOCH": "1716034247"}  # 2024-05-18 12:10:47 UTC
THEN = ("--until", "2023-06-19")  # the last day of the history made by hand


def run_training(*arguments: str, environ: Mapping[str, str] = TRAINED_AT) -> subprocess.CompletedProcess[str]:
    """The real command, as a process of its own."""
    surroundings = {**os.environ, **environ}
    return subprocess.run(
        [sys.executable, "train.py", *arguments],
        capture_output=True,
        text=True,
        env=surroundings,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "prices.csv"
    path.write_text(as_csv(make_history()))
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One run of two pairs in an invented market, with everything that can be written."""
    folder = tmp_path_factory.mktemp("simulated")
    run = run_training(
        *("--pair", "BTC/USD", "--pair", "ETH/USD", "--source", "simulated", "--until", "2025-06-30"),
        *("--output", str(folder / "model.pkl"), "--prophet-json", str(folder / "{base}.json")),
        *("--picture", str(folder / "{base}-{quote}.svg")),
    )
    return run, folder


def test_a_run_writes_the_model_and_ends_with_0(simulated: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    run, folder = simulated
    assert run.returncode == 0, run.stderr
    model = store.load(folder / "model.pkl")
    assert list(model.forecasts) == [BTC, ETH]
    assert model.forecasts[BTC].last == date(2025, 6, 30)
    assert model.card.pairs[BTC].candles == 1825


def test_the_report_tells_span_candles_gaps_fit_time_and_where_the_forecast_stands(
    simulated: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    run, folder = simulated
    lines = run.stdout.splitlines()
    history = next(line for line in lines if line.startswith("BTC/USD") and "simulated" in line).split()
    assert history[:8] == ["BTC/USD", "simulated", "2020-07-02", "2025-06-30", "1,825", "0", "0", history[7]]
    assert float(history[7]) > 0
    days = [line.split()[3] for line in lines if line.startswith("ETH/USD") and " day" in line]
    assert days == ["2025-07-01", "2025-07-07", "2025-07-30", "2025-09-28"]
    standing = store.load(folder / "model.pkl").card.pairs[ETH].forecast[0]
    assert f"{standing.prediction:,.2f}" in run.stdout


def test_invented_prices_cannot_be_overlooked(simulated: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    """In the log, in the report, in the card and in the picture."""
    run, folder = simulated
    assert "SIMULATED" in run.stderr.upper()
    assert "SIMULATED PRICES" in run.stdout
    card = store.load(folder / "model.pkl").card
    assert card.simulated
    assert card.pairs[BTC].simulated
    assert "SIMULATED PRICES" in (folder / "BTC-USD.svg").read_text()


def test_the_card_tells_where_the_model_comes_from(simulated: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, folder = simulated
    card = store.load(folder / "model.pkl").card
    assert card.trained_at == datetime(2024, 5, 18, 12, 10, 47, tzinfo=UTC)
    assert card.build == f"{card.version}-20240518121047"
    assert card.python == ".".join(map(str, sys.version_info[:3]))
    assert set(card.packages) >= {"prophet", "numpy", "pandas"}
    assert [standing.horizon_days for standing in card.pairs[BTC].forecast] == [1, 7, 30, 90]
    assert len(card.pairs[BTC].history_sha256) == 64
    assert card.backtest is None, "no score is claimed that was not measured"


def test_prophets_own_json_predicts_what_was_baked(simulated: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, folder = simulated
    forecast = store.load(folder / "model.pkl").forecasts[BTC]
    prophet = model_from_json((folder / "BTC.json").read_text())
    days = pd.date_range(forecast.first, forecast.end, freq="37D")
    expected = prophet.predict(pd.DataFrame({"ds": days}))["yhat"].tolist()
    curve = Curve(forecast.scale, forecast.trend, forecast.seasonalities)
    assert [curve.at(day.toordinal()) for day in days] == pytest.approx(expected, rel=1e-9)


def test_the_picture_is_a_drawing(simulated: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, folder = simulated
    root = ET.parse(folder / "ETH-USD.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "forecast from 30 June 2025" in (folder / "ETH-USD.svg").read_text()


def test_the_same_input_gives_the_same_file_byte_for_byte(prices: Path, tmp_path: Path) -> None:
    """Two processes with different hash seeds: nothing about a run may leak into the file."""
    arguments = ("--source", f"file:{prices}", *THEN)
    for name in ("1", "2"):
        files = ("--output", str(tmp_path / f"{name}.pkl"), "--picture", str(tmp_path / f"{name}.svg"))
        run = run_training(*arguments, *files, environ={**TRAINED_AT, "PYTHONHASHSEED": name})
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "1.pkl").read_bytes() == (tmp_path / "2.pkl").read_bytes()
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def in_process(*arguments: str, environ: Mapping[str, str] = TRAINED_AT) -> int:
    """The same command in this process, for the many cases that end early."""
    return train.main(arguments, environ)


def test_the_report_can_be_read_by_a_machine(prices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "model.pkl"
    assert in_process("--source", f"file:{prices}", *THEN, "--output", str(output), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["output"] == str(output)
    assert report["fit_seconds"]["BTC/USD"] > 0
    assert report["card"]["pairs"]["BTC/USD"]["candles"] == 900
    assert report["card"]["simulated"] is False


def test_every_option_can_come_from_the_environment(
    prices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {
        "PAIR": "ETH/USD",
        "SOURCE": f"file:{prices}",
        "DAYS": "100",
        "UNTIL": "2022-12-31",
        "OUTPUT": str(tmp_path / "from-environment.pkl"),
        "PROPHET_JSON": str(tmp_path / "prophet.json"),
        "PICTURE": str(tmp_path / "picture.png"),
        "SEED": "7",
        "NO_GATE": "1",
        "JSON": "1",
        "MODEL_VERSION": "9.8.7",
        "GIT_REVISION": "abc",
    }
    assert in_process(environ=environ) == 0
    card = store.load(tmp_path / "from-environment.pkl").card
    assert (card.days, card.seed, card.version, card.git_revision) == (100, 7, "9.8.7", "abc")
    assert card.pairs[ETH].candles == 100
    assert card.pairs[ETH].last == datetime(2022, 12, 31, tzinfo=UTC)
    assert json.loads(capsys.readouterr().out)["card"]["build"].startswith("9.8.7-")
    assert (tmp_path / "prophet.json").exists()
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--pair", "bitcoin"], "'bitcoin' is not two currencies such as BTC/USD"),
        (["--source", "mtgox"], "mtgox"),
        (["--days", "7"], "'7' is not a whole number from 30"),
        (["--days", "many"], "'many'"),
        (["--until", "2024-02-30"], "'2024-02-30' is not an ISO date"),
        (["--seed", "-1"], "'-1'"),
        (["--unknown"], "--unknown"),
    ],
)
def test_a_bad_argument_is_named_and_ends_with_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        in_process(*arguments)
    assert end.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--output", "no-such-folder/model.pkl"], "--output: 'no-such-folder/model.pkl'"),
        (["--output", "."], "--output"),
        (["--picture", "forecast.bmp"], "--picture: 'forecast.bmp'"),
        (["--pair", "BTC/USD,ETH/USD", "--prophet-json", "p.json"], "{base}-{quote}"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_process("--source", "simulated", *arguments) == 2
    assert named in capsys.readouterr().err


def test_what_is_read_or_written_already_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the hand must not cost anyone their price history."""
    history, picture, pipe = tmp_path / "prices.csv", tmp_path / "picture.svg", tmp_path / "pipe"
    history.write_text(as_csv(make_history(60)))
    os.mkfifo(pipe)
    source = ("--source", f"file:{history}")
    assert in_process(*source, "--output", str(history)) == 2
    assert in_process(*source, "--output", str(picture), "--picture", str(picture)) == 2
    assert in_process(*source, "--output", str(pipe)) == 2
    assert "another file" in (errors := capsys.readouterr().err)
    assert "a file of its own" in errors
    assert "a regular file" in errors
    assert history.read_text() == as_csv(make_history(60))


@pytest.mark.parametrize("wild", [1e20, 1e300])
def test_prices_beyond_any_forecast_are_refused_with_3(
    wild: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be fitted but not evaluated would answer with errors later."""
    history = make_history(100, lambda day: wild if day % 2 else 1.0)
    (tmp_path / "wild.csv").write_text(as_csv(history))
    files = ("--source", f"file:{tmp_path / 'wild.csv'}", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, "--no-gate") == 3
    assert "beyond every number" in capsys.readouterr().err
    assert not (tmp_path / "model.pkl").exists()


def test_a_report_that_nobody_reads_is_no_traceback(prices: Path, tmp_path: Path) -> None:
    """The model is written by then, and the exit code tells that the report was not."""
    files = ("--source", f"file:{prices}", "--output", str(tmp_path / "model.pkl"))
    command = [sys.executable, "train.py", *files, *THEN]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=100) == 1
    assert errors.splitlines()[-1] == "train.py: error: the model was written, but not this report: Broken pipe"
    assert store.load(tmp_path / "model.pkl").forecasts[BTC].last_close > 0


def test_a_bad_environment_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        in_process(environ={"DAYS": "soon"})
    assert end.value.code == 2
    assert "environment variable DAYS" in capsys.readouterr().err


HEAD = "time,open,high,low,close,volume\n"
DAYS = as_csv(make_history(60)).splitlines(keepends=True)[1:]


def train_on(content: str, folder: Path, *options: str) -> int:
    """The command on a file of this content, where a model stands already."""
    (folder / "prices.csv").write_text(content)
    (folder / "model.pkl").write_bytes(b"the previous model")
    files = ("--source", f"file:{folder / 'prices.csv'}", "--output", str(folder / "model.pkl"))
    return in_process(*files, *options)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        (HEAD, "there is no row below the header"),
        ("date,price\n2021-01-01,5\n", "missing columns: time, open, high, low, close, volume"),
        (HEAD + "soon,1,1,1,1,1\n", "line 2: time 'soon' is not an ISO date"),
        (HEAD + "".join(DAYS).replace(",12.5", ",much", 1), "line 2: volume 'much' is not a number"),
    ],
    ids=["empty", "header only", "other columns", "no time", "no number"],
)
def test_what_is_no_history_ends_with_3_and_its_reason(
    content: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the model that stood there before stays as it was."""
    assert train_on(content, tmp_path) == 3
    assert reason in capsys.readouterr().err
    assert (tmp_path / "model.pkl").read_bytes() == b"the previous model"


@pytest.mark.parametrize(
    ("content", "refused", "unusable"),
    [
        (HEAD + DAYS[0], "too short: 1 day;", "1 usable candles of BTC/USD, 30 are needed"),
        (
            HEAD + "".join(DAYS) + "2999-01-01,1,1,1,1,1\n",
            "1 of 61 candles open in the future; the first: 2999-01-01 in line 62",
            "1 of 61 candles open in the future; the first: 2999-01-01 in line 62",
        ),
        (
            HEAD + "".join(DAYS).replace(",12.5", ",-12.5"),
            "60 of 60 candles are impossible; the first: 2021-01-01 in line 2",
            "60 of 60 candles are impossible; the first: 2021-01-01 in line 2",
        ),
    ],
    ids=["one candle", "future", "impossible"],
)
def test_without_the_gate_what_no_model_can_be_fitted_to_ends_with_3(
    content: str, refused: str, unusable: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With it, the same history is refused with 4, and what is wrong with it is told either way."""
    assert train_on(content, tmp_path) == 4
    assert refused in capsys.readouterr().err
    assert train_on(content, tmp_path, "--no-gate") == 3
    assert unusable in capsys.readouterr().err
    assert (tmp_path / "model.pkl").read_bytes() == b"the previous model"


def test_a_refusal_names_every_reason_of_every_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who repairs one fault must not learn of the next one only then."""
    (tmp_path / "BTC.csv").write_text(HEAD + "".join([*DAYS[:20], *DAYS[30:], DAYS[5]]))
    (tmp_path / "ETH.csv").write_text(HEAD + DAYS[0].replace(",12.5", ",nan"))
    files = ("--source", f"file:{tmp_path / '{base}.csv'}", "--output", str(tmp_path / "model.pkl"))
    assert in_process("--pair", "BTC/USD,ETH/USD", *files) == 4
    lines = capsys.readouterr().err.partition("refused by the gate:\n")[2].splitlines()
    reasons = [
        ("BTC/USD", "1 of 51 candles repeat an opening; the first: 2021-01-06 in line 52 after 2021-01-06 in line 7"),
        ("BTC/USD", "stale: the newest candle, of 2021-03-01"),
        ("BTC/USD", "too short: 60 days; at least 180 are needed"),
        ("BTC/USD", "gaps: 10 of 60 candles are missing"),
        ("BTC/USD", "gap: 10 candles are missing in a row from 2021-01-21 on"),
        ("ETH/USD", "1 of 1 candles are impossible; the first: 2021-01-01 in line 2: volume nan"),
        ("ETH/USD", "no usable candle is left"),
    ]
    expected = [f"  {pair}: file:{tmp_path}/{{base}}.csv: {reason}" for pair, reason in reasons]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


def test_a_threshold_can_be_moved_and_a_faulty_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("--source", "simulated", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, environ={"GATE_STALEST_HOURS": "0"}) == 4
    assert "less than 0 are allowed" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        in_process(*files, environ={"GATE_STALEST_HOURS": "many"})
    assert end.value.code == 2
    assert "GATE_STALEST_HOURS: 'many' is not a number from 0 up" in capsys.readouterr().err


def test_help_teaches_without_waiting_for_the_forecasting_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        in_process("--help")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert "exit codes:" in shown
    imported = (
        "import sys, train\ntry: train.main(['--help'], {})\nexcept SystemExit: sys.exit('prophet' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", imported], capture_output=True, check=False, timeout=60).returncode == 0
    )
