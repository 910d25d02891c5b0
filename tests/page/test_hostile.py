"""Hostile names, a wrong clock, and answers that are broken from the start: the page stays whole."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.market import Span
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.store import open_writer
from tests.support.browser import Browser, needs_page
from tests.support.minutes import MINUTE
from tests.support.models import BTC, ETH, make_model
from tests.support.pages import NOW, collecting_site, growing, serving_at
from tests.support.replay.server import Fault, ReplayServer, altered, answer, cut_json, forwarding, reset

pytestmark = needs_page

HOSTILE = "\"'><img src=x onerror=globalThis.injected=1><script>globalThis.injected=1</script>"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayServer]:
    """A page as it should be, behind a network that may fail."""
    with collecting_site(tmp_path_factory.mktemp("site")) as (_, server), ReplayServer(forwarding(server.url)) as front:
        yield front


def open_all(browser: Browser) -> None:
    browser.read_to_the_end()
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    browser.settle()


def is_clean(browser: Browser) -> bool:
    """Return whether nothing was injected, and no number is broken."""
    assert not browser.all("img[src=x], script:not([src])")
    assert browser.run("return globalThis.injected ?? null") is None
    text = browser.run("return document.body.innerText")
    return not any(word in text for word in ("NaN", "undefined", "Invalid Date", "Infinity", "[object"))


def test_hostile_names_of_a_database_and_a_model_are_text(tmp_path: Path, browser: Browser) -> None:
    """A source, the reason of an interruption, and what a model card has."""
    model = make_model(BTC, ETH)
    cards = {
        pair: replace(card, source=HOSTILE[:60], passed_over=(HOSTILE,)) for pair, card in model.card.pairs.items()
    }
    card = replace(model.card, pairs=cards, gate=replace(model.card.gate, passed=False, reasons=(HOSTILE,)))
    store.save(replace(model, card=card), tmp_path / "model.pkl")
    database = tmp_path / "market.db"
    with growing(database, HOSTILE, [BTC, ETH]), open_writer(str(database)) as writer:
        span = Span(NOW - 20 * MINUTE, NOW - 18 * MINUTE)
        writer.write_streams(HOSTILE, [BTC], StreamSpan(span, StreamState.DISCONNECTED, HOSTILE))
        with serving_at(NOW, tmp_path / "model.pkl", database) as served:
            browser.open(served.url)
            open_all(browser)
            assert is_clean(browser)
            assert "onerror=globalThis.injected=1" in browser.text("#minutes")
            assert "onerror=globalThis.injected=1" in browser.text("#pairs")
            assert "onerror=globalThis.injected=1" in browser.text("#model")


@pytest.mark.parametrize(
    "wrong", [timedelta(days=-4000), timedelta(hours=-30), timedelta(hours=30), timedelta(days=9000)]
)
def test_a_wrong_clock_of_the_reader_changes_nothing(wrong: timedelta, front: ReplayServer, browser: Browser) -> None:
    """The server's clock says whether the forecast is stale, and where today is."""
    browser.set_clock(NOW + wrong - datetime.now(UTC))
    browser.open(front.url)
    open_all(browser)
    assert is_clean(browser)
    assert not browser.all(".error, .banner[data-kind=stale]")
    assert "Fresh yes" in " ".join(browser.texts("#model-facts dt, #model-facts dd"))


FAILURES: dict[str, Callable[[], Fault]] = {
    "503": lambda: answer(503, '{"detail": "away"}', "application/problem+json"),
    "HTML": lambda: answer(200, "<img src=x onerror=globalThis.injected=1>", "text/html"),
    "half of the JSON": lambda: cut_json,
    "another shape": lambda: altered(
        lambda _: {"releases": HOSTILE, "closes": [HOSTILE], "first": HOSTILE, "words": 1}
    ),
    "null": lambda: altered(lambda _: None),
    "no connection": lambda: reset,
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_page_whose_documents_fail_is_whole_without_them(failure: str, front: ReplayServer, browser: Browser) -> None:
    """Its text and tables stay. Each part says what it lacks."""
    with front.failing(
        FAILURES[failure](),
        lambda request: not request.path.startswith(("/page/built", "/docs")) and request.path != "/",
    ):
        browser.open(front.url)
        open_all(browser)
        assert is_clean(browser)
        assert len(browser.rows("#forecast-table tbody tr")) > 5
        assert browser.rows("#outcomes-table tbody tr")
        assert browser.all("#forecast .error")
        browser.one("[name=date]").send_keys("\n")
        browser.until(lambda: browser.text("#ask-answer"), "the question is answered")
    browser.faults()


def test_a_part_that_failed_can_be_asked_for_again(front: ReplayServer, browser: Browser) -> None:
    with front.failing(
        answer(503, "{}", "application/problem+json"), lambda request: request.path == "/page/BTC-USD.json"
    ):
        browser.open(front.url)
        browser.one("#forecast .error button")
        browser.settle()
    browser.faults()
    browser.one("#forecast .error button").click()
    browser.one("#forecast-chart canvas")
    browser.settle()
    assert not browser.all("#forecast .error")
