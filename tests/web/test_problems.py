import json
from datetime import date

import pytest

from crypto_predict.errors import CryptoPredictError, InvalidValue, NoProphetInterval, OutOfRange, UnknownPair
from crypto_predict.web import problems
from crypto_predict.web.answers import NoBitcoin, OutsideModel
from crypto_predict.web.problems import Problem
from crypto_predict.web.questions import BadParameter

RANGE = OutOfRange(date(2030, 1, 1), date(2023, 1, 1), date(2025, 5, 17))

EVERY_ERROR: list[tuple[CryptoPredictError, int, dict[str, object]]] = [
    (BadParameter("day", "what is that"), 400, {"parameter": "day"}),
    (InvalidValue("date", "yesterday", "a date"), 400, {"parameter": "date"}),
    (OutsideModel("end", RANGE), 422, {"parameter": "end"}),
    (UnknownPair("DOGE/USD", ["BTC/USD"]), 404, {"parameter": "pair"}),
    (NoBitcoin("BTC/USD", ["ETH/USD"]), 404, {}),
    (NoProphetInterval(date(2024, 6, 1), date(2024, 5, 17)), 422, {"parameter": "model"}),
]


@pytest.mark.parametrize(("error", "status", "members"), EVERY_ERROR, ids=lambda value: type(value).__name__)
def test_every_error_has_its_status_and_members(
    error: CryptoPredictError, status: int, members: dict[str, object]
) -> None:
    """One table maps errors to HTTP."""
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


def test_every_error_of_the_table_is_tested() -> None:
    """A new error cannot be added without its status."""
    assert {type(error) for error, _, _ in EVERY_ERROR} == set(problems.STATUS)


def test_the_title_of_422_is_the_same_on_every_python() -> None:
    """Python 3.13 renamed it; the same request must have the same bytes."""
    assert json.loads(Problem(422, "why").rendered().body)["title"] == "Unprocessable Content"


def test_a_fault_of_the_server_has_no_details() -> None:
    assert (
        json.loads(problems.INTERNAL.rendered().body)["detail"] == "this is a fault of the server; it has been logged"
    )
