"""The model that answers for each pair, and how good it is: a list of all pairs, or all models of one.

`scores` are those of the backtest, by horizon, relative to persistence, below 1 is better: out of sample.
"""

from dataclasses import dataclass
from datetime import datetime

from crypto_predict.baked.index import IndexedScore, excerpt
from crypto_predict.market import Pair
from crypto_predict.web.folder.catalogue import Catalogue
from crypto_predict.web.folder.endpoint import FolderOperation, failures, listing, pair_parameter
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model import models


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model that answers for one pair unless another one is asked for."""

    served: str
    simulated: bool
    scores: tuple[IndexedScore, ...]


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models that answer."""

    version: str  # of the newest model, as the next two
    build: str
    trained_at: datetime
    simulated: bool
    pairs: dict[Pair, ServedModel]


def models_of(catalogue: Catalogue) -> ServedModels:
    """Return the model that answers for each pair."""
    newest, pairs = catalogue.newest, catalogue.index.models.items()
    facts = (newest.version, newest.build, newest.trained_at, catalogue.facts.simulated)
    return ServedModels(*facts, {pair: excerpt(ServedModel, entry) for pair, entry in pairs})


def rendered(catalogue: Catalogue) -> Rendered:
    """Return the answer."""
    return render(models_of(catalogue), simulated=catalogue.facts.simulated)


OPERATION = FolderOperation(
    rule="/models",
    answer=listing(rendered, models.rendered),
    text=__doc__,
    place=2,
    parameters=pair_parameter,
    schemas={"ServedModels": ServedModels},
    examples=lambda folder: [cut(models_of(folder.current))],
    failures=failures,
)
