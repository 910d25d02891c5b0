"""The model card: what to know before trusting the model."""

from dataclasses import replace

from crypto_predict.baked.schema import Card
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model.endpoint import ModelOperation, constant, first
from crypto_predict.web.model.snapshots import Snapshot


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the answer."""
    card = snapshot.answers.model.card
    return render(card, simulated=card.simulated)


def _example(snapshot: Snapshot) -> list[object]:
    card = snapshot.answers.model.card
    return [cut(replace(card, pairs=first(card.pairs)))]


OPERATION = ModelOperation(
    rule="/model", answer=constant(rendered), text=__doc__, place=1, schemas={"Card": Card}, examples=_example
)
