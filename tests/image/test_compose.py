"""`compose.yaml`: one command brings the service up on this machine, and on this machine alone."""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.support import engine
from tests.support.engine import docker
from tests.support.serving import ROOT

COMPOSE = ROOT / "compose.yaml"
PORTS = "    ports:\n      - 127.0.0.1:${PORT:-8000}:8000\n"


def compose_command() -> list[str]:
    """How compose is called here: as part of the docker command, or as a program of its own; empty where neither is."""
    for command in (["docker", "compose"], ["docker-compose"]):
        asked = [*command, "version"]
        if shutil.which(command[0]) and subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return command
    return []


needs_compose = pytest.mark.skipif(not compose_command(), reason="there is neither docker compose nor docker-compose")


@dataclass(frozen=True)
class Project:
    """The services of one compose file, under a name of their own."""

    folder: Path
    name: str
    image: str
    port: int

    def compose(self, *words: str, **variables: str) -> str:
        """What one command of compose writes to standard output, where the environment has these variables, too."""
        files = ("--file", str(self.folder / "compose.yaml"), "--file", str(self.folder / "compose.override.yaml"))
        command = [*compose_command(), "--project-name", self.name, *files, *words]
        environ = {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1", **engine.QUICK}
        done = engine.run_pulling(command, {**environ, "SOURCE": "simulated", "SOURCE_DATE_EPOCH": "", **variables})
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The project's own file with the machine's network in place of the engine's, which not every engine has."""
    name = f"crypto-predict-test-{secrets.token_hex(6)}"
    found = Project(tmp_path, name, f"{name}:compose", engine.free_port())
    text = COMPOSE.read_text(encoding="utf-8")
    assert PORTS in text
    (tmp_path / "compose.yaml").write_text(text.replace(PORTS, "").replace("context: .", f"context: {ROOT}"))
    override = {
        "image": found.image,
        "build": {"network": "host"},
        "network_mode": "host",
        "environment": {"PORT": str(found.port), "HOST": "127.0.0.1"},
    }
    (tmp_path / "compose.override.yaml").write_text(json.dumps({"services": {"api": override}}))  # JSON is YAML
    try:
        yield found
    finally:
        found.compose("down", "--volumes")
        engine.forget(found.image)


@engine.needs_engine
@needs_compose
@pytest.mark.timeout(600)
def test_one_command_brings_the_service_up(project: Project) -> None:
    project.compose("up", "--detach")
    container = project.compose("ps", "--quiet")
    with subprocess.Popen(["docker", "logs", "--follow", container], stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert any('"event": "serving"' in line for line in logs.stdout)
        logs.kill()
    card = requests.get(f"http://127.0.0.1:{project.port}/model", timeout=30).json()
    assert card["simulated"] is True  # as the source says that was named
    host = json.loads(docker("inspect", container))[0]["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert host["SecurityOpt"][0].startswith("no-new-privileges")
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    project.compose("stop")
    assert json.loads(docker("inspect", container))[0]["State"]["ExitCode"] == 0


@engine.needs_engine
@needs_compose
@pytest.mark.timeout(600)
def test_keys_of_the_environment_reach_the_exchange_and_not_the_image(project: Project) -> None:
    keys = {"ALPACA_API_KEY": "AK-3f1c0e7d52b94a68", "ALPACA_SECRET_KEY": "SK-9b27d6410c5e83fa"}
    with engine.market() as exchange:
        override = project.folder / "compose.override.yaml"
        services = json.loads(override.read_text())
        services["services"]["api"]["build"]["args"] = {"ALPACA_DATA_URL": exchange.url}
        override.write_text(json.dumps(services))
        project.compose("build", SOURCE="alpaca", **keys)
        sent = {value for asked in exchange.requests for value in asked.headers.values()}
    assert set(keys.values()) <= sent
    told = docker("history", "--no-trunc", project.image) + docker("inspect", project.image)
    assert not any(key in told for key in keys.values())


def test_nobody_else_on_the_network_can_ask() -> None:
    """What is brought up to be looked at is no public service."""
    assert PORTS in COMPOSE.read_text(encoding="utf-8")


def test_the_file_is_what_compose_specifies() -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    if not program.exists():
        pytest.skip("check-jsonschema is not installed here")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
