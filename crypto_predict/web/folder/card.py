"""What to know of each model before trusting it: a list of all pairs, or the whole model card of one.

`pairs` has the facts of each file, `asked` counts the pairs that the training was asked for, and `refused` says when
and why the last one has no model of a pair; an earlier one of that pair still answers if it is among `pairs`.
"""

from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.baked.index import Refusal, excerpt
from crypto_predict.market import Pair
from crypto_predict.web.folder.catalogue import Catalogue
from crypto_predict.web.folder.endpoint import FolderOperation, failures, listing, pair_parameter
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model import card


@dataclass(frozen=True, slots=True)
class FileCard:
    """The facts of one file."""

    sha256: str
    version: str
    build: str
    trained_at: datetime
    source: str
    traded: Pair  # whose prices these are
    simulated: bool
    first_day: date
    last_candle: date
    last_day: date  # included
    history_sha256: str
    gate_passed: bool
    gate_reasons: tuple[str, ...]
    served: str


@dataclass(frozen=True, slots=True)
class FolderCard:
    """The facts of a folder."""

    version: str  # of the newest model, as the next two
    build: str
    trained_at: datetime
    simulated: bool
    asked: int
    pairs: dict[Pair, FileCard]
    refused: dict[Pair, Refusal]


def card_of(catalogue: Catalogue) -> FolderCard:
    """Return the facts of a folder."""
    whole, newest = catalogue.index, catalogue.newest
    pairs = {pair: excerpt(FileCard, entry) for pair, entry in whole.models.items()}
    facts = (newest.version, newest.build, newest.trained_at, catalogue.facts.simulated)
    return FolderCard(*facts, len(whole.asked), pairs, whole.refused)


def rendered(catalogue: Catalogue) -> Rendered:
    """Return the answer."""
    return render(card_of(catalogue), simulated=catalogue.facts.simulated)


OPERATION = FolderOperation(
    rule="/model",
    answer=listing(rendered, card.rendered),
    text=__doc__,
    place=1,
    parameters=pair_parameter,
    schemas={"FolderCard": FolderCard},
    examples=lambda folder: [cut(card_of(folder.current))],
    failures=failures,
)
