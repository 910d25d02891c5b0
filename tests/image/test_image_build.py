"""The build of the image: what the cache provides, what fails the build, and what never ends up in the image."""

import io
import json
import re
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import requests

from tests.support import engine
from tests.support.engine import copy_context, docker, running_container
from tests.support.histories import as_csv, make_history
from tests.support.layers import MODEL_FILES, files_of, inspect, layers_above_base, pushed_layers
from tests.support.replay.server import ReplayServer
from tests.test_floors import PACKAGE

image, registry = engine.image, engine.registry  # fixtures
pytestmark = [pytest.mark.engine, pytest.mark.repeats, pytest.mark.timeout(600)]

KEYS = {"alpaca_api_key": "AK-3f1c0e7d52b94a68", "alpaca_secret_key": "SK-9b27d6410c5e83fa"}
INSTALLING = re.compile(r"RUN .*(pip install|install\.py)")
INSTALLED = 3  # stages that install packages: the training, the page's scripts, the server
MOST_NEW_CACHE = 10 * 10**6  # bytes that a scheduled build leaves in the engine's cache
MOST_NEW_LAYERS = 60_000  # compressed bytes of its image that a registry does not have yet: three models and their past
SVG = "{http://www.w3.org/2000/svg}svg"
AARCH64 = 183  # e_machine in the header of an ELF file
X86_64 = 62


_MAKES_LAYER = re.compile(r"(ADD|COPY|RUN|WORKDIR)\b")


@dataclass(frozen=True)
class Build:
    """One build of a context with these arguments."""

    tag: str
    report: str  # by the engine, about the steps
    arguments: dict[str, str]
    context: Path

    def cached(self) -> set[str]:
        """Return the instructions of the steps that were taken from the cache."""
        cached = set(re.findall(r"(?m)^#(\d+) CACHED$", self.report))
        return {step for number, _, step in self._steps() if number in cached}

    def executed(self) -> dict[str, list[int]]:
        """Return the positions of the executed steps by stage; 2 is the first instruction below FROM."""
        done = set(re.findall(r"(?m)^#(\d+) DONE ", self.report))
        result: dict[str, list[int]] = {}
        for number, place, _ in self._steps():
            stage, position = place.split()[0], int(place.split()[-1].partition("/")[0])
            if number in done and position > 1:
                result.setdefault(stage, []).append(position)
        return result

    def new_cache(self) -> int:
        """Return the bytes that the executed steps of this build added to the engine's cache.

        Each stage is built again from the cache, as an image: its layers are what the cache holds of the steps. The
        engine's own list of its cache would include other builds.
        """
        return sum(
            size
            for stage, positions in self.executed().items()
            for position, size in enumerate(self._sizes_of_steps(stage), start=2)
            if position in positions
        )

    def _steps(self) -> list[tuple[str, str, str]]:
        """Return number, place and instruction of each step: ``("7", "train 2/8", "COPY ...")``."""
        return re.findall(r"(?m)^#(\d+) \[(\w+ +\d+/\d+)\] (.*)$", self.report)

    def _sizes_of_steps(self, stage: str) -> list[int]:
        tag = f"{self.tag}-{secrets.token_hex(3)}"
        report = engine.build("--target", stage, arguments=self.arguments, context=self.context, tag=tag)
        history = docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", tag)
        engine.forget(tag)
        steps = [json.loads(line) for line in history.splitlines()]
        layers = [int(step["Size"]) for step in steps if _MAKES_LAYER.match(step["CreatedBy"])]
        own = max(int(count) for count in re.findall(rf"\[{stage} +\d+/(\d+)\]", report)) - 1
        return layers[:own][::-1]


@dataclass(frozen=True)
class Release(Build):
    """The build of a release, with the exchange whose prices trained its model."""

    exchange: ReplayServer


@pytest.fixture(scope="module")
def next_release(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The second release, as a scheduled run makes it: with a champion, and with keys for the exchange."""
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
            **engine.release_arguments(),
            "ALPACA_DATA_URL": exchange.url,
            "LEDGER": "champion/model.ledger.jsonl",
            "CHAMPION": "champion/model.pkl",
        }
        report = engine.build(*given, arguments=arguments, context=context, tag=tag)
        yield Release(tag, report, arguments, context, exchange)
        engine.forget(tag)


def test_a_new_timestamp_trains_again_and_installs_nothing_again(next_release: Release) -> None:
    """A model from the cache would be stale without notice."""
    cached = next_release.cached()
    assert len([step for step in cached if INSTALLING.search(step)]) == INSTALLED
    assert [step for step in cached if "npm ci" in step]
    assert [step for step in cached if "compileall" in step]
    assert not [step for step in cached if "train.py --output" in step]
    assert next_release.exchange.requests


@pytest.mark.long
def test_a_scheduled_build_leaves_little_in_the_cache(next_release: Release) -> None:
    """A build runs every six hours. A full cache at GitHub drops its expensive entries."""
    assert {"train", "api"} <= set(next_release.executed()) <= {"training", "train", "api"}
    assert 0 < next_release.new_cache() <= MOST_NEW_CACHE


def test_a_registry_receives_little_more_than_the_model(next_release: Release, image: str, registry: str) -> None:
    """Each release stores its new layers, and each deploy downloads them: all but the model are shared."""
    before, after = (pushed_layers(tag, registry) for tag in (image, next_release.tag))
    new = after.keys() - before.keys()
    assert len(new) == 1
    assert sum(after[digest] for digest in new) <= MOST_NEW_LAYERS


@pytest.mark.long
def test_the_picture_of_a_release_is_taken_from_the_cache(next_release: Release, tmp_path: Path) -> None:
    """The run's page shows it. A second training would take minutes, and might not give the published model."""
    options = ("--target", "picture", "--output", f"type=local,dest={tmp_path}")
    done = engine.try_build(*options, arguments=next_release.arguments, context=next_release.context)
    assert done.returncode == 0, done.stderr[-8000:]
    picture = replace(next_release, report=done.stderr)
    assert [step for step in picture.cached() if "train.py --output" in step]
    assert "train" not in picture.executed()
    assert titles_of(tmp_path).keys() == {"BTC-USD.svg"}


@pytest.mark.long
def test_every_pair_has_its_picture(tmp_path: Path) -> None:
    options = ("--target", "picture", "--output", f"type=local,dest={tmp_path}")
    done = engine.try_build(*options, arguments={"PAIR": "BTC/USD,ETH/USD", "SOURCE": "simulated", **engine.QUICK})
    assert done.returncode == 0, done.stderr[-8000:]
    titles = titles_of(tmp_path)
    assert titles.keys() == {"BTC-USD.svg", "ETH-USD.svg"}
    assert "ETH/USD, forecast from" in titles["ETH-USD.svg"]


def titles_of(folder: Path) -> dict[str, str]:
    """Return the text of each picture by file name; every picture must be well-formed."""
    pictures = {path.name: ET.fromstring(path.read_bytes()) for path in folder.iterdir()}
    assert {picture.tag for picture in pictures.values()} == {SVG}
    return {name: " ".join(picture.itertext()) for name, picture in pictures.items()}


@pytest.mark.long
def test_every_stage_uses_the_base_that_is_pinned_by_digest(next_release: Release) -> None:
    """A tag may move between two stages or architectures."""
    (base,) = set(re.findall(r"\[\w+ +1/\d+\] FROM (\S+@sha256:\w{64})", next_release.report))
    arguments = {**next_release.arguments, "BASE": base}
    report = engine.build(arguments=arguments, context=next_release.context, tag=f"{next_release.tag}-base")
    engine.forget(f"{next_release.tag}-base")
    assert set(re.findall(r"load metadata for (\S+)", report)) == {base}
    assert len([step for step in replace(next_release, report=report).cached() if INSTALLING.search(step)]) == INSTALLED


@pytest.mark.long
def test_a_module_that_cannot_be_imported_fails_the_build(image: str, tmp_path: Path) -> None:
    """Without its byte code the image would start slowly for no visible reason."""
    context = copy_context(tmp_path)
    (context / PACKAGE / "web" / "page" / "feed.py").unlink()
    done = engine.try_build("--target", "serving", arguments={}, context=context, tag=f"{image}-broken")
    assert done.returncode != 0
    assert "No module named 'crypto_predict.web.page.feed'" in done.stderr


@pytest.mark.long
def test_the_same_arguments_give_the_same_image(next_release: Release) -> None:
    """The second build trains again, on the same prices from another address."""
    tag = f"{next_release.tag}-again"
    with engine.market() as exchange:
        arguments = {**next_release.arguments, "ALPACA_DATA_URL": exchange.url}
        engine.build(arguments=arguments, context=next_release.context, tag=tag)
        assert exchange.requests
    layers = [inspect(name)["RootFS"]["Layers"] for name in (next_release.tag, tag)]
    engine.forget(tag)
    assert layers[0] == layers[1]


@pytest.mark.long
def test_the_keys_reach_the_exchange_and_are_not_stored(next_release: Release, tmp_path: Path) -> None:
    """They are neither in a layer nor in the history, of the stage that trains and of the published image."""
    sent = [value for request in next_release.exchange.requests for value in request.headers.values()]
    assert set(KEYS.values()) <= set(sent)
    stage = f"{next_release.tag}-stage"
    engine.build("--target", "train", arguments=next_release.arguments, context=next_release.context, tag=stage)
    search = ["grep", "-rlF", *(word for key in KEYS.values() for word in ("-e", key))]
    places = ["/training", "/layer", "/root", "/tmp", "/var", "/run", "/etc", "/home"]
    process = subprocess.run(["docker", "run", "--rm", "--network", "none", stage, *search, *places], check=False)
    metadata = [docker("history", "--no-trunc", tag) + json.dumps(inspect(tag)) for tag in (next_release.tag, stage)]
    published = layers_above_base(next_release.tag, tmp_path)
    engine.forget(stage)
    assert process.returncode == 1
    assert [key for key in KEYS.values() if key in "".join(metadata) + next_release.report] == []
    contents = b"\0".join(content for layer in published for content in layer.values())
    assert [key for key in KEYS.values() if key.encode() in contents] == []


@pytest.mark.long
def test_without_arguments_the_model_is_trained_up_to_now(image: str) -> None:
    """`docker build .` is enough to try the project."""
    tag, before = f"{image}-plain", datetime.now(UTC).replace(microsecond=0)
    with engine.market() as exchange:
        engine.build(arguments={"SOURCE": "alpaca", "ALPACA_DATA_URL": exchange.url, **engine.QUICK}, tag=tag)
        assert exchange.requests
    with running_container(tag) as container:
        trained_at = requests.get(f"{container.url}/version", timeout=30).json()["trained_at"]
    engine.forget(tag)
    assert before <= datetime.fromisoformat(trained_at) <= datetime.now(UTC)


def test_a_file_in_the_data_folder_is_used_for_training_but_not_in_the_image(image: str, tmp_path: Path) -> None:
    context, history = copy_context(tmp_path / "context"), make_history(300)
    (context / "data").mkdir()
    (context / "data" / "SOL.csv").write_text(as_csv(history))
    until = f"{history.candles[-1].open_time:%Y-%m-%d}"
    arguments = {"SOURCE": "file:data/SOL.csv", "PAIR": "SOL/USD", "UNTIL": until, **engine.QUICK}
    tag = f"{image}-own"
    report = engine.build(arguments=arguments, context=context, tag=tag)
    with running_container(tag) as container:
        card = requests.get(f"{container.url}/model", timeout=30).json()
    published = layers_above_base(tag, tmp_path)
    built = Build(tag, report, arguments, context)
    engine.forget(tag)
    assert card["pairs"]["SOL/USD"]["source"] == "file:data/SOL.csv"
    assert not [name for layer in published for name in layer if "SOL.csv" in name]
    assert len([step for step in built.cached() if INSTALLING.search(step)]) == INSTALLED


@pytest.mark.parametrize(("platform", "machine"), [("linux/arm64", AARCH64), ("linux/amd64", X86_64)])
def test_compiled_libraries_are_for_the_target_platform(image: str, platform: str, machine: int) -> None:
    """The build unpacks their wheels without emulating the platform."""
    tag = f"{image}-{platform.rpartition('/')[2]}"
    engine.build("--target", "serving", "--platform", platform, arguments={}, tag=tag)
    result = machines(tag)
    engine.forget(tag)
    assert set(result.values()) == {machine}


def machines(tag: str) -> dict[str, int]:
    """Return the machine number of each compiled library below `/layers` by its path."""
    container = docker("create", tag)
    try:
        copied = subprocess.run(["docker", "cp", f"{container}:/layers", "-"], capture_output=True, check=True)
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(copied.stdout)) as archive:
        compiled = {name: head for name, head in files_of(archive).items() if head[:4] == b"\x7fELF"}
    return {name: int.from_bytes(head[18:20], "little") for name, head in compiled.items()}


def test_an_architecture_without_wheels_is_named(image: str) -> None:
    done = engine.try_build("--target", "serving", "--platform", "linux/s390x", arguments={}, tag=f"{image}-s390x")
    assert done.returncode != 0
    assert "no wheels for the architecture s390x" in done.stderr
