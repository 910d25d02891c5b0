"""The volatility index DVOL of the exchange Deribit, without a key.

Wire format::

    GET /public/get_volatility_index_data?currency=BTC&start_timestamp=...&end_timestamp=...&resolution=1D
    {"result": {"data": [[1715904000000, 55.1, 56.0, 54.2, 55.7], ...], "continuation": 1710000000000}}

A row has the opening of its day in milliseconds since 1970, UTC, and open, high, low and close of the index. While
``continuation`` is not null, the days before are asked for with it as ``end_timestamp``. The index is the annualised
standard deviation that is expected of the next 30 days, in per cent; some documentation shows it as a share.
"""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from statistics import median
from typing import Any

import requests

from crypto_predict.errors import SourceError

API_URL = "https://www.deribit.com/api/v2"
CURRENCIES = ("BTC", "ETH")
FIRST = datetime(2021, 3, 24, tzinfo=UTC)  # of the index

_SECONDS = 20  # for one answer
_MOST_PAGES = 50
_LEAST_PER_CENT = 3.0  # a smaller index is a share


def read_index(currency: str, until: date, environ: Mapping[str, str]) -> dict[date, float]:
    """Return the closes of the index as shares, by the UTC day, up to `until`.

    Raises:
        SourceError: It cannot be read, or is empty.
    """
    url = environ.get("DERIBIT_API_URL") or API_URL
    rows: dict[int, float] = {}
    end = int(datetime(until.year, until.month, until.day, 23, 59, tzinfo=UTC).timestamp() * 1000)
    for _ in range(_MOST_PAGES):
        query: dict[str, str | int] = {
            "currency": currency,
            "start_timestamp": int(FIRST.timestamp() * 1000),
            "end_timestamp": end,
            "resolution": "1D",
        }
        try:
            answer = requests.get(f"{url}/public/get_volatility_index_data", query, timeout=_SECONDS)
            answer.raise_for_status()
            page, following = _page(answer.json())
        except requests.RequestException as error:
            raise SourceError("deribit", f"the index cannot be read: {type(error).__name__}") from error
        rows |= page
        if following is None or following >= end:
            break
        end = following
    if not rows:
        raise SourceError("deribit", "the index is empty")
    unit = 100.0 if median(rows.values()) > _LEAST_PER_CENT else 1.0
    return {datetime.fromtimestamp(time / 1000, UTC).date(): close / unit for time, close in sorted(rows.items())}


def _page(answer: Any) -> tuple[dict[int, float], int | None]:
    """Return the closes of an answer by their times, and the end of the page before."""
    try:
        result = answer["result"]
        page = {int(row[0]): float(row[4]) for row in result["data"]}
        following = result["continuation"]
        if not all(0 < close < math.inf for close in page.values()):
            raise ValueError
        return page, None if following is None else int(following)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SourceError("deribit", "the index has another form") from error
