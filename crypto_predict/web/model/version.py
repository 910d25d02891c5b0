"""The release, and when its model was trained."""

from dataclasses import dataclass
from datetime import datetime

from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.model import endpoint
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
    """Return the answer, which caches revalidate at each request."""
    parameters(query)
    version = snapshot.once(rendered)
    return Rendered(version.body, [*version.headers, *snapshot.validity.revalidated(now)])


OPERATION = endpoint.ModelOperation(
    rule="/version",
    answer=answer,
    text=__doc__,
    place=3,
    schemas={"Version": Version},
    examples=lambda snapshot: [rendered(snapshot)],
)
