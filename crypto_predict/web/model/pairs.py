"""The pairs of the model, and the days it answers for."""

from dataclasses import dataclass
from datetime import date, datetime

from crypto_predict.market import Pair
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.model.snapshots import Snapshot


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


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the answer."""
    return render(ranges(snapshot.answers), simulated=snapshot.answers.model.card.simulated)


OPERATION = endpoint.ModelOperation(
    rule="/pairs",
    answer=endpoint.constant(rendered),
    text=__doc__,
    tag="forecast",
    place=4,
    schemas={"PairRange": list[PairRange]},
    examples=lambda snapshot: [cut(ranges(snapshot.answers))],
)
