"""``train.py --interval 1m``: the minute forecasts of the past, as a file and as a report."""

import csv
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from crypto_predict.forecasting.minutes.features import Minutes, MinuteState
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.store import open_writer
from tests.support.minute_markets import DAY, MINUTE, START, columns, market
from tests.support.training import in_process

CANDLES = market(1, 3 * DAY)
HEADER = "pair,cutoff,horizon_minutes,target,actual,prediction,low,high,persistence"


def price_file(folder: Path, candles: list[Candle], name: str = "BTC-USD.csv") -> Path:
    """Write minutes as exchanges name the columns."""
    path = folder / name
    rows = [f"{int(candle.open_time.timestamp() * 1000)},{','.join(map(repr, candle[1:6]))}" for candle in candles]
    path.write_text("\n".join(["time_ms,open,high,low,close,volume", *rows, ""]))
    return path


def arguments(folder: Path, *options: str, candles: list[Candle] = CANDLES) -> tuple[str, ...]:
    """Score the minutes of a file."""
    source = f"file:{price_file(folder, candles)}"
    return ("--interval", "1m", "--source", source, "--pair", "BTC/USD", *options)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The rows of the file of forecasts."""
    folder = tmp_path_factory.mktemp("minutes")
    output = folder / "minutes.csv"
    assert in_process(*arguments(folder, "--backtest", str(output), "--every", "5")) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["BTC-USD.csv", "minutes.csv"], "no model, no ledger"
    with output.open(newline="") as file:
        assert file.readline().strip() == HEADER
        file.seek(0)
        return list(csv.DictReader(file))


def test_every_forecast_is_a_row(rows: list[dict[str, str]]) -> None:
    assert {row["pair"] for row in rows} == {"BTC/USD"}
    assert {row["horizon_minutes"] for row in rows} == {"1", "5", "15"}
    for row in rows[::50]:
        cutoff, target = (datetime.fromisoformat(row[name]) for name in ("cutoff", "target"))
        assert row["cutoff"].endswith("Z")
        assert target - cutoff == int(row["horizon_minutes"]) * MINUTE
        by_close = {candle.open_time + MINUTE: candle.close for candle in CANDLES}
        assert float(row["persistence"]) == pytest.approx(by_close[cutoff], rel=1e-11)
        assert float(row["actual"]) == pytest.approx(by_close[target], rel=1e-11)
        assert float(row["low"]) < float(row["prediction"]) < float(row["high"])


def test_a_row_is_what_the_collector_would_have_forecast(rows: list[dict[str, str]]) -> None:
    half = len(CANDLES) // 2
    row = next(row for row in rows if row["horizon_minutes"] == "15")
    cutoff = datetime.fromisoformat(row["cutoff"])
    state = MinuteState()
    for candle in CANDLES:
        if candle.open_time < cutoff:
            state.add(candle)
    forecast = Coefficients.fit(Minutes.of(columns(CANDLES[:half]))).forecast(state)
    assert float(row["low"]) == pytest.approx(forecast.quantiles[14][1], rel=1e-6)
    assert float(row["high"]) == pytest.approx(forecast.quantiles[14][5], rel=1e-6)


def test_the_report_has_the_scores_of_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "minutes.csv"
    given = arguments(tmp_path, "--backtest", str(output), "--horizons", "2,10")
    assert in_process(*given, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    pair = report["pairs"]["BTC/USD"]
    assert report["output"] == str(output)
    assert (pair["candles"], pair["gaps"], pair["simulated"]) == (len(CANDLES), 0, False)
    with output.open(newline="") as file:
        result = list(csv.DictReader(file))
    for score in pair["scores"]:
        some = [row for row in result if int(row["horizon_minutes"]) == score["horizon_minutes"]]
        assert score["forecasts"] == len(some)
        inside = [float(row["low"]) <= float(row["actual"]) <= float(row["high"]) for row in some]
        assert score["coverage"] == pytest.approx(np.mean(inside))
        assert 0.7 < score["coverage"] < 0.9
        assert score["relative_winkler"] < 1
        assert score["relative_mae"] <= 1
    assert [score["horizon_minutes"] for score in pair["scores"]] == [2, 10]
    assert in_process(*given) == 0
    text = capsys.readouterr().out
    assert f"{pair['scores'][0]['coverage']:.1%}" in text
    assert "no model was written" in text
    assert all(len(line) <= 100 or str(tmp_path) in line for line in text.splitlines())


def test_what_was_collected_is_scored_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Variables that serve the training of days are left unused."""
    series = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
    with open_writer(str(tmp_path / "market.db")) as writer:
        writer.follow(series, simulated=False)
        writer.write(series, CANDLES, Span(START, START + len(CANDLES) * MINUTE))
    until = f"{CANDLES[-1].open_time:%Y-%m-%d}"
    given = ("--interval", "1m", "--source", "store", "--database", str(tmp_path / "market.db"), "--until", until)
    environ = {"LEDGER": "nowhere/old.jsonl", "HORIZONS": "1,7,30", "EVERY": "7", "DAYS": "400", "OUTPUT": "no/m.pkl"}
    assert in_process(*given, "--json", environ=environ) == 0
    pair = json.loads(capsys.readouterr().out)["pairs"]["BTC/USD"]
    assert [score["horizon_minutes"] for score in pair["scores"]] == [1, 5, 15]
    assert {path.suffix for path in tmp_path.iterdir()}.isdisjoint({".pkl", ".jsonl", ".csv"})
    assert (pair["source"], pair["traded"], pair["candles"]) == ("store:binance", "BTC/USDT", len(CANDLES))


def test_a_history_of_ten_minutes_ends_with_3_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_process(*arguments(tmp_path, candles=CANDLES[:10])) == 3
    assert "10 usable candles of BTC/USD" in capsys.readouterr().err
    assert in_process(*arguments(tmp_path, candles=CANDLES[:DAY])) == 3
    assert "no usable history in BTC/USD from file:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--horizons", "5,16"), "--horizons: 16 is not at most 15 minutes ahead"),
        (("--output", "m.pkl"), "--interval: '1m' is not 1d, which --output needs; 1m writes no model"),
        (("--ledger", "l.jsonl", "--no-gate"), "--ledger and --no-gate"),
        (("--interval", "5m"), "--interval: '5m' is not 1d, 1h or 1m"),
        (("--pair", "collected"), "--pair: 'collected' is not a pair such as BTC/USD"),
        (("--backtest", "nowhere/minutes.csv"), "--backtest"),
        (("--backtest", "{folder}/BTC-USD.csv"), "different from the files of --source"),
    ],
)
def test_an_option_that_minutes_do_not_use_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], named: str
) -> None:
    given = arguments(tmp_path, *(option.format(folder=tmp_path) for option in options))
    before = (tmp_path / "BTC-USD.csv").read_bytes()
    try:
        code = in_process(*given)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert named in capsys.readouterr().err
    assert (tmp_path / "BTC-USD.csv").read_bytes() == before
