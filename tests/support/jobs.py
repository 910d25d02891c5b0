"""Run the commands of a release as a job does: as processes with a separate home and environment."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.github import REPOSITORY, TOKEN, GitHub
from tests.support.serving import ROOT
from tests.support.sigstore import Authority, wrapped_gh

RUN = f"https://github.com/{REPOSITORY}/actions/runs/42"
PASSED = ("DOCKER_HOST", "LANG", "COVERAGE_PROCESS_CONFIG")  # of the environment of the tests


@dataclass(frozen=True, slots=True)
class Step:
    """The result of a step of a job."""

    code: int
    outputs: dict[str, str]  # for later steps
    page: str  # what it put on the run's page
    log: str  # standard output and standard error, warnings included


@dataclass
class Job:
    """A job on a runner that reaches a GitHub on loopback, and trusts the signatures of one authority."""

    folder: Path
    github: GitHub
    environ: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        home, programs = self.folder / "home", self.folder / "programs"
        home.mkdir()
        wrapped_gh(programs, self.authority)
        path = (str(programs), str(Path(sys.executable).parent), os.environ["PATH"])
        self.environ = {
            **{name: os.environ[name] for name in PASSED if name in os.environ},
            **self.github.environ(),
            "PATH": os.pathsep.join(path),
            "HOME": str(home),
            "GH_TOKEN": TOKEN,
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": RUN.rpartition("/")[2],
        }

    @property
    def authority(self) -> Authority:
        """The authority that signs attestations."""
        return Authority(self.folder / "sigstore")

    def release(self, *words: str, **environ: str) -> Step:
        """Run a command of the release."""
        files = {name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        given = {name: str(file) for name, file in files.items()} | environ
        done = self.run(sys.executable, "-m", "crypto_predict.release", *words, **given)
        outputs, page = read_outputs(files["GITHUB_OUTPUT"]), files["GITHUB_STEP_SUMMARY"].read_text()
        log = done.stdout + done.stderr
        assert TOKEN not in log + page
        return Step(done.returncode, outputs, page, log)

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run any program."""
        given = {**self.environ, **environ}
        return subprocess.run(words, capture_output=True, text=True, env=given, cwd=ROOT, timeout=280, check=False)


def read_outputs(file: Path) -> dict[str, str]:
    """Read outputs as a runner does: ``name=value``, or ``name<<mark`` with the lines up to the mark."""
    lines = file.read_bytes().decode().split("\n")[:-1]
    outputs = {}
    while lines:
        head = lines.pop(0)
        name, marked, mark = head.partition("<<")
        if marked and "=" not in name:
            end = lines.index(mark)
            outputs[name], lines = "\n".join(lines[:end]), lines[end + 1 :]
        else:
            name, _, value = head.partition("=")
            outputs[name] = value
    return outputs
