"""A real browser for the tests of pages: Debian's Chromium with a new profile, driven by Selenium.

A file of tests shares one browser (`browsing`); `Browser.reset` gives each test an empty page, the preferences of a
desktop reader and empty logs. Whatever a page does wrong without being asked is in `Browser.faults`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.page import needs_bundle

T = TypeVar("T")

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"),
    *("--no-first-run", "--disable-component-update", "--disable-sync"),
)
SECONDS = 180  # for something to become true, on a machine that is busy with other tests

missing = None if BROWSER and DRIVER else "chromium or chromedriver is not installed"
needs_browser = pytest.mark.skipif(missing is not None, reason=missing or "")
needs_page = [needs_browser, needs_bundle]


class Screen(NamedTuple):
    """What the page is looked at with."""

    width: int  # CSS pixels
    height: int
    is_phone: bool  # with a touch screen, and the viewport that the page asks for


DESKTOP = Screen(1280, 900, is_phone=False)
PHONE = Screen(390, 844, is_phone=True)

# Before any script of a page. A page's own policy does not apply to it.
_WATCH = """
globalThis.watched = { violations: [], tasks: [], busy: 0 };
{
  const right = fetch;
  globalThis.fetch = (...values) => {
    watched.busy += 1;
    return right(...values).finally(() => { watched.busy -= 1; });
  };
}
document.addEventListener("securitypolicyviolation", (event) => {
  watched.violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
new PerformanceObserver((list) => {
  watched.tasks.push(...list.getEntries().map((entry) => entry.duration));
}).observe({ type: "longtask", buffered: true });
"""
_SETTLED = """
const done = arguments[0];
let quiet = 0;
const observer = new MutationObserver(() => { quiet = 0; });
observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
const look = () => {
  quiet = watched.busy ? 0 : quiet + 1;
  if (quiet > 6) { observer.disconnect(); done(true); } else requestAnimationFrame(look);
};
look();
"""
_READ = """
const done = arguments[0];
const step = () => {
  scrollBy({ top: innerHeight, behavior: "instant" });
  const isAtEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 1;
  requestAnimationFrame(() => requestAnimationFrame(isAtEnd ? done : step));
};
step();
"""
# Another time than that of the machine, and timers that are due when a test lets time pass.
_CLOCK = """
{
  const Right = Date, right = setTimeout, stop = clearTimeout, waiting = new Map();
  const counted = performance.now.bind(performance);
  let ahead = %d, passed = 0;
  performance.now = () => counted() + passed;
  globalThis.Date = class Date extends Right {
    constructor(...values) { if (values.length) super(...values); else super(Right.now() + ahead); }
    static now() { return Right.now() + ahead; }
  };
  globalThis.clearTimeout = (id) => { waiting.delete(id); stop(id); };
  globalThis.setTimeout = (call, delay = 0, ...values) => {
    const id = right(() => { waiting.delete(id); call(...values); }, delay);
    waiting.set(id, { call, values, due: Date.now() + delay });
    return id;
  };
  watched.passTime = (milliseconds) => {
    ahead += milliseconds;
    passed += milliseconds;
    for (const [id, { call, values, due }] of waiting) {
      if (due <= Date.now()) { clearTimeout(id); right(call, 0, ...values); }
    }
  };
}
"""


class Browser:
    """A running Chromium. `driver` is Selenium's own object, for what is not here."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self._origin = ""
        self._addresses: dict[str, str] = {}  # of requests, which may end after a later look at the log
        self._scripts: list[str] = []  # the identifiers of what runs before the scripts of a page
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})

    def reset(self) -> None:
        """Leave the page, forget what it stored, empty the logs, and take back all preferences."""
        self.driver.get("about:blank")
        self.command("Network.enable")
        self.command("Network.clearBrowserCache")
        self.command("Network.clearBrowserCookies")
        self.look()
        self.run_scripts(True)
        self.go_offline(False)
        for identifier in self._scripts:
            self.command("Page.removeScriptToEvaluateOnNewDocument", identifier=identifier)
        self._scripts = []
        self.faults()
        self._addresses = {}

    def open(self, url: str) -> None:
        """Open a page. Its origin is the one that it may send requests to."""
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self.driver.get(url)

    # What the reader prefers and has. Preferences apply to the open page, too.

    def look(self, screen: Screen = DESKTOP, *, dark: bool = False, reduced_motion: bool = False) -> None:
        """Set the screen and the reader's preferences."""
        size = {"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": screen.is_phone}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        self.command("Emulation.setTouchEmulationEnabled", enabled=screen.is_phone)
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if reduced_motion else "no-preference",
        }
        listed = [{"name": name, "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=listed)

    def run_scripts(self, enabled: bool) -> None:
        """Run the scripts of the next pages, or not."""
        self.command("Emulation.setScriptExecutionDisabled", value=not enabled)

    def set_clock(self, ahead: timedelta) -> None:
        """Set the clock of the next pages ahead, or back if it is negative."""
        source = _CLOCK % round(ahead.total_seconds() * 1000)
        self._scripts.append(self.command("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"])

    def go_offline(self, offline: bool) -> None:
        """Take the network away, or give it back."""
        unlimited = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.command("Network.emulateNetworkConditions", offline=offline, **unlimited)

    def pass_time(self, time: timedelta) -> None:
        """Let time pass in the open page, after `set_clock`: what waits for a time in it begins."""
        self.run("watched.passTime(arguments[0])", time.total_seconds() * 1000)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the page, whose window is minimized."""
        self.driver.minimize_window()
        try:
            self.until(lambda: self.run("return document.hidden"), "the page is hidden")
            yield
        finally:
            self.driver.set_window_rect(0, 0, DESKTOP.width, DESKTOP.height)
            self.until(lambda: not self.run("return document.hidden"), "the page is visible")

    # What is on the page.

    def run(self, script: str, *arguments: object) -> Any:
        """Return what a script returns: a body of a function with ``arguments``."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that a CSS selector selects."""
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def one(self, selector: str) -> WebElement:
        """Wait for the first element that a CSS selector selects."""
        return self.until(lambda: next(iter(self.all(selector)), None), selector)

    def texts(self, selector: str) -> list[str]:
        """Return the text of each element, whether it is visible or not, with single spaces."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), one => one.textContent)"
        return [" ".join(text.split()) for text in self.run(script, selector)]

    def text(self, selector: str) -> str:
        """Return the text of the first element, as `texts` does; nothing without one."""
        return next(iter(self.texts(selector)), "")

    def rows(self, selector: str) -> list[list[str]]:
        """Return the texts of the cells of each row that a selector selects, with single spaces."""
        script = """return Array.from(document.querySelectorAll(arguments[0]), (row) =>
          Array.from(row.cells, (cell) => cell.textContent.trim().replace(/\\s+/g, " ")))"""
        return [list(row) for row in self.run(script, selector)]

    def until(self, condition: Callable[[], T | None], what: str = "it is true", seconds: float = SECONDS) -> T:
        """Wait until a condition returns something that is true, and return that."""
        waiting = WebDriverWait(self.driver, seconds, 0.02, [StaleElementReferenceException])
        return waiting.until(lambda _: condition() or False, f"not within {seconds} s: {what}")

    def settle(self) -> None:
        """Wait until the page asks for nothing and changes nothing any more, for a few frames."""
        self.until(lambda: self.driver.execute_async_script(_SETTLED), "the page is settled")

    def read_to_the_end(self) -> None:
        """Scroll down the page as a reader does, and back; parts of it begin when they come into view."""
        self.settle()
        self.driver.execute_async_script(_READ)
        self.settle()
        self.run("scrollTo({ top: 0, behavior: 'instant' })")

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    # What went wrong.

    def faults(self) -> list[str]:
        """Return what the pages did wrong since the last call: errors, violations, requests to other origins."""
        result = [entry["message"] for entry in self._log("browser") if entry["level"] in {"WARNING", "SEVERE"}]
        violations = self.run("return globalThis.watched?.violations.splice(0) ?? []")
        result += [f"blocked: {violation}" for violation in violations]
        others = [url for url in self.requests() if not url.startswith(f"{self._origin}/")]
        return result + [f"request to another origin: {url}" for url in others]

    def requests(self) -> list[str]:
        """Return the addresses of the requests since the last call, or that of `faults`, in their order."""
        messages = self._messages()
        urls = [sent["request"]["url"] for name, sent in messages if name == "Network.requestWillBeSent"]
        urls += [socket["url"] for name, socket in messages if name == "Network.webSocketCreated"]
        return [url for url in urls if urlsplit(url).scheme not in {"data", "blob", "about", "chrome"}]

    def transfers(self) -> dict[str, int]:
        """Return the bytes with headers that came for each address since the last call, or that of `requests`."""
        counter = Counter[str]()
        for name, message in self._messages():
            address = self._addresses.get(message.get("requestId", ""), "")
            if name == "Network.loadingFinished" and address.startswith("http"):
                counter[address] += round(message["encodedDataLength"])
        return dict(counter)

    def command(self, name: str, **parameters: object) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def long_tasks(self) -> Sequence[float]:
        """Return the milliseconds of the tasks over 50 ms since the page began, or since the last call."""
        result: list[float] = self.run("return watched.tasks.splice(0)")
        return result

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]  # selenium's own omission

    def _messages(self) -> list[tuple[str, dict[str, Any]]]:
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        for message in messages:
            if message["method"] == "Network.requestWillBeSent":
                self._addresses[message["params"]["requestId"]] = message["params"]["request"]["url"]
        return [(message["method"], message["params"]) for message in messages]


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Run a browser whose profile is in a folder; starting one takes longer than most tests."""
    assert BROWSER is not None, missing
    assert DRIVER is not None, missing
    options = ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
    driver = Chrome(options, Service(DRIVER))
    driver.set_script_timeout(SECONDS)
    driver.set_page_load_timeout(SECONDS)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests of a file."""
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser
