"""``--backtest FILE.csv``: every forecast of the backtest, one a row, all out of sample."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields

from crypto_predict.forecasting.evaluation.replay import Row
from crypto_predict.market import Pair


def as_csv(rows: Mapping[Pair, Iterable[Row]]) -> bytes:
    """Format a CSV file: ``pair,cutoff,horizon_days,target,actual,prediction,low,high,persistence``.

    A forecast is made at the close of the UTC day `cutoff`, with nothing but what was known by then, for the close of
    the day `target`. Prices are in the quote currency, with twelve significant digits.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["pair", *(field.name for field in fields(Row))])
    for pair, forecasts in rows.items():
        for row in forecasts:
            cells = (f"{value:.12g}" if isinstance(value, float) else value for value in astuple(row))
            writer.writerow([pair, *cells])
    return text.getvalue().encode()
