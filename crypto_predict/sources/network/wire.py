"""Read the values in an exchange's JSON, unchanged, even NaN and negative prices: `history` judges them.

Texts of an exchange are prepared for a log.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from crypto_predict.market import EPOCH
from crypto_predict.settings import masked

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_MILLISECOND = timedelta(milliseconds=1)
_SHORTEST_SECRET = 4  # characters; shorter ones are masked as whole words only


class Malformed(ValueError):
    """An answer is not in the format of the exchange. The message does not quote it."""


def json_object(text: str | bytes) -> Mapping[str, object]:
    """Return the JSON object of a message, which is text."""
    try:
        message = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Malformed("no JSON object")
    return message


def rows(value: object, name: str, most: int) -> list[object]:
    """Return a list of at most `most` candles, the number that was asked for."""
    if not isinstance(value, list):
        raise Malformed(f"no list of {name}")
    if len(value) > most:
        raise Malformed(f"{len(value):,} {name}, and no more than {most:,} were asked for")
    return value


def number(value: object, name: str) -> float:
    """Return a number of JSON."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Malformed(f"{name!r} is missing or not a number")
    try:
        return float(value)
    except OverflowError:
        raise Malformed(f"{name!r} is too large") from None


def decimal(value: object, name: str) -> float:
    """Return a number that may be written as a text: ``"35000.10"``."""
    # `float` alone reads digits of any script, 1_0 and spaces. A regular expression takes twice as long.
    if isinstance(value, str) and value.isascii() and "_" not in value and value.strip() == value:
        try:
            return float(value)
        except ValueError:
            pass
    return number(value, name)


def whole(value: object, name: str) -> int:
    """Return a whole number that may be written as a text."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(f"{name!r} is missing or not a whole number")
    if abs(value) >= 10**18:
        raise Malformed(f"{name!r} is too large")
    return value


def instant(value: object, name: str) -> datetime:
    """Return the instant of a number of milliseconds since 1970, in UTC."""
    try:
        return EPOCH + whole(value, name) * _MILLISECOND
    except OverflowError:
        raise Malformed(f"{name!r} is out of range; it should be in milliseconds") from None


def moment(value: object, name: str) -> datetime:
    """Return the instant of a text such as ``2024-05-17T00:00:00Z``, in UTC."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.utcoffset() is None:
        raise Malformed(f"{name!r} is missing or not an RFC 3339 time")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise Malformed(f"{name!r} is out of range") from None


def milliseconds(moment: datetime) -> int:
    """Return the whole milliseconds since 1970."""
    return (moment - EPOCH) // _MILLISECOND


def sanitizer(keys: Iterable[str], *addresses: str) -> Callable[[str], str]:
    """Return what makes a text from outside fit for a log: without secrets and control characters, and short.

    The secrets are the `keys`, and the user names and passwords in the `addresses`: as written, decoded, and as HTTP
    sends them.
    """
    secrets = set(keys)
    for address in addresses:
        user = address.partition("//")[2].rpartition("@")[0]
        parts = [user, *user.split(":", 1)]
        sent = base64.b64encode(unquote(user).encode("utf-8", "replace")).decode()
        secrets.update((*parts, *map(unquote, parts), sent))
    # The longest first, as one may begin like another. A user called u would turn "refused" into "ref***sed".
    pattern = "|".join(
        re.escape(secret) if len(secret) >= _SHORTEST_SECRET else rf"(?<!\w){re.escape(secret)}(?!\w)"
        for secret in sorted(secrets - {""}, key=len, reverse=True)
    )

    def sanitize(text: str) -> str:
        text = masked(re.sub(pattern or "(?!)", "***", text))
        text = "".join(letter if letter.isprintable() else " " for letter in text[:500])
        return text if len(text) <= 200 else f"{text[:200]}..."

    return sanitize
