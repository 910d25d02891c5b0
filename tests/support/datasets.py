"""The release `dataset` on the GitHub of the tests: published, restored and read as anybody reads it."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.dataset import manifest
from crypto_predict.release.__main__ import DONE
from crypto_predict.release.dataset.published import flat_names
from tests.support import exports
from tests.support.collecting import collect_here
from tests.support.github import GitHub
from tests.support.jobs import Job, Step
from tests.support.repositories import Repository

PENDING = ".pending"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A job, and a repository with a commit for the tag of the release."""
    with repository(tmp_path) as made:
        yield made


@contextmanager
def repository(folder: Path) -> Iterator[Job]:
    """Make a GitHub with a repository that has a commit, and a job there."""
    with GitHub(folder) as github:
        checkout = Repository.make(folder / "checkout", "feat: first")
        checkout.git("push", "--quiet", str(github.repository.git), "main")
        yield Job(folder, github)


@dataclass(frozen=True)
class Snapshot:
    """What a GitHub has in its releases: tests begin with it in place of publishing it again."""

    releases: list[dict[str, Any]]
    files: dict[str, bytes]

    @classmethod
    def of(cls, job: Job) -> "Snapshot":
        """Return what there is now."""
        return cls(copy.deepcopy(job.github.repository.releases), dict(job.github.repository.files))

    def put(self, job: Job) -> None:
        """Put it in place of what there is. New files get other numbers."""
        repository = job.github.repository
        repository.releases[:] = copy.deepcopy(self.releases)
        repository.files.clear()
        repository.files.update(self.files)
        repository.numbers = count(1_000 + next(repository.numbers))


def export(database: str, folder: Path) -> None:
    done = collect_here(database, "--export", str(folder))
    assert done.code == DONE, done.errors


def publish(job: Job, folder: Path) -> Step:
    return job.release("publish-dataset", "--folder", str(folder))


def published(job: Job, folder: Path) -> Step:
    """Publish a folder, which must succeed."""
    done = publish(job, folder)
    assert done.code == DONE, done.log
    return done


def restore(job: Job, name: str, *more: str) -> Path:
    """Restore a folder, which must succeed."""
    done = job.release("restore-dataset", "--folder", str(job.folder / name), *more)
    assert done.code == DONE, done.log
    return job.folder / name


def assets(job: Job) -> dict[str, dict[str, Any]]:
    """Return the files of the release by name."""
    (release,) = job.github.repository.releases
    return {asset["name"]: asset for asset in release["assets"]}


def bytes_of(job: Job, asset: Mapping[str, Any]) -> bytes:
    return job.github.repository.files[str(asset["id"])]


def read(job: Job) -> dict[str, bytes]:
    """Return the dataset as a reader finds it: by the newest manifest, each file under its name or the pending one."""
    there = assets(job) if job.github.repository.releases else {}
    whole = {name: asset for name, asset in there.items() if asset["state"] == "uploaded"}
    newest = whole.get(f"manifest.json{PENDING}") or whole.get("manifest.json")
    if newest is None:
        return {}
    result = {}
    for entry in (entry for series in json.loads(bytes_of(job, newest))["series"] for entry in series["files"]):
        name = "_".join(part.rpartition("=")[2] for part in entry["path"].split("/"))
        contents = [bytes_of(job, whole[each]) for each in (name, name + PENDING) if each in whole]
        (result[entry["path"]],) = [each for each in contents if sha256(each).hexdigest() == entry["sha256"]]
    return result


def months(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the Parquet files of a folder by path."""
    return {path: content for path, content in exports.content(folder).items() if path.endswith(".parquet")}


def names_of(folder: Path) -> list[str]:
    """Return the names that the files of a folder have in the release, sorted."""
    return sorted([*flat_names(manifest.load(folder)), "manifest.json", "outages.json"])
