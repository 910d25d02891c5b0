"""The README: short enough to be read, every command in it works, and every term is explained where it first occurs."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import stamina

from crypto_predict.sources.catalog import EXCHANGES
from crypto_predict.training.picture import FOLLOWED
from tests.support.clones import Clone, clone
from tests.support.engine import free_port
from tests.support.histories import as_csv, make_history
from tests.support.live import until
from tests.support.replay import server as replay
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.server import ReplayServer
from tests.support.screenshots import PICTURES
from tests.support.serving import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
LINES = [line.partition("#")[0].strip() for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
TERMS = (*("backtest", "candle", "coverage", "cutoff", "gate", "horizon", "ledger", "persistence", "winkler score"),)
FOUR_KEYS = ["date", "prediction", "prediction low", "prediction_high"]


def test_it_can_be_read_in_five_minutes() -> None:
    """Longer explanations belong in `docs/`."""
    assert len(README.split()) <= 1200


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_explained_where_it_first_occurs(term: str) -> None:
    """The term is in italics, with its meaning. Readers do not look for a glossary."""
    first = re.search(rf".?\b{term}", PROSE, re.IGNORECASE)
    assert first is not None
    assert first[0].startswith("*"), PROSE[first.start() - 60 : first.end() + 60]


def test_every_local_link_has_a_target_and_every_guide_is_linked() -> None:
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link}
    assert [link for link in links if not (ROOT / link).exists()] == []
    guides = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")}
    assert guides | {"SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= links


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"\bmake ([a-z]+)\b", " ".join([*LINES, *re.findall(r"`([^`\n]+)`", PROSE)])))
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert {"run", "serve"} <= targets <= set(re.findall(r"^  make ([a-z]+)", listed, re.MULTILINE))


def test_the_picture_is_small_and_shows_what_followed() -> None:
    """The alternative text describes the picture to readers who cannot see it."""
    ((alternative, path),) = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", README)
    assert "forecast made on that day" in alternative
    picture = (ROOT / path).read_bytes()
    assert FOLLOWED.encode() in picture
    assert len(picture) < 60_000


def test_the_first_screen_shows_the_page_in_light_in_dark_and_on_a_phone() -> None:
    """Small, since every visitor of the repository loads them, and described to those who cannot see them."""
    first = README.partition("\n## ")[0]
    paths = re.findall(r'(?:src|srcset)="([^"]+)"', first)
    pictures = [(ROOT / path).read_bytes() for path in paths]

    assert sorted(paths) == sorted(f"docs/{name}" for name in PICTURES)
    assert all(picture.startswith(b"\x89PNG") and len(picture) <= 150_000 for picture in pictures)
    assert len(re.findall('<img [^>]*alt="[^"]{20,}"', first)) == 2


def test_the_answer_that_is_shown_has_the_four_keys_and_each_is_explained() -> None:
    (shown,) = [text for language, text in BLOCKS if language == "json"]
    assert list(json.loads(shown)) == FOUR_KEYS
    assert re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE) == FOUR_KEYS


@pytest.fixture(scope="module")
def refusing() -> Iterator[ReplayServer]:
    """An exchange that does not serve this location, as it says at once."""
    with ReplayServer(AlpacaExchange({})) as exchange:
        exchange.inject(replay.answer(403), times=1_000)
        yield exchange


@pytest.fixture(scope="module")
def stranger(refusing: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that finds no exchange, with a short backtest."""
    addresses = dict.fromkeys([listed.api.variable for listed in EXCHANGES.values()], refusing.url)
    return clone(tmp_path_factory.mktemp("stranger"), EVERY="300", **addresses)


@pytest.fixture(scope="module")
def served(stranger: Clone) -> Iterator[Clone]:
    """The clone while the first command of the README runs."""
    with stranger.running(next(line for line in LINES if line == "make run")):
        yield stranger


def test_the_curl_command_prints_the_forecast(served: Clone) -> None:
    (line,) = [line for line in LINES if line.startswith("curl ") and "/bitcoin" in line and "model=" not in line]
    answer = json.loads(served.run("bash", "-c", line))
    assert list(answer) == FOUR_KEYS
    assert answer["prediction low"] < answer["prediction"] < answer["prediction_high"]


def test_the_second_curl_command_prints_a_probability(served: Clone) -> None:
    (line,) = [line for line in LINES if line.startswith("curl ") and "/probability" in line]
    answer = json.loads(served.run("bash", "-c", line))
    assert 0 <= answer["probability"] <= 1
    assert answer["based_on"]["calibration"]["coverage"]


def test_the_python_program_prints_the_forecast(served: Clone) -> None:
    (program,) = [text for language, text in BLOCKS if language == "python" and "urllib" in text]
    low, high = prices(served.run(".venv/bin/python", "-c", program))
    assert low < high


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_javascript_program_prints_the_forecast(served: Clone) -> None:
    (program,) = [text for language, text in BLOCKS if language == "js"]
    low, high = prices(served.run("node", "--input-type=module", "--eval", program))
    assert low < high


def prices(printed: str) -> tuple[float, float]:
    """Return the ends of the range that a program printed around the price."""
    price, low, high = map(float, printed.split())
    assert low < price < high
    return low, high


def test_every_header_that_is_named_is_sent_where_it_applies(served: Clone) -> None:
    """The prices are simulated, and the model is fresh."""
    headers = served.run("curl", "--silent", "--head", "http://127.0.0.1:8000/bitcoin?date=2024-06-01").lower()
    named = set(re.findall(r"`(Crypto-Predict-[A-Za-z-]+)", README))
    assert named == {"Crypto-Predict-Simulated", "Crypto-Predict-Stale"}
    assert {name for name in named if f"\n{name.lower()}: " in headers} == {"Crypto-Predict-Simulated"}


SHORT = {"DAYS": "200", "EVERY": "60"}  # a training on a short history
CHANGES = [line for line in LINES if line.endswith("make run") and "PAIR=" in line]


@pytest.fixture(scope="module")
def changing(stranger: Clone) -> Clone:
    """The clone with a file of prices, at another port: each setting finds the model and the ledger of the one before.

    Short histories suffice to change a setting.
    """
    (stranger.folder / "data" / "SOL.csv").write_text(as_csv(make_history()))
    return replace(stranger, environ={**stranger.environ, **SHORT}, port=free_port())


@pytest.mark.parametrize("line", CHANGES)
def test_a_changed_setting_can_be_served_and_served_again(changing: Clone, line: str) -> None:
    """The model before is served until the new one is trained. `make serve` serves the model of the last training."""
    ended = f"UNTIL={make_history().candles[-1].open_time:%Y-%m-%d} " if "file:" in line else ""
    named = re.findall(r"PAIR=(\S+)", line)[0].split(",")

    def pairs() -> list[str]:
        return [row["pair"] for row in json.loads(changing.run("curl", "--silent", "http://127.0.0.1:8000/pairs"))]

    with changing.running(f"{ended}{line}"):
        until(lambda: pairs() == named, f"{named} are served")
    with changing.running("make serve"):
        assert pairs() == named


def test_a_model_of_ones_own_takes_two_commands_and_one_file(changing: Clone) -> None:
    """It is then in the API and on the page. The function that is shown has the signature of the one that is copied."""
    (function,) = [text for language, text in BLOCKS if language == "python" and "def forecast" in text]
    example = (ROOT / "rivals" / "example.py").read_text(encoding="utf-8")
    shown, copied = (
        [word.arg for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) for word in node.args.args]
        for text in (function, example)
    )
    assert shown == copied == ["history", "horizons", "levels"]

    copy, train, ask = [line for line in LINES if "rivals/mine.py" in line or "model=mine" in line]
    for file in changing.folder.glob("model.*"):  # of real prices, which simulated ones would not replace
        file.unlink()
    changing.run("bash", "-c", copy)
    with changing.running(train):
        until(lambda: list(json.loads(changing.run("bash", "-c", ask))) == FOUR_KEYS, "the model answers")
        page = changing.run("curl", "--silent", "http://127.0.0.1:8000/")
    assert re.search(r"\bmine\b", page)


def test_prices_are_collected_live_while_forecasts_are_served(changing: Clone) -> None:
    """The first command has trained the model."""
    (line,) = [line for line in LINES if "COLLECT=1" in line]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    with changing.running(f"SOURCE=simulated DATABASE_URL=data/live.db SINCE={today} {line}"):
        for pair in ("BTC-USD", "ETH-USD"):
            address = f"http://127.0.0.1:8000/candles/{pair}?interval=1m&start={today}"
            for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=180, wait_max=1):
                with attempt:
                    assert json.loads(changing.run("curl", "--silent", address)).get("candles")
        assert json.loads(changing.run("curl", "--silent", "http://127.0.0.1:8000/pairs"))


def test_collected_prices_are_trained_from_and_served(stranger: Clone) -> None:
    """Their exchange is the simulated market, which needs no network. A fixed day would be longer ago every day.

    The model before, of a file, is removed: simulated prices never replace real ones.
    """
    collect, serve = [line for line in LINES if "make collect" in line or "SOURCE=store" in line]
    recent = re.sub(r"(?<=SINCE=)\S+", f"{datetime.now(UTC) - timedelta(days=210):%Y-%m-%d}", collect)
    assert recent != collect
    collecting = replace(stranger, environ={**stranger.environ, **SHORT}, port=free_port())
    for name in ("model.pkl", "model.ledger.jsonl"):
        (collecting.folder / name).unlink(missing_ok=True)
    collecting.run("bash", "-c", f"SOURCE=simulated PAIR=BTC/USD {recent}")
    with collecting.running(serve):
        page = json.loads(collecting.run("curl", "--silent", "http://127.0.0.1:8000/candles/BTC-USD?interval=1h"))

        def is_of_the_store() -> bool:
            pairs = json.loads(collecting.run("curl", "--silent", "http://127.0.0.1:8000/model"))["pairs"]
            return "BTC/USD" in pairs and "store" in pairs["BTC/USD"]["source"] and pairs["BTC/USD"]["simulated"]

        until(is_of_the_store, "the model is one of the collected prices")
    assert page["candles"]
