import json
from datetime import date, timedelta

import pytest

from crypto_predict.errors import (
    CryptoPredictError,
    DatabaseError,
    InvalidValue,
    NoProphetInterval,
    OutOfRange,
    UnknownPair,
)
from crypto_predict.market import Pair
from crypto_predict.web.collected.administration import (
    AdministrationOff,
    ExchangeUnavailable,
    NotTraded,
    TooManyGuesses,
    Unauthorized,
    Unfinished,
)
from crypto_predict.web.collected.database import NoDatabase, Overloaded
from crypto_predict.web.collected.forecasts import NoMinuteForecast
from crypto_predict.web.collected.questions import BadBody
from crypto_predict.web.collected.rendering import NotAcceptable
from crypto_predict.web.collected.series import NotCollected
from crypto_predict.web.http import problems
from crypto_predict.web.http.errors import BadParameter, WebError
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.model.answers import NoBitcoin, OutsideModel
from crypto_predict.web.page.releases import NoRelease, ReleasesUnavailable

RANGE = OutOfRange(date(2030, 1, 1), date(2023, 1, 1), date(2025, 5, 17))

EVERY_ERROR: list[tuple[CryptoPredictError, int, dict[str, object]]] = [
    (BadParameter("day", "what is that"), 400, {"parameter": "day"}),
    (InvalidValue("date", "yesterday", "a date"), 400, {"parameter": "date"}),
    (OutsideModel("end", RANGE), 422, {"parameter": "end"}),
    (UnknownPair("DOGE/USD", ["BTC/USD"]), 404, {"parameter": "pair"}),
    (NoBitcoin("BTC/USD", ["ETH/USD"]), 404, {}),
    (NoProphetInterval(date(2024, 6, 1), date(2024, 5, 17)), 422, {"parameter": "model"}),
    (NotCollected("source", "kraken", []), 404, {"parameter": "source"}),
    (NoDatabase(), 404, {}),
    (NotAcceptable(), 406, {}),
    (BadBody("what is that"), 400, {}),
    (Unauthorized(is_wrong=False), 401, {}),
    (AdministrationOff(), 403, {}),
    (TooManyGuesses(60), 429, {}),
    (NotTraded(Pair("XYZ", "USD"), ["binance does not have it"]), 422, {"parameter": "pair"}),
    (ExchangeUnavailable("binance: no answer"), 503, {}),
    (Unfinished(35), 503, {}),
    (Overloaded(), 503, {}),
    (NoMinuteForecast("no candles", timedelta(seconds=310.5), timedelta()), 503, {"lag_seconds": 310}),
    (NoMinuteForecast("no candles", None, timedelta()), 503, {"lag_seconds": None}),
    (NoRelease(Pair("BTC", "USD"), "2024-06-01", []), 404, {"parameter": "day"}),
    (ReleasesUnavailable("the ledger is being read", 10), 503, {}),
    (DatabaseError("", "it is locked"), 503, {"detail": "the database cannot be read: it is locked"}),
]


@pytest.mark.parametrize(("error", "status", "members"), EVERY_ERROR, ids=lambda value: type(value).__name__)
def test_every_error_has_its_status_and_members(
    error: CryptoPredictError, status: int, members: dict[str, object]
) -> None:
    """An error of the web layer carries them; one table has those of lower floors."""
    body = json.loads(problems.of_error(error).rendered().body)
    assert (
        body
        == {
            "type": "about:blank",
            "title": problems.TITLES[status],
            "status": status,
            "detail": str(error),
        }
        | members
    )


def test_a_problem_of_the_database_names_no_host_user_or_file() -> None:
    """Operators read them in the log; everyone else reads the answer."""
    reason = 'connection to server at "db.internal" (10.0.0.3), port 5432 failed: no password for user "market"'
    problem = problems.of_error(DatabaseError("postgresql://***@db.internal/market", reason))
    assert problem.detail == (
        "the database cannot be read: connection to server at ***, port 5432 failed: no password for user ***"
    )
    assert ("Retry-After", "2") in problem.rendered().headers


def test_every_error_that_is_answered_is_tested() -> None:
    """A new error cannot be added without its status."""
    assert {type(error) for error, _, _ in EVERY_ERROR} == {*WebError.__subclasses__(), *problems.LOWER}


def test_the_title_of_422_is_the_same_on_every_python() -> None:
    """Python 3.13 renamed it; the same request must have the same bytes."""
    assert json.loads(Problem(422, "why").rendered().body)["title"] == "Unprocessable Content"


def test_a_fault_of_the_server_has_no_details() -> None:
    assert (
        json.loads(problems.INTERNAL.rendered().body)["detail"] == "this is a fault of the server; it has been logged"
    )
