"""``/model``: the model card."""

from __future__ import annotations

from dataclasses import replace

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Card
from crypto_predict.web.http.operation import Operation
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut, schema_of
from crypto_predict.web.model import documented
from crypto_predict.web.model.snapshots import Snapshot


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the answer."""
    card = snapshot.answers.model.card
    return render(card, simulated=card.simulated)


def _example(snapshot: Snapshot) -> list[Rendered]:
    card = snapshot.answers.model.card
    return [render(cut(plain.encode(replace(card, pairs=documented.first(card.pairs)))), simulated=False)]


OPERATION = Operation[Snapshot](
    rule="/model",
    answer=documented.constant(rendered),
    tag="model",
    place=1,
    summary="The model card: what to know before trusting the model",
    schemas=lambda: {"Card": schema_of(Card)},
    examples=_example,
    headers=documented.headers,
)
