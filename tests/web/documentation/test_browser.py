"""Swagger UI in a real browser: it works, and it connects to this server only."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.models import BTC, ETH, make_model
from tests.support.serving import Served, serving_model

BROWSER, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 60

pytestmark = pytest.mark.skipif(
    not (BROWSER.exists() and DRIVER.exists()), reason=f"{BROWSER} or {DRIVER} is not installed"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_model(make_model(BTC, ETH), tmp_path_factory.mktemp("model")) as served:
        yield served


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_model(make_model(BTC, ETH, simulated=True), tmp_path_factory.mktemp("simulated")) as served:
        yield served


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser with a new profile that records its requests; starting one takes longer than most of its tests."""
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    profile = tmp_path_factory.mktemp("browser") / "profile"
    for flag in [*FLAGS, f"--user-data-dir={profile}", "--window-size=1200,1600"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = Chrome(options, Service(str(DRIVER)))
    yield browser
    browser.quit()


@pytest.fixture
def browser(started: Chrome) -> Chrome:
    """The browser with an empty page and empty logs."""
    started.get("about:blank")
    for kind in ("performance", "browser"):
        logged(started, kind)
    return started


def logged(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """Return the new entries of one of the browser's logs."""
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]  # selenium's own omission


def asked_of(browser: Chrome) -> set[str]:
    """Return scheme and host of all requests over a network so far."""
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    urls = [urlsplit(message["params"]["request"]["url"]) for message in messages if "request" in message["params"]]
    return {f"{url.scheme}://{url.netloc}" for url in urls if url.scheme in {"http", "https", "ws", "wss", "ftp"}}


def test_the_page_sends_a_request_and_contacts_no_other_machine(served: Served, browser: Chrome) -> None:
    """From the documentation to the answer: open, expand, "Try it out", "Execute", read."""
    wait = WebDriverWait(browser, SECONDS, poll_frequency=0.1)

    def shown(parent: Chrome | WebElement, selector: str) -> WebElement:
        wait.until(lambda _: parent.find_elements(By.CSS_SELECTOR, selector))
        return parent.find_element(By.CSS_SELECTOR, selector)

    browser.get(f"{served.url}/docs")
    operation = shown(browser, "#operations-forecast-bitcoin")
    shown(operation, ".opblock-summary-control").click()
    shown(operation, ".try-out__btn").click()
    shown(operation, ".execute").click()
    answer = shown(operation, ".live-responses-table .response-col_description .highlight-code").text

    assert '"date": "Sun, 16 Jun 2024 00:00:00 GMT"' in answer
    assert '"prediction_high": 80874.26' in answer
    assert shown(operation, ".live-responses-table tr.response .response-col_status").text.startswith("200")
    assert asked_of(browser) == {served.url}
    assert [entry["message"] for entry in logged(browser, "browser") if entry["level"] != "INFO"] == []


def open_page(browser: Chrome, served: Served) -> list[WebElement]:
    """Open the documentation and wait for its operations."""
    browser.get(f"{served.url}/docs")
    WebDriverWait(browser, SECONDS, poll_frequency=0.1).until(
        lambda _: browser.find_elements(By.CSS_SELECTOR, ".opblock")
    )
    return list(browser.find_elements(By.CSS_SELECTOR, ".opblock"))


def test_invented_prices_have_a_red_banner(simulated: Served, browser: Chrome) -> None:
    """At the top of the page, as wide as it is, and within what the page's policy allows."""
    open_page(browser, simulated)
    banner = browser.find_element(By.CSS_SELECTOR, "[role=alert]")
    assert "The prices of BTC/USD and ETH/USD are simulated" in banner.text
    assert banner.is_displayed()
    assert banner.location["y"] == 0
    assert banner.size["width"] >= 1100
    assert banner.value_of_css_property("background-color") == "rgba(176, 0, 32, 1)"
    assert banner.value_of_css_property("color") == "rgba(255, 255, 255, 1)"
    assert [entry["message"] for entry in logged(browser, "browser") if entry["level"] != "INFO"] == []


def test_real_prices_have_no_banner(served: Served, browser: Chrome) -> None:
    open_page(browser, served)
    assert browser.find_elements(By.CSS_SELECTOR, "[role=alert]") == []


# In the page: `WebElement.text` looks at every coloured word of an example, which takes seconds.
SHOWN = "return Array.from(arguments[0].querySelectorAll('tr.response .example'), shown => shown.innerText)"


def has_examples(operation: WebElement, _: Chrome) -> bool:
    """Return whether an operation is expanded and shows its examples."""
    return bool(operation.find_elements(By.CSS_SELECTOR, "tr.response .example"))


def test_every_example_on_the_page_is_real(served: Served, browser: Chrome) -> None:
    """Swagger UI makes values up where the document has none: `"string"`, `0`, `1`, an object without members."""
    wait = WebDriverWait(browser, SECONDS, poll_frequency=0.1)
    operations = open_page(browser, served)
    assert [operation.find_element(By.CSS_SELECTOR, ".opblock-summary-path").text for operation in operations] == [
        "/bitcoin",
        "/forecast/{pair}",
        "/probability/{pair}",
        "/pairs",
        "/model",
        "/scorecard",
        "/version",
        "/livez",
        "/readyz",
        "/fresh",
        "/metrics",
    ]
    for operation in operations:
        operation.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
        wait.until(partial(has_examples, operation))
        examples = browser.execute_script(SHOWN, operation)
        assert examples
        for shown in examples:
            assert len(shown) > 20
            assert '"string"' not in shown
            assert "additionalProp" not in shown
