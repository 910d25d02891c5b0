"""The volatility index of Deribit, from a server with its wire format."""

import csv
import math
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, SourceError, Unreachable
from crypto_predict.sources.deribit import read_index
from tests.support.replay import server as replay
from tests.support.replay.deribit import DeribitIndex
from tests.support.replay.minutes import QUICK
from tests.support.replay.server import Fault, ReplayServer
from tests.support.serving import ROOT

DATA = ROOT.parent / "shared" / "data" / "deribit_DVOL-BTC_1d.csv"
FIRST, LAST = date(2024, 1, 1), date(2024, 2, 9)
INDEX = {FIRST + timedelta(days=day): round(0.5 + day / 100, 4) for day in range(40)}


def read(
    index: dict[date, float], *faults: Fault, currency: str = "BTC", until: date = LAST, **environ: str
) -> tuple[dict[date, float], list[replay.Asked]]:
    """Return the index as it is read after these faults, and the requests."""
    return read_from(DeribitIndex({"BTC": index}), *faults, currency=currency, until=until, **environ)


def read_from(
    exchange: DeribitIndex, *faults: Fault, currency: str = "BTC", until: date = LAST, **environ: str
) -> tuple[dict[date, float], list[replay.Asked]]:
    with ReplayServer(exchange) as server:
        for fault in faults:
            server.inject(fault)
        closes = read_index(currency, until, {"DERIBIT_API_URL": f"{server.url}/", **environ}, QUICK)
        return closes, server.requests


@given(
    most=st.integers(1, 45),
    missing=st.frozensets(st.sampled_from(sorted(INDEX)[1:]), max_size=30),
    unit=st.sampled_from([100.0, 1.0]),
)
def test_pages_are_joined_whatever_their_length_gaps_and_unit(most: int, missing: frozenset[date], unit: float) -> None:
    """The documentation shows shares, the exchange sends per cent."""
    index = {day: close for day, close in INDEX.items() if day not in missing}
    closes, requests = read_from(DeribitIndex({"BTC": index}, most, unit))
    assert closes == pytest.approx(index)
    assert list(closes) == sorted(index)
    assert len(requests) == math.ceil(len(index) / most)


def test_a_day_after_the_last_one_that_is_asked_for_is_left_out() -> None:
    """It would be a look ahead. An exchange whose days begin at 8 o'clock closes them a day later."""
    until = date(2024, 1, 10)
    closes, [request] = read(INDEX, until=until)
    assert max(closes) == until
    assert request.query["end_timestamp"] == "1704931199999"
    later, _ = read_from(DeribitIndex({"BTC": INDEX}, opening=time(8)), until=until)
    assert later == {day + timedelta(days=1): close for day, close in INDEX.items() if day < until}


@pytest.mark.skipif(not DATA.exists(), reason="the index of real days is not at hand")
def test_real_days_come_back_as_they_are() -> None:
    with DATA.open(newline="") as file:
        index = {date.fromisoformat(row["time"]): float(row["close"]) / 100 for row in csv.DictReader(file)}
    closes, requests = read_from(DeribitIndex({"BTC": index}, 300), until=max(index))
    assert closes == pytest.approx(index)
    assert len(requests) == math.ceil(len(index) / 300)


def page(change: Callable[[dict[str, Any]], object]) -> Fault:
    """Change the result of the true answer."""

    def altered(answer: Any) -> Any:
        change(answer["result"])
        return answer

    return replay.altered(altered)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (replay.answer(451), "answered 451 Unavailable For Legal Reasons: it refuses requests from your location"),
        (replay.answer(200, '{"error": {"code": 13004, "message": "no"}}'), 'refused with code 13004 "no"'),
        (replay.answer(200, "<html>", "text/html"), "no JSON, perhaps a page of a proxy in between"),
        (replay.answer(200, "[]"), "not in Deribit's format: no result"),
        (page(lambda result: result.pop("data")), "not in Deribit's format: no list of days"),
        (page(lambda result: result["data"].append([1, 2, 3])), "a day that is not a list of 5 values"),
        (page(lambda result: result["data"].append(["x", 1, 1, 1, 1])), "'time' is missing or not a whole number"),
        (page(lambda result: result["data"].append([10**17, 1, 1, 1, 1])), "'time' is out of range"),
        (page(lambda result: result["data"][3].__setitem__(4, None)), "'close' is missing or not a number"),
        (page(lambda result: result["data"][3].__setitem__(4, math.nan)), "'close' is not a positive number"),
        (page(lambda result: result["data"][3].__setitem__(4, 0)), "'close' is not a positive number"),
        (page(lambda result: result.update(continuation="soon")), "'continuation' is missing or not a whole number"),
        (page(lambda result: result.update(continuation=10**15)), "'continuation' is not before the end"),
        (replay.cut_json, "no JSON"),
        (replay.bomb, "sent more than 4 MiB in one answer"),
        (replay.reset, "did not deliver"),
    ],
)
def test_what_is_not_the_index_is_one_plain_error(fault: Fault, reason: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(INDEX, *[fault] * QUICK.attempts)
    assert reason in caught.value.reason


@pytest.mark.parametrize("fault", [replay.answer(429, retry_after="0"), replay.answer(502), replay.break_off])
def test_what_passes_is_asked_for_again(fault: Fault) -> None:
    closes, requests = read(INDEX, fault)
    assert closes == pytest.approx(INDEX)
    assert len(requests) == 2


def test_a_server_that_does_not_finish_is_left_within_the_bound_of_a_history() -> None:
    with pytest.raises(SourceError, match=r"did not finish its answer within (1|0\.\d+) s"):
        read(INDEX, replay.drip_body, SOURCE_SECONDS="1")


def test_a_server_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 cannot be reached"):
        read_index("BTC", LAST, {"DERIBIT_API_URL": "http://127.0.0.1:9"}, QUICK)


def test_a_currency_without_an_index_is_refused_by_the_exchange() -> None:
    with pytest.raises(SourceError, match='answered 400 Bad Request "Invalid params"'):
        read(INDEX, currency="LTC")


def test_an_index_that_begins_later_is_empty() -> None:
    with pytest.raises(SourceError, match="the index of BTC has no day up to 2023-12-31"):
        read(INDEX, until=date(2023, 12, 31))


@pytest.mark.parametrize("address", ["ftp://user:hush@host", "http://user:hush@[::1", "hush"])
def test_a_malformed_address_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(InvalidValue, match="DERIBIT_API_URL") as caught:
        read_index("BTC", LAST, {"DERIBIT_API_URL": address}, QUICK)
    assert "user:hush" not in str(caught.value)
