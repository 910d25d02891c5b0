"""`/outages` and `/outages/months`, and the pages and the feed of the register."""

import json
import xml.etree.ElementTree as ET
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

import pytest
from werkzeug.test import Client

from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.store import WritableDatabase
from tests.support.collected import LATE, MINUTES
from tests.support.minutes import MINUTE

CONNECTED, DISCONNECTED, DOWN = StreamState
BTC, ETH = MINUTES.pair, Pair("ETH", "USD")
DAY = timedelta(days=1)
FIRST = LATE - 2 * DAY
ATOM = {"atom": "http://www.w3.org/2005/Atom"}


@pytest.fixture
def register(writer: WritableDatabase, own: Client) -> Client:
    """The application with a register of three outages, of which the oldest concerns one pair, in one month."""
    writer.follow(SeriesKey(MINUTES.source, ETH, Interval.MINUTE_1), simulated=True)
    for pairs, start, end, state, reason in (
        ([BTC, ETH], FIRST, FIRST + 10 * MINUTE, CONNECTED, ""),
        ([ETH], FIRST + 10 * MINUTE, FIRST + 12 * MINUTE, DISCONNECTED, "nothing was received for 45 s"),
        ([BTC], FIRST + 10 * MINUTE, FIRST + 12 * MINUTE, CONNECTED, ""),
        ([BTC, ETH], FIRST + 12 * MINUTE, FIRST + 30 * MINUTE, CONNECTED, ""),
        ([BTC, ETH], FIRST + 30 * MINUTE, FIRST + 64 * MINUTE, DOWN, "answered <503> & more"),
        ([BTC, ETH], FIRST + 64 * MINUTE, LATE - 5 * MINUTE, CONNECTED, ""),
        ([BTC, ETH], LATE - 5 * MINUTE, LATE, DISCONNECTED, "it cannot be reached"),
    ):
        writer.write_streams(MINUTES.source, pairs, StreamSpan(Span(start, end), state, reason))
    writer.compared(MINUTES, 1_000, 3)
    writer.record_outages(FIRST, LATE)
    return own


def answered(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.data
    return json.loads(answer.data)


def test_the_register_is_answered_the_newest_outage_first(register: Client) -> None:
    newest, second, oldest = answered(register, "/outages")["outages"]
    assert (newest["cause"], newest["end"], newest["seconds"]) == ("connection", None, 300)
    assert (oldest["cause"], oldest["pairs"]) == ("connection", ["ETH/USD"])
    assert second | {"id": "", "start": "", "end": ""} == {
        "id": "",
        "source": "simulated",
        "cause": "exchange",
        "reason": "answered <503> & more",
        "start": "",
        "end": "",
        "seconds": 34 * 60,
        "pairs": ["BTC/USD", "ETH/USD"],
        "minutes": 70,
        "filled": 0,
        "awaited": 70,
        "lost": 0,
        "rejected": 0,
    }


def test_a_source_a_pair_and_a_span_can_be_asked_for(register: Client) -> None:
    assert len(answered(register, "/outages?source=simulated&pair=eth-usd")["outages"]) == 3
    assert len(answered(register, "/outages?pair=BTC-USD")["outages"]) == 2
    middle = f"{FIRST + 40 * MINUTE:%Y-%m-%dT%H:%M:%SZ}"
    for query in (f"start={middle}&end={middle[:10]}T23:59", f"end={middle}"):
        outages = answered(register, f"/outages?{query}")["outages"]
        assert "exchange" in {outage["cause"] for outage in outages}
    assert answered(register, f"/outages?end={FIRST:%Y-%m-%d}") == {"outages": []}


def test_pages_are_linked_up_to_the_last_one(register: Client) -> None:
    whole, pages, address = answered(register, "/outages")["outages"], [], "/outages?limit=1"
    while address:
        answer = register.get(address)
        pages += json.loads(answer.data)["outages"]
        link = answer.headers.get("Link", "")
        address = urljoin(address, link[1 : link.index(">")]) if link else ""
    assert pages == whole


def test_a_link_to_an_outage_stays(register: Client, writer: WritableDatabase) -> None:
    """Also once the outage is over."""
    newest = answered(register, "/outages")["outages"][0]
    over = StreamSpan(Span(LATE, LATE + 5 * MINUTE), CONNECTED, "")
    writer.write_streams(MINUTES.source, [BTC, ETH], over)
    writer.record_outages(FIRST, LATE + 5 * MINUTE)
    (outage,) = answered(register, f"/outages?id={newest['id']}")["outages"]
    assert (outage["start"], outage["end"] is not None) == (newest["start"], True)
    assert newest["id"].encode() in register.get(f"/page/outages/{newest['id']}/").data


PROBLEMS = [
    ("source=kraken", 404, "source", "kraken"),
    ("pair=XYZ-USD", 404, "pair", "XYZ/USD"),
    ("id=simulated-20200101T000000Z", 404, "id", "20200101"),
    ("pair=BTC", 400, "pair", "two currencies"),
    ("id=42", 400, "id", "the id of an outage"),
    ("start=yesterday", 400, "start", "ISO date"),
    ("start=2024-06-02&end=2024-06-01", 400, "end", "lies before"),
    ("limit=0", 400, "limit", "from 1 to 1000"),
    ("limit=5&limit=6", 400, "limit", "more than once"),
    ("colour=red", 400, "colour", "takes source, pair"),
]


@pytest.mark.parametrize(("query", "status", "parameter", "detail"), PROBLEMS)
def test_a_mistake_is_a_problem_that_names_its_parameter(
    query: str, status: int, parameter: str, detail: str, served: Client
) -> None:
    answer = served.get(f"/outages?{query}")
    problem = json.loads(answer.data)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert problem["parameter"] == parameter
    assert detail in problem["detail"]


def test_a_month_has_the_downtime_of_both_sides(register: Client) -> None:
    """And the rate of difference between stream and REST, which has no month."""
    document = answered(register, "/outages/months")
    (month,) = document["months"]
    assert (month["source"], month["month"]) == ("simulated", f"{LATE:%Y-%m}")
    assert (month["exchange"]["outages"], month["exchange"]["minutes"]) == (3, 41.0)
    assert month["exchange"]["share"] == pytest.approx(
        41 * MINUTE / (LATE - LATE.replace(day=1, hour=0, minute=0, second=0))
    )
    assert month["collector"] == {"outages": 0, "minutes": 0.0, "share": 0.0}
    assert document["differences"] == [
        {"source": "simulated", "compared": 1_000, "mismatched": 3, "mismatch_rate": 0.003}
    ]
    assert answered(register, f"/outages/months?start={LATE:%Y-%m-%d}&source=simulated") == document
    assert answered(register, "/outages/months?end=2000-01-01")["months"] == []
    assert register.get("/outages/months?source=kraken").status_code == 404


def test_pages_show_the_register_without_scripts(register: Client) -> None:
    """Of all, of a month and of one outage. What an exchange has answered is text."""
    page = register.get("/page/outages/").text
    assert "<script" not in page
    assert "answered &lt;503&gt; &amp; more" in page
    for text in ("3 outages, 41.0 minutes", "3 of 1,000 candles", "goes on", "70 awaited"):
        assert text in page
    assert "Outages of" in register.get(f"/page/outages/{LATE:%Y-%m}/").text
    assert "No outage is recorded." in register.get("/page/outages/1999-12/").text
    assert register.get("/page/outages/simulated-20200101T000000Z/").status_code == 404
    assert register.get("/page/outages/2026-13/").status_code == 400
    assert register.get("/page/outages/").headers["Content-Security-Policy"]
    assert b'href="./page/outages/"' in register.get("/").data


def test_the_feed_has_an_entry_for_each_outage(register: Client) -> None:
    """Under an identity that stays, with a link to its page."""
    answer = register.get("/page/outages/feed.xml")
    assert answer.content_type == "application/atom+xml; charset=utf-8"
    feed = ET.fromstring(answer.data)
    entries = feed.findall("atom:entry", ATOM)
    assert [entry.findtext("atom:title", "", ATOM) for entry in entries] == [
        "simulated: no connection for 5 minutes so far",
        "simulated: the exchange was down for 34 minutes",
        "simulated: no connection for 2 minutes",
    ]
    assert "answered <503> & more. 70 minutes of 2 pairs" in entries[1].findtext("atom:summary", "", ATOM)
    assert len({entry.findtext("atom:id", "", ATOM) for entry in entries}) == 3
    for entry in entries:
        link = entry.find("atom:link", ATOM)
        assert link is not None
        assert register.get(urljoin("/page/outages/feed.xml", link.attrib["href"])).status_code == 200


def test_an_empty_register_is_answered(own: Client, writer: WritableDatabase) -> None:
    assert writer.collected()
    assert answered(own, "/outages") == {"outages": []}
    assert answered(own, "/outages/months")["months"] == []
    assert "No outage is recorded." in own.get("/page/outages/").text
    assert own.get("/page/outages/feed.xml").status_code == 200
