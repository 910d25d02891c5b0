"""``/version``: the release, which caches revalidate at each request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crypto_predict.web.http.operation import Operation
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import schema_of
from crypto_predict.web.model import documented
from crypto_predict.web.model.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class Version:
    """The release, and when its model was trained."""

    version: str
    build: str
    git_revision: str | None
    trained_at: datetime
    simulated: bool


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the body with its headers but those of caches."""
    card = snapshot.answers.model.card
    version = Version(card.version, card.build, card.git_revision, card.trained_at, card.simulated)
    return render(version, simulated=card.simulated)


def answer(snapshot: Snapshot, now: datetime, query: str) -> Rendered:
    """Return the answer."""
    parameters(query)
    version = snapshot.once(rendered)
    return Rendered(version.body, [*version.headers, *snapshot.validity.revalidated(now)])


OPERATION = Operation[Snapshot](
    rule="/version",
    answer=answer,
    tag="model",
    place=3,
    summary="The release, and when its model was trained",
    schemas=lambda: {"Version": schema_of(Version)},
    examples=lambda snapshot: [rendered(snapshot)],
    headers=documented.headers,
)
