"""Every collected series, with its span, lag, gaps and rate of mismatch.

Of a series without candles `start`, `end` and `lag_seconds` are null. `compared` candles of the live stream were
compared with those that the source returned later, and `mismatched` ones differed; `mismatch_rate` is their share.
`since` is how far back the series is collected, null for all of it.
"""

from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.endpoint import DatabaseOperation
from crypto_predict.web.collected.series import SeriesState, series
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render_rows
from crypto_predict.web.http.schemas import listed, ref

SCHEMA = listed(ref("schemas", "OneSeries"))


def answer(call: Call) -> Rendered:
    """Return the state of every series."""
    parameters(call.query)
    with call.reading() as reader:
        return call.live(render_rows(series(reader, call.now)))


OPERATION = DatabaseOperation(
    rule="/series",
    answer=answer,
    text=__doc__,
    place=7,
    schemas={"SeriesState": SCHEMA, "OneSeries": SeriesState},
    examples=lambda sample: [sample.states],
)
