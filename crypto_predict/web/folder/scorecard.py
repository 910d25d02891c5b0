"""The live record of each pair, the outcomes of earlier forecasts: a list of all pairs, or all figures of one.

Each pair has a ledger of its own. A pair without a published forecast is left out. Forecasts of simulated prices are
kept apart.
"""

from dataclasses import dataclass

from crypto_predict.baked.index import IndexedRecord
from crypto_predict.market import Pair
from crypto_predict.web.folder.catalogue import Catalogue
from crypto_predict.web.folder.endpoint import FolderOperation, failures, listing, pair_parameter
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model import scorecard


@dataclass(frozen=True, slots=True)
class FolderScorecard:
    """The record of each pair."""

    pairs: dict[Pair, IndexedRecord]
    simulated: dict[Pair, IndexedRecord]


def scorecard_of(catalogue: Catalogue) -> FolderScorecard:
    """Return the record of each pair."""
    scored = FolderScorecard({}, {})
    for pair, entry in catalogue.index.models.items():
        if entry.record is not None:
            (scored.simulated if entry.simulated else scored.pairs)[pair] = entry.record
    return scored


def rendered(catalogue: Catalogue) -> Rendered:
    """Return the answer."""
    return render(scorecard_of(catalogue), simulated=catalogue.facts.simulated)


OPERATION = FolderOperation(
    rule="/scorecard",
    answer=listing(rendered, scorecard.rendered),
    text=__doc__,
    place=2,
    parameters=pair_parameter,
    schemas={"FolderScorecard": FolderScorecard},
    examples=lambda folder: [cut(scorecard_of(folder.current))],
    failures=failures,
)
