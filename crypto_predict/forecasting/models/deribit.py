"""``deribit``: the range that prices of options imply, by the volatility index DVOL of the exchange Deribit.

Wire format, without a key::

    GET /public/get_volatility_index_data?currency=BTC&start_timestamp=...&end_timestamp=...&resolution=1D
    {"result": {"data": [[1715904000000, 55.1, 56.0, 54.2, 55.7], ...], "continuation": 1710000000000}}

A row has the opening of its day in milliseconds since 1970, UTC, and open, high, low and close of the index. While
``continuation`` is not null, the days before are asked for with it as ``end_timestamp``. The index is the annualised
standard deviation that is expected of the next 30 days, in per cent; some documentation shows it as a share.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import requests
from scipy.special import ndtri

from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import Pair

API_URL = "https://www.deribit.com/api/v2"
CURRENCIES = ("BTC", "ETH")
FIRST = datetime(2021, 3, 24, tzinfo=UTC)  # of the index

_SECONDS = 20  # for one answer
_MOST_PAGES = 50
_STALEST = 3  # days that the index may lie before the newest close
_LEAST_PER_CENT = 3.0  # a smaller index is a share
_YEAR = 365.25


class Deribit:
    """The price stays as it is; its moves have the deviation that options imply, from a normal distribution."""

    name, refit_every, updates = "deribit", 1, False

    def __init__(self, pair: Pair, until: date, environ: Mapping[str, str]) -> None:
        """Read the whole index up to a day.

        Raises:
            ModelFailed: The pair has no index, or it cannot be read.
        """
        if pair.base not in CURRENCIES:
            raise ModelFailed(self.name, f"there is an index of {' and '.join(CURRENCIES)} only, not of {pair.base}")
        self._index = _read(pair.base, until, environ.get("DERIBIT_API_URL") or API_URL)
        self.first_cutoff = self._index.index[0].date()

    def fit(self, history: pd.DataFrame) -> None:
        """Take the index at the newest close."""
        day = history.index[-1]
        known = self._index.loc[day - pd.Timedelta(days=_STALEST) : day]
        if known.empty:
            raise ModelFailed(self.name, f"the index of {day:%Y-%m-%d} is missing")
        self._close, self._deviation = float(history["close"].iloc[-1]), float(known.iloc[-1]) / math.sqrt(_YEAR)

    update = fit

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Return (horizons, levels) quantiles."""
        moves = self._deviation * np.sqrt(horizons)[:, None] * ndtri(levels)
        return np.asarray(self._close * np.exp(moves))


def _read(currency: str, until: date, url: str) -> "pd.Series[float]":
    """Return the closes of the index as shares, by the day."""
    rows: dict[int, float] = {}
    end: int | None = int(datetime(until.year, until.month, until.day, 23, 59, tzinfo=UTC).timestamp() * 1000)
    for _ in range(_MOST_PAGES):
        query: dict[str, str | int | None] = {
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
            raise ModelFailed(Deribit.name, f"its index cannot be read: {type(error).__name__}") from error
        rows |= page
        if following is None or (end is not None and following >= end):
            break
        end = following
    if not rows:
        raise ModelFailed(Deribit.name, "its index is empty")
    days = pd.to_datetime(sorted(rows), unit="ms", utc=True).normalize()
    closes = np.array([rows[time] for time in sorted(rows)])
    return pd.Series(closes / 100 if np.median(closes) > _LEAST_PER_CENT else closes, days)


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
        raise ModelFailed(Deribit.name, "its index cannot be read: another form of answer") from error
