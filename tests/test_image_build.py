"""Building the image: what is made anew and what is not, what ends it, and what never comes out of it."""

import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from crypto_predict.history import SETTLE
from crypto_predict.market import Interval
from crypto_predict.sources.csv_file import read_csv
from tests import engine
from tests.engine import docker, needs_engine, running_container
from tests.histories import flat, make_candle
from tests.layers import MODEL_FILES, files_of, inspect, layers_above_base
from tests.models import BTC
from tests.replay.alpaca import AlpacaExchange
from tests.replay.server import ReplayServer
from tests.serving import ROOT
from tests.test_floors import PACKAGE

image = engine.image  # a fixture
pytestmark = [needs_engine, pytest.mark.timeout(600)]

REAL = Path("../shared/data/binance_BTC-USDT_1d.csv")
CONTEXT = [
    "Dockerfile",
    ".dockerignore",
    "LICENSE",
    "api.py",
    "train.py",
    "requirements-api.txt",
    "requirements-train.txt",
]
KEYS = {"alpaca_api_key": "AK-3f1c0e7d52b94a68", "alpaca_secret_key": "SK-9b27d6410c5e83fa"}
AARCH64 = 183  # the machine's number in the head of an ELF file
X86_64 = 62


@dataclass(frozen=True)
class Build:
    """One more build."""

    tag: str
    report: str  # of the engine, on its steps
    arguments: dict[str, str]
    context: Path
    exchange: ReplayServer

    def cached(self) -> set[str]:
        """The steps that were not done anew: their instructions."""
        steps = dict(re.findall(r"(?m)^#(\d+) \[\w+ +\d+/\d+\] (.*)$", self.report))
        return {steps[number] for number in re.findall(r"(?m)^#(\d+) CACHED$", self.report) if number in steps}


@pytest.fixture(scope="module")
def next_release(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """The release after the first, as a scheduled run makes it: the champion beside it, with keys for the exchange."""
    context, secrets = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("secrets")
    for name in CONTEXT:
        shutil.copy(ROOT / name, context)
    shutil.copytree(ROOT / PACKAGE, context / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (context / "champion").mkdir()
    with running_container(image) as container:
        for name in MODEL_FILES:
            docker("cp", f"{container.name}:/{name}", str(context / "champion"))
    given = []
    for name, key in KEYS.items():
        (secrets / name).write_text(key)
        given += ["--secret", f"id={name},src={secrets / name}"]
    tag = f"{image}-next"
    with engine.market() as exchange:
        arguments = {
            **engine.release_arguments(engine.right_now()),
            "ALPACA_DATA_URL": exchange.url,
            "LEDGER": "champion/model.ledger.jsonl",
            "CHAMPION": "champion/model.pkl",
        }
        report = engine.build(*given, arguments=arguments, context=context, tag=tag)
        yield Build(tag, report, arguments, context, exchange)
        engine.forget(tag)


def test_a_new_timestamp_trains_anew_and_installs_nothing_anew(next_release: Build) -> None:
    """A model that came out of a cache would be stale, and nobody would see it."""
    cached = next_release.cached()
    assert len([step for step in cached if "pip install" in step]) == 2
    assert not [step for step in cached if "train.py --output" in step]
    assert next_release.exchange.requests


def test_the_next_release_carries_the_ledger_on(next_release: Build, tmp_path: Path) -> None:
    """The image is all the database there is."""
    before = (next_release.context / "champion" / "model.ledger.jsonl").read_bytes()
    after = layers_above_base(next_release.tag, tmp_path)[-1][MODEL_FILES[0]]
    assert after.startswith(before)
    assert len(after.splitlines()) > len(before.splitlines())


def test_a_release_shares_every_layer_but_the_model_with_the_one_before(next_release: Build, image: str) -> None:
    first, second = (inspect(tag)["RootFS"]["Layers"] for tag in (image, next_release.tag))
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]


def test_the_same_arguments_make_the_same_image_again(next_release: Build) -> None:
    """Trained once more, on the same prices from another address."""
    tag = f"{next_release.tag}-again"
    with engine.market() as exchange:
        arguments = {**next_release.arguments, "ALPACA_DATA_URL": exchange.url}
        engine.build(arguments=arguments, context=next_release.context, tag=tag)
        assert exchange.requests
    layers = [inspect(name)["RootFS"]["Layers"] for name in (next_release.tag, tag)]
    engine.forget(tag)
    assert layers[0] == layers[1]


def test_the_exchange_s_keys_reach_the_exchange_and_stay_nowhere(next_release: Build, tmp_path: Path) -> None:
    """Neither in a layer nor in the history, of the training's stage no more than of what ships."""
    sent = [value for asked in next_release.exchange.requests for value in asked.headers.values()]
    assert set(KEYS.values()) <= set(sent)
    stage = f"{next_release.tag}-stage"
    engine.build("--target", "train", arguments=next_release.arguments, context=next_release.context, tag=stage)
    search = ["grep", "-rlF", *(word for key in KEYS.values() for word in ("-e", key))]
    places = ["/training", "/layer", "/root", "/tmp", "/var", "/run", "/etc", "/home"]
    found = subprocess.run(["docker", "run", "--rm", "--network", "none", stage, *search, *places], check=False)
    told = [docker("history", "--no-trunc", tag) + json.dumps(inspect(tag)) for tag in (next_release.tag, stage)]
    shipped = layers_above_base(next_release.tag, tmp_path)
    engine.forget(stage)
    assert found.returncode == 1
    assert [key for key in KEYS.values() if key in "".join(told) + next_release.report] == []
    assert [name for layer in shipped for name, content in layer.items() if any_key_in(content)] == []


def any_key_in(content: bytes) -> bool:
    """Whether one of the keys is in there."""
    return any(key.encode() in content for key in KEYS.values())


def test_without_arguments_it_is_trained_up_to_now(image: str) -> None:
    """`docker build .` is all that somebody needs who only wants to look."""
    tag, before = f"{image}-plain", engine.right_now()
    with engine.market() as exchange:
        engine.build(arguments={"ALPACA_DATA_URL": exchange.url, **engine.QUICK}, tag=tag)
        assert exchange.requests
    with running_container(tag) as container:
        trained_at = requests.get(f"{container.url}/version", timeout=30).json()["trained_at"]
    engine.forget(tag)
    assert before <= datetime.fromisoformat(trained_at) <= engine.right_now()


def test_real_history_is_trained_on_and_answered_for(image: str) -> None:
    """True prices the whole way: by the exchange's own library, through the gate, into the image, and asked for."""
    if not REAL.exists():
        pytest.skip(f"{REAL} is not here")
    tag = f"{image}-real"
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): read_csv(REAL)})) as exchange:
        arguments = {"ALPACA_DATA_URL": exchange.url, "UNTIL": "2025-06-30", **engine.QUICK}
        engine.build(arguments={**engine.release_arguments(engine.right_now()), **arguments}, tag=tag)
    with running_container(tag) as container:
        card = requests.get(f"{container.url}/model", timeout=30).json()["pairs"]["BTC/USD"]
        answer = requests.get(f"{container.url}/bitcoin?date=2025-07-01", timeout=30).json()
    engine.forget(tag)
    assert (card["source"], card["candles"], card["last_close"]) == ("alpaca", 1825, 107_146.5)
    assert answer["prediction"] == pytest.approx(107_146.5, rel=0.03)


def test_what_the_gate_refuses_becomes_no_image(image: str) -> None:
    """A market in which nothing ever moves is no market but a broken feed."""
    today = Interval.DAY_1.floor(datetime.now(UTC) - SETTLE)
    candles = [make_candle(today - timedelta(days=400 - n), flat(n), flat(n)) for n in range(401)]
    tag = f"{image}-refused"
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): candles})) as exchange:
        arguments = {**engine.release_arguments(engine.right_now()), "ALPACA_DATA_URL": exchange.url}
        done = engine.try_build(arguments=arguments, tag=tag)
    assert done.returncode != 0
    assert "refused by the gate" in done.stderr
    assert docker("images", "--quiet", tag) == ""


@pytest.mark.parametrize(("platform", "machine"), [("linux/arm64", AARCH64), ("linux/amd64", X86_64)])
def test_the_libraries_are_those_of_the_machine_it_is_for(image: str, platform: str, machine: int) -> None:
    """Without emulating that machine: what is for it is only unpacked."""
    tag = f"{image}-{platform.rpartition('/')[2]}"
    engine.build("--target", "serving", "--platform", platform, arguments={}, tag=tag)
    found = machines(tag)
    engine.forget(tag)
    assert set(found.values()) == {machine}


def machines(tag: str) -> dict[str, int]:
    """For which machine each compiled library below `/layers` is, by its path."""
    container = docker("create", tag)
    try:
        copied = subprocess.run(["docker", "cp", f"{container}:/layers", "-"], capture_output=True, check=True)
    finally:
        docker("rm", container)
    compiled = {name: head for name, head in files_of(io.BytesIO(copied.stdout)).items() if head[:4] == b"\x7fELF"}
    return {name: int.from_bytes(head[18:20], "little") for name, head in compiled.items()}


def test_a_machine_that_there_are_no_wheels_for_is_named(image: str) -> None:
    done = engine.try_build("--target", "serving", "--platform", "linux/s390x", arguments={}, tag=f"{image}-s390x")
    assert done.returncode != 0
    assert "there are no wheels for s390x" in done.stderr
