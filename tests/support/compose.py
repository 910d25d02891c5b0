"""The services of `compose.yaml` on a real engine, with the network of the host, since not every engine has one."""

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.network import npm_registry
from tests.support import engine
from tests.support.reaper import name_of_run
from tests.support.serving import ROOT

COMPOSE = ROOT / "compose.yaml"
LIVE = ROOT / "compose.live.yaml"  # extends the other one
PORTS = re.compile(r"^    ports:\n(?:      - .*\n)+", re.MULTILINE)


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
    file: str  # of the two
    images: tuple[str, ...]  # that it builds

    def command(self) -> list[str]:
        """Return the words that begin each command of compose."""
        files = ("--file", str(self.folder / self.file), "--file", str(self.folder / "compose.override.yaml"))
        return [*compose_command(), "--project-name", self.name, *files]

    def compose(self, *words: str, **variables: str) -> str:
        """Run a command of compose with additional environment variables; return its output."""
        command = [*self.command(), *words]
        environ = {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1", **npm_registry(), **engine.QUICK}
        run = engine.run_building if words[0] in {"build", "up"} else engine.run_pulling
        done = run(command, {**environ, "SOURCE": "simulated", "SOURCE_DATE_EPOCH": "", **variables})
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout.strip()

    def override(self, service: str, **values: Any) -> None:
        """Add values to a service. They are merged with those of the file."""
        path = self.folder / "compose.override.yaml"
        services = json.loads(path.read_text())  # JSON is YAML
        services["services"].setdefault(service, {}).update(values)
        path.write_text(json.dumps(services))

    def remove(self) -> None:
        """Remove containers, volumes and images."""
        self.compose("down", "--volumes")
        engine.forget(*self.images)


def project(folder: Path, file: Path, builds: Mapping[str, str]) -> Project:
    """Return a project whose services use the network of the host and publish no port.

    `builds` has the image of each service that is built, without the random part of the name.
    """
    name = f"{name_of_run()}{secrets.token_hex(6)}"
    for path in (COMPOSE, LIVE):
        text = PORTS.sub("", path.read_text(encoding="utf-8"))
        (folder / path.name).write_text(text.replace("context: .", f"context: {ROOT}"))
    (folder / "compose.override.yaml").write_text(json.dumps({"services": {}}))
    images = {service: f"{name}:{image}" for service, image in builds.items()}
    result = Project(folder, name, file.name, tuple(sorted(set(images.values()))))
    for service, image in images.items():
        result.override(service, image=image, build={"network": "host"}, network_mode="host")
    return result
