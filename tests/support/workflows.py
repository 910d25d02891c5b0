"""Running the workflows themselves: `act` on a checkout, with real registries, a real engine, an exchange and a Render.

Only what is GitHub's own is played: its REST interface by `tests/replay/github.py`, and actions by the stand-ins in
`tests/actions`, which do the same with the engine at hand.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.market import Interval
from tests import render
from tests.engine import DAYS, docker, right_now, running_registry, why_no_engine
from tests.histories import make_candle, wandering
from tests.models import BTC
from tests.registries import digest_at
from tests.replay import github
from tests.replay.alpaca import AlpacaExchange
from tests.replay.server import ReplayServer
from tests.serving import ROOT

ACTIONS = ROOT / "tests" / "actions"
WORKFLOWS = Path(".github/workflows")
IMAGE = github.REPOSITORY.lower()  # registries know no capitals
KEYS = {"ALPACA_API_KEY": "AK-5e0c3b1f9d7a2846", "ALPACA_SECRET_KEY": "SK-c4d81a6f20e9b735"}
RUN_SECONDS = 500
AUTHOR = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2024-05-18T12:00:00Z") | {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Somebody"), ("EMAIL", "somebody@example.org"))
}


def _program(name: str) -> str | None:
    """A program beside this interpreter or on the path."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def why_no_workflow() -> str:
    """Why no workflow can be run here; empty where one can."""
    missing = [name for name in ("act", "skopeo", "git") if _program(name) is None]
    return why_no_engine() or (f"not here: {', '.join(missing)}" if missing else "")


needs_workflows = pytest.mark.skipif(bool(why_no_workflow()), reason=why_no_workflow() or "there is all it takes")


@dataclass
class World:
    """A repository, and everything that its workflow reaches."""

    checkout: Path
    registry: str  # where images are published; its address
    staging: str
    github: github.Repository
    github_url: str
    render: render.Render
    folder: Path
    secrets: dict[str, str] = field(init=False)  # of the repository
    attested: Path = field(init=False)  # a line for everything that would have been signed

    def __post_init__(self) -> None:
        self.secrets = {"GITHUB_TOKEN": github.TOKEN, "RENDER_DEPLOY_HOOK": self.render.hook, **KEYS}
        self.attested = self.folder / "attested"

    @property
    def image(self) -> str:
        """The name under which images are published."""
        return f"{self.registry}/{IMAGE}"

    def head(self) -> str:
        """The commit that is checked out."""
        return _git(self.checkout, "rev-parse", "HEAD")

    def commit(self, message: str) -> str:
        """Commit something under this message, as a push brings it; returns the commit."""
        with (self.checkout / "NEWS").open("a") as news:
            news.write(f"{message}\n")
        _git(self.checkout, "add", ".")
        _git(self.checkout, "commit", "--quiet", "--message", message)
        self.github.commits.add(self.head())
        return self.head()

    def tag(self, name: str) -> None:
        """Tag the commit that is checked out."""
        _git(self.checkout, "tag", name)

    def tags(self) -> dict[str, str]:
        """What is published: every tag, and the digest that it names."""
        with (
            contextlib.suppress(urllib.error.HTTPError),
            _open(f"http://{self.registry}/v2/{IMAGE}/tags/list") as answer,
        ):
            return {tag: str(digest_at(f"{self.image}:{tag}")) for tag in json.load(answer)["tags"] or ()}
        return {}

    def ask(self, path: str) -> Any:
        """What the live site answers."""
        with _open(self.render.site + path) as answer:
            return json.load(answer)

    def release(self, event: str, exchange: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the release from checkout to summary, as this event would, on what an exchange has."""
        return self.run("release.yml", event, ALPACA_DATA_URL=exchange, **variables)

    def run(self, workflow: str, event: str, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a workflow as this event would, with these variables; `more` is said to act."""
        given = {
            "REGISTRY": self.registry,
            "STAGING": self.staging,
            "SITE_URL": self.render.site,
            "DEPLOY_PATIENCE": "60s",
            "EVERY": "60",
            **variables,
        }
        environ = {
            "GITHUB_API_URL": self.github_url,
            "STAND_IN_ACTIONS": str(ACTIONS),
            "STAND_IN_ATTESTED": str(self.attested),
            "STAND_IN_PYTHON": str(_python_home()),
            # The tests that the workflow runs are as good as any other, and this one would run itself.
            "TESTS": "tests/test_wording.py",
            "JOBS": "0",
            "VENV": sys.prefix,
        }
        settings = (
            ("--var-file", _file(self.folder / "variables", given)),
            ("--secret-file", _file(self.folder / "secrets", self.secrets)),
            ("--env-file", _file(self.folder / "environ", environ)),
        )
        words = [str(_program("act")), event, "--platform", "ubuntu-24.04=-self-hosted"]
        words += ["--action-offline-mode", "--defaultbranch", "main"]
        words += ["--workflows", str(WORKFLOWS / workflow), *(word for pair in settings for word in pair)]
        return subprocess.run(
            [*words, *more, *_stand_ins(ROOT / WORKFLOWS / workflow)],
            cwd=self.checkout,
            env=_surroundings(self.folder),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )


@contextlib.contextmanager
def world(folder: Path, staging: str, checkout: Path | None = None, images: Path | None = None) -> Iterator[World]:
    """A world in a folder: new, or one that goes on from a checkout and the images of its registry.

    The staging registry may be that of other worlds too: what is pushed there again has arrived already.
    """
    repository = github.Repository()
    if images is not None:
        shutil.copytree(images, folder / "published" / "images")
    (folder / "published").mkdir(parents=True, exist_ok=True)
    _check_out(folder / "checkout", checkout)
    with contextlib.ExitStack() as stack:
        published = stack.enter_context(running_registry(folder / "published"))
        server = stack.enter_context(github.serving(repository))
        live = stack.enter_context(render.Render(render.containers))
        made = World(folder / "checkout", published, staging, repository, server.url, live, folder)
        repository.commits.add(made.head())
        yield made


@contextlib.contextmanager
def market(closed: int = 0) -> Iterator[ReplayServer]:
    """An exchange on loopback with days of Bitcoin up to today, or up to so many days ago."""
    today = Interval.DAY_1.floor(right_now())
    days = range(DAYS + 1 - closed)
    candles = [make_candle(today - timedelta(days=DAYS - n), wandering(n), wandering(n - 1)) for n in days]
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): candles})) as server:
        yield server


def ledger_of(reference: str, folder: Path) -> list[dict[str, Any]]:
    """The entries of the ledger in an image."""
    docker("pull", "--quiet", reference)
    container = docker("create", reference)
    docker("cp", f"{container}:/app/model.ledger.jsonl", str(folder / "ledger"))
    docker("rm", container)
    return [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]


def _check_out(folder: Path, earlier: Path | None) -> None:
    """This project's files as a repository of their own, on main; or a copy of an earlier one."""
    if earlier is not None:
        shutil.copytree(earlier, folder, symlinks=True)
        return
    listed = _git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    _git(folder, "remote", "add", "origin", f"https://github.com/{github.REPOSITORY}.git")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message", "feat: everything so far")


def _stand_ins(workflow: Path) -> Iterator[str]:
    """Where act finds what stands in for each action that a workflow uses; a checkout it does itself."""
    for action, commit in sorted(set(re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40})", workflow.read_text()))):
        if action != "actions/checkout":
            yield from ("--local-repository", f"{action}@{commit}={ACTIONS / action.partition('/')[2]}")


def _python_home() -> Path:
    """A Python with nothing but what the workflow installs into it; made once."""
    key = hashlib.sha256((ROOT / ".github/requirements-sbom.txt").read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = ROOT / ".venv-release"
    if not (home / key).exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        (home / key).touch()
    return home / "bin"


def _surroundings(folder: Path) -> dict[str, str]:
    """What act inherits: how to reach the engine, and a home of its own."""
    kept = {name: os.environ[name] for name in ("DOCKER_HOST", "LANG") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {**kept, "PATH": path, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


def _file(path: Path, values: Mapping[str, str]) -> str:
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return str(path)


def _git(folder: Path, *words: str) -> str:
    environ = {**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, env=environ, timeout=60
    )
    return done.stdout.strip()


def _open(address: str) -> Any:
    return urllib.request.urlopen(address, timeout=30)
