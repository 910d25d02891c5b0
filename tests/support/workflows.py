"""Run the workflows themselves with `act`, a real registry and a real engine.

Replay servers on loopback take the place of the exchange, GitHub (`tests/support/github.py`) and Render. The actions in
`tests/actions` do the same as the published ones, with the engine of this machine.
"""

import contextlib
import fcntl
import functools
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from bench.network import npm_registry
from crypto_predict.sources.catalog import EXCHANGES
from tests.support import github, render
from tests.support.clones import copy_files
from tests.support.engine import docker, market, running_registry, why_no_engine
from tests.support.registries import digest_at
from tests.support.repositories import Repository
from tests.support.serving import ROOT
from tests.support.sigstore import Authority, wrapped_gh

ACTIONS = ROOT / "tests" / "actions"
BASE = "python:3.13-slim"
IMAGE = github.REPOSITORY.lower()  # registries refuse capitals
KEYS = {"ALPACA_API_KEY": "AK-5e0c3b1f9d7a2846", "ALPACA_SECRET_KEY": "SK-c4d81a6f20e9b735"}
RUNNERS = ("ubuntu-24.04", "ubuntu-24.04-arm")
RUN_SECONDS = 500
TESTS = "tests/test_wording.py"  # run by the workflow: all tests would include this run of the workflow


def _program(name: str) -> str | None:
    """Return a program beside this interpreter or on the path."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def why_no_workflow() -> str:
    """Return why workflows cannot be run here; empty if they can."""
    return why_no_engine() or why_no_act()


def why_no_act() -> str:
    """Return why workflows that need no image cannot be run here; empty if they can."""
    missing = [name for name in ("act", "skopeo", "git", "curl") if _program(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


needs_workflows = pytest.mark.engine(why=why_no_workflow)
needs_act = pytest.mark.engine(why=why_no_act)


@dataclass
class World:
    """A repository on GitHub with a developer's clone of it, and all services that its workflows use."""

    folder: Path
    registry: str  # address of the registry where images are published; empty: no workflow has images
    github: github.GitHub
    render: render.Render
    authority: Authority  # signs attestations
    secrets: dict[str, str] = field(init=False)  # of the repository

    def __post_init__(self) -> None:
        self.secrets = {"GITHUB_TOKEN": github.TOKEN, "RENDER_DEPLOY_HOOK": self.render.hook, **KEYS}

    @property
    def clone(self) -> Repository:
        """The developer's clone."""
        return Repository(self.folder / "clone")

    @property
    def image(self) -> str:
        """The name under which images are published."""
        return f"{self.registry}/{IMAGE}"

    @property
    def attested(self) -> list[str]:
        """One line for each attestation."""
        path = self.folder / "attested"
        return path.read_text().splitlines() if path.exists() else []

    def push(self, message: str) -> str:
        """Commit a change with this message and push it to main; return the commit."""
        with (self.clone.folder / "NEWS").open("a") as news:
            news.write(f"{message}\n")
        self.clone.git("add", "NEWS")
        revision = self.clone.commit(message)
        self.clone.git("push", "--quiet", "--force", str(self.github.repository.git), "main")
        return revision

    def git_tags(self) -> dict[str, str]:
        """Return the tags on GitHub with their commits."""
        refs = self.github.repository.refs().items()
        return {name.removeprefix("refs/tags/"): commit for name, commit in refs if name.startswith("refs/tags/")}

    def recorded(self, path: str) -> str:
        """Return a file of the branch `record`."""
        return self.github.repository.run("show", f"record:{path}")

    def tags(self) -> dict[str, str]:
        """Return every published tag with its digest."""
        with (
            contextlib.suppress(urllib.error.HTTPError),
            _open(f"http://{self.registry}/v2/{IMAGE}/tags/list") as answer,
        ):
            return {tag: str(digest_at(f"{self.image}:{tag}")) for tag in json.load(answer)["tags"] or ()}
        return {}

    def ask(self, path: str) -> Any:
        """Return the JSON with which the live site answers."""
        with _open(self.render.site + path) as answer:
            return json.load(answer)

    def release(
        self, event: str, exchange: str, *more: str, runners: Sequence[str] = RUNNERS[:1], **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the release for this event, with the candles of an exchange; `more` is passed to act.

        The other exchanges of the workflow are at the same address, where they answer that nothing is found. The smoke
        test, which is the same on every runner, runs on the first one only unless more are given.
        """
        addresses = dict.fromkeys([listed.api.variable for listed in EXCHANGES.values()], exchange)
        matrix = [word for runner in runners for word in ("--matrix", f"runner:{runner}")]
        return self.run("release.yml", event, *matrix, *more, **addresses, **variables)

    def run(
        self, workflow: str, event: str, *more: str, at: str = "main", tests: str = TESTS, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a workflow for this event, on a commit, with these variables of the repository."""
        given = {
            "REGISTRY": self.registry,
            "SITE_URL": self.render.site,
            "DEPLOY_PATIENCE": "60s",
            "EVERY": "60",
            **({"BASE": base()} if self.registry else {}),
            **variables,
        }
        # Without a mirror the base image comes from Docker Hub, without the proxy.
        direct = f"{self.github.environ()['NO_PROXY']},.docker.io,.docker.com"
        environ = {
            **self.github.environ(),
            "NO_PROXY": direct,
            "no_proxy": direct,
            "STAND_IN_ACTIONS": str(ACTIONS),
            "STAND_IN_ARTIFACTS": str(self.folder / "artifacts"),
            "STAND_IN_PAGES": str(self.folder / "pages"),
            "STAND_IN_ATTESTED": str(self.folder / "attested"),
            "STAND_IN_SIGSTORE": str(self.authority.folder),
            "GIT_TERMINAL_PROMPT": "0",  # act gives each step a terminal, at which git would wait for a password
            "TESTS": tests,
            "JOBS": "0",
            "VENV": sys.prefix,
            **npm_registry(),  # for the image
            "NPM_CONFIG_OFFLINE": "true",  # these tests need no scripts of the page
        }
        copy, path = self._copy(at), Path(".github/workflows") / workflow
        command = [
            *(str(_program("act")), event, "--workflows", str(_for_act(copy / path))),
            *(word for runner in RUNNERS for word in ("-P", f"{runner}=-self-hosted")),
            *("--no-skip-checkout", "--no-cache-server", "--artifact-server-addr", "127.0.0.1"),
            *("--action-offline-mode", *_stand_ins(copy / path)),
            *("--secret-file", _file(self.folder / "secrets", self.secrets)),
            *("--var-file", _file(self.folder / "variables", given)),
            *("--env-file", _file(self.folder / "environ", environ)),
            *more,
        ]
        environ = self._surroundings()
        return subprocess.run(
            command, cwd=copy, env=environ, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )

    def _copy(self, at: str) -> Path:
        """Return a clone with main at this commit, without tags: act takes a tagged commit for a push of the tag."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        revision = self.clone.git("rev-parse", at)
        cloned = self.clone.clone(copy, "--no-tags")
        cloned.git("checkout", "--quiet", "-B", "main", revision)
        cloned.git("remote", "set-url", "origin", f"https://github.com/{github.REPOSITORY}.git")
        return copy

    def _surroundings(self) -> dict[str, str]:
        """Return the environment of act: the engine, a separate home, and a gh that trusts the authority."""
        kept = {name: os.environ[name] for name in ("DOCKER_HOST", "LANG") if name in os.environ}
        if "MULTI_PLATFORM_ENGINE" in os.environ:
            kept["DOCKER_HOST"] = os.environ["MULTI_PLATFORM_ENGINE"]
        home, programs = self.folder / "home", self.folder / "programs"
        home.mkdir(exist_ok=True)
        wrapped_gh(programs, self.authority)
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**kept, "PATH": path, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


@contextlib.contextmanager
def world(folder: Path, earlier: Path | None = None) -> Iterator[World]:
    """Make a world in a folder: a new one, or a continuation of an earlier one."""
    published = folder / "published"
    if earlier is None:
        published.mkdir(parents=True)
        _make_repository(Repository(folder / "clone"))
    else:
        for name in ("published", "clone", "sigstore", "crypto-predict.git"):
            shutil.copytree(earlier / name, folder / name, symlinks=True)
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(running_registry(published))
        played = stack.enter_context(github.GitHub(folder))
        live = stack.enter_context(render.Render(render.containers))
        made = World(folder, registry, played, live, Authority(folder / "sigstore"))
        if earlier is None:
            made.clone.git("push", "--quiet", str(played.repository.git), "main")
        else:
            vars(played.repository).update(json.loads((earlier / "github.json").read_text()))
        yield made
        kept = {name: getattr(played.repository, name) for name in ("attestations", "releases")}
        (folder / "github.json").write_text(json.dumps(kept))


@contextlib.contextmanager
def world_without_images(folder: Path) -> Iterator[World]:
    """Make a new world in a folder, for workflows that neither build nor start an image: it needs no engine."""
    _make_repository(Repository(folder / "clone"))
    with github.GitHub(folder) as played, render.Render(render.processes({})) as live:
        made = World(folder, "", played, live, Authority(folder / "sigstore"))
        made.clone.git("push", "--quiet", str(played.repository.git), "main")
        yield made


@dataclass(frozen=True)
class First:
    """The results of the first release of a repository: without an earlier tag, image or ledger."""

    folder: Path
    run: subprocess.CompletedProcess[str]
    tags: dict[str, str]  # of the image, to digests
    refs: dict[str, str]  # on GitHub
    releases: list[dict[str, object]]
    attested: list[str]
    switched: list[str]  # images that went live
    revision: str
    image: str  # name in the registry
    build: str  # of the live site
    sent: set[str]  # values of the headers that the exchange received
    index: dict[str, Any]
    readme: str  # of the public record
    record: list[str]  # its files
    ledger: bytes  # of the public record
    pages: Path  # the folder of the static page


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> First:
    """The first release of a repository, which all processes of a test run share: it takes more than a minute."""
    folder = tmp_path_factory.getbasetemp().parent / f"first-release-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    results = folder / "results.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not results.exists():
            results.write_bytes(pickle.dumps(_first_release(folder / "world")))
    return cast(First, pickle.loads(results.read_bytes()))


def _first_release(folder: Path) -> First:
    with world(folder) as made, market() as exchange:
        made.github.repository.has_pages = True
        run = made.release("push", exchange.url, runners=RUNNERS)
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr
        return First(
            folder=folder,
            run=run,
            tags=made.tags(),
            refs=made.github.repository.refs(),
            releases=made.github.repository.releases,
            attested=made.attested,
            switched=made.render.switched,
            revision=made.clone.head(),
            image=made.image,
            build=made.ask("/version")["build"],
            sent={value for request in exchange.requests for value in request.headers.values()},
            index=manifest_of(f"{made.image}:latest"),
            readme=made.recorded("README.md"),
            record=made.github.repository.run("ls-tree", "--name-only", "record").splitlines(),
            ledger=f"{made.recorded('ledger.jsonl')}\n".encode(),
            pages=folder / "pages",
        )


@contextlib.contextmanager
def after(first: First, folder: Path) -> Iterator[World]:
    """Continue the world of the first release, which is live."""
    with world(folder, first.folder) as made:
        made.render.run(f"{made.image}@{first.tags['latest']}")
        made.render.hook_server.requests.clear()
        yield made


@functools.cache
def base() -> str:
    """Return the name of the base image, at a mirror of Docker Hub if the engine has one."""
    mirrors = json.loads(docker("info", "--format", "{{json .RegistryConfig.Mirrors}}")) or []
    hosts = [mirror.removeprefix("http://").strip("/") for mirror in mirrors if mirror.startswith("http://127.")]
    return f"{hosts[0]}/library/{BASE}" if hosts else BASE


def manifest_of(reference: str) -> dict[str, Any]:
    words = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    result: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return result


def ledger_of(reference: str, folder: Path) -> list[dict[str, Any]]:
    docker("pull", "--quiet", reference)
    container = docker("create", reference)
    docker("cp", f"{container}:/app/model.ledger.jsonl", str(folder / "ledger"))
    docker("rm", container)
    return [json.loads(line) for line in (folder / "ledger").read_text().splitlines()]


def _make_repository(repository: Repository) -> None:
    """Make a repository of this project's files, with one commit on main."""
    copy_files(repository.folder)
    repository.git("init", "--quiet", "--initial-branch", "main")
    repository.git("add", ".")
    repository.commit("feat: everything so far")


def _for_act(workflow: Path) -> Path:
    """Return a copy of a workflow without the key that act does not support."""
    text = workflow.read_text()
    assert text.count("  queue: max\n") <= 1
    copy = workflow.parents[2] / workflow.name
    copy.write_text(text.replace("  queue: max\n", ""))
    return copy


def _stand_ins(workflow: Path) -> Iterator[str]:
    """Return the options of act that replace each action of a workflow with the one in `tests/actions`."""
    for action, commit in sorted(set(re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40})", workflow.read_text()))):
        yield from ("--local-repository", f"{action}@{commit}={ACTIONS / action.partition('/')[2]}")


def _file(path: Path, values: Mapping[str, str]) -> str:
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return str(path)


def _open(address: str) -> Any:
    return urllib.request.urlopen(address, timeout=30)
