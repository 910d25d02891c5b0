"""A database whose rows were altered outside of this program: what is damaged is left out, all else is answered."""

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest

from crypto_predict.market import Span
from crypto_predict.market.collected import BuiltCandle, ForecastStep, StreamSpan, StreamState
from crypto_predict.store import open_writer
from crypto_predict.store.tables import metadata
from tests.support.applications import client
from tests.support.collected import BTC, END, LATE, MINUTES, fill
from tests.support.databases import new_postgresql
from tests.support.minutes import KEEP, MINUTE, forecast, scores
from tests.support.models import make_model

YEAR_10000 = 253_402_300_800
# What no writer of this program stores: texts, bytes, enormous numbers, times beyond the calendar.
VALUES = ("text", b"\xff\x00", math.inf, 2**62, YEAR_10000, YEAR_10000 * 1_000_000, -(2**62))
CANDLES = ("/candles/BTC-USDT?limit=9", "/candles/BTC-USDT?interval=1h&limit=3", "/digest/BTC-USDT?day=2026-11-04")
MINUTES_AHEAD, PAST = "/forecast/BTC-USD/minutes", "/forecast/BTC-USD/minutes/past?limit=9"
READS = {  # a part of the addresses that read each table
    "symbols": ("/series", "/pairs", "/prices", "/openapi.json", "/scorecard", CANDLES[0], MINUTES_AHEAD),
    "price_history": ("/prices", "/minutes/BTC-USDT?limit=9", *CANDLES),
    "top_of_book": ("/top-of-book/BTC-USD?limit=9",),
    "built_candles": ("/minutes/BTC-USD?limit=9",),
    "streams": ("/minutes/BTC-USD?limit=9", MINUTES_AHEAD),
    "coverage": ("/minutes/BTC-USDT?limit=9", CANDLES[1]),
    "gaps": ("/series", "/pairs", CANDLES[0]),
    "forecasts": (MINUTES_AHEAD, PAST),
    "forecast_records": ("/scorecard",),
    "forecast_scores": ("/scorecard",),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a row in each table that is served."""
    path = tmp_path / "market.db"
    fill(str(path))
    with open_writer(str(path)) as writer:
        span = Span(END - timedelta(hours=1), END)
        writer.write_streams("simulated", [BTC], StreamSpan(span, StreamState.CONNECTED, ""))
        writer.write_built({MINUTES: [BuiltCandle(END - MINUTE, 1.0, 2.0, 1.0, 1.5, 3, 0, partial=False)]})
        latest = replace(forecast(0), cutoff=END)
        writer.write_forecasts({MINUTES: [ForecastStep(latest, END, (scores(1), scores(15)))]}, KEEP)
    return path


def strict(text: bytes) -> Any:
    """Read JSON as other languages do: without NaN and Infinity."""

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@contextlib.contextmanager
def damaged(path: Path, table: str, column: str, value: object) -> Iterator[bool]:
    """Put a value into the newest row of a table inside the context; yield whether the database accepts it."""
    key = metadata.tables[table].primary_key.columns.values()[-1].name
    others = " AND ".join(f"{other.name} IS ?" for other in metadata.tables[table].columns if other.name != column)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = OFF")  # no test ends the machine, and the disk may be slow
        newest = connection.execute(f"SELECT * FROM {table} ORDER BY {key} DESC LIMIT 1").fetchone()
        rest = [newest[name] for name in newest.keys() if name != column]  # noqa: SIM118 of a Row these are the names
        statement = f"UPDATE {table} SET {column} = ? WHERE {others}"
        try:
            connection.execute(statement, [value, *rest])
        except sqlite3.IntegrityError:
            yield False
            return
        yield True
        connection.execute(statement, [newest[column], *rest])


@pytest.mark.parametrize("table", READS)
def test_no_value_in_any_column_takes_other_answers_away(table: str, path: Path) -> None:
    """SQLite stores any value in any column. Every answer is JSON of this API, and other pairs lose nothing."""
    served = client(make_model(), lambda: LATE, database=str(path))
    before = {address: served.get(address) for address in READS[table]}
    assert {answer.status_code for answer in before.values()} == {200}
    for column in metadata.tables[table].columns:
        for value in VALUES:
            with damaged(path, table, column.name, value) as accepted:
                for address in READS[table] if accepted else ():
                    answer, case = served.get(address), (column.name, value, address)
                    result = strict(answer.data)
                    assert answer.status_code == 200 or is_missing(result), (case, result)
                    if address == "/series":
                        assert any(series["source"] == "alpaca" for series in result), case
    assert {address: served.get(address).data for address in READS[table]} == {
        address: answer.data for address, answer in before.items()
    }


def is_missing(result: Any) -> bool:
    """Return whether a problem says that the pair, or a forecast of it, does not exist."""
    return result["status"] == 404 or (result["status"] == 503 and "not forecast" in result["detail"])


def test_damaged_rows_are_left_out_counted_and_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A page goes on behind them, so a client that follows the links gets all the others."""
    served = client(make_model(), lambda: LATE, database=str(path))
    address = "/candles/BTC-USDT?limit=1000&start=2026-11-04"
    before = json.loads(served.get(address).data)["candles"]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        where = "open_time = (SELECT MAX(open_time) - 60 FROM price_history) AND source = 'binance'"
        connection.execute(f"UPDATE price_history SET close = 9e999 FROM symbols WHERE symbols.id = series AND {where}")
    for _ in range(2):
        assert json.loads(served.get(address).data)["candles"] == [*before[:-2], before[-1]]
    (record,) = (log_record for log_record in caplog.records if log_record.message == "damaged row left out")
    assert "inf" in str(record.__dict__)
    assert b"crypto_predict_damaged_rows_total 2.0" in served.get("/metrics").data


def test_damaged_rows_of_a_server_are_left_out() -> None:
    """PostgreSQL checks types; infinity, and times beyond the calendar, are numbers to it."""
    url = new_postgresql()
    fill(url)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE price_history SET close = 'Infinity', volume = 'NaN' WHERE open_time % 120 = 0")
        connection.execute("UPDATE symbols SET last_open = 9223372036854775807 WHERE source = 'alpaca'")
        connection.execute("UPDATE gaps SET start_time = -9223372036854775807 WHERE start_time % 7 = 0")
    served = client(make_model(), lambda: LATE, database=url)
    for address in {*READS["symbols"], *CANDLES} - {MINUTES_AHEAD}:
        answer = served.get(address)
        assert answer.status_code == 200, address
        strict(answer.data)
    assert {load["source"] for load in json.loads(served.get("/series").data)} == {"simulated", "binance"}
