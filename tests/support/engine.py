"""Build and run the image on a real container engine; run a real registry, and a market to train on."""

import contextlib
import fcntl
import functools
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import stamina

from bench.network import is_temporary, npm_registry
from crypto_predict.history import SETTLE
from crypto_predict.market import Interval
from tests.support.histories import make_candle, wandering
from tests.support.models import BTC
from tests.support.reaper import name_of_run
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT, Served

REGISTRY = "registry:2"  # used if no program `registry` is installed
BUILD_SECONDS = 580
LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
DAYS = 500  # closed candles of the market
QUICK = {"EVERY": "60"}  # few cutoffs, as these tests need no long backtest
CONTEXT = [
    *("Dockerfile", ".dockerignore", "LICENSE", "api.py", "collect.py", "train.py"),
    *(f"requirements-{name}.txt" for name in ("api", "live", "page", "train", "uv")),
]
_BUILT = pytest.StashKey[str]()


@functools.cache
def why_no_engine() -> str:
    """Return why no container engine can be used; empty if one answers."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    process = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return "" if process.returncode == 0 else f"no container engine answers: {process.stderr.strip()}"


def docker(*words: str) -> str:
    """Run a docker command; return its output without surrounding white space."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"docker {' '.join(words[:2])} ended with {done.returncode}: {done.stderr}"
    return done.stdout.strip()


def try_build(
    *options: str, arguments: Mapping[str, str], context: Path = ROOT, tag: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Build the Dockerfile of a folder with BuildKit, and network and npm registry of the host. The build may fail."""
    given = [
        word for name, value in {**npm_registry(), **arguments}.items() for word in ("--build-arg", f"{name}={value}")
    ]
    named = ["--tag", tag] if tag else []
    command = ["docker", "build", "--network", "host", "--progress", "plain", *given, *named, *options, str(context)]
    return run_building(command, {"DOCKER_BUILDKIT": "1"})


def run_building(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that builds an image, while no other process of these tests does so. The command may fail.

    BuildKit reports a step that a running build has executed as executed in every build that uses it meanwhile.
    """
    with (Path(tempfile.gettempdir()) / "crypto-predict-test-build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return run_pulling(command, environ)


class TemporaryFailure(Exception):
    """The registry of a base image cannot be used, or BuildKit misses a file of the context that is there."""


@stamina.retry(on=TemporaryFailure, attempts=4, timeout=None, wait_initial=5)
def run_pulling(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command that may pull an image; retry if the failure is temporary. The command may fail.

    BuildKit forgets its copies of contexts before the next attempt, which sends the context anew.
    """
    variables = {**os.environ, **environ}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=BUILD_SECONDS, check=False)
    if done.returncode and is_temporary(done.stderr):
        forget_contexts = ["docker", "builder", "prune", "--force", "--filter", "type=source.local"]
        subprocess.run(forget_contexts, capture_output=True, timeout=BUILD_SECONDS, check=False)
        raise TemporaryFailure(done.stderr[-2000:])
    return done


def build(*options: str, arguments: Mapping[str, str], context: Path = ROOT, tag: str) -> str:
    """Build the Dockerfile of a folder; return the report of the engine. Fail the test if the build fails."""
    done = try_build(*options, arguments=arguments, context=context, tag=tag)
    assert done.returncode == 0, done.stderr[-8000:]
    return done.stderr


def copy_context(folder: Path) -> Path:
    """Copy the build context into a folder."""
    folder.mkdir(exist_ok=True)
    for name in CONTEXT:
        shutil.copy(ROOT / name, folder)
    for name in ("crypto_predict", "page", "rivals"):
        ignored = shutil.ignore_patterns("__pycache__", "built", "node_modules", ".venv")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def release_arguments() -> dict[str, str]:
    """Return the build arguments of a release at this second, with a short backtest."""
    now = datetime.now(UTC).replace(microsecond=0)
    return {
        "SOURCE": "alpaca",  # the only exchange that these tests redirect
        "TRAINED_EVERY": "6h",
        "MODEL_VERSION": "0.3.1",
        "MODEL_BUILD": f"0.3.1-{now:%Y%m%d%H%M%S}",
        "GIT_REVISION": "0123456789abcdef0123456789abcdef01234567",
        "REPOSITORY_URL": "https://example.org/crypto-predict",
        "SOURCE_DATE_EPOCH": str(int(now.timestamp())),
        "CREATED": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        **QUICK,
    }


def free_port() -> int:
    """Return a free port that the system gives to nobody by itself: it is still free when a container takes it."""
    while True:
        port = secrets.choice(range(20_000, 32_768))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def market(closed: int = 0) -> Iterator[ReplayServer]:
    """Serve an exchange on loopback with `DAYS` days of Bitcoin and today, but for the last `closed` of them."""
    today, days = Interval.DAY_1.floor(datetime.now(UTC) - SETTLE), range(DAYS + 1 - closed)
    candles = [make_candle(today - timedelta(days=DAYS - n), wandering(n), wandering(n - 1)) for n in days]
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): candles})) as server:
        yield server


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The tag of an image whose model was trained on the market through the SDK of the exchange.

    All test files that import this fixture share one image. It is removed when the tests end.
    """
    stash = request.config.stash
    if _BUILT not in stash:
        tag = f"crypto-predict-test:{secrets.token_hex(6)}"
        with market() as exchange:
            build(arguments={**release_arguments(), "ALPACA_DATA_URL": exchange.url}, tag=tag)
        stash[_BUILT] = tag
        request.config.add_cleanup(lambda: forget(tag))
    return stash[_BUILT]


def forget(*tags: str) -> None:
    """Remove images by name from every engine of these tests, if they exist."""
    for environ in _engines():
        _remove(tags, environ)


def forget_all_of(registry: str) -> None:
    """Remove the images of a registry, by tag and by digest, from every engine of these tests."""
    for environ in _engines():
        listing = ["docker", "images", "--all", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"]
        listed = subprocess.run(listing, env=environ, capture_output=True, text=True, check=False).stdout
        names = [line.split() for line in listed.splitlines() if line.startswith(f"{registry}/")]
        by_tag = [f"{name}:{tag}" for name, tag, _ in names if tag != "<none>"]
        _remove(by_tag + [f"{name}@{digest}" for name, _, digest in names if digest != "<none>"], environ)


def _engines() -> list[dict[str, str]]:
    """Return the environments in which docker uses each engine: that of the images, and that of the workflows."""
    other = os.environ.get("MULTI_PLATFORM_ENGINE")
    return [dict(os.environ), *([{**os.environ, "DOCKER_HOST": other}] if other else [])]


def _remove(images: Sequence[str], environ: Mapping[str, str]) -> None:
    if images:
        removal = ["docker", "image", "rm", "--force", *images]
        subprocess.run(removal, env=environ, capture_output=True, check=False)


@dataclass(frozen=True, slots=True)
class Container:
    """A running container of the service."""

    name: str
    served: Served  # the process of `docker run`, with its output and exit code

    @property
    def url(self) -> str:
        """The address of the service: ``http://127.0.0.1:12345``."""
        return self.served.url


@contextlib.contextmanager
def running_container(
    image: str, *options: str, command: Sequence[str] = (), locked: bool = True, **environ: str
) -> Iterator[Container]:
    """Run a container of the service, from its first log line on; remove it at the end.

    By default it listens at any free port on loopback. If `locked`, it is read-only and has no capabilities. It uses
    the network of the host, since not every engine has one.
    """
    name = f"{name_of_run()}{secrets.token_hex(6)}"
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
    """Return the command that runs a registry at a free port with its images in `folder`; None if impossible."""
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
    if why_no_engine() or not can_use(REGISTRY):
        return None
    address = ("--env", "REGISTRY_HTTP_ADDR=127.0.0.1:0", "--env", "REGISTRY_STORAGE_DELETE_ENABLED=true")
    images = ("--volume", f"{folder / 'images'}:/var/lib/registry")
    return ["docker", "run", "--rm", "--network", "host", *address, *images, REGISTRY]


@functools.cache
def can_use(image: str) -> bool:
    commands = (["docker", "image", "inspect", image], ["docker", "pull", "--quiet", image])
    try:
        return any(run_pulling(command, {}).returncode == 0 for command in commands)
    except TemporaryFailure:
        return False


@contextlib.contextmanager
def running_registry(folder: Path) -> Iterator[str]:
    """Run an empty registry; yield its address, ``127.0.0.1:12345``."""
    command = registry_command(folder)
    if command is None:
        pytest.skip("no registry is installed, and no engine can run one")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        line = next((line for line in lines if "listening on " in line), "")
        assert line, "the registry did not start"
        reader = threading.Thread(target=lambda: list(lines), daemon=True)  # a full pipe would block the registry
        reader.start()
        address = line.partition("listening on ")[2].partition('"')[0]
        yield address
        if not why_no_engine():
            forget_all_of(address)
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address
