"""Training from what was collected, from `collect.py` to the model card."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.baked import store as models
from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.store import open_writer
from tests.support.collecting import collect_here
from tests.support.histories import make_history
from tests.support.training import QUICK, in_process

BTC = Pair("BTC", "USD")


def test_a_simulated_market_that_was_collected_trains_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest hour is the anchor, so that a forecast starts where the market is."""
    database, output = str(tmp_path / "market.db"), tmp_path / "model.pkl"
    since = f"{datetime.now(UTC) - timedelta(days=150):%Y-%m-%d}"
    arguments = ("--backfill", "--source", "simulated", "--pair", "BTC/USD", "--interval", "1h", "--since", since)
    assert collect_here(database, *arguments).code == 0
    trained = in_process(
        *("--source", "store", "--database", database, "--output", str(output), "--days", "120", *QUICK), environ={}
    )
    assert trained == 0, capsys.readouterr().err
    card = models.load(output).card.pairs[BTC]
    assert (card.source, card.simulated) == ("store:simulated", True)
    today = datetime.now(UTC).date()
    assert card.last.date() in {today - timedelta(days=1), today - timedelta(days=2)}, "the open day is left out"
    anchor = models.load(output).forecasts[BTC].anchor
    assert datetime.now(UTC) - anchor.at < timedelta(hours=2)
    assert "SIMULATED PRICES" in capsys.readouterr().out


def test_collected_prices_of_an_exchange_are_not_simulated(tmp_path: Path) -> None:
    history = make_history(200)
    series = SeriesKey("alpaca", BTC, Interval.DAY_1)
    candles = list(history.candles)
    with open_writer(str(tmp_path / "market.db")) as writer:
        writer.follow(series, simulated=False)
        writer.write(series, candles, Span(candles[0].open_time, history.end))
    until = ("--until", f"{candles[-1].open_time:%Y-%m-%d}")
    output = tmp_path / "model.pkl"
    assert in_process("--source", "store", "--output", str(output), *until, *QUICK, environ=_environ(tmp_path)) == 0
    card = models.load(output).card.pairs[BTC]
    assert (card.source, card.simulated, card.candles) == ("store:alpaca", False, 200)


def test_an_empty_store_moves_on_to_the_next_source(tmp_path: Path) -> None:
    open_writer(str(tmp_path / "market.db")).close()
    output = tmp_path / "model.pkl"
    arguments = ("--source", "store,simulated", "--days", "120", "--output", str(output), *QUICK)
    assert in_process(*arguments, environ=_environ(tmp_path)) == 0
    assert models.load(output).card.pairs[BTC].source == "simulated"


def test_a_store_without_the_pair_is_reported_with_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_writer(str(tmp_path / "market.db")).close()
    assert in_process("--source", "store", "--output", str(tmp_path / "model.pkl"), environ=_environ(tmp_path)) == 3
    errors = capsys.readouterr().err
    assert "no candle of BTC/USD is stored; `python collect.py --backfill --pair BTC/USD --since 2021-01-01`" in errors


def _environ(folder: Path) -> dict[str, str]:
    return {"DATABASE_URL": str(folder / "market.db")}
