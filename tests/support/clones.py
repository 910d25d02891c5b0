"""A fresh clone of this project, for the commands of its documents."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import free_port
from tests.support.live import until
from tests.support.repositories import Repository
from tests.support.serving import ROOT

START_SECONDS = 180
STOP_SECONDS = 100
ADDRESS = "http://127.0.0.1:8000"  # in the documents


@dataclass(frozen=True)
class Clone:
    """A folder with the tracked files and an installed virtual environment."""

    folder: Path
    environ: Mapping[str, str]  # in addition to what a shell needs
    port: int  # of its server, instead of 8000 as in the documents

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a command, in which the address of the documents is replaced; return its output."""
        replaced = [word.replace(ADDRESS, f"http://127.0.0.1:{self.port}") for word in command]
        done = subprocess.run(
            replaced,
            cwd=self.folder,
            env=self._environ(),
            input=text,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self, line: str) -> Iterator[None]:
        """Run a shell command that starts a server; wait until it answers, and interrupt it at the end."""
        log = self.folder / "log"
        with log.open("w") as written:
            process = subprocess.Popen(
                ["bash", "-c", line],
                cwd=self.folder,
                env=self._environ(),
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            until(lambda: process.poll() is not None or self._answers(), "the server answers", START_SECONDS)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            process.wait(STOP_SECONDS)

    def _answers(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).close()
            return True
        return False

    def _environ(self) -> dict[str, str]:
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**own, "PORT": str(self.port), **self.environ}


def copy_files(folder: Path) -> None:
    """Copy this project's files, but for what git ignores."""
    listed = Repository(ROOT).git("ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def clone(folder: Path, **environ: str) -> Clone:
    """Copy the project; link to the environment of this interpreter instead of installing one."""
    copy_files(folder)
    built = Path("crypto_predict", "web", "page", "built")
    if (ROOT / built).is_dir():  # now newer than its sources, so that `make` keeps it
        shutil.copytree(ROOT / built, folder / built, copy_function=shutil.copy)
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.suffix != ".stamp":
            (folder / ".venv" / path.name).symlink_to(path)
    for name in ("run", "live"):
        (folder / ".venv" / f"{name}.stamp").touch()
    return Clone(folder, environ, free_port())
