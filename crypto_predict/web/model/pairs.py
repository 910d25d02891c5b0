"""The pairs of the model, and the days it answers for.

With `q` those whose names have this text, in upper or lower case.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.market import Pair
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render_rows
from crypto_predict.web.http.schemas import TEXT, Parameter, cut, parameter
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.model.snapshots import Snapshot

SEARCH = "q"  # the parameter


@dataclass(frozen=True, slots=True)
class PairRange:
    """The days for which the model answers about one pair."""

    pair: Pair
    first_day: date
    last_candle: date
    last_day: date  # included
    forecast: str  # the path of its forecast
    as_of: datetime  # the newest price that its forecast starts from
    simulated: bool


def ranges(answers: Answers) -> list[PairRange]:
    """Return the range of each pair."""
    pair_ranges = []
    for pair in answers.pairs:
        series = answers.of(pair)
        days = (series.first_day, series.last_candle, series.last_day)
        newest = series.forecast
        pair_ranges.append(PairRange(pair, *days, f"/forecast/{pair.slug}", newest.as_of, newest.simulated))
    return pair_ranges


def searched(query: str) -> str | None:
    """Return the text of a query that names of pairs must have; None: all pairs are asked for."""
    return parameters(query, (SEARCH,)).get(SEARCH)


def matches(pair: Pair, text: str) -> bool:
    """Return whether the name of a pair, as ``BTC/USD`` or ``BTC-USD``, has a text."""
    return text.strip().upper().replace("-", "/") in str(pair)


def matching(rows: Iterable[PairRange], text: str) -> list[PairRange]:
    """Return the ranges of the pairs whose names have a text."""
    return [row for row in rows if matches(row.pair, text)]


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the answer about all pairs."""
    return render_rows(ranges(snapshot.answers))


def answer(snapshot: Snapshot, now: datetime, query: str) -> Rendered:
    """Answer for all pairs, or for those with a text."""
    text = searched(query)
    found = snapshot.once(rendered) if text is None else render_rows(matching(ranges(snapshot.answers), text))
    return snapshot.until_change(found, now)


def search_parameter(_: object) -> Sequence[Parameter]:
    """Return the parameter of a search."""
    text = "A text that the names of pairs must have, such as `btc` or `BTC/USD`; by default all pairs are listed."
    return [parameter(SEARCH, text, TEXT, "btc")]


OPERATION = endpoint.ModelOperation(
    rule="/pairs",
    answer=answer,
    text=__doc__,
    tag="forecast",
    place=4,
    parameters=search_parameter,
    schemas={"PairRange": list[PairRange]},
    examples=lambda snapshot: [cut(ranges(snapshot.answers))],
)
