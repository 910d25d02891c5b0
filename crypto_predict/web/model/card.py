"""The model card: what to know before trusting the model."""

from crypto_predict.baked.schema import Card
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model.endpoint import ModelOperation, constant
from crypto_predict.web.model.snapshots import Snapshot


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the answer."""
    card = snapshot.answers.model.card
    return render(card, simulated=card.simulated)


OPERATION = ModelOperation(
    rule="/model",
    answer=constant(rendered),
    text=__doc__,
    place=1,
    schemas={"Card": Card},
    examples=lambda snapshot: [cut(snapshot.answers.model.card)],
)
