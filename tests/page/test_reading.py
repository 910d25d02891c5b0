"""The page as its readers find it: with and without scripts, database and ledger; light and dark; phone and desktop."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from crypto_predict.baked import store
from crypto_predict.market import Pair
from tests.support.browser import DESKTOP, PHONE, Browser, Screen, needs_page
from tests.support.models import BTC, ETH, make_model
from tests.support.pages import NOW, REAL, RELEASED, growing, serving_at, train
from tests.support.serving import ROOT

pytestmark = needs_page

TETHER = Pair("BTC", "USDT")
LOOKS = [(DESKTOP, False), (PHONE, True)]
AXE = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: `make lint` installs it")
FIND = """
const done = arguments[0];
axe.run(document, { resultTypes: ["violations"] }).then(
  (found) => done(found.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, any }) => `${id}: ${help}: ${html.slice(0, 200)} ${any.map((one) => one.message)}`))),
  (error) => done([String(error)]),
);
"""


class Site(NamedTuple):
    """A page that is served."""

    url: str
    pair: Pair  # of its start page
    simulated: bool
    live: bool
    recorded: bool


@contextmanager
def alone(folder: Path) -> Iterator[Site]:
    """A model without anything else, as in the image of a release."""
    store.save(make_model(BTC, ETH), folder / "model.pkl")
    with serving_at(NOW, folder / "model.pkl") as served:
        yield Site(served.url, BTC, simulated=False, live=False, recorded=False)


@contextmanager
def invented(folder: Path) -> Iterator[Site]:
    """Simulated prices, with a database and a ledger."""
    model = train(folder, "--source", "simulated", "--pair", "BTC/USD,ETH/USD", "--days", "400", released=RELEASED[:1])
    with growing(folder / "market.db"), serving_at(NOW, model, folder / "market.db") as served:
        yield Site(served.url, BTC, simulated=True, live=True, recorded=True)


@contextmanager
def real(folder: Path) -> Iterator[Site]:
    """Five years of Bitcoin, with a database and the ledger of a first release: no outcome is known."""
    if not REAL.exists():
        pytest.skip("the real days of BTC/USDT are not on this machine")
    model = train(folder, "--source", f"file:{REAL}", "--pair", str(TETHER))
    with growing(folder / "market.db", "binance", [TETHER]), serving_at(NOW, model, folder / "market.db") as served:
        yield Site(served.url, TETHER, simulated=False, live=True, recorded=True)


@pytest.fixture(scope="module", params=[alone, invented, real], ids=lambda param: param.__name__)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with request.param(tmp_path_factory.mktemp("site")) as site:
        yield site


def answer(site: Site, path: str) -> Any:
    return requests.get(f"{site.url}{path}", timeout=30).json()


def test_the_forecast_and_the_record_are_readable_without_scripts(site: Site, browser: Browser) -> None:
    """As text and tables, whose numbers are those of the API, to the whole unit."""
    browser.run_scripts(False)
    browser.open(site.url)
    rows = browser.rows("#forecast-table tbody tr")
    days = f"start={rows[0][0]}&end={rows[-1][0]}"
    forecast = {row["date"]: row for row in answer(site, f"/forecast/{site.pair.slug}?{days}")}
    for day, *cells in rows:
        prices = {int(number.replace(",", "")) for number in re.findall(r"[\d,]{4,}", " ".join(cells))}
        names = ("low", "high") if len(cells) == 4 else ("prediction", "low", "high")
        assert all(min(abs(forecast[day][name] - price) for price in prices) <= 0.5 for name in names)
    assert str(site.pair) in browser.one("h1").text
    assert "four times out of five between" in browser.text("#forecast .sentence")
    if site.recorded:
        assert len(browser.one("#record").text) > 200
        assert browser.all("#record table")
    shown = [section.get_attribute("id") for section in browser.all("main > section") if section.is_displayed()]
    assert shown[:1] == ["forecast"]
    assert not any(part.is_displayed() for part in browser.all("[data-needs='scripts']"))
    assert any(banner.is_displayed() for banner in browser.all(".banner")) == site.simulated


def findings(browser: Browser) -> list[str]:
    """Return what axe-core finds in the open page by all of its rules, the best practices included."""
    if not browser.run("return 'axe' in globalThis"):
        browser.run(AXE.read_text())
    return list(browser.driver.execute_async_script(FIND))


@needs_axe
@pytest.mark.parametrize(("screen", "dark"), LOOKS, ids=["desktop, then dark", "phone, dark at first"])
def test_nothing_is_wrong_with_the_page_as_a_whole(screen: Screen, dark: bool, site: Site, browser: Browser) -> None:
    """Everything opened and read to the end: what axe-core finds, and what the browser reports, is nothing.

    Neither in the scheme in which the page was opened nor in the other one. Nothing is wider than the screen.
    """
    browser.look(screen, dark=dark)
    browser.open(site.url)
    browser.read_to_the_end()
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    browser.settle()
    assert browser.run("return document.documentElement.scrollWidth") <= screen.width
    if len(browser.rows("#forecast-table tbody tr")[0]) == 5:  # the ranges alone, since the middle is the newest price
        hidden = "const table = document.querySelector('.narrow'); return table.scrollWidth - table.clientWidth"
        assert browser.run(hidden) == 0
    assert (browser.run("return document.querySelector('#minutes')?.offsetHeight ?? 0") > 0) == site.live
    for now in (dark, not dark):
        browser.look(screen, dark=now)
        browser.settle()
        shown = browser.run("return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
        assert (sum(shown[:3]) < 300) == now
        assert findings(browser) == []
