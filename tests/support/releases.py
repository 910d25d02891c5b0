"""Images of releases: a model and its ledger in /app, with labels, in a registry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.ledger import Ledger
from crypto_predict.baked.schema import Model
from crypto_predict.forecasting.record import Record
from tests.support.engine import build, docker, forget, running_registry
from tests.support.models import TRAINED_AT, make_model
from tests.support.registries import digest_at
from tests.support.repositories import Repository

BUILD = make_model().card.build
MODEL, LEDGER = "model.pkl", "model.ledger.jsonl"
COMMITS = ("feat: first", "fix: second", "fix: third")  # the same commits in every repository that is made of them
BUILT = "HEAD~1"  # what the image was built from


@dataclass(frozen=True, slots=True)
class Published:
    """The image of a release."""

    tag: str
    digest: str

    @property
    def image(self) -> str:
        """Its reference by digest."""
        return f"{self.tag.rpartition(':')[0]}@{self.digest}"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A release in a real registry, for all tests of a file."""
    folder = tmp_path_factory.mktemp("registry")
    revision = Repository.make(folder / "checkout", *COMMITS).git("rev-parse", BUILT)
    with running_registry(folder) as address:
        tag = f"{address}/owner/crypto-predict:latest"
        yield Published(tag, push(tag, folder / "context", files(), revision))


def made_model() -> tuple[Model, Ledger]:
    """Return a model, and the ledger with its release and an earlier one."""
    before, model = make_model(trained_at=TRAINED_AT - timedelta(hours=6)), make_model()
    record = Record()
    record.release(before.card, before.forecasts)
    record.release(model.card, model.forecasts)
    return replace(model, scorecard=record.scorecard()), record.ledger


def files() -> dict[str, bytes]:
    model, ledger = made_model()
    return {MODEL: store.dumps(model), LEDGER: b"".join(ledger.content())}


def push(tag: str, folder: Path, files: Mapping[str, bytes], revision: str) -> str:
    """Push an image with these files, built from a commit, to a tag; return its digest."""
    (folder / "app").mkdir(parents=True)
    for name, content in files.items():
        (folder / "app" / name).write_bytes(content)
    (folder / "Dockerfile").write_text(
        f"FROM scratch\nLABEL org.opencontainers.image.version={BUILD} org.opencontainers.image.revision={revision}\n"
        "COPY app /app\n"
    )
    build(arguments={}, context=folder, tag=tag)
    docker("push", tag)
    forget(tag)
    return str(digest_at(tag))
