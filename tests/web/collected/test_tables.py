"""What every table of a database has in common, through the whole application.

As files, too: ``.csv`` at the end of a path, or ``format=csv``. Their numbers are those of the JSON.
"""

import csv
import io
import json
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from tests.support.applications import client, problem
from tests.support.models import make_model
from tests.web.collected.conftest import FORECASTS

PROBLEM = "application/problem+json"
TABLES = {  # path and query, and the member with the rows
    "/candles/{}?interval=1m": "candles",
    "/candles/{}?interval=5m": "candles",
    "/minutes/{}?": "minutes",
    "/top-of-book/{}?": "quotes",
    "/forecast/{}/minutes/past?": "forecasts",
}
ADDRESSES = [path.format("BTC-USD") + "&source=simulated" for path in TABLES]
every_table = pytest.mark.parametrize("path", TABLES)


def rows(response: TestResponse) -> list[list[Any]]:
    assert response.status_code == 200, response.data
    answer = response.get_json()
    (member,) = set(TABLES.values()) & answer.keys()
    return list(answer[member])


def links(response: TestResponse) -> dict[str, str]:
    return {rel: address for address, rel in re.findall(r'<([^>]+)>; rel="(\w+)"', response.headers.get("Link", ""))}


def text_of(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("address", ADDRESSES)
@given(share=st.floats(0.1, 0.7), backwards=st.booleans())
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_join_to_the_whole(served: Client, address: str, share: float, backwards: bool) -> None:
    """Whatever their size, forwards by `next` and backwards by `prev`: no row is lost or doubled."""
    whole = rows(served.get(f"{address}&start=2026-01-01&limit=10000"))
    limit = int(len(whole) * share) + 1
    relation, start = ("prev", "") if backwards else ("next", "&start=2026-01-01")
    pages: list[list[list[Any]]] = []
    following: str | None = f"{address}&limit={limit}{start}"
    while following is not None:
        response = served.get(following)
        pages.insert(0 if backwards else len(pages), rows(response))
        assert len(pages[-1]) <= limit
        following = links(response).get(relation)
    assert [row for page in pages for row in page] == whole
    assert len(whole) >= FORECASTS


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_start_of_a_span_is_included_and_its_end_is_not(served: Client, address: str) -> None:
    """Without a start the page has the newest rows before the end."""
    times = [row[0] for row in rows(served.get(f"{address}&limit=9"))]
    within = rows(served.get(f"{address}&start={times[2]}&end={times[5]}"))
    assert [row[0] for row in within] == times[2:5]
    assert [row[0] for row in rows(served.get(f"{address}&end={times[5]}&limit=2"))] == times[3:5]
    later = datetime.fromisoformat(times[2]) + timedelta(microseconds=1)
    assert rows(served.get(f"{address}&start={later.isoformat()[:-6]}Z&limit=1"))[0][0] == times[3]


@pytest.mark.parametrize("address", ADDRESSES)
def test_csv_has_the_rows_of_json(served: Client, address: str) -> None:
    """The rest of the JSON is in headers."""
    answer = served.get(f"{address}&limit=300")
    response = served.get(f"{address}&limit=300", headers={"Accept": "text/csv"})
    table = list(csv.reader(io.StringIO(response.get_data(as_text=True), newline="")))
    assert table == [answer.get_json()["columns"], *([text_of(value) for value in row] for row in rows(answer))]
    for name in ("Pair", "Source", "Interval", "Simulated"):
        header = response.headers.get(f"Crypto-Predict-{name}")
        assert header is None or header == text_of(answer.get_json()[name.lower()])


HOSTILE = ("money", "%00", "BTC-USD%00", "BTC-USD/x", "%E2%82%BF-USD", "..%2F..%2Fetc", "B" * 3_000, "'--", "BTC%20USD")
BAD = [  # pair and query, and the parameter at fault
    *((f"{pair}?", "pair") for pair in HOSTILE),
    *((f"BTC-USD?limit={text}", "limit") for text in ("0", "-1", "10001", "1e3", "%D9%A1", "9" * 5_000)),
    ("BTC-USD?limit=1&limit=1", "limit"),
    *((f"BTC-USD?start={text}", "start") for text in ("yesterday", "0000-01-01", "1767225600")),
    ("BTC-USD?start=0001-01-01T00:00%2B14:00", "start"),
    *((f"BTC-USD?end={text}", "end") for text in ("2026-02-30", "9999-12-31T23:59-02:00")),
    ("BTC-USD?start=2026-11-02&end=2026-11-01", "end"),
    ("BTC-USD?colour=red", "colour"),
    ("BTC-USD?" + "x" * 5_000 + "=1", "x" * 80 + "..."),
]


def refused(response: TestResponse, status: int) -> str:
    return str(problem(response, status)["parameter"])


@every_table
def test_a_bad_question_is_refused_and_its_parameter_named(path: str, served: Client) -> None:
    path, _, own = path.partition("?")
    for question, parameter in BAD:
        pair, _, query = question.partition("?")
        assert refused(served.get(f"{path.format(pair)}?{own}&{query}"), 400) == parameter, question
    for pair, query, parameter in (("DOGE-USD", "", "pair"), ("BTC-USD", "source=%00%ff%e2%98%83", "source")):
        assert refused(served.get(f"{path.format(pair)}?{own}&{query}"), 404) == parameter


@pytest.mark.parametrize(
    ("path", "parameter", "values"),
    [
        ("/candles/BTC-USD", "interval", ["2m", "", "1M", "1m&interval=1m"]),
        ("/minutes/BTC-USD", "interval", ["1m"]),  # which have none
        ("/top-of-book/BTC-USD", "interval", ["1m"]),
        ("/forecast/BTC-USD/minutes", "horizon", ["0", "16", "-1", "1.5", "ten", "", "1e1", "9" * 99, "1&horizon=2"]),
        ("/forecast/BTC-USD/minutes", "start", ["2024-05-17"]),
        ("/forecast/BTC-USD/minutes/past", "horizon", ["0"]),
        *((f"/forecast/{pair}/minutes", "pair", [""]) for pair in ("money", "..%2F..")),
        *((f"/digest/{pair}", "pair", [""]) for pair in HOSTILE),
        *((f"/forecast/{pair}", "pair", [""]) for pair in (".csv", "BTC-USD.csv.csv")),
        ("/forecast/BTC-USD.csv", "start", ["x"]),
        *((f"/{table}/BTC-USD", "format", ["xml", "", "csv&format=csv"]) for table in ("candles", "forecast")),
        *((f"/{table}/BTC-USD.csv", "format", ["json"]) for table in ("candles", "forecast")),
        *((path, "format", ["csv&day=2026-11-02"]) for path in ("/digest/BTC-USD", "/bitcoin")),
        ("/digest/BTC-USD", "day", ["", "yesterday", "2026-02-30", "2026-11-02T12:00Z", "2026-11-02&day=2026-11-02"]),
        ("/digest/BTC-USD", "day", ["0000-01-01", "1969-12-31", "9999-12-31"]),
        *(("/digest/BTC-USD", name, [f"{text}&day=2026-11-02"]) for name, text in (("interval", "1w"), ("limit", "1"))),
        *((path, "pair", ["BTC-USD"]) for path in ("/series", "/pairs", "/prices", "/scorecard")),
    ],
)
def test_a_bad_value_of_another_parameter_is_refused(
    path: str, parameter: str, values: list[str], served: Client
) -> None:
    for value in values:
        assert refused(served.get(f"{path}?{parameter}={value}"), 400) == parameter


def test_a_digest_is_of_a_day(served: Client) -> None:
    assert refused(served.get("/digest/BTC-USD"), 400) == "day"


@pytest.mark.parametrize("path", ["/candles/DOGE-USD.csv", "/forecast/DOGE-USD.csv", "/forecast/DOGE-USD/minutes.csv"])
def test_a_file_of_an_unknown_pair_is_not_found(path: str, served: Client) -> None:
    assert refused(served.get(path), 404) == "pair"


@pytest.mark.parametrize("address", ADDRESSES)
def test_any_span_of_the_calendar_is_answered(address: str, served: Client) -> None:
    """A span without rows is an empty list."""
    assert len(rows(served.get(f"{address}&start=0001-01-01&end=9999-12-31&limit=3"))) == 3
    for span in ("start=9999-12-31", "end=0001-01-01", "start=2026-11-02&end=2026-11-02"):
        assert rows(served.get(f"{address}&{span}")) == []


@every_table
@given(
    st.text(max_size=12),
    st.dictionaries(st.sampled_from(["start", "end", "limit", "source", "x"]), st.text(max_size=12)),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_causes_a_fault_of_the_server(served: Client, path: str, pair: str, query: dict[str, str]) -> None:
    for name in (quote(pair), "BTC-USD"):
        response = served.get(path.partition("?")[0].format(name), query_string=query)
        assert response.status_code in {200, 400, 404}


@every_table
def test_accept_chooses_the_format(path: str, served: Client) -> None:
    table = "text/csv; charset=utf-8; header=present"
    for accept, content_type in (
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/csv", table),
        ("text/*;q=0.5, image/png", table),
        ("text/csv;q=0.1, application/json;q=0.9", "application/json"),
        ("application/json;q=0.1, text/csv;q=0.9", table),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),  # a browser
    ):
        response = served.get(path.format("BTC-USD"), headers={} if accept is None else {"Accept": accept})
        assert (response.status_code, response.content_type) == (200, content_type)
        assert response.headers["Vary"] == "Accept, Accept-Encoding"


@every_table
@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0, text/csv;q=0", "nonsense"])
def test_a_client_that_accepts_neither_format_gets_406(path: str, accept: str, served: Client) -> None:
    response = served.get(path.format("BTC-USD"), headers={"Accept": accept})
    assert (response.status_code, response.content_type) == (406, PROBLEM)
    assert response.headers["Vary"] == "Accept"
    assert "application/json or text/csv" in json.loads(response.data)["detail"]


@pytest.mark.parametrize("path", [*TABLES, "/forecast/{}/minutes", "/digest/{}?day=2026-11-02", "/series", "/prices"])
def test_a_service_without_a_database_says_so(path: str) -> None:
    response = client(make_model()).get(path.format("BTC-USD"))
    assert response.status_code == 404
    assert "api.py --database" in response.get_json()["detail"]


QUERY = "start=2026-11-02T12:00&limit=9&source=simulated"
FILES = {  # path, with {} for the ending, and query: the name of the file
    ("/candles/BTC-USD{}", QUERY): "BTC-USD-candles.csv",
    ("/minutes/BTC-USD{}", QUERY): "BTC-USD-minutes.csv",
    ("/top-of-book/BTC-USD{}", "limit=9"): "BTC-USD-top-of-book.csv",
    ("/forecast/BTC-USD/minutes{}", "horizon=3"): "BTC-USD-forecast-minutes.csv",
    ("/forecast/BTC-USD/minutes/past{}", "limit=1"): "BTC-USD-forecast-minutes-past.csv",
    ("/forecast/BTC-USD{}", "quantiles=0.1,0.5,0.9"): "BTC-USD-forecast.csv",
    ("/risk/BTC-USD{}", "model=prophet"): "BTC-USD-risk.csv",
}


def rows_of(answer: TestResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True), newline="")))


@pytest.mark.parametrize(("address", "query"), FILES)
def test_a_table_is_a_file_by_its_path_and_by_its_query(address: str, query: str, served: Client) -> None:
    """Spreadsheets and pandas send no header that asks for CSV."""
    named = served.get(f"{address.format('.csv')}?{query}")
    test_response = served.get(f"{address.format('')}?{query}&format=csv", headers={"Accept": "application/json"})
    assert (named.status_code, test_response.status_code) == (200, 200), named.data
    assert named.data == test_response.data
    assert dict(named.headers) == dict(test_response.headers)
    assert named.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert named.headers["Content-Disposition"] == f'attachment; filename="{FILES[address, query]}"'
    assert named.headers["Crypto-Predict-Pair"] == "BTC/USD"
    assert served.get(f"{address.format('')}?{query}&format=json").is_json
    assert all("format=csv" in following for following in links(named).values()), "whoever follows them has files"
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
    assert [row["time"] for row in rows] == [minute["time"] for minute in result["forecast"]]
    highest = [minute["quantiles"]["0.95"] for minute in result["forecast"]]
    assert [float(row["quantile_0.95"]) for row in rows] == highest
    assert {(row["cutoff"], float(row["price"])) for row in rows} == {(result["cutoff"], result["price"])}


def test_a_forecast_is_a_file_without_a_database() -> None:
    """And candles are a problem that says so, whatever the ending."""
    app = client(make_model(simulated=True))
    answer = app.get("/forecast/btc_usd.csv?start=2024-06-01&end=2024-06-02")
    assert [row["date"] for row in rows_of(answer)] == ["2024-06-01", "2024-06-02"]
    assert (rows_of(answer)[0]["simulated"], answer.headers["Crypto-Predict-Simulated"]) == ("true", "true")
    for address in ("/candles/BTC-USD.csv", "/forecast/BTC-USD/minutes.csv", "/forecast/BTC-USD/minutes/past.csv"):
        assert "has no database" in json.loads(app.get(address).data)["detail"]
