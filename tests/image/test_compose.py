"""`compose.yaml`: one command starts the service, which only this machine can reach."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import engine
from tests.support.compose import COMPOSE, LIVE, Project, compose_command, needs_compose, project
from tests.support.engine import docker

PUBLISHED = ["127.0.0.1:${PORT:-8000}:8000"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Project, int]]:
    """The project's compose file, and the port at which `api` will answer."""
    result, port = project(tmp_path, COMPOSE, {"api": "compose", "trainer": "compose-trainer"}), engine.free_port()
    result.override("api", environment={"PORT": str(port), "HOST": "127.0.0.1"})
    try:
        yield result, port
    finally:
        result.remove()


@pytest.mark.engine
@needs_compose
@pytest.mark.timeout(600)
def test_one_command_starts_the_service(served: tuple[Project, int]) -> None:
    project, port = served
    project.compose("up", "--detach")
    container = project.compose("ps", "--quiet", "api")
    with subprocess.Popen(["docker", "logs", "--follow", container], stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert any('"event": "serving"' in line for line in logs.stdout)
        logs.kill()
    card = requests.get(f"http://127.0.0.1:{port}/model", timeout=30).json()
    assert card["simulated"] is True  # as SOURCE is simulated
    project.compose("stop")
    assert json.loads(docker("inspect", container))[0]["State"]["ExitCode"] == 0


@pytest.mark.engine
@pytest.mark.long
@needs_compose
@pytest.mark.timeout(600)
def test_keys_of_the_environment_reach_the_exchange_but_not_the_image(served: tuple[Project, int]) -> None:
    project, _ = served
    keys = {"ALPACA_API_KEY": "AK-3f1c0e7d52b94a68", "ALPACA_SECRET_KEY": "SK-9b27d6410c5e83fa"}
    with engine.market() as exchange:
        project.override("api", build={"network": "host", "args": {"ALPACA_DATA_URL": exchange.url}})
        project.compose("build", "api", SOURCE="alpaca", **keys)
        sent = {value for request in exchange.requests for value in request.headers.values()}
    assert set(keys.values()) <= sent
    metadata = docker("history", "--no-trunc", project.images[0]) + docker("inspect", project.images[0])
    assert not any(key in metadata for key in keys.values())


def test_other_machines_cannot_reach_the_services() -> None:
    """A trial on a laptop is not a public service. No port of the database is published at all."""
    text = COMPOSE.read_text(encoding="utf-8") + LIVE.read_text(encoding="utf-8")
    assert re.findall(r"^      - (.*:\d+)$", text, re.MULTILINE) == PUBLISHED
    assert text.count(" ports:") == len(PUBLISHED)


@needs_compose
def test_without_the_second_file_nothing_needs_a_database() -> None:
    """Someone who wants a forecast downloads none. With it there is one site at the same port, not two."""
    plain, live = services(COMPOSE), services(LIVE)
    assert plain.keys() == {"api", "trainer"}
    assert live.keys() == {"api", "trainer", "collector", "database"}
    assert [name for name, service in live.items() if service.get("ports")] == ["api"]
    assert live["api"]["ports"] == plain["api"]["ports"]
    assert live["api"]["volumes"] == plain["api"]["volumes"]


@needs_compose
def test_every_service_has_limits_and_starts_again() -> None:
    """A log or a defect must not fill the machine in weeks."""
    for service in services(LIVE).values():
        assert int(service["mem_limit"]) <= 2 * 2**30
        assert service["logging"]["options"] == {"max-file": "3", "max-size": "10m"}
        assert service["restart"] == "unless-stopped"
        assert service["read_only"] is True


@needs_compose
def test_the_settings_of_the_server_are_passed_on() -> None:
    given = {
        "ADMIN_TOKEN": "sixteen of these",
        "SITE_URL": "https://example.org/",
        "STALE_AFTER": "30h",
        "LOG_LEVEL": "error",
    }
    for path in (COMPOSE, LIVE):
        environment = services(path, **given)["api"]["environment"]
        assert {name: environment[name] for name in given} == given


def services(path: Path, **environ: str) -> dict[str, Any]:
    """Return the services that compose would start with a file."""
    command = [*compose_command(), "--file", str(path), "config", "--format", "json"]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)["services"]
    return result


@pytest.mark.parametrize("path", [COMPOSE, LIVE], ids=lambda path: path.name)
def test_the_file_is_valid_by_the_schema_of_compose(path: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    if not program.exists():
        pytest.skip("check-jsonschema is not installed")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
