"""The pairs of the model, the days it answers for, and what is collected.

The pairs of the model come first. Of those that are only collected, nothing is forecast: the other members are null.
`collected` is null while the database cannot be read. With `q` those are left out whose names do not have this text.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields

from crypto_predict.baked import plain
from crypto_predict.errors import DatabaseError
from crypto_predict.market import Pair
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.database import Overloaded
from crypto_predict.web.collected.endpoint import DatabaseOperation
from crypto_predict.web.collected.series import SeriesState, series
from crypto_predict.web.collected.states import SCHEMA as STATES
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.http.response import render as as_json
from crypto_predict.web.http.schemas import Schema, listed, or_null, record, schema_of
from crypto_predict.web.model.endpoint import live_headers
from crypto_predict.web.model.pairs import PairRange, matches, matching, ranges, search_parameter, searched

_OF_EVERY_PAIR = {"pair", "simulated"}  # members of a pair that is only collected, too


def answer(call: Call) -> Rendered:
    """Return the pairs of the model and of the database; the model's part does not depend on the database."""
    text, states = searched(call.query), None
    with suppress(DatabaseError, Overloaded), call.reading() as reader:
        states = series(reader, call.now)
    of_model = call.lists.ranges()
    if text is None:
        return call.live(render(of_model, states))
    found = None if states is None else [state for state in states if matches(state.pair, text)]
    return call.live(render(matching(of_model, text), found))


def render(of_model: Sequence[PairRange], states: list[SeriesState] | None) -> Rendered:
    """Render the pairs of the model, then those that are only collected, with their series if these can be read."""
    collected: dict[Pair, list[SeriesState]] = {pair_range.pair: [] for pair_range in of_model}
    for state in states or ():
        collected.setdefault(state.pair, []).append(state)
    rows = []
    for pair_range in of_model:
        of_pair = collected.pop(pair_range.pair)
        rows.append({**plain.encode(pair_range), "collected": None if states is None else plain.encode(of_pair)})
    unknown = dict.fromkeys(field.name for field in fields(PairRange))
    for pair, of_pair in collected.items():
        simulated = any(state.simulated for state in of_pair)
        rows.append({**unknown, "pair": str(pair), "simulated": simulated, "collected": plain.encode(of_pair)})
    return as_json(rows, simulated=any(state.simulated for state in (*of_model, *(states or ()))))


_MEMBERS: dict[str, Schema] = {
    name: schema if name in _OF_EVERY_PAIR else or_null(schema)
    for name, schema in schema_of(PairRange)["properties"].items()
}
OPERATION = DatabaseOperation(
    rule="/pairs",
    answer=answer,
    text=__doc__,
    tag="forecast",
    place=4,
    parameters=search_parameter,
    schemas={"PairRange": listed(record(_MEMBERS | {"collected": or_null(STATES)}))},
    examples=lambda sample: [render(ranges(sample.snapshot.answers), sample.states)],
    headers=live_headers,
    failures=lambda _: (),
)
