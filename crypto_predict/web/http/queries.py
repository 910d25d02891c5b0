"""Parse query strings and paths. A client may send any text: messages repeat it shortened.

Whatever parses a question raises `BadParameter` or `InvalidValue`, which name the parameter at fault.
"""

import contextlib
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from urllib.parse import parse_qsl

from crypto_predict.errors import InvalidValue, shortened
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.wording import listed

# These patterns mean the same in Python and in ECMAScript, which OpenAPI uses.
DAY_PATTERN = "(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME_PATTERN = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
# A plus sign in a query string means a space, so a space before an offset was meant as a plus sign.
OFFSET_PATTERN = "[Zz]|[+ -]([01][0-9]|2[0-3])(:?[0-5][0-9])?"
MOMENT_PATTERN = f"^{DAY_PATTERN}([Tt ]{TIME_PATTERN}({OFFSET_PATTERN})?)?$"

DAY_EXPECTED = "an ISO date such as 2024-06-01"
MOMENT_EXPECTED = f"{DAY_EXPECTED} or an ISO date-time such as 2024-06-01T12:00:00Z"

FORMAT, FORMATS = "format", ("csv", "json")  # a parameter of every address that answers with a table, and its values

_MOMENT = re.compile(f"(?P<day>{DAY_PATTERN})([Tt ](?P<time>{TIME_PATTERN})(?P<offset>{OFFSET_PATTERN})?)?")
_DAY = re.compile(DAY_PATTERN)
# As for an offset: a space before an exponent was meant as a plus sign.
_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([Ee][+ -]?[0-9]+)?")


def parameters(query: str, names: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the parameters of a query string by their names; each may be given once, and must be in `names`."""
    members = parse_qsl(query, keep_blank_values=True, errors="replace")
    values = dict(members)
    for name in values:
        if name not in names:
            taken = f"which takes {listed(names)}" if names else "which takes no parameters"
            raise BadParameter(shortened(name), f"{shortened(name)!r} is not a parameter of this address, {taken}")
    if len(values) < len(members):
        raise BadParameter(repeated(members), f"{repeated(members)} is given more than once")
    return values


def repeated(members: Sequence[tuple[str, object]]) -> str:
    """Return the first name that several members share."""
    names = [name for name, _ in members]
    return next(name for name in names if names.count(name) > 1)


def file_format(pair: str, query: str) -> tuple[str, str | None]:
    """Return the pair of a path without the ending ``.csv``, and the format that path or query ask for, if one does."""
    chosen = dict(parse_qsl(query, keep_blank_values=True, errors="replace")).get(FORMAT)
    if chosen is not None and chosen not in FORMATS:
        raise InvalidValue(FORMAT, chosen, " or ".join(FORMATS))
    stem = pair.removesuffix(".csv")
    if stem == pair:
        return pair, chosen
    if chosen == "json":
        raise BadParameter(FORMAT, "format is json, but the path ends with .csv: leave out one of them")
    return stem, "csv"


def moment(name: str, text: str) -> date | datetime:
    """Parse a day or an instant, which is in UTC if it has no offset.

    A date-time is returned in UTC; with its offset if UTC places it outside the years 1 to 9999.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise InvalidValue(name, text, MOMENT_EXPECTED)
    try:
        if match["time"] is None:
            return date.fromisoformat(match["day"])
        offset = (match["offset"] or "Z").upper().replace(" ", "+")
        instant = datetime.fromisoformat(f"{match['day']}T{match['time']}{offset}")
    except ValueError as error:
        raise InvalidValue(name, text, MOMENT_EXPECTED) from error
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return instant


def day(name: str, text: str) -> date:
    """Parse a day."""
    if _DAY.fullmatch(text):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(text)
    raise InvalidValue(name, text, DAY_EXPECTED)


def number(text: str) -> float | None:
    """Parse a decimal number without a sign; None if the text is not one."""
    return float(text.replace(" ", "+")) if _NUMBER.fullmatch(text) else None
