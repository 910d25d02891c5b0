"""Live parts of the page: what is new appears by itself, what fails is said and goes on, what is hidden waits."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from crypto_predict.baked import store
from crypto_predict.market import Candle
from tests.support.browser import Browser, needs_page
from tests.support.live import until
from tests.support.minutes import MINUTE
from tests.support.models import BTC, ETH, make_model
from tests.support.pages import NOW, At, Growing, collecting_site, growing, serving_at
from tests.support.replay.server import Asked, Fault, ReplayServer, altered, answer, cut_json, forwarding, reset, stall
from tests.support.serving import serving_model

pytestmark = needs_page

LIVE = ("/minutes/", "/forecast/", "/prices", "/pairs", "/scorecard", "/version")  # what a page asks again and again
SLOW = timedelta(seconds=5)  # of an answer, which is said
LATEST_RETRY = 4 * MINUTE  # of what has failed once or twice


class Site(NamedTuple):
    """A page whose database grows, behind a network that may fail."""

    database: Growing
    server: At
    front: ReplayServer

    @property
    def url(self) -> str:
        """The address of the page."""
        return self.front.url

    def next_minute(self, browser: Browser) -> Candle:
        """Let a minute pass for collector, server and browser; return its candle."""
        added = self.database.grow()
        self.server.move_to(self.server.now + MINUTE)
        browser.pass_time(MINUTE)
        return added

    def failing(self, fault: Fault) -> AbstractContextManager[None]:
        """Let everything live fail."""
        return self.front.failing(fault, lambda request: request.path.startswith(LIVE))

    @property
    def asked(self) -> list[Asked]:
        """The requests so far; a page that has been read to its end asks for live data alone."""
        return self.front.requests


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with collecting_site(folder) as (database, server), ReplayServer(forwarding(server.url)) as front:
        yield Site(database, server, front)


@pytest.fixture
def live(site: Site, browser: Browser) -> Browser:
    """The browser with the page, read to its end; the minutes are in view."""
    browser.set_clock(site.server.now - datetime.now(UTC))
    browser.open(site.url)
    browser.read_to_the_end()
    browser.run("document.getElementById('minutes').scrollIntoView()")
    browser.settle()
    return browser


def newest(browser: Browser) -> str:
    return browser.text("#minutes-newest")


def price_time(browser: Browser) -> datetime:
    """Return the time of the price above the forecast."""
    return datetime.fromisoformat(str(browser.one(".price time").get_attribute("datetime")))


def shows(browser: Browser, candle: Candle) -> bool:
    """Return whether the chart, the list of pairs and the price above the forecast are those of a candle."""
    price = f"{candle.close:,.2f}"
    return (
        f"{candle.open_time:%Y-%m-%d %H:%M} UTC" in newest(browser)
        and price in browser.text("#minutes-chart .reading")
        and price in browser.text("#pairs-table [data-pair=BTC-USD]")
        and price == browser.text("#price")
    )


def test_what_is_traded_in_place_of_dollars_has_the_row_and_the_headline_of_dollars(
    tmp_path: Path, browser: Browser
) -> None:
    """Binance has Tether: ETH/USDT is collected, and forecast as ETH/USD. Two rows of one market would puzzle."""
    model = make_model(BTC, ETH)
    traded = {pair: replace(facts, traded=replace(pair, quote="USDT")) for pair, facts in model.card.pairs.items()}
    store.save(replace(model, card=replace(model.card, pairs=traded)), tmp_path / "model.pkl")
    collected = [replace(pair, quote="USDT") for pair in (BTC, ETH)]
    with (
        growing(tmp_path / "market.db", "binance", collected) as database,
        serving_at(NOW, tmp_path / "model.pkl", tmp_path / "market.db") as server,
    ):
        browser.set_clock(server.now - datetime.now(UTC))
        browser.open(server.url)
        browser.read_to_the_end()
        price = f"{database.grow().close:,.2f}"
        server.move_to(server.now + MINUTE)
        browser.pass_time(MINUTE)
        browser.until(lambda: browser.text("#price") == price, "the newest price is shown")
        browser.until(lambda: price in browser.text("#pairs-table [data-pair=BTC-USD]"), "and in the list")
        browser.until(lambda: "Binance" in browser.text("#pairs-table [data-pair=ETH-USD]"), "and what is collected")
        assert browser.run("return document.querySelectorAll('#pairs-table tbody tr').length") == 2
        browser.driver.get("about:blank")


def test_a_new_minute_appears_without_a_reload_and_nothing_is_made_anew(site: Site, live: Browser) -> None:
    """Chart, price, forecast and verdicts follow; the elements are the same, so nothing flickers or loses the focus."""
    live.run(
        """const parts = "canvas, #pairs-table tr, section, #minutes p, select";
        globalThis.kept = Array.from(document.querySelectorAll(parts));
        document.querySelector("#minutes-chart button").focus();
        globalThis.focused = document.activeElement;
        globalThis.lost = [];
        new MutationObserver((records) => {
          for (const { removedNodes } of records) {
            lost.push(...Array.from(removedNodes).filter((one) => one.matches?.("canvas, tr, section, figure")));
          }
        }).observe(document.body, { subtree: true, childList: true });"""
    )
    ahead = live.text("#minutes-ahead")
    for _ in range(2):
        added = site.next_minute(live)
        live.until(partial(shows, live, added), f"{added} is shown")
    live.until(lambda: live.text("#minutes-ahead") not in {"", ahead}, "the next forecast is shown")
    assert live.run("return [kept.every((one) => one.isConnected), focused === document.activeElement, lost]") == [
        True,
        True,
        [],
    ]


def test_the_price_follows_the_market_and_the_forecast_says_where_it_starts(site: Site, live: Browser) -> None:
    """Price, change and time are those of one minute, above the forecast and in the list; a day ago has no candle."""
    added = site.next_minute(live)
    live.until(partial(shows, live, added), f"{added} is shown")
    at = f"{added.open_time + MINUTE:%Y-%m-%d %H:%M}"
    assert " ".join(live.text(".price").split()).endswith(f" USD change in 24 hours not known, {at} UTC")
    cells = dict(zip(live.texts("#pairs-table thead th"), live.rows("#pairs-table tbody tr")[0], strict=True))
    assert cells["Price"] == live.text("#price")
    assert (cells["Change"], cells["Time (UTC)"]) == ("not known", at)
    anchor = "67,010.00 USD, the price of 2024-05-18 12:00 UTC"
    assert f"The forecast does not: it starts at {anchor}." in live.text(".summary")
    assert "starts at the price of 2024-05-18 12:00 UTC, 67,010.00" in live.text("#forecast-table caption")


def test_an_unchanged_answer_is_not_sent_again(site: Site, live: Browser) -> None:
    """It is asked for with its tag. What is asked first is longer than what is asked again."""
    for _ in range(2):
        site.asked.clear()
        live.pass_time(MINUTE)
        live.until(lambda: site.asked, "it is asked again")
        live.settle()
    assert [response.path for response in site.asked if "if-none-match" not in response.headers] == []


def test_a_hidden_page_asks_nothing_and_catches_up_when_it_is_shown(site: Site, live: Browser) -> None:
    with live.hidden():
        site.asked.clear()
        for _ in range(3):
            added = site.next_minute(live)
        live.driver.execute_async_script("setTimeout(arguments[0], 500)")
        assert site.asked == []
        assert not shows(live, added)
    live.until(partial(shows, live, added), f"{added} is shown")


FAILURES: dict[str, Callable[[], Fault]] = {
    "503": lambda: answer(503, '{"status": 503, "detail": "the database is away"}', "application/problem+json"),
    "503 with a time to wait": lambda: answer(503, "{}", "application/problem+json", retry_after="30"),
    "HTML": lambda: answer(200, "<html><img src=x onerror=alert(1)>busy</html>", "text/html"),
    "half of the JSON": lambda: cut_json,
    "another shape": lambda: altered(lambda _: {"unexpected": [1, None, {}]}),
    "no members": lambda: altered(lambda _: None),
    "no answer": lambda: stall,
    "no connection": lambda: reset,
}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_outage_is_said_and_ends_by_itself(failure: str, site: Site, live: Browser) -> None:
    """What is drawn stays; a reader learns that it stands still, and that it goes on."""
    drawn = newest(live)
    with site.failing(FAILURES[failure]()):
        added = site.next_minute(live)
        live.until(lambda: live.run("return watched.busy") or live.text("#live-state"), "it is asked")
        live.pass_time(SLOW)
        live.until(lambda: "stand still" in live.text("#live-state:not([hidden])"), "the outage is said in the section")
        live.until(lambda: "interrupted" in live.text("#status"), "and to a screen reader")
        assert newest(live) == drawn
        assert not live.all(".error, img[src=x]")
    live.faults()
    live.pass_time(LATEST_RETRY)
    live.until(partial(shows, live, added), f"{added} is shown")
    live.until(lambda: not live.text("#live-state:not([hidden])"), "the outage is over")
    live.faults()


def test_a_browser_without_network_says_so_and_recovers(site: Site, live: Browser) -> None:
    live.go_offline(True)
    added = site.next_minute(live)
    live.until(lambda: "stand still" in live.text("#live-state:not([hidden])"), "the outage is said")
    live.go_offline(False)
    live.faults()
    live.pass_time(LATEST_RETRY)
    live.until(partial(shows, live, added), f"{added} is shown")
    live.faults()


def test_a_real_collector_moves_the_page(tmp_path: Path, browser: Browser) -> None:
    """Both in one process, at the speed of the clock: the newest minute and its price, and the one after it.

    The price above the forecast is then the newest one, no longer that at which the forecast starts.
    """
    now = datetime.now(UTC)
    environ = {"SOURCE": "simulated", "PAIR": "BTC/USD", "SINCE": f"{now:%Y-%m-%d}"}
    model = make_model(BTC, ETH, trained_at=now, simulated=True)
    browser.reset()
    with serving_model(model, tmp_path, "--collect", "--database", str(tmp_path / "market.db"), **environ) as served:
        until(lambda: served.events("stream connected"), "the collector is connected")
        browser.open(served.url)
        browser.read_to_the_end()
        first = browser.until(partial(newest, browser), "a minute is shown", seconds=100)
        browser.until(lambda: newest(browser) != first, "another one is shown", seconds=100)
        browser.until(lambda: price_time(browser) > now, "the newest price is shown", seconds=100)
        assert browser.text("#price") in browser.text("#pairs-table [data-pair=BTC-USD]")
        browser.driver.get("about:blank")
        browser.faults()  # until its first forecast the collector has none, and the page may ask until it is left
