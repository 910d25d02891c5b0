"""The price of Bitcoin on a day or at an instant."""

from datetime import date, datetime, time
from email.utils import format_datetime
from functools import lru_cache
from typing import NamedTuple

from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.errors import OutOfRange
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import PROVENANCE, Rendered, json_body
from crypto_predict.web.http.schemas import TEXT, record, refs
from crypto_predict.web.model import documented
from crypto_predict.web.model.answers import Answers, NoBitcoin, OutsideModel, Row, provenance_headers
from crypto_predict.web.model.documented import ModelOperation
from crypto_predict.web.model.parameters import MODEL_PARAMETER, PRICE, read_date, read_model
from crypto_predict.web.model.snapshots import Snapshot


class Question(NamedTuple):
    """The parameters."""

    moment: date | datetime  # a day stands for its close; an instant is aware of its time zone
    model: str = COMBINED


def question(query: str, today: date) -> Question:
    """Parse the query; without a date it asks for the close of `today` (UTC).

    Raises:
        BadParameter, InvalidValue: A parameter is repeated, unknown or malformed.
    """
    values = parameters(query, ("date", "model"))
    return Question(read_date({"date": str(today), **values}), read_model(values))


def row(answers: Answers, asks: Question) -> Row:
    """Return the price of Bitcoin in the first pair whose base is BTC.

    Raises:
        NoBitcoin: The model does not hold Bitcoin.
        OutsideModel: The model does not cover that time.
        NoProphetInterval: The time lies after the last candle, and Prophet alone has no interval.
    """
    if answers.bitcoin is None:
        raise NoBitcoin("BTC/USD", list(map(str, answers.pairs)))
    try:
        return answers.series[answers.bitcoin, asks.model].row(asks.moment)
    except OutOfRange as error:
        raise OutsideModel("date", error) from error


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
        asks = question(query, today)
        answered = rendered(row(snapshot.answers, asks))
        if not isinstance(asks.moment, datetime) and query == f"date={asks.moment}":
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


def _example(snapshot: Snapshot) -> list[Rendered]:
    answers = snapshot.answers
    return [rendered(answers.series[answers.bitcoin or answers.pairs[0], COMBINED].row(documented.day(snapshot)))]


OPERATION = ModelOperation(
    rule="/bitcoin",
    answer=answer,
    text=__doc__,
    tag="forecast",
    place=1,
    parameters=lambda snapshot: [documented.moment(snapshot, required=False), MODEL_PARAMETER],
    schemas={
        "BitcoinPrediction": record(
            {"date": TEXT, "prediction": PRICE, "prediction low": PRICE, "prediction_high": PRICE}
        )
    },
    examples=_example,
    headers=lambda _: refs("headers", [*documented.VALIDATED, *PROVENANCE]),
    failures=documented.failures,
)
