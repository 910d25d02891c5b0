"""Swagger UI in a real browser: it works, and it asks nobody but this server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from crypto_predict.baked import store
from tests.models import BTC, ETH, make_model
from tests.serving import Served, serving

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
    not (BROWSER.exists() and DRIVER.exists()), reason=f"there is no {BROWSER} with {DRIVER} on this machine"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    store.save(make_model(BTC, ETH), path)
    with serving(path) as served:
        yield served


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    """A browser that has never been anywhere, and records what it asks for."""
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,1600"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = Chrome(options, Service(str(DRIVER)))
    yield browser
    browser.quit()


def logged(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """What the browser wrote into one of its logs since it was last asked."""
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]  # selenium's own omission


def asked_of(browser: Chrome) -> set[str]:
    """Scheme and host of everything the browser asked for over a network so far."""
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    urls = [urlsplit(message["params"]["request"]["url"]) for message in messages if "request" in message["params"]]
    return {f"{url.scheme}://{url.netloc}" for url in urls if url.scheme in {"http", "https", "ws", "wss", "ftp"}}


def test_the_documentation_answers_a_question_without_leaving_the_machine(served: Served, browser: Chrome) -> None:
    """From the front door to the answer: open, expand, "Try it out", "Execute", read."""
    wait = WebDriverWait(browser, SECONDS)

    def shown(parent: Chrome | WebElement, selector: str) -> WebElement:
        wait.until(lambda _: parent.find_elements(By.CSS_SELECTOR, selector))
        return parent.find_element(By.CSS_SELECTOR, selector)

    browser.get(served.url)
    operation = shown(browser, "#operations-forecast-bitcoin")
    shown(operation, ".opblock-summary-control").click()
    shown(operation, ".try-out__btn").click()
    shown(operation, ".execute").click()
    answer = shown(operation, ".live-responses-table .response-col_description .highlight-code").text

    assert urlsplit(browser.current_url).path == "/docs"
    assert '"date": "Sun, 16 Jun 2024 00:00:00 GMT"' in answer
    assert '"prediction_high": 80874.26' in answer
    assert shown(operation, ".live-responses-table tr.response .response-col_status").text.startswith("200")
    assert asked_of(browser) == {served.url}
    assert [entry["message"] for entry in logged(browser, "browser") if entry["level"] != "INFO"] == []
