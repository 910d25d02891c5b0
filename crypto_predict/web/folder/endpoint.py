"""What the endpoints of a folder share: a list of all pairs from the index, or the answer of the file of one pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from crypto_predict.web.folder.catalogue import Catalogue
from crypto_predict.web.http import schemas
from crypto_predict.web.http.operation import Failure, Operation
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.http.schemas import Parameter, refs
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.endpoint import VALIDATED
from crypto_predict.web.model.snapshots import Snapshot

PAIR = "pair"  # the parameter


class Folder(Protocol):
    """What answers: the catalogue of the present index, and the snapshot of a pair."""

    @property
    def current(self) -> Catalogue:
        """The catalogue."""

    def snapshot(self, pair: str | None = None) -> Snapshot:
        """Return the snapshot of a pair, by default of one whose file is of use."""


@dataclass(frozen=True, kw_only=True)
class FolderOperation(Operation[Folder]):
    """An endpoint of the index: ``answer(folder, now, query)``. It replaces that of the model at the same address."""

    tag: str = "model"
    headers: Callable[[Rendered], Mapping[str, Any]] = lambda _: refs("headers", VALIDATED)


def listing(
    of_index: Callable[[Catalogue], Rendered], of_pair: Callable[[Snapshot], Rendered]
) -> Callable[[Folder, datetime, str], Rendered]:
    """Return what answers about all pairs, or about one with all that its file has."""

    def answer(folder: Folder, now: datetime, query: str) -> Rendered:
        values = parameters(query, (PAIR,))
        if PAIR in values:
            snapshot = folder.snapshot(values[PAIR])
            return snapshot.until_change(snapshot.once(of_pair), now)
        catalogue = folder.current
        return until_change(catalogue, catalogue.once(of_index), now)

    return answer


def until_change(catalogue: Catalogue, rendered: Rendered, now: datetime) -> Rendered:
    """Return an answer of the index that caches may keep until the next change."""
    return Rendered(rendered.body, [*rendered.headers, *catalogue.validity.until_change(now)])


def pair_parameter(folder: Folder) -> Sequence[Parameter]:
    """Return the parameter `pair`."""
    text = "A pair: the answer is then what its file says, with all members; by default a list of all pairs."
    return [schemas.parameter(PAIR, text, schemas.PAIR, folder.current.first.slug)]


def failures(folder: Folder) -> Sequence[Failure]:
    """Return the errors of an answer about one pair."""
    return [failure for failure in endpoint.failures(folder.snapshot()) if failure.name == "UnknownPair"]
