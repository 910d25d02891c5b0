"""`compose.yaml`: one command starts the service, which only this machine can reach."""

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
    """Return the command of compose, a part of docker or a separate program; empty if neither is installed."""
    for command in (["docker", "compose"], ["docker-compose"]):
        version = [*command, "version"]
        if shutil.which(command[0]) and subprocess.run(version, capture_output=True, check=False).returncode == 0:
            return command
    return []


needs_compose = pytest.mark.skipif(not compose_command(), reason="docker compose is not installed")


@dataclass(frozen=True)
class Project:
    """The services of one compose file, under a random project name."""

    folder: Path
    name: str
    image: str
    port: int

    def compose(self, *words: str, **variables: str) -> str:
        """Run a command of compose with additional environment variables; return its output."""
        files = ("--file", str(self.folder / "compose.yaml"), "--file", str(self.folder / "compose.override.yaml"))
        command = [*compose_command(), "--project-name", self.name, *files, *words]
        environ = {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1", **engine.QUICK}
        done = engine.run_pulling(command, {**environ, "SOURCE": "simulated", "SOURCE_DATE_EPOCH": "", **variables})
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The project's compose file with the network of the host, since not every engine has one."""
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
def test_one_command_starts_the_service(project: Project) -> None:
    project.compose("up", "--detach")
    container = project.compose("ps", "--quiet")
    with subprocess.Popen(["docker", "logs", "--follow", container], stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert any('"event": "serving"' in line for line in logs.stdout)
        logs.kill()
    card = requests.get(f"http://127.0.0.1:{project.port}/model", timeout=30).json()
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
def test_keys_of_the_environment_reach_the_exchange_but_not_the_image(project: Project) -> None:
    keys = {"ALPACA_API_KEY": "AK-3f1c0e7d52b94a68", "ALPACA_SECRET_KEY": "SK-9b27d6410c5e83fa"}
    with engine.market() as exchange:
        override = project.folder / "compose.override.yaml"
        services = json.loads(override.read_text())
        services["services"]["api"]["build"]["args"] = {"ALPACA_DATA_URL": exchange.url}
        override.write_text(json.dumps(services))
        project.compose("build", SOURCE="alpaca", **keys)
        sent = {value for request in exchange.requests for value in request.headers.values()}
    assert set(keys.values()) <= sent
    metadata = docker("history", "--no-trunc", project.image) + docker("inspect", project.image)
    assert not any(key in metadata for key in keys.values())


def test_other_machines_cannot_reach_the_service() -> None:
    """A trial on a laptop is not a public service."""
    assert PORTS in COMPOSE.read_text(encoding="utf-8")


def test_the_file_is_valid_by_the_schema_of_compose() -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    if not program.exists():
        pytest.skip("check-jsonschema is not installed")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
