"""The addresses of past releases and of the feed, in the whole application."""

import gzip
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import Client

from crypto_predict.baked.ledger import Outcome, Release
from crypto_predict.baked.schema import Model
from crypto_predict.market import DAY
from crypto_predict.web.app import Service, create_app
from tests.support.applications import problem
from tests.support.feeds import entries, faults, links
from tests.support.ledgers import START, make_ledger, make_outcome, make_release
from tests.support.models import ETH, TRAINED_AT, make_model
from tests.support.serving import SETTINGS

LIST, DAYS = "/page/BTC-USD/releases.json", "/page/BTC-USD/releases/{}.json"
FIRST = str(START + DAY)
Open = Callable[..., Client]


@pytest.fixture
def ask(tmp_path: Path) -> Open:
    """A function that returns a client of a model with a ledger of these contents beside it."""

    def make_client(*contents: Release | Outcome, model: Model | None = None, site: str | None = None) -> Client:
        if contents:
            (tmp_path / "model.ledger.jsonl").write_bytes(make_ledger(*contents))
        settings = replace(SETTINGS, model=tmp_path / "model.pkl", site_url=site)
        service = Service(model or make_model(), settings, lambda: TRAINED_AT, threading.Event())
        return Client(create_app(service, None))

    return make_client


def test_the_documents_are_those_of_the_contract(ask: Open) -> None:
    """`page/scripts/types.d.ts` has the same members."""
    client = ask(make_release(), make_outcome(START + 2 * DAY), make_release(START + DAY))
    assert client.get(LIST).json == {
        "pair": "BTC/USD",
        "simulated": False,
        "days": ["2024-05-19", "2024-05-18"],
    }
    document = dict(client.get(DAYS.format(FIRST)).json or {})
    assert {name: value for name, value in document.items() if not isinstance(value, list)} == {
        "pair": "BTC/USD",
        "simulated": False,
        "build": "0.3.1-20240518001000",
        "made_at": "2024-05-18T00:10:00Z",
        "anchor": {"at": "2024-05-18T00:00:00Z", "price": 100.0},
        "last": "2024-05-17",
    }
    lengths = {name: len(value) for name, value in document.items() if isinstance(value, list)}
    assert lengths == {"levels": 7, "prediction": 30, "low": 30, "high": 30, "quantiles": 7, "outcomes": 30}
    assert document["outcomes"][:3] == [None, 101, None]


def test_the_feed_and_its_archives_are_served_and_valid(ask: Open) -> None:
    """With absolute links where the site's address is known. A browser or a feed reader finds it from any page."""
    client = ask(*(make_release(START + n * DAY) for n in range(60)), site="https://example.org/")
    feed, archive = client.get("/feed.xml"), client.get("/feed/2024-05.xml")
    assert feed.content_type == archive.content_type == "application/atom+xml; charset=utf-8"
    assert faults(feed.data, "https://example.org/feed.xml") == []
    assert faults(archive.data, "https://example.org/feed/2024-05.xml") == []
    assert len(entries(feed.data)) == 50
    assert links(entries(feed.data)[0])["alternate"] == "https://example.org/page/BTC-USD/?release=2024-07-16"
    named = re.compile(r'<link rel="alternate" type="application/atom\+xml" title="[^"]+" href="(.+)">')
    assert named.findall(client.get("/").text) == ["./feed.xml"]
    assert named.findall(client.get("/page/BTC-USD/").text) == ["../../feed.xml"]


@pytest.mark.parametrize("day", ["2024-05-17", "2024-02-30", "2024-5-18", "2024-05-18%20", "%00", "x" * 3_000])
def test_an_unknown_day_is_a_problem_that_names_the_days_with_releases(ask: Open, day: str) -> None:
    answer = ask(make_release()).get(DAYS.format(day))
    body = problem(answer, 404)
    assert body["parameter"] == "day"
    assert "the ledger has releases from 2024-05-18 to 2024-05-18" in body["detail"]


def test_an_unknown_pair_is_a_problem_and_a_month_without_releases_does_not_exist(ask: Open) -> None:
    """Even a pair with releases, if the model has no page of it."""
    client = ask(make_release(pair=ETH), make_release())
    for path in ("/page/ETH-USD/releases.json", "/page/ETH-USD/releases/2024-05-18.json"):
        assert problem(client.get(path), 404)["detail"] == "'ETH-USD' is not in this model, which holds BTC/USD"
    for name in ("2024-04.xml", "2024-5.xml", "x.xml", ".xml", ""):
        assert client.get(f"/feed/{name}").status_code == 404


def test_without_a_ledger_there_are_no_releases_and_everything_else_works(ask: Open) -> None:
    """No answer is an error that a browser would report. Once the ledger is back, answers have other tags."""
    client = ask()
    assert client.get(LIST).json == {"pair": "BTC/USD", "simulated": False, "days": []}
    assert client.get(LIST).headers["ETag"] != ask(make_release()).get(LIST).headers["ETag"]
    assert entries(client.get("/feed.xml").data) == []
    assert client.get(DAYS.format(FIRST)).status_code == 404
    assert [client.get(path).status_code for path in ("/", "/page/BTC-USD.json", "/feed.xml")] == [200] * 3


def test_a_ledger_that_was_replaced_since_the_start_is_a_problem_of_the_server(ask: Open, tmp_path: Path) -> None:
    """Its message names no file of the server."""
    client = ask(make_release())
    assert client.get(LIST).status_code == 200
    (tmp_path / "model.ledger.jsonl").write_bytes(make_ledger(make_release(START + DAY)))
    for path in (DAYS.format(FIRST), "/feed.xml", "/feed/2024-05.xml"):
        detail = problem(client.get(path), 503)["detail"]
        assert detail == "past releases are not available: the ledger has been changed or removed since it was read"
    assert client.get(LIST).status_code == 200


@pytest.mark.parametrize("path", [LIST, DAYS.format(FIRST), "/feed.xml", "/feed/2024-05.xml"])
def test_answers_are_compressed_validated_and_cached_until_the_next_release(ask: Open, path: str) -> None:
    """As the other documents of the page are."""
    client = ask(*(make_release(START + n * DAY) for n in range(30)))
    plain, small = client.get(path), client.get(path, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) < len(plain.data) / 2
    assert plain.headers["Cache-Control"] == "public, max-age=21600"
    assert "frame-ancestors 'none'" in plain.headers["Content-Security-Policy"]
    for answer in (plain, small):
        again = client.get(path, headers={"If-None-Match": answer.headers["ETag"], "Accept-Encoding": "gzip"})
        assert again.status_code == (304 if answer is small else 200)
    head = client.head(path)
    assert (head.data, head.headers["Content-Length"]) == (b"", str(len(plain.data)))


@pytest.mark.parametrize("path", [LIST, DAYS.format(FIRST), "/feed.xml"])
def test_invented_prices_are_marked(ask: Open, path: str) -> None:
    invented = replace(make_release(), simulated=True)
    answer = ask(invented, model=make_model(simulated=True)).get(path)
    assert answer.headers["Crypto-Predict-Simulated"] == "true"
    assert ask(make_release()).get("/feed.xml").headers.get("Crypto-Predict-Simulated") is None
