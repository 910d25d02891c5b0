"""Where a stand-in could be kinder than the real thing and no test of the product would fail."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web

from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from tests.support.browser import PHONE, Browser, needs_browser, started
from tests.support.github import REPOSITORY, TOKEN, GitHub
from tests.support.processes import line
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.binance import BinanceExchange
from tests.support.replay.minutes import BTC, START, minutes
from tests.support.replay.motion import MINUTE, Motion, Traits, numbered_pairs
from tests.support.replay.server import ReplayServer
from tests.support.replay.venue import TETHER
from tests.support.serving import running

__all__ = ["started"]

ALPACA = {"symbols": "BTC/USD", "timeframe": "1Min", "start": START.isoformat()}
BINANCE = {
    "symbol": "BTCUSDT",
    "interval": "1m",
    "startTime": "1700000040000",
    "endTime": "1700000099999",
    "limit": "9",
}
HEAD = '<!doctype html><meta name="viewport" content="width=device-width"><title>a page</title>'
PAGES = {
    "clean": "<p>Nothing is wrong.</p>",
    "style": "<style>p { color: red }</style>",
    "script": "<script>globalThis.ran = true</script>",
    "image": '<img src="http://elsewhere.test/x.png" alt="">',
    "missing": '<script src="missing.js" async></script>',
    "error": '<script src="error.js"></script>',
}
SCRIPTS = {"favicon.ico": "", "error.js": 'throw new Error("unexpected");'}


@pytest.mark.parametrize(
    "change",
    [
        {"adjustment": "raw"},
        {"symbols": ""},
        {"timeframe": "60Min"},
        {"start": "yesterday"},
        {"start": "2023-11-14T22:14:00"},
        {"end": "2020-01-01"},
        {"limit": "0"},
        {"limit": "10001"},
        {"page_token": "page 2"},
    ],
)
def test_a_request_that_alpaca_refuses_is_refused(change: dict[str, str]) -> None:
    with ReplayServer(AlpacaExchange({(BTC, "1Min"): minutes(9)})) as server:
        answer = requests.get(f"{server.url}/v1beta3/crypto/us/bars", {**ALPACA, **change}, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"page": "2"}, -1104),
        ({"timeZone": "0", "page": "2"}, -1101),
        ({"symbol": ["BTCUSDT", "BTCUSDT"]}, -1101),
        ({"symbol": "BTC/USDT"}, -1100),
        ({"symbol": "btcusdt"}, -1100),
        ({"symbol": "BTXUSDT"}, -1121),
        ({"symbol": ""}, -1102),
        ({"interval": "10m"}, -1120),
        ({"limit": "1001"}, -1130),
        ({"limit": ""}, -1105),
        ({"startTime": "-1"}, -1100),
        ({"endTime": "1700000000000"}, -1128),
        ({"timeZone": "8"}, -1130),
    ],
)
def test_a_request_that_binance_refuses_is_refused_with_its_code(change: dict[str, Any], code: int) -> None:
    with ReplayServer(BinanceExchange({(TETHER, Interval.MINUTE_1): minutes(9)})) as server:
        answer = requests.get(f"{server.url}/api/v3/klines", {**BINANCE, **change}, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_binance_refuses_what_exceeds_the_weight_of_a_minute() -> None:
    with ReplayServer(BinanceExchange({}, weight_a_minute=6)) as server:
        answers = [requests.get(f"{server.url}/api/v3/ticker/bookTicker", timeout=30) for _ in range(6)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 2  # the minute may change between two of them
    assert refused[0].json()["code"] == -1003
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60


def test_a_market_is_the_same_in_another_process() -> None:
    """The truth of a server that runs as a process of its own is known."""
    begin = Interval.MINUTE_1.floor(datetime.now(UTC)) - 300 * MINUTE
    pair, span = Pair("BNB", "USDT"), Span(begin, begin + 300 * MINUTE)
    with running("-m", "tests.support.replay", "3", begin.isoformat(), stdin=subprocess.PIPE) as process:
        candles = list(Binance(Settings(line(process))).candles(pair, Interval.MINUTE_1, span))
    assert candles == Motion(Clock(), numbered_pairs(3), 0, begin).truth(pair, span)


def test_a_market_has_quiet_minutes_and_minutes_that_the_exchange_does_not_have() -> None:
    candles = Motion(Clock(START), [BTC], 0, START, Traits(0.2, 0.1)).truth(BTC, Span(START, START + 300 * MINUTE))
    assert 240 < len(candles) < 290
    assert 30 < sum(candle.volume == 0 for candle in candles) < 80


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (["gh", "api", f"repos/{REPOSITORY}/issues"], "(HTTP 401)"),
        (["git", "ls-remote", f"https://x:y@github.com/{REPOSITORY}.git"], "Authentication failed"),
        ([sys.executable, "-c", "import urllib.request as r; r.urlopen('https://example.org')"], "403"),
        ([sys.executable, "-c", "import urllib.request as r; r.urlopen('http://example.org')"], "403"),
    ],
)
def test_github_wants_its_token_and_no_other_host_is_reached(
    command: Sequence[str], fault: str, tmp_path: Path
) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with GitHub(tmp_path) as github:
        github.repository.private = True
        environ = {**github.environ(), "PATH": path, "HOME": str(tmp_path), "GH_TOKEN": f"{TOKEN}x"}
        given = {**environ, "GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert fault in done.stderr


@pytest.fixture(scope="module")
def served() -> Iterator[ReplayServer]:
    """Pages whose policy allows scripts of this server, and images of every one."""

    async def page(request: web.Request) -> web.Response:
        name = request.path.removeprefix("/")
        if name in SCRIPTS:
            return web.Response(text=SCRIPTS[name], content_type="text/javascript")
        if name not in PAGES:
            return web.Response(status=404)
        policy = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; img-src *"}
        return web.Response(text=HEAD + PAGES[name], content_type="text/html", headers=policy)

    with ReplayServer(page) as served:
        yield served


@needs_browser
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
def test_the_browser_finds_a_fault_of_a_page_once(
    page: str, expected: str, served: ReplayServer, started: Browser
) -> None:
    started.reset()
    started.open(f"{served.url}/clean")
    assert started.faults() == []
    started.open(f"{served.url}/{page}")
    started.until(lambda: any(expected in fault for fault in started.faults()), expected)
    assert started.faults() == []


@needs_browser
def test_the_browser_takes_preferences_back(served: ReplayServer, started: Browser) -> None:
    started.reset()
    started.look(PHONE, dark=True)
    started.set_clock(timedelta(days=-3))
    expected = datetime.now(UTC) - timedelta(days=3)
    seen = []
    for _ in range(2):
        started.open(f"{served.url}/clean")
        media = "return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches, Date.now()]"
        width, dark, clock = started.run(media)
        seen.append((width, dark, datetime.fromtimestamp(clock / 1000, UTC) < expected + timedelta(days=1)))
        started.reset()
    assert seen == [(PHONE.width, True, True), (1280, False, False)]
