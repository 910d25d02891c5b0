"""Building the image: what is made anew and what is not, what ends it, and what never comes out of it."""

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import requests

from crypto_predict.history import SETTLE
from crypto_predict.market import Interval
from tests.support import engine
from tests.support.builds import Build
from tests.support.engine import docker, needs_engine, running_container
from tests.support.histories import as_csv, flat, make_candle, make_history, read_candles
from tests.support.layers import MODEL_FILES, files_of, inspect, layers_above_base, pushed_layers
from tests.support.models import BTC
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT
from tests.test_floors import PACKAGE

image, registry = engine.image, engine.registry  # fixtures
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
MOST_NEW_CACHE = 10 * 10**6  # bytes that a scheduled build leaves in the engine's cache
MOST_NEW_LAYERS = 20_000  # bytes of its image that a registry does not have yet, compressed
SVG = "{http://www.w3.org/2000/svg}svg"
AARCH64 = 183  # the machine's number in the head of an ELF file
X86_64 = 62


@dataclass(frozen=True)
class Release(Build):
    """The build of a release, with the exchange that its model was trained on."""

    exchange: ReplayServer


@pytest.fixture(scope="module")
def next_release(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The release after the first, as a scheduled run makes it: the champion beside it, with keys for the exchange."""
    context, secrets = copy_context(tmp_path_factory.mktemp("context")), tmp_path_factory.mktemp("secrets")
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
        yield Release(tag, report, arguments, context, exchange)
        engine.forget(tag)


def copy_context(folder: Path) -> Path:
    """Copy what an image is built from."""
    folder.mkdir(exist_ok=True)
    for name in CONTEXT:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_a_new_timestamp_trains_anew_and_installs_nothing_anew(next_release: Release) -> None:
    """A model that came out of a cache would be stale, and nobody would see it."""
    cached = next_release.cached()
    assert len([step for step in cached if "pip install" in step]) == 2
    assert [step for step in cached if "compileall" in step]
    assert not [step for step in cached if "train.py --output" in step]
    assert next_release.exchange.requests


def test_a_scheduled_build_leaves_little_in_the_cache(next_release: Release) -> None:
    """It is built every six hours, and a cache has a limit: GitHub's then drops what is expensive."""
    assert set(next_release.executed()) == {"train", "api"}
    assert 0 < next_release.new_cache() <= MOST_NEW_CACHE


def test_a_registry_receives_little_more_than_the_model(next_release: Release, image: str, registry: str) -> None:
    """Every layer that is new is stored for each release, and fetched for each deploy."""
    before, after = (pushed_layers(tag, registry) for tag in (image, next_release.tag))
    new = after.keys() - before.keys()
    assert len(new) == 1
    assert sum(after[digest] for digest in new) <= MOST_NEW_LAYERS


def test_the_picture_of_a_release_comes_out_of_the_cache(next_release: Release, tmp_path: Path) -> None:
    """The run's page shows it. Training once more for it would take minutes, and may not show what ships."""
    options = ("--target", "picture", "--output", f"type=local,dest={tmp_path}")
    done = engine.try_build(*options, arguments=next_release.arguments, context=next_release.context)
    assert done.returncode == 0, done.stderr[-8000:]
    picture = replace(next_release, report=done.stderr)
    assert [step for step in picture.cached() if "train.py --output" in step]
    assert "train" not in picture.executed()
    assert titles_of(tmp_path).keys() == {"BTC-USD.svg"}


def test_every_pair_has_its_picture(tmp_path: Path) -> None:
    options = ("--target", "picture", "--output", f"type=local,dest={tmp_path}")
    done = engine.try_build(*options, arguments={"PAIR": "BTC/USD,ETH/USD", "SOURCE": "simulated", **engine.QUICK})
    assert done.returncode == 0, done.stderr[-8000:]
    titles = titles_of(tmp_path)
    assert titles.keys() == {"BTC-USD.svg", "ETH-USD.svg"}
    assert "ETH/USD, forecast from" in titles["ETH-USD.svg"]


def titles_of(folder: Path) -> dict[str, str]:
    """The text of each picture by the name of its file; all of them must be well-formed."""
    pictures = {path.name: ET.fromstring(path.read_bytes()) for path in folder.iterdir()}
    assert {picture.tag for picture in pictures.values()} == {SVG}
    return {name: " ".join(picture.itertext()) for name, picture in pictures.items()}


def test_a_base_that_is_named_by_its_digest_is_that_of_every_stage(next_release: Release) -> None:
    """A tag may move between two stages or architectures."""
    (base,) = set(re.findall(r"\[\w+ +1/\d+\] FROM (\S+@sha256:\w{64})", next_release.report))
    arguments = {**next_release.arguments, "BASE": base}
    report = engine.build(arguments=arguments, context=next_release.context, tag=f"{next_release.tag}-base")
    engine.forget(f"{next_release.tag}-base")
    assert set(re.findall(r"load metadata for (\S+)", report)) == {base}
    assert len([step for step in replace(next_release, report=report).cached() if "pip install" in step]) == 2


def test_a_module_that_cannot_be_imported_ends_the_build(image: str, tmp_path: Path) -> None:
    """Without its byte code the image would start slowly, and nobody would know why."""
    context = copy_context(tmp_path)
    (context / PACKAGE / "web" / "openapi.py").unlink()
    done = engine.try_build("--target", "serving", arguments={}, context=context, tag=f"{image}-broken")
    assert done.returncode != 0
    assert "No module named 'crypto_predict.web.documentation.openapi'" in done.stderr


def test_the_next_release_carries_the_ledger_on(next_release: Release, tmp_path: Path) -> None:
    """The image is all the database there is."""
    before = (next_release.context / "champion" / "model.ledger.jsonl").read_bytes()
    after = layers_above_base(next_release.tag, tmp_path)[-1][MODEL_FILES[0]]
    assert after.startswith(before)
    assert len(after.splitlines()) > len(before.splitlines())


def test_a_release_shares_every_layer_but_the_model_with_the_one_before(next_release: Release, image: str) -> None:
    first, second = (inspect(tag)["RootFS"]["Layers"] for tag in (image, next_release.tag))
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]


def test_the_same_arguments_make_the_same_image_again(next_release: Release) -> None:
    """Trained once more, on the same prices from another address."""
    tag = f"{next_release.tag}-again"
    with engine.market() as exchange:
        arguments = {**next_release.arguments, "ALPACA_DATA_URL": exchange.url}
        engine.build(arguments=arguments, context=next_release.context, tag=tag)
        assert exchange.requests
    layers = [inspect(name)["RootFS"]["Layers"] for name in (next_release.tag, tag)]
    engine.forget(tag)
    assert layers[0] == layers[1]


def test_the_exchange_s_keys_reach_the_exchange_and_stay_nowhere(next_release: Release, tmp_path: Path) -> None:
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
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): read_candles(REAL)})) as exchange:
        arguments = {"ALPACA_DATA_URL": exchange.url, "UNTIL": "2025-06-30", **engine.QUICK}
        engine.build(arguments={**engine.release_arguments(engine.right_now()), **arguments}, tag=tag)
    with running_container(tag) as container:
        card = requests.get(f"{container.url}/model", timeout=30).json()["pairs"]["BTC/USD"]
        answer = requests.get(f"{container.url}/bitcoin?date=2025-07-01", timeout=30).json()
    engine.forget(tag)
    assert (card["source"], card["candles"], card["last_close"]) == ("alpaca", 1825, 107_146.5)
    assert answer["prediction"] == pytest.approx(107_146.5, rel=0.03)


def own_history(folder: Path) -> tuple[Path, dict[str, str]]:
    """A context with a history of SOL in `data`, and the build arguments to train on it."""
    context, history = copy_context(folder), make_history(300)
    (context / "data").mkdir()
    (context / "data" / "SOL.csv").write_text(as_csv(history))
    return context, {
        "SOURCE": "file:data/SOL.csv",
        "UNTIL": f"{history.candles[-1].open_time:%Y-%m-%d}",
        **engine.QUICK,
    }


def test_a_file_in_the_data_folder_is_trained_on_and_does_not_ship(image: str, tmp_path: Path) -> None:
    context, arguments = own_history(tmp_path / "context")
    tag = f"{image}-own"
    report = engine.build(arguments={**arguments, "PAIR": "SOL/USD"}, context=context, tag=tag)
    with running_container(tag) as container:
        card = requests.get(f"{container.url}/model", timeout=30).json()
    shipped = layers_above_base(tag, tmp_path)
    built = Build(tag, report, {**arguments, "PAIR": "SOL/USD"}, context)
    engine.forget(tag)
    assert card["pairs"]["SOL/USD"]["source"] == "file:data/SOL.csv"
    assert not [name for layer in shipped for name in layer if "SOL.csv" in name]
    assert len([step for step in built.cached() if "pip install" in step]) == 2


def test_a_file_of_unnamed_prices_ends_the_build(image: str, tmp_path: Path) -> None:
    """Its prices must not become those of Bitcoin."""
    context, arguments = own_history(tmp_path)
    done = engine.try_build(arguments=arguments, context=context, tag=f"{image}-unnamed")
    assert done.returncode != 0
    assert "the pair of 'file:data/SOL.csv' is not named" in done.stderr


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
    with tarfile.open(fileobj=io.BytesIO(copied.stdout)) as archive:
        compiled = {name: head for name, head in files_of(archive).items() if head[:4] == b"\x7fELF"}
    return {name: int.from_bytes(head[18:20], "little") for name, head in compiled.items()}


def test_a_machine_that_there_are_no_wheels_for_is_named(image: str) -> None:
    done = engine.try_build("--target", "serving", "--platform", "linux/s390x", arguments={}, tag=f"{image}-s390x")
    assert done.returncode != 0
    assert "no wheels for the architecture s390x" in done.stderr
