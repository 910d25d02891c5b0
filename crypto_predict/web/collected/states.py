"""``/series``: every collected series, and how complete it is."""

from __future__ import annotations

from crypto_predict.web.collected import documented
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.documented import Sample
from crypto_predict.web.collected.series import SeriesState, series
from crypto_predict.web.http.operation import Operation
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered
from crypto_predict.web.http.response import render as as_json
from crypto_predict.web.http.schemas import listed, ref


def answer(call: Call) -> Rendered:
    """Return the state of every series."""
    parameters(call.query)
    with call.reading() as reader:
        return call.live(render(series(reader, call.now)))


def render(states: list[SeriesState]) -> Rendered:
    """Render the states as JSON."""
    return as_json(states, simulated=any(state.simulated for state in states))


OPERATION = Operation[Sample](
    rule="/series",
    answer=answer,
    tag=documented.TAG,
    place=7,
    summary="Every collected series, with its span, lag, gaps and rate of mismatch",
    description="""\
Of a series without candles `start`, `end` and `lag_seconds` are null. `compared` candles of the live stream were
compared with those that the source returned later, and `mismatched` ones differed; `mismatch_rate` is their share.
`since` is how far back the series is collected, null for all of it.
""",
    schemas=lambda: {"SeriesState": listed(ref("schemas", "OneSeries")), "OneSeries": documented.series_schema()},
    examples=lambda sample: [render(sample.states)],
    headers=documented.headers,
    failures=documented.unavailable,
)
