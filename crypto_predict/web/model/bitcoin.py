"""The price of Bitcoin on a day or at an instant."""

from datetime import date, datetime, time
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus

from crypto_predict.errors import UnknownPair
from crypto_predict.market import Pair
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import PROVENANCE, Rendered, json_body
from crypto_predict.web.http.schemas import TEXT, Parameter, record, refs
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import Answers, Row, provenance_headers
from crypto_predict.web.model.endpoint import PRICE
from crypto_predict.web.model.snapshots import Snapshot


def question(query: str, today: date) -> tuple[date | datetime, str | None]:
    """Return the time and the model that a query asks for; without a date it is the close of `today` (UTC)."""
    values = parameters(query, ("date", "model"))
    return endpoint.read_date({"date": str(today), **values}), values.get("model")


def row(answers: Answers, moment: date | datetime, model: str | None = None) -> Row:
    """Return the price of Bitcoin in the first pair whose base is BTC, by default of the model that is served.

    Errors are also those of `Answers.of` and `Series.row`.
    """
    if answers.bitcoin is None:  # no parameter is at fault: /bitcoin has none for the pair
        raise Problem(HTTPStatus.NOT_FOUND, str(UnknownPair("BTC/USD", list(map(str, answers.pairs)))))
    return answers.of(answers.bitcoin, model).row(moment)


def rendered(row: Row) -> Rendered:
    """Render a price of Bitcoin under the four keys that existing callers expect."""
    moment, price = row.moment, row.price
    day, clock = (moment.date(), moment.isoformat()[11:19]) if isinstance(moment, datetime) else (moment, "00:00:00")
    body = (
        f'{{"date": "{_http_day(day)} {clock} GMT", "prediction": {price.price!r}, '
        f'"prediction low": {price.low!r}, "prediction_high": {price.high!r}}}\n'
    )
    return json_body(body.encode(), provenance_headers(row.provenance), row.provenance.pair)


def close(snapshot: Snapshot, query: str, today: date) -> Rendered:
    """Answer a query, by default for `today`. A day that is asked for in the shortest way is rendered once."""
    query = query or f"date={today}"
    answered = snapshot.closes.get(query)
    if answered is None:
        moment, model = question(query, today)
        answered = rendered(row(snapshot.answers, moment, model))
        if not isinstance(moment, datetime) and query == f"date={moment}":
            snapshot.closes[query] = answered
    return answered


def answer(snapshot: Snapshot, now: datetime, query: str) -> Rendered:
    """Return the whole answer; without a date it is about the present day, and expires with it."""
    answered, validity = close(snapshot, query, now.date()), snapshot.validity
    until = (validity.until_change if "date=" in query else validity.until_midnight)(now, answered.pair)
    return Rendered(answered.body, [*answered.headers, *until])


@lru_cache(maxsize=10_000)
def _http_day(day: date) -> str:
    """Format a day as ``Sat, 01 Jun 2024``."""
    return format_datetime(datetime.combine(day, time()))[:16]


def _pair(answers: Answers) -> Pair:
    """Return the pair of the examples, which is not Bitcoin if the model has none."""
    return answers.bitcoin or answers.pairs[0]


def _parameters(snapshot: Snapshot) -> list[Parameter]:
    of_pair = endpoint.model(snapshot, [_pair(snapshot.answers)])
    return [endpoint.moment(snapshot, default="today"), of_pair]


def _example(snapshot: Snapshot) -> list[Rendered]:
    return [rendered(snapshot.answers.of(_pair(snapshot.answers)).row(endpoint.day(snapshot)))]


OPERATION = endpoint.ModelOperation(
    rule="/bitcoin",
    answer=answer,
    text=__doc__,
    tag="forecast",
    live=True,
    place=1,
    parameters=_parameters,
    schemas={
        "BitcoinPrediction": record(
            {"date": TEXT, "prediction": PRICE, "prediction low": PRICE, "prediction_high": PRICE}
        )
    },
    examples=_example,
    headers=lambda _: refs("headers", [*endpoint.VALIDATED, *PROVENANCE]),
    failures=endpoint.failures,
)
