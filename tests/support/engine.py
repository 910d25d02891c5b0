"""A real container engine and a real registry: building the image, running it, and a market to train it on."""

import contextlib
import functools
import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import stamina

from bench.image import registry_failed
from crypto_predict.history import SETTLE
from crypto_predict.market import Interval
from tests.support.histories import make_candle, wandering
from tests.support.models import BTC
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT, Served

REGISTRY = "registry:2"  # where there is no program of that name
BUILD_SECONDS = 580
LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
DAYS = 500  # of the market, closed
QUICK = {"EVERY": "60"}  # few cutoffs: no image is better for a longer backtest
RELEASE = {
    "MODEL_VERSION": "0.3.1",
    "MODEL_BUILD": "0.3.1-{stamp}",
    "GIT_REVISION": "0123456789abcdef0123456789abcdef01234567",
    "REPOSITORY_URL": "https://example.org/crypto-predict",
    "SOURCE_DATE_EPOCH": "{epoch}",
    "CREATED": "{created}",
}
_BUILT = pytest.StashKey[str]()


@functools.cache
def why_no_engine() -> str:
    """Why no container engine can be used here; empty where one answers and builds with BuildKit."""
    if shutil.which("docker") is None:
        return "there is no docker command here"
    found = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return "" if found.returncode == 0 else f"no container engine answers: {found.stderr.strip()}"


needs_engine = pytest.mark.skipif(bool(why_no_engine()), reason=why_no_engine() or "there is an engine")


def docker(*words: str, seconds: float = 120) -> str:
    """What one docker command writes to standard output, without the white space around it."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"docker {' '.join(words[:2])} ended with {done.returncode}: {done.stderr}"
    return done.stdout.strip()


def try_build(
    *options: str, arguments: Mapping[str, str], context: Path = ROOT, tag: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Build the Dockerfile of a folder, by BuildKit and with the machine's own network; it may fail."""
    given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    named = ["--tag", tag] if tag else []
    command = ["docker", "build", "--network", "host", "--progress", "plain", *given, *named, *options, str(context)]
    return run_pulling(command, {"DOCKER_BUILDKIT": "1"})


class RegistryFailed(Exception):
    """The registry of a base image cannot be used."""


@stamina.retry(on=RegistryFailed, attempts=4, timeout=None, wait_initial=5)
def run_pulling(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that may have to pull an image, and again where a registry failed; it may fail itself."""
    variables = {**os.environ, **environ}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=BUILD_SECONDS, check=False)
    if done.returncode and registry_failed(done.stderr):
        raise RegistryFailed(done.stderr[-2000:])
    return done


def build(*options: str, arguments: Mapping[str, str], context: Path = ROOT, tag: str) -> str:
    """The same where it must succeed; returns what the engine reported of its steps."""
    done = try_build(*options, arguments=arguments, context=context, tag=tag)
    assert done.returncode == 0, done.stderr[-8000:]
    return done.stderr


def release_arguments(built_at: datetime) -> dict[str, str]:
    """The build arguments of a release at this time, its model trained in a hurry."""
    values = {
        "stamp": f"{built_at:%Y%m%d%H%M%S}",
        "epoch": str(int(built_at.timestamp())),
        "created": f"{built_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {name: text.format(**values) for name, text in RELEASE.items()} | QUICK


def right_now() -> datetime:
    """Now in UTC, in whole seconds as a release counts."""
    return datetime.now(UTC).replace(microsecond=0)


def free_port() -> int:
    """A port that nobody listened at just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def market(days: int = DAYS) -> Iterator[ReplayServer]:
    """An exchange on loopback with so many closed days of Bitcoin, and today's candle."""
    today = Interval.DAY_1.floor(datetime.now(UTC) - SETTLE)
    candles = [make_candle(today - timedelta(days=days - n), wandering(n), wandering(n - 1)) for n in range(days + 1)]
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): candles})) as server:
        yield server


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The image, its model trained on the market through the real exchange's library; one for the whole test run.

    Every test file that imports this fixture shares it, and the engine forgets it when the tests end.
    """
    stash = request.config.stash
    if _BUILT not in stash:
        tag = f"crypto-predict-test:{secrets.token_hex(6)}"
        with market() as exchange:
            build(arguments={**release_arguments(right_now()), "ALPACA_DATA_URL": exchange.url}, tag=tag)
        stash[_BUILT] = tag
        request.config.add_cleanup(lambda: forget(tag))
    return stash[_BUILT]


def forget(*tags: str) -> None:
    """Remove images by name, where they are there."""
    if tags:
        subprocess.run(["docker", "image", "rm", "--force", *tags], capture_output=True, check=False)


def images_of(registry: str) -> list[str]:
    """What the engine holds, pulled from a registry or pushed to it; nothing where there is no engine."""
    if why_no_engine():
        return []
    held = docker("images", "--all", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}")
    names = [line.split() for line in held.splitlines() if line.startswith(f"{registry}/")]
    by_tag = [f"{name}:{tag}" for name, tag, _ in names if tag != "<none>"]
    return by_tag + [f"{name}@{digest}" for name, _, digest in names if digest != "<none>"]


@dataclass(frozen=True, slots=True)
class Container:
    """A running container of the service."""

    name: str
    served: Served  # its process as the docker command shows it: what it wrote, and its exit code

    @property
    def url(self) -> str:
        """Where it is asked: ``http://127.0.0.1:12345``."""
        return self.served.url


@contextlib.contextmanager
def running_container(
    image: str, *options: str, command: Sequence[str] = (), locked: bool = True, **environ: str
) -> Iterator[Container]:
    """A container of the service from its first line of log on, gone at the end.

    It listens at a port of its own choice on loopback, unless `environ` says otherwise, writes nothing, may do nothing
    that needs a privilege, and shares the machine's network, since not every engine has one of its own.
    """
    name = f"crypto-predict-test-{secrets.token_hex(6)}"
    given = {"HOST": "127.0.0.1", "PORT": "0", **environ}
    variables = [word for key, value in given.items() for word in ("--env", f"{key}={value}")]
    words = ["docker", "run", "--name", name, "--network", "host", *(LOCKED if locked else ()), *variables, *options]
    process = subprocess.Popen([*words, image, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Container(name, Served(process))
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        process.kill()
        process.communicate()


def registry_command(folder: Path) -> list[str] | None:
    """How to run a registry at a free port, its images in `folder`; None where nothing here can."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is not None:
        settings = folder / "registry.yml"
        settings.write_text(
            "version: 0.1\n"
            "log: {level: info}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'images'}}}, delete: {{enabled: true}}}}\n"
            "http: {addr: '127.0.0.1:0'}\n"
        )
        return [program, "serve", str(settings)]
    if why_no_engine() or not _has_registry_image():
        return None
    address = ("--env", "REGISTRY_HTTP_ADDR=127.0.0.1:0", "--env", "REGISTRY_STORAGE_DELETE_ENABLED=true")
    images = ("--volume", f"{folder / 'images'}:/var/lib/registry")
    return ["docker", "run", "--rm", "--network", "host", *address, *images, REGISTRY]


@functools.cache
def _has_registry_image() -> bool:
    """Whether the engine has the image of a registry, or can get it."""
    commands = (["docker", "image", "inspect", REGISTRY], ["docker", "pull", "--quiet", REGISTRY])
    try:
        return any(run_pulling(command, {}).returncode == 0 for command in commands)
    except RegistryFailed:
        return False


@contextlib.contextmanager
def running_registry(folder: Path) -> Iterator[str]:
    """A real, empty registry for as long as the context lasts; gives its address, ``127.0.0.1:12345``."""
    command = registry_command(folder)
    if command is None:
        pytest.skip("there is no registry program here, and no engine that can run one")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        line = next((line for line in lines if "listening on " in line), "")
        assert line, "the registry did not start"
        reader = threading.Thread(target=lambda: list(lines), daemon=True)  # or it would stand still one day
        reader.start()
        address = line.partition("listening on ")[2].partition('"')[0]
        yield address
        forget(*images_of(address))
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry of this test's own: its address."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address
