"""`compose.yaml`: one command starts the service, which only this machine can reach."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support import engine
from tests.support.compose import COMPOSE, Project, compose_command, needs_compose, project
from tests.support.engine import docker

PUBLISHED = ["127.0.0.1:${PORT:-8000}:8000", "127.0.0.1:${LIVE_PORT:-8001}:8000"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Project, int]]:
    """The project's compose file, and the port at which `api` will answer."""
    found, port = project(tmp_path, {"api": "compose"}), engine.free_port()
    found.override("api", environment={"PORT": str(port), "HOST": "127.0.0.1"})
    try:
        yield found, port
    finally:
        found.remove()


@engine.needs_engine
@needs_compose
@pytest.mark.timeout(600)
def test_one_command_starts_the_service(served: tuple[Project, int]) -> None:
    project, port = served
    project.compose("up", "--detach")
    container = project.compose("ps", "--quiet")
    with subprocess.Popen(["docker", "logs", "--follow", container], stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert any('"event": "serving"' in line for line in logs.stdout)
        logs.kill()
    card = requests.get(f"http://127.0.0.1:{port}/model", timeout=30).json()
    assert card["simulated"] is True  # as SOURCE is simulated
    host = json.loads(docker("inspect", container))[0]["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert host["SecurityOpt"][0].startswith("no-new-privileges")
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    project.compose("stop")
    assert json.loads(docker("inspect", container))[0]["State"]["ExitCode"] == 0


@engine.needs_engine
@needs_compose
@pytest.mark.timeout(600)
def test_keys_of_the_environment_reach_the_exchange_but_not_the_image(served: tuple[Project, int]) -> None:
    project, _ = served
    keys = {"ALPACA_API_KEY": "AK-3f1c0e7d52b94a68", "ALPACA_SECRET_KEY": "SK-9b27d6410c5e83fa"}
    with engine.market() as exchange:
        project.override("api", build={"network": "host", "args": {"ALPACA_DATA_URL": exchange.url}})
        project.compose("build", SOURCE="alpaca", **keys)
        sent = {value for request in exchange.requests for value in request.headers.values()}
    assert set(keys.values()) <= sent
    metadata = docker("history", "--no-trunc", project.images[0]) + docker("inspect", project.images[0])
    assert not any(key in metadata for key in keys.values())


def test_other_machines_cannot_reach_the_services() -> None:
    """A trial on a laptop is not a public service. No port of the database is published at all."""
    text = COMPOSE.read_text(encoding="utf-8")
    assert re.findall(r"^      - (.*:\d+)$", text, re.MULTILINE) == PUBLISHED
    assert text.count(" ports:") == len(PUBLISHED)


@needs_compose
def test_without_the_profile_only_the_forecasts_are_served() -> None:
    """Someone who wants a forecast needs no database, and downloads none."""
    assert services() == {"api"}
    assert services("--profile", "live") == {"api", "live", "collector", "database"}


def services(*options: str) -> set[str]:
    """Return the names of the services that compose would start."""
    command = [*compose_command(), "--file", str(COMPOSE), *options, "config", "--services"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_file_is_valid_by_the_schema_of_compose() -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    if not program.exists():
        pytest.skip("check-jsonschema is not installed")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
