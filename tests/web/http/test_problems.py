import json
from datetime import UTC, date, datetime

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
from crypto_predict.market.register import OutageKey
from crypto_predict.web.collected.database import Overloaded
from crypto_predict.web.collected.outages import NoSuchOutage
from crypto_predict.web.collected.series import NotCollected
from crypto_predict.web.folder.catalogue import UnusableFile
from crypto_predict.web.http import problems
from crypto_predict.web.http.problems import BadParameter, Problem
from crypto_predict.web.page.releases import ReleasesUnavailable

OUTSIDE = OutOfRange(date(2030, 1, 1), date(2023, 1, 1), date(2025, 5, 17))
EVERY_ERROR: list[tuple[CryptoPredictError, int, dict[str, object]]] = [
    (Problem(503, "it stops"), 503, {}),
    (Problem(503, "it is old", lag_seconds=None), 503, {"lag_seconds": None}),
    (BadParameter("day", "what is that"), 400, {"parameter": "day"}),
    (InvalidValue("date", "yesterday", "a date"), 400, {"parameter": "date"}),
    (OUTSIDE, 422, {"parameter": "date", "detail": f"date: {OUTSIDE}"}),
    (UnknownPair("DOGE/USD", ["BTC/USD"]), 404, {"parameter": "pair"}),
    (NoProphetInterval(date(2024, 6, 1), date(2024, 5, 17)), 422, {"parameter": "model"}),
    (NotCollected("source", "kraken", []), 404, {"parameter": "source"}),
    (NoSuchOutage(OutageKey("binance", False, datetime(2026, 11, 1, tzinfo=UTC))), 404, {"parameter": "id"}),
    (Overloaded(), 503, {}),
    (UnusableFile(Pair("BTC", "USD"), "it is empty"), 503, {"parameter": "pair"}),
    (ReleasesUnavailable("the ledger is being read", 10), 503, {}),
    (DatabaseError("", "it is locked"), 503, {"detail": "the database cannot be read: it is locked"}),
]


@pytest.mark.parametrize(("error", "status", "members"), EVERY_ERROR, ids=lambda value: type(value).__name__)
def test_every_error_has_its_status_and_members(
    error: CryptoPredictError, status: int, members: dict[str, object]
) -> None:
    """A problem carries them; one table has those of errors of lower floors."""
    common = {"type": "about:blank", "title": problems.TITLES[status], "status": status, "detail": str(error)}
    assert json.loads(problems.of_error(error).rendered().body) == common | members


def test_a_problem_says_when_to_ask_again() -> None:
    headers = Problem(401, "no", retry_seconds=7, headers=[("Vary", "Accept")]).rendered().headers
    assert headers[-2:] == [("Vary", "Accept"), ("Retry-After", "7")]
    assert ("Cache-Control", "no-store") in headers


def test_a_problem_of_the_database_names_no_host_user_or_file() -> None:
    """Operators read them in the log; everyone else reads the answer."""
    reason = 'connection to server at "db.internal" (10.0.0.3), port 5432 failed: no password for user "market"'
    problem = problems.of_error(DatabaseError("postgresql://***@db.internal/market", reason))
    assert str(problem) == (
        "the database cannot be read: connection to server at ***, port 5432 failed: no password for user ***"
    )
    assert ("Retry-After", "2") in problem.rendered().headers


def test_every_error_that_is_answered_is_tested() -> None:
    """A new error cannot be added without its status."""
    assert {type(error) for error, _, _ in EVERY_ERROR} == {Problem, *Problem.__subclasses__(), *problems.LOWER}


def test_the_title_of_422_is_the_same_on_every_python() -> None:
    """Python 3.13 renamed it; the same request must have the same bytes."""
    assert json.loads(Problem(422, "why").rendered().body)["title"] == "Unprocessable Content"


def test_a_fault_of_the_server_has_no_details() -> None:
    detail = json.loads(problems.INTERNAL.rendered().body)["detail"]
    assert detail == "this is a fault of the server; it has been logged"
