"""Tables as files: ``.csv`` at the end of a path, or ``format=csv``. Their numbers are those of the JSON."""

import csv
import io
import json
import re

import pytest
from werkzeug.test import Client, TestResponse

from tests.support.applications import client
from tests.support.models import BTC, make_model

QUERY = "start=2026-11-02T12:00&limit=9&source=simulated"
TABLES = {  # path, with {} for the ending, and query: the name of the file
    ("/candles/BTC-USD{}", QUERY): "BTC-USD-candles.csv",
    ("/minutes/BTC-USD{}", QUERY): "BTC-USD-minutes.csv",
    ("/top-of-book/BTC-USD{}", "limit=9"): "BTC-USD-top-of-book.csv",
    ("/forecast/BTC-USD/minutes{}", "horizon=3"): "BTC-USD-forecast-minutes.csv",
    ("/forecast/BTC-USD/minutes/past{}", "limit=1"): "BTC-USD-forecast-minutes-past.csv",
    ("/forecast/BTC-USD{}", "quantiles=0.1,0.5,0.9"): "BTC-USD-forecast.csv",
}


def rows_of(answer: TestResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True), newline="")))


@pytest.mark.parametrize(("address", "query"), TABLES)
def test_a_table_is_a_file_by_its_path_and_by_its_query(address: str, query: str, served: Client) -> None:
    """Spreadsheets and pandas send no header that asks for CSV."""
    named = served.get(f"{address.format('.csv')}?{query}")
    test_response = served.get(f"{address.format('')}?{query}&format=csv", headers={"Accept": "application/json"})
    assert (named.status_code, test_response.status_code) == (200, 200), named.data
    assert named.data == test_response.data
    assert dict(named.headers) == dict(test_response.headers)
    assert named.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert named.headers["Content-Disposition"] == f'attachment; filename="{TABLES[address, query]}"'
    assert named.headers["Crypto-Predict-Pair"] == "BTC/USD"
    assert served.get(f"{address.format('')}?{query}&format=json").is_json
    lines = named.get_data(as_text=True).split("\r\n")
    assert (lines[-1], len(lines) >= 3) == ("", True)
    assert {line.count(",") for line in lines[:-1]} == {lines[0].count(",")}
    for row in rows_of(named):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?", next(iter(row.values())))


def test_the_rows_of_a_forecast_are_those_of_its_json(served: Client) -> None:
    """Each quantile is a column."""
    address = "/forecast/BTC-USD"
    result = json.loads(served.get(f"{address}?quantiles=0.1,0.5").data)
    rows = rows_of(served.get(f"{address}.csv?quantiles=0.1,0.5"))
    for row, member in zip(rows, result, strict=True):
        expected = {name: value for name, value in member.items() if name != "quantiles"}
        expected |= {f"quantile_{level}": price for level, price in member["quantiles"].items()}
        assert row == {name: "false" if value is False else str(value) for name, value in expected.items()}


def test_the_rows_of_the_next_minutes_are_those_of_their_json(served: Client) -> None:
    address = "/forecast/BTC-USD/minutes"
    result = json.loads(served.get(address).data)
    rows = rows_of(served.get(f"{address}.csv"))
    assert [row["time"] for row in rows] == [one["time"] for one in result["forecast"]]
    assert [float(row["quantile_0.95"]) for row in rows] == [one["quantiles"]["0.95"] for one in result["forecast"]]
    assert {(row["cutoff"], float(row["price"])) for row in rows} == {(result["cutoff"], result["price"])}


def test_a_page_of_candles_that_is_cut_names_the_next_one_which_is_a_file_too(served: Client) -> None:
    """Whoever follows the links has all candles, each once."""
    address: str | None = "/candles/BTC-USD.csv?interval=1h&source=simulated&start=2026-11-01&limit=30"
    times: list[str] = []
    while address is not None:
        answer = served.get(address)
        assert answer.content_type.startswith("text/csv")
        times += [row["time"] for row in rows_of(answer)]
        link = re.search(r'<([^>]*)>; rel="next"', answer.headers.get("Link", ""))
        address = link[1] if link else None
    whole = json.loads(served.get("/candles/BTC-USD?interval=1h&source=simulated&start=2026-11-01").data)
    assert times == [row[0] for row in whole["candles"]]
    assert len(times) > 60


@pytest.mark.parametrize(
    ("address", "status", "parameter"),
    [
        ("/candles/BTC-USD?format=xml", 400, "format"),
        ("/candles/BTC-USD?format=csv&format=csv", 400, "format"),
        ("/candles/BTC-USD.csv?format=json", 400, "format"),
        ("/forecast/BTC-USD?format=", 400, "format"),
        ("/forecast/BTC-USD.csv?format=json", 400, "format"),
        ("/forecast/BTC-USD.csv.csv", 400, "pair"),
        ("/forecast/.csv", 400, "pair"),
        ("/forecast/DOGE-USD.csv", 404, "pair"),
        ("/candles/DOGE-USD.csv", 404, "pair"),
        ("/forecast/DOGE-USD/minutes.csv", 404, "pair"),
        ("/digest/BTC-USD?day=2026-11-02&format=csv", 400, "format"),
        ("/bitcoin?format=csv", 400, "format"),
        ("/forecast/BTC-USD.csv?start=x", 400, "start"),
    ],
)
def test_a_mistake_is_a_problem_that_names_it(address: str, status: int, parameter: str, served: Client) -> None:
    answer = served.get(address)
    assert answer.status_code == status, answer.data
    assert json.loads(answer.data)["parameter"] == parameter


def test_a_forecast_is_a_file_without_a_database() -> None:
    """And candles are a problem that says so, whatever the ending."""
    app = client(make_model(BTC, simulated=True))
    answer = app.get("/forecast/btc_usd.csv?start=2024-06-01&end=2024-06-02")
    assert [row["date"] for row in rows_of(answer)] == ["2024-06-01", "2024-06-02"]
    assert (rows_of(answer)[0]["simulated"], answer.headers["Crypto-Predict-Simulated"]) == ("true", "true")
    for address in ("/candles/BTC-USD.csv", "/forecast/BTC-USD/minutes.csv", "/forecast/BTC-USD/minutes/past.csv"):
        assert "has no database" in json.loads(app.get(address).data)["detail"]
