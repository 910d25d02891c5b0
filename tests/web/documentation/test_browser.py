"""Swagger UI in a real browser: it works, and it connects to this server only."""

from collections.abc import Iterator
from functools import partial

import pytest
import requests
from selenium.webdriver.remote.webelement import WebElement

from tests.support.browser import Browser, Screen, needs_browser, started
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import Served, serving_model

WIDE = Screen(1200, 1600, is_phone=False)

__all__ = ["started"]

pytestmark = needs_browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_model(make_model(BTC, ETH), tmp_path_factory.mktemp("model")) as served:
        yield served


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_model(make_model(BTC, ETH, simulated=True), tmp_path_factory.mktemp("simulated")) as served:
        yield served


@pytest.fixture
def browser(started: Browser) -> Browser:
    started.reset()
    started.look(WIDE)
    return started


def test_the_page_sends_a_request_and_contacts_no_other_machine(served: Served, browser: Browser) -> None:
    """From the documentation to the answer: open, expand, "Try it out", "Execute", read."""
    browser.open(f"{served.url}/docs")
    for control in (".opblock-summary-control", ".try-out__btn", ".execute"):
        browser.one(f"#operations-forecast-bitcoin {control}").click()
    answered = "#operations-forecast-bitcoin .live-responses-table"
    answer = browser.one(f"{answered} .response-col_description .highlight-code").text

    assert '"date": "Sun, 16 Jun 2024 00:00:00 GMT"' in answer
    assert '"prediction_high": 80632' in answer
    assert browser.one(f"{answered} tr.response .response-col_status").text.startswith("200")
    assert browser.faults() == []


def open_page(browser: Browser, served: Served) -> list[WebElement]:
    browser.open(f"{served.url}/docs")
    browser.one(".opblock")
    return browser.all(".opblock")


def test_invented_prices_have_a_red_banner(simulated: Served, browser: Browser) -> None:
    """At the top of the page, as wide as it is, and within what the page's policy allows."""
    open_page(browser, simulated)
    banner = browser.one("[role=alert]")
    assert "The prices of BTC/USD and ETH/USD are simulated" in banner.text
    assert banner.is_displayed()
    assert banner.location["y"] == 0
    assert banner.size["width"] >= 1100
    assert banner.value_of_css_property("background-color") == "rgba(176, 0, 32, 1)"
    assert banner.value_of_css_property("color") == "rgba(255, 255, 255, 1)"
    assert browser.faults() == []


# In the page: `WebElement.text` looks at every coloured word of an example, which takes seconds.
SHOWN = "return Array.from(arguments[0].querySelectorAll('tr.response .example'), shown => shown.innerText)"


def test_every_example_on_the_page_is_real(served: Served, browser: Browser) -> None:
    """Swagger UI makes values up where the document has none: `"string"`, `0`, `1`, an object without members."""
    operations = open_page(browser, served)
    assert browser.all("[role=alert]") == [], "only invented prices have a banner"
    assert browser.texts(".opblock-summary-path") == list(
        requests.get(f"{served.url}/openapi.json", timeout=30).json()["paths"]
    )
    for operation in operations:
        browser.run("arguments[0].querySelector('.opblock-summary-control').click()", operation)
        examples = browser.until(partial(browser.run, SHOWN, operation), "the operation shows its examples")
        for shown in examples:
            assert len(shown) > 20
            assert '"string"' not in shown
            assert "additionalProp" not in shown
