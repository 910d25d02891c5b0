"""The downtime of each source by month, and how often its stream differs from REST.

`months` has the months (UTC) in which a source has an outage, the newest first: on the side of the `exchange`, and on
that of the `collector`, which is ours. `share` is that of the month, or of what has passed of it. Outages are those of
`/outages`. `differences` says how many candles of the stream were `compared` with those of REST since the pairs are
collected, and how many were `mismatched`.
"""

from crypto_predict.market import EPOCH, Span
from crypto_predict.market.downtime import DifferenceReport, Downtime, MonthOfOutages, report_difference
from crypto_predict.web.collected import endpoint, outages
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.endpoint import DatabaseOperation, Sample, read_span
from crypto_predict.web.http import queries
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import listed, record, schema_of
from crypto_predict.web.model.endpoint import live_headers

NAMES = ("source", "start", "end")


def answer(call: Call) -> Rendered:
    """Return the months that overlap the span that is asked for, by default all."""
    values = queries.parameters(call.query, NAMES)
    start, end = read_span(values)
    source = values.get("source")
    with call.reading() as reader:
        outages.check_stored(reader, source, None)
        span = Span(start or EPOCH, end or call.now)
        months = reader.outage_months(span, call.now, source=source) if span.start < span.end else ()
        differences = list(map(report_difference, reader.differences(source)))
    return call.live(render({"months": months, "differences": differences}), outages.LASTS)


def _example(sample: Sample) -> dict[str, object]:
    source = sample.series.source
    months = [MonthOfOutages(source, f"{sample.day:%Y-%m}", Downtime(2, 34.0, 0.00078), Downtime(0, 0.0, 0.0))]
    return {"months": months, "differences": [DifferenceReport(source, 43_200, 2, 2 / 43_200)]}


OPERATION = DatabaseOperation(
    rule="/outages/months",
    answer=answer,
    text=__doc__,
    place=7,
    parameters=lambda sample: outages.parameters(sample, *NAMES),
    schemas={
        "OutageMonths": record(
            {
                "months": listed(schema_of(MonthOfOutages)),
                "differences": listed(schema_of(DifferenceReport)),
            }
        )
    },
    examples=lambda sample: [_example(sample)],
    headers=live_headers,
    failures=lambda sample: [*endpoint.unavailable(sample), endpoint.not_collected(sample)],
)
