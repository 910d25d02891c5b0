"""The browser of the tests finds what it is there to find, and is what a test asks for."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from tests.support.browser import PHONE, Browser, needs_browser, started
from tests.support.replay.server import ReplayServer

__all__ = ["started"]

pytestmark = needs_browser

HEAD = '<!doctype html><meta name="viewport" content="width=device-width"><title>a page</title>'
PAGES = {
    "clean": "<p>Nothing is wrong.</p>",
    "style": "<style>p { color: red }</style>",
    "script": "<script>globalThis.ran = true</script>",
    "image": '<img src="http://elsewhere.test/x.png" alt="">',
    "missing": '<script src="missing.js" async></script>',
    "error": '<script src="error.js"></script>',
}
OTHERS = {"favicon.ico": "", "error.js": 'throw new Error("unexpected");'}


class Pages:
    """Pages whose policy allows scripts of this server, and images of every one."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return one route for all of them."""
        return [web.get("/{name}", self._page)]

    def unknown(self) -> web.Response:
        """Return the answer to any other address."""
        return web.Response(status=404)

    async def _page(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name in OTHERS:
            return web.Response(text=OTHERS[name], content_type="text/javascript")
        if name not in PAGES:
            return web.Response(status=404)
        policy = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; img-src *"}
        return web.Response(text=HEAD + PAGES[name], content_type="text/html", headers=policy)


@pytest.fixture(scope="module")
def served() -> Iterator[ReplayServer]:
    with ReplayServer(Pages()) as served:
        yield served


@pytest.fixture
def browser(started: Browser) -> Browser:
    started.reset()
    return started


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("style", "blocked: style-src-elem inline"),
        ("script", "blocked: script-src-elem inline"),
        ("image", "request to another origin: http://elsewhere.test/x.png"),
        ("missing", "404 (Not Found)"),
        ("error", "Error: unexpected"),
    ],
)
def test_a_fault_of_a_page_is_found_once(page: str, expected: str, served: ReplayServer, browser: Browser) -> None:
    browser.open(f"{served.url}/{page}")
    browser.until(lambda: any(expected in fault for fault in browser.faults()), expected)
    assert browser.faults() == []


def test_a_page_without_fault_has_none(served: ReplayServer, browser: Browser) -> None:
    browser.open(f"{served.url}/clean")
    assert browser.text("p") == "Nothing is wrong."
    assert browser.requests()[0] == f"{served.url}/clean"
    assert browser.faults() == []


def test_screen_preferences_scripts_and_clock_are_those_asked_for(served: ReplayServer, browser: Browser) -> None:
    browser.look(PHONE, dark=True)
    browser.set_clock(timedelta(days=-3))
    browser.open(f"{served.url}/clean")
    media = "return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches, Date.now(), +new Date()]"
    width, dark, *clocks = browser.run(media)
    expected = datetime.now(UTC) - timedelta(days=3)
    assert (width, dark) == (PHONE.width, True)
    for clock in clocks:
        assert abs(datetime.fromtimestamp(clock / 1000, UTC) - expected) < timedelta(minutes=5)
    browser.reset()
    browser.run_scripts(False)
    browser.open(f"{served.url}/error")
    assert browser.faults() == []
    browser.reset()
    browser.open(f"{served.url}/clean")
    width, dark, *clocks = browser.run(media)
    assert (width, dark) == (1280, False)
    assert datetime.fromtimestamp(clocks[0] / 1000, UTC) > expected + timedelta(days=2)
