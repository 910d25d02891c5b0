"""The static export in a browser: the same page from a server of files, in a sub-folder, without any API."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from crypto_predict.baked import store
from crypto_predict.market import DAY
from crypto_predict.web import export
from tests.support.browser import Browser, needs_browser
from tests.support.ledgers import make_ledger, make_outcome, make_release
from tests.support.models import BTC, ETH, LAST, make_model
from tests.support.page import needs_bundle
from tests.support.static_sites import served

pytestmark = [needs_browser, needs_bundle]

RELEASED = LAST - 9 * DAY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an export of two pairs with some releases, two folders below its server's root."""
    folder = tmp_path_factory.mktemp("static")
    model = make_model(BTC, ETH)
    store.save(model, folder / "model.pkl")
    releases = [make_release(RELEASED + n * DAY) for n in range(-20, 9)]
    outcomes = [make_outcome(RELEASED + n * DAY, 60_000.0 + n) for n in range(9)]
    (folder / "model.ledger.jsonl").write_bytes(make_ledger(*releases, *outcomes))
    (folder / "root" / "deep").mkdir(parents=True)
    options = ["--model", str(folder / "model.pkl"), "--json"]
    assert export.main([str(folder / "root" / "deep" / "site"), *options], {}) == 0
    with served(folder / "root") as address:
        yield f"{address}deep/site/"


def test_a_past_release_is_shown_again_by_its_address(browser: Browser, site: str) -> None:
    """As the feed links it. The page of the first pair is at the root, too."""
    day = str(RELEASED + timedelta(days=1))
    for page in ("", "page/BTC-USD/"):
        browser.open(f"{site}{page}?release={day}")
        browser.until(lambda: day in browser.text(".release-words"), f"{page} shows the release of {day}")
    assert browser.one("a[href$='feed.xml']").get_attribute("href") == f"{site}feed.xml"


def test_a_pair_without_releases_says_so(browser: Browser, site: str) -> None:
    browser.open(f"{site}page/ETH-USD/")
    browser.until(lambda: "Past releases are not available" in browser.text(".release-words"), "it says so")


def test_an_address_that_does_not_exist_leads_back(browser: Browser, site: str) -> None:
    """GitHub Pages answers with this file."""
    browser.open(f"{site}404.html")
    assert browser.text("h1") == "This address does not exist"
    links = [link.get_attribute("href") for link in browser.all("main a")]
    assert links == [f"{site}page/BTC-USD/", f"{site}page/ETH-USD/"]
