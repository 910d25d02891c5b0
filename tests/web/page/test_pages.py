"""The addresses of the page in the whole application: what is sent, to whom, and for how long it holds."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from crypto_predict.baked.schema import Model
from crypto_predict.market import Pair
from crypto_predict.settings import ledger_beside
from crypto_predict.web.app import create_app
from crypto_predict.web.editions import Editions
from crypto_predict.web.page import assets
from crypto_predict.web.page.pages import MOST_KEPT, Pages
from crypto_predict.web.page.releases import Releases
from tests.support.applications import client, service_of, snapshot_of
from tests.support.models import BTC, ETH, TRAINED_AT, make_forecast, make_model
from tests.support.serving import SETTINGS

MODEL = make_model(BTC, ETH)
CLIENT = client(MODEL)
PAGES = ["/", "/page/BTC-USD/", "/page/ETH-USD/"]
DOCUMENTS = ["/page/BTC-USD.json", "/page/ETH-USD.json", "/page/BTC-USD/record.json"]
HTML, JSON, PROBLEM = "text/html; charset=utf-8", "application/json", "application/problem+json"
BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
}
NEWEST = make_forecast().anchor.at  # ten minutes before the training
STALE_AT = NEWEST + SETTINGS.stale_after + timedelta(seconds=1)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    for name, content in {"main-4TRZXC7Q.js": "alert(1);" * 99, "style-LLHGWB7D.css": "p{color:red}" * 99}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def serving_files(folder: Path, model: Model = MODEL) -> Client:
    """A client of an application that serves the built files of a folder."""
    service = service_of(model)
    assert isinstance(service.editions, Editions)
    pages = service.editions.current
    site = replace(pages.site, assets=assets.find(folder))
    service.editions.current = Pages(
        pages.snapshot, site, Releases(model, ledger_beside(SETTINGS.model)), service.clock
    )
    return Client(create_app(service, None))


def banner(response: TestResponse) -> str:
    return response.get_data(as_text=True).partition("<main")[0].partition('<div id="banner">')[2]


@pytest.mark.parametrize("path", [*PAGES, *DOCUMENTS])
def test_each_pair_has_a_page_and_documents_and_the_root_is_the_page_of_the_first_one(path: str) -> None:
    response, pair = CLIENT.get(path), "ETH" if "ETH" in path else "BTC"
    assert (response.status_code, response.content_type) == (200, JSON if path in DOCUMENTS else HTML)
    if path in DOCUMENTS:
        assert json.loads(response.data)["pair"] == f"{pair}/USD"
    else:
        assert f'data-slug="{pair}-USD"' in response.get_data(as_text=True)


@pytest.mark.parametrize("path", [*PAGES, *DOCUMENTS])
def test_every_answer_has_the_headers_of_security(path: str) -> None:
    """The page loads nothing from elsewhere, is in no frame of another page, and its scripts come from its server."""
    headers = CLIENT.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", PAGES)
def test_a_stale_model_has_a_banner_that_needs_no_scripts(path: str) -> None:
    """It is chosen at each request by the rule of /fresh, though both variants are rendered once."""
    now = TRAINED_AT
    served = client(MODEL, lambda: now)
    fresh = served.get(path)
    assert "stale" not in banner(fresh)
    for age in (timedelta(seconds=-1), timedelta(0), timedelta(days=400)):
        now = STALE_AT + age
        response = served.get(path, headers={"If-None-Match": fresh.headers["ETag"]})
        is_marked = "its newest price is of 2024-05-18 12:00 UTC" in banner(response)
        assert is_marked == (served.get("/fresh").status_code == 503) == (age >= timedelta(0))
        assert response.status_code == (200 if age >= timedelta(0) else 304)
    now = TRAINED_AT
    assert served.get(path).data == fresh.data


@pytest.mark.parametrize(
    "query", [f"pair={HOSTILE}", "range=1y&view=candles", "%ff%00=%0d%0aX-A:b", "?" * 2_000, "date="]
)
@pytest.mark.parametrize("path", [*PAGES, *DOCUMENTS])
def test_the_query_does_not_matter(path: str, query: str) -> None:
    """It is the state of the scripts: the page is the same file on a static server."""
    response, plain = CLIENT.open(path, query_string=query), CLIENT.get(path)
    assert (response.status_code, response.data) == (200, plain.data)
    assert HOSTILE.encode() not in response.data


@given(st.text(max_size=50))
def test_any_address_below_the_page_is_answered(name: str) -> None:
    """With a problem, with a page that names the pair, or with a redirect to the address without a host."""
    for path in (f"/page/{name}", f"/page/{name}/", f"/page/{name}.json", f"/page/{name}/record.json"):
        for headers in ({}, BROWSER):
            response = CLIENT.get(path, headers=headers)
            assert response.status_code in {200, 302, 404}
            if response.status_code == 302:
                assert response.headers["Location"] in {"BTC-USD/", "../BTC-USD/", "ETH-USD/", "../ETH-USD/"}


@pytest.mark.parametrize("path", ["/page/btc-usd/", "/page/BTC_usd/", "/page/BTC-USD", "/page/btc-usd"])
def test_another_spelling_leads_to_the_page(path: str) -> None:
    response = CLIENT.get(path)
    assert response.status_code == 302
    assert urljoin(path, response.headers["Location"]) == "/page/BTC-USD/"
    result = CLIENT.get("/page/BTC-USD/").headers
    for name in ("Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"):
        assert response.headers[name] == result[name]


@pytest.mark.parametrize("path", ["/page/DOGE-USD/", "/page/DOGE-USD", f"/page/{HOSTILE.replace('/', '')}/"])
def test_an_unknown_pair_is_a_page_for_a_browser_and_a_problem_for_a_program(path: str) -> None:
    shown, problem = CLIENT.get(path, headers=BROWSER), CLIENT.get(path)
    assert (shown.status_code, shown.content_type) == (404, HTML)
    assert (problem.status_code, problem.content_type) == (404, PROBLEM)
    assert b"<script>alert" not in shown.data
    for pair in ("BTC/USD", "ETH/USD"):
        assert pair in shown.get_data(as_text=True)
        assert pair in json.loads(problem.data)["detail"]
    assert shown.headers["Vary"] == "Accept"
    assert shown.headers["Cache-Control"] == "no-store"
    assert "Content-Security-Policy" in shown.headers


@pytest.mark.parametrize("path", ["/page/DOGE-USD.json", "/page/DOGE-USD/record.json"])
@pytest.mark.parametrize("headers", [{}, BROWSER], ids=["plain", "browser"])
def test_a_document_of_an_unknown_pair_is_a_problem_for_everyone(path: str, headers: dict[str, str]) -> None:
    response = CLIENT.get(path, headers=headers)
    assert (response.status_code, response.content_type) == (404, PROBLEM)


def test_invented_prices_are_marked_by_pair() -> None:
    served = client(make_model(BTC, ETH, simulated={ETH}))
    for path in [*PAGES, *DOCUMENTS]:
        expected = "true" if "ETH" in path else None
        assert served.get(path).headers.get("Crypto-Predict-Simulated") == expected
    for path in PAGES:
        assert ("The prices of ETH/USD are simulated" in banner(served.get(path))) == ("ETH" in path)


def test_built_files_are_compressed_and_kept_for_a_year(built: Path) -> None:
    served = serving_files(built)
    text = served.get("/").get_data(as_text=True)
    for path in ("page/built/main-4TRZXC7Q.js", "page/built/style-LLHGWB7D.css"):
        assert f'"./{path}"' in text
        response = served.get(f"/{path}", headers=BROWSER)
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert gzip.decompress(response.data) == (built / Path(path).name).read_bytes()
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for file, kind in (("main-4TRZXC7Q.js", "javascript"), ("style-LLHGWB7D.css", "css")):
        assert served.get(f"/page/built/{file}").content_type == f"text/{kind}; charset=utf-8", "nosniff is sent"


@pytest.mark.parametrize("name", ["main.js", "main-AAAAAAAA.js", "..%2fpages.py", "%2e%2e/pages.py", "", "\x00"])
def test_no_other_file_is_served(built: Path, name: str) -> None:
    response = serving_files(built).get(f"/page/built/{name}")
    assert (response.status_code, response.content_type) == (404, PROBLEM)


def test_a_file_is_read_at_its_first_request_and_not_again(built: Path) -> None:
    """The start does not wait for files. One that another build has removed by then is not found."""
    served = serving_files(built)
    (built / "main-4TRZXC7Q.js").write_text("alert(2)", encoding="utf-8")
    assert served.get("/page/built/main-4TRZXC7Q.js").data == b"alert(2)"
    for file in built.iterdir():
        file.unlink()
    assert served.get("/page/built/main-4TRZXC7Q.js").data == b"alert(2)"
    assert served.get("/page/built/style-LLHGWB7D.css").status_code == 404
    assert served.get("/").status_code == 200


def test_without_a_build_the_page_is_whole_and_has_no_scripts(tmp_path: Path) -> None:
    text = serving_files(tmp_path).get("/").get_data(as_text=True)
    assert "<script" not in text
    assert "page/built/" not in text
    assert "</html>" in text


def test_requests_are_counted_by_the_template_of_their_route(built: Path) -> None:
    """One series for all pairs: each costs memory."""
    served = serving_files(built)
    for path in [*PAGES, *DOCUMENTS, "/page/built/main-4TRZXC7Q.js", "/page/XYZ-USD/", "/page/built/nothing.js"]:
        served.get(path)
    text = served.get("/metrics").get_data(as_text=True)
    line = r'^crypto_predict_requests_total\{method="GET",route="(.*?)",status="200"\} (.*)$'
    assert dict(re.findall(line, text, re.MULTILINE)) == {
        "/": "1.0",
        "/page/{slug}/": "2.0",
        "/page/{slug}.json": "2.0",
        "/page/{slug}/record.json": "1.0",
        "/page/built/{file}": "1.0",
    }


def bodies(pages: Pages, paths: list[str]) -> Iterator[bytes]:
    for path in paths:
        yield pages.answer(path, "gzip").body


def test_the_memory_of_rendered_answers_is_bounded() -> None:
    """A model of many pairs has more pages than are kept; the oldest is rendered again."""
    pairs = [Pair(f"C{number}", "USD") for number in range(30)]
    site = service_of(MODEL).editions.pages().site
    model = make_model(*pairs)
    pages = Pages(snapshot_of(model), site, Releases(model, ledger_beside(SETTINGS.model)), lambda: TRAINED_AT)
    paths = [f"/page/{pair.slug}{ending}" for ending in ("/", "/record.json", ".json") for pair in pairs]
    first, second = paths[0], paths[1]
    [kept] = bodies(pages, [first])
    list(bodies(pages, paths[1:MOST_KEPT]))
    assert next(bodies(pages, [first])) is kept
    list(bodies(pages, paths[MOST_KEPT : MOST_KEPT + 1]))
    assert next(bodies(pages, [first])) is not kept
    assert next(bodies(pages, [first])) == kept
    assert next(bodies(pages, [second]))


def test_many_threads_get_the_same_answers() -> None:
    """Each is rendered once, by the first thread that asks for it, and then only looked up: it is the same object."""
    pages, begun = service_of(MODEL).editions.pages(), threading.Barrier(8)

    def ask(_: int) -> list[bytes]:
        begun.wait()
        return list(bodies(pages, [*PAGES, *DOCUMENTS]))

    with ThreadPoolExecutor(8) as threads:
        first, *others = threads.map(ask, range(8))
    for other in others:
        assert all(body is again for body, again in zip(first, other, strict=True))
