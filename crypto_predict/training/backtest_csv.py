"""``--backtest FILE.csv``: every forecast of the backtest, one a row, all out of sample."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields

from crypto_predict.forecasting.evaluation.replay import Row
from crypto_predict.market import Pair

COLUMNS = ("pair", *(field.name for field in fields(Row)))


def as_csv(rows: Mapping[Pair, Iterable[Row]]) -> bytes:
    """The rows as a CSV file: ``pair,cutoff,horizon_days,target,actual,prediction,low,high,persistence``.

    A forecast is made at the close of the UTC day `cutoff`, with nothing but what was known by then, for the close of
    the day `target`. Prices are in the quote currency, with twelve significant digits.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair, forecasts in rows.items():
        writer.writerows([str(pair), *map(_cell, astuple(row))] for row in forecasts)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
