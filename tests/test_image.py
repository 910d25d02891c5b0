"""The image as facts: what is in it, what is not, and how it runs where nothing may be written or done."""

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest
import requests

from crypto_predict.history import SETTLE
from crypto_predict.market import Interval
from tests import engine
from tests.engine import Container, docker, needs_engine, running_container
from tests.histories import flat, make_candle
from tests.models import BTC
from tests.replay.alpaca import AlpacaExchange
from tests.replay.server import ReplayServer
from tests.serving import ROOT
from tests.test_floors import MODULES, PACKAGE, imports_of, imports_within

image = engine.image  # a fixture
pytestmark = [needs_engine, pytest.mark.timeout(600)]

MOST_BYTES = 45 * 10**6  # above the base
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
MODEL_FILES = ["app/model.ledger.jsonl", "app/model.pkl"]
AARCH64 = 183  # the machine's number in the head of an ELF file
X86_64 = 62

Layer = dict[str, bytes]  # the content of each file by its path


def paths_of(container: Container) -> list[str]:
    """Every endpoint, and every file of the documentation's page."""
    document = requests.get(f"{container.url}/openapi.json", timeout=30).json()
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    asked = {"/bitcoin": f"/bitcoin?date={tomorrow}", "/forecast/{pair}": "/forecast/BTC-USD"}
    page = requests.get(f"{container.url}/docs", timeout=30).text
    files = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page)
    return [asked.get(path, path) for path in document["paths"] if path != "/docs/{file}"] + files


def ask_everything(container: Container) -> None:
    """Ask for everything there is, once."""
    paths = paths_of(container)
    assert {"/readyz", "/version", "/metrics", "/docs/swagger-ui-bundle.js"} <= set(paths)
    for path in paths:
        assert requests.get(container.url + path, timeout=30).status_code == 200, path


def inspect(reference: str) -> dict[str, Any]:
    """What the engine says of an image."""
    found: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    return found


def layers_above_base(reference: str, folder: Path) -> list[Layer]:
    """The files of each layer that the base does not have, in order; layers without files are left out."""
    docker("save", "--output", str(folder / "image.tar"), reference)
    with tarfile.open(folder / "image.tar") as saved:
        names = json.load(read(saved, "manifest.json"))[0]["Layers"]
        above = names[len(inspect(engine.BASE)["RootFS"]["Layers"]) :]
        layers = [files_of(read(saved, name)) for name in above]
    (folder / "image.tar").unlink()
    return [layer for layer in layers if layer]


def read(archive: tarfile.TarFile, name: str) -> io.BytesIO:
    """One file of an archive."""
    file = archive.extractfile(name)
    assert file is not None
    return io.BytesIO(file.read())


def files_of(archive: io.BytesIO) -> Layer:
    """Every plain file of an archive."""
    with tarfile.open(fileobj=archive) as opened:
        return {member.name: read(opened, member.name).read() for member in opened if member.isfile()}


@pytest.fixture(scope="module")
def layers(image: str, tmp_path_factory: pytest.TempPathFactory) -> list[Layer]:
    """What the image adds to its base."""
    return layers_above_base(image, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def files(layers: list[Layer]) -> Layer:
    """The same, as one."""
    return {name: content for layer in layers for name, content in layer.items()}


def test_it_answers_everything_where_it_may_write_nothing_and_nothing_is_allowed(image: str) -> None:
    """And it still ends with 0 when it is told to: no answer leaves anything behind that would hold it up."""
    with running_container(image) as container:
        ask_everything(container)
        state = json.loads(docker("inspect", container.name))[0]["HostConfig"]
        docker("stop", container.name)
        assert container.served.wait() == 0
    assert (state["ReadonlyRootfs"], state["CapDrop"]) == (True, ["ALL"])
    assert container.served.events("stopped")[0]["unfinished"] == 0


def test_it_is_not_run_by_root(image: str) -> None:
    """By number, as orchestrators want it that refuse root: they cannot look a name up."""
    user, _, group = inspect(image)["Config"]["User"].partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000


def test_a_stop_is_a_signal_that_the_server_itself_receives(image: str) -> None:
    """A shell as process 1 would swallow it, and every deploy would wait ten seconds and kill."""
    config = inspect(image)["Config"]
    assert config["Cmd"] == ["python", "api.py"]
    assert config["Entrypoint"] is None
    assert config["StopSignal"] == "SIGTERM"
    with running_container(image) as container:
        assert docker("exec", container.name, "cat", "/proc/1/cmdline").split("\0")[:2] == ["python", "api.py"]
        docker("kill", "--signal", "SIGTERM", container.name)
        assert container.served.wait() == 0
    assert container.served.events("stopping")


def test_it_listens_at_the_port_it_is_given(image: str) -> None:
    port = engine.free_port()
    with running_container(image, PORT=str(port)) as container:
        assert container.served.address[1] == port
        assert requests.get(f"http://127.0.0.1:{port}/livez", timeout=30).status_code == 200


def test_it_becomes_healthy_once_it_is_ready(image: str) -> None:
    with running_container(image, "--health-interval", "1s", PORT=str(engine.free_port())) as container:
        filters = ("--filter", f"container={container.name}", "--filter", "event=health_status")
        events = subprocess.Popen(
            ["docker", "events", "--since", "10m", *filters, "--format", "{{.Status}}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert events.stdout is not None
            assert events.stdout.readline().strip() == "health_status: healthy"
        finally:
            events.kill()
            events.communicate()


def test_the_health_check_fails_where_nobody_answers(image: str) -> None:
    """A check that cannot fail would call anything healthy."""
    kind, *check = inspect(image)["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    with running_container(image) as container:
        elsewhere = ["docker", "exec", "--env", f"PORT={engine.free_port()}", container.name, *check]
        assert subprocess.run(elsewhere, capture_output=True, check=False).returncode == 1


def test_the_labels_say_what_the_server_answers(image: str) -> None:
    labels = inspect(image)["Config"]["Labels"]
    with running_container(image) as container:
        version = requests.get(f"{container.url}/version", timeout=30).json()
    named = {
        name: labels[f"org.opencontainers.image.{name}"] for name in ("version", "revision", "created", "licenses")
    }
    assert named == {
        "version": version["build"],
        "revision": version["git_revision"],
        "created": version["trained_at"],
        "licenses": "MIT",
    }
    assert labels["org.opencontainers.image.title"]
    assert labels["org.opencontainers.image.description"]
    assert labels["org.opencontainers.image.source"] == engine.RELEASE["REPOSITORY_URL"]


def test_it_is_small(image: str) -> None:
    """Bytes above the base, as every start on a new machine has to fetch them."""
    assert inspect(image)["Size"] - inspect(engine.BASE)["Size"] <= MOST_BYTES


def test_it_holds_the_modules_that_the_server_reaches_and_no_others(files: Layer) -> None:
    """Whatever else it held would have to be fetched, and kept free of holes, for nothing."""
    ours = {name for name in files if name.startswith("app/")}
    reached = {str(MODULES[name].relative_to(ROOT)) for name in modules_reached()}
    assert ours == {f"app/{name}" for name in reached | {"api.py", "LICENSE"}} | set(MODEL_FILES)


def modules_reached() -> set[str]:
    """Every module of ours that `api.py` imports, directly or not, and the packages they are in."""
    reached: set[str] = set()
    waiting = imports_of((ROOT / "api.py").read_text(encoding="utf-8"), "api") & MODULES.keys()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        packages = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        waiting |= (imports_within(name) | packages) - reached
    assert PACKAGE in reached
    return reached


def test_it_holds_what_serving_is_locked_to_and_no_other_library(files: Layer) -> None:
    """No Prophet, no pandas, no NumPy, and no package that the lock does not name."""
    metadata = [content for name, content in files.items() if name.endswith(".dist-info/METADATA")]
    parsed = [HeaderParser().parsestr(content.decode()) for content in metadata]
    installed = {f"{normal(one['Name'])}=={one['Version']}" for one in parsed}
    lock = (ROOT / "requirements-api.txt").read_text(encoding="utf-8")
    assert installed == {f"{normal(name)}=={version}" for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", lock)}


def normal(name: str) -> str:
    """The name of a package as every index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_holds_nothing_that_building_left_behind(files: Layer) -> None:
    assert {name.partition("/")[0] for name in files} == {"app", "packages", "pycache"}
    suspicious = re.compile(r"(^|/)(tests?|\.git|\.cache|__pycache__|requirements[^/]*\.txt|bench|train\.py)(/|$)")
    assert [name for name in files if name.startswith(("app/", "packages/")) and suspicious.search(name)] == []


def test_the_model_comes_last(layers: list[Layer]) -> None:
    """A retrain leaves every other layer as it was, and who has them fetches the model alone."""
    assert sorted(layers[-1]) == MODEL_FILES
    assert not set(MODEL_FILES) & {name for layer in layers[:-1] for name in layer}


def test_every_module_it_imports_has_its_byte_code(image: str) -> None:
    """It cannot write any when it runs, so that each start would compile what is missing. Here it may write."""
    lacking = byte_code_written(image, "/pycache")
    assert lacking == []
    assert len(byte_code_written(image, "/tmp")) > 100  # so the test would see it


def byte_code_written(image: str, prefix: str) -> list[str]:
    """The byte code that the server writes when it may, with this folder to look in."""
    writing = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": prefix}
    with running_container(image, "--user", "0", locked=False, **writing) as container:
        ask_everything(container)
        changes = docker("diff", container.name).splitlines()
    return [change for change in changes if change.startswith("A ") and change.endswith(".pyc")]


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


def test_the_next_release_carries_the_ledger_on(next_release: Build, layers: list[Layer], tmp_path: Path) -> None:
    """The image is all the database there is."""
    before = layers[-1][MODEL_FILES[0]]
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


def test_only_what_the_build_needs_is_sent_to_it(tmp_path: Path) -> None:
    """No history, no environment, no model that lies about; and no secret that somebody keeps beside the source."""
    context, sent = tmp_path / "context", tmp_path / "sent"
    stray = [".env", ".git/config", ".venv/bin/python", "model.pkl", "tests/test_image.py", "champion/notes.txt"]
    needed = [*CONTEXT[2:], "champion/model.pkl", "champion/model.ledger.jsonl", f"{PACKAGE}/errors.py"]
    for name in [*needed, *stray, f"{PACKAGE}/__pycache__/errors.cpython-313.pyc"]:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).touch()
    shutil.copy(ROOT / ".dockerignore", context)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    done = engine.try_build("--output", f"type=local,dest={sent}", arguments={}, context=context)
    assert done.returncode == 0, done.stderr
    assert sorted(str(path.relative_to(sent)) for path in sent.rglob("*") if path.is_file()) == sorted(needed)


def test_nothing_of_the_dockerfile_needs_a_newer_engine_or_emulation() -> None:
    """Neither heredocs nor linked copies nor another frontend; and the stage that ships executes nothing."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"<<|--link|(?i:^\s*#\s*syntax\s*=)", text, re.MULTILINE)
    shipped = text.partition("AS api\n")[2]
    assert shipped
    assert not re.search(r"(?m)^RUN\b", shipped)


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint") or str(ROOT / ".venv" / "bin" / "hadolint")
    if not Path(program).exists():
        pytest.skip("hadolint is not installed here")
    done = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
