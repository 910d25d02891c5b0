"""The volatility index DVOL of the exchange Deribit, without a key.

Wire format::

    GET /public/get_volatility_index_data?currency=BTC&start_timestamp=...&end_timestamp=...&resolution=1D
    {"result": {"data": [[1715904000000, 55.1, 56.0, 54.2, 55.7], ...], "continuation": 1710000000000}}
    {"error": {"code": -32602, "message": "Invalid params"}}

A row has the opening of its day in milliseconds since 1970, UTC, and open, high, low and close of the index. While
``continuation`` is not null, the days before are asked for with it as ``end_timestamp``. The index is the annualised
standard deviation that is expected of the next 30 days, in per cent; some documentation shows it as a share.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from statistics import median

from crypto_predict.errors import SourceError
from crypto_predict.sources.exchange import Address, Bounds, Settings
from crypto_predict.sources.network.limits import Allowance
from crypto_predict.sources.network.retry import RetryPolicy
from crypto_predict.sources.network.session import BoundedSession, answer_within, seconds_left
from crypto_predict.sources.network.wire import Malformed, instant, milliseconds, number, rows, whole

API = Address("DERIBIT_API_URL", "https://www.deribit.com/api/v2")
CURRENCIES = ("BTC", "ETH")
FIRST = datetime(2021, 3, 24, tzinfo=UTC)  # of the index

_ID = "deribit"
_MOST_DAYS = 10_000  # of one answer
_DAY = 86_400_000  # milliseconds
_LEAST_PER_CENT = 3.0  # a smaller index is a share
_PRODUCTION = RetryPolicy()


def read_index(
    currency: str, until: date, environ: Mapping[str, str], policy: RetryPolicy = _PRODUCTION
) -> dict[date, float]:
    """Return the closes of the index as shares, ascending by the UTC day, up to `until`.

    Raises:
        InvalidValue: ``DERIBIT_API_URL`` is not an address, or a bound is not a number.
        SourceError: The index cannot be read, is empty, or exceeds the bounds of a history.
    """
    allowance, closes = Allowance(_ID, Bounds.from_environ(environ)), dict[date, float]()
    first, end = milliseconds(FIRST), milliseconds(datetime.combine(until, time(), UTC) + timedelta(days=1)) - 1
    with BoundedSession("Deribit", Settings(API.read(environ)), policy) as session:
        while end >= first:
            with answer_within(allowance.seconds()):
                page, end = policy.run(_ID, partial(_page, session, currency, first, end), seconds_left)
            allowance.take(len(page))
            closes |= page
    closes = {day: closes[day] for day in sorted(closes) if day <= until}
    if not closes:
        raise SourceError(_ID, f"the index of {currency} has no day up to {until}")
    unit = 100.0 if median(closes.values()) > _LEAST_PER_CENT else 1.0
    return {day: close / unit for day, close in closes.items()}


def _page(session: BoundedSession, currency: str, first: int, end: int) -> tuple[dict[date, float], int]:
    """Return the closes of one answer by their days, and the end of the page before, in milliseconds; -1 if none."""
    query: dict[str, str | int] = {
        "currency": currency,
        "start_timestamp": first,
        "end_timestamp": end,
        "resolution": "1D",
    }
    answer = session.read("/public/get_volatility_index_data", query)
    try:
        result = answer.get("result") if isinstance(answer, Mapping) else None
        if not isinstance(result, Mapping):
            raise Malformed("no result")
        page = dict(map(_close, rows(result.get("data"), "days", _MOST_DAYS)))
        following = -1 if result.get("continuation") is None else whole(result["continuation"], "continuation")
        if following >= end:
            raise Malformed("'continuation' is not before the end that was asked for")
        return page, following
    except Malformed as error:
        raise session.malformed(str(error)) from None


def _close(row: object) -> tuple[date, float]:
    """Return the day at whose end, or before, the row had closed, and its close."""
    if not isinstance(row, list) or len(row) < 5:
        raise Malformed("a day that is not a list of 5 values")
    close = number(row[4], "close")
    if not 0 < close < float("inf"):
        raise Malformed("'close' is not a positive number")
    return instant(whole(row[0], "time") + _DAY - 1, "time").date(), close
