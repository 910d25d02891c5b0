"""Forecasts that somebody has published, from a CSV: ``cutoff,target,level,price``.

A row is one quantile of the close of the day `target`, forecast at the close of the day `cutoff`; a forecast whose rows
have no level, or 0.5 alone, is a point. Levels that are not among ours are interpolated, linearly in log price over the
normal scores of the levels. Days are written in ISO 8601; the midnight at which a day begins stands for the day, and so
does any time of the cutoff's day. Semicolons and tabs may separate the columns, with decimal commas in the numbers. The
text is UTF-8, or UTF-16 with a byte order mark, as Excel writes "Unicode text".
"""

import codecs
import math
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS

MOST_ROWS = 5_000_000

_DAYS = ("cutoff", "target")

Published = dict[tuple[int, int], FloatArray]  # (7,) log prices by the cutoff's ordinal and the horizon in days


def read_published(path: Path) -> tuple[Published, bool]:
    """Return the forecasts of a file, and whether they are points, all seven values of which are equal.

    Raises:
        ModelFailed: It cannot be read, or a value is not a day, a level or a price.
    """
    name = path.stem
    table, separator = _read(name, path)
    times = {column: pd.to_datetime(table[column], utc=True, format="ISO8601", errors="coerce") for column in _DAYS}
    numbers = {
        column: pd.to_numeric(table[column].str.replace(",", ".") if separator != "," else table[column], "coerce")
        for column in ("level", "price")
    }
    days = pd.DataFrame({column: time.dt.floor("D") for column, time in times.items()})
    keys = days.assign(level=numbers["level"])
    for column, fault, wrong in (
        ("cutoff", "is not a day such as 2025-01-31", days["cutoff"].isna()),
        ("target", "is not a day such as 2025-01-31", days["target"].isna() | (times["target"] != days["target"])),
        ("target", "is not after its cutoff", days["target"] <= days["cutoff"]),
        (
            "level",
            "is not between 0 and 1; 10 % is written 0.1",
            (table["level"] != "") & ~numbers["level"].between(0, 1, inclusive="neither"),
        ),
        ("price", "is not a positive number", ~((numbers["price"] > 0) & np.isfinite(numbers["price"]))),
        (
            "price",
            "is not that of an earlier row with the same cutoff, target and level",
            keys.duplicated() & ~keys.assign(price=numbers["price"]).duplicated(),
        ),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ModelFailed(name, f"{path.name}, row {row + 2}: the {column} {table[column][row]!r:.40} {fault}")
    cutoffs, targets = (days[column].map(pd.Timestamp.toordinal) for column in _DAYS)
    rows = defaultdict[tuple[int, int], list[tuple[float, float]]](list)
    for cutoff, target, level, price in zip(cutoffs, targets, numbers["level"], numbers["price"], strict=True):
        rows[cutoff, target - cutoff].append((level, price))
    are_points = bool((numbers["level"].isna() | (numbers["level"] == 0.5)).all())
    return {place: _quantiles(name, quantiles, are_points) for place, quantiles in rows.items()}, are_points


def _read(name: str, path: Path) -> tuple[pd.DataFrame, str]:
    """Return the columns of a file as texts, and what separates them."""
    try:
        with path.open(encoding=_encoding(path)) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of a row with too many fields
            separator = max(",;\t", key=file.readline().count)
            file.seek(0)
            table = pd.read_csv(file, sep=separator, dtype=str, index_col=False, nrows=MOST_ROWS + 1)
    except (OSError, ValueError, pd.errors.ParserWarning) as error:  # a parser's error is a ValueError, too
        raise ModelFailed(name, f"{path.name} cannot be read: {' '.join(str(error).split()):.100}") from error
    table.columns = table.columns.str.strip().str.lower()
    if missing := {"cutoff", "target", "price"} - set(table.columns):
        raise ModelFailed(name, f"{path.name} has no column {', '.join(sorted(missing))}")
    if not 0 < len(table) <= MOST_ROWS:
        raise ModelFailed(name, f"{path.name} has {'no rows' if table.empty else f'more than {MOST_ROWS:,} rows'}")
    table = table if "level" in table else table.assign(level="")
    return table.fillna("").apply(lambda column: column.str.strip()), separator


def _encoding(path: Path) -> str:
    """Return the encoding of a file by its byte order mark, which UTF-8 may lack."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig"


def _quantiles(name: str, quantiles: list[tuple[float, float]], are_points: bool) -> FloatArray:
    """Return (7,) the log prices at `LEVELS` of one forecast."""
    if are_points:
        return np.full(len(LEVELS), np.log(quantiles[0][1]))
    ascending = sorted({level: price for level, price in quantiles if not math.isnan(level)}.items())
    if len(ascending) < 2:
        raise ModelFailed(name, "a forecast has fewer than two levels")
    scores, prices = ndtri([level for level, _ in ascending]), np.log([price for _, price in ascending])
    if (np.diff(prices) < 0).any():
        raise ModelFailed(name, "the quantiles of a forecast cross")
    slopes, wanted = np.diff(prices) / np.diff(scores), ndtri(LEVELS)
    beyond = np.minimum(wanted - scores[0], 0) * slopes[0] + np.maximum(wanted - scores[-1], 0) * slopes[-1]
    return np.asarray(np.interp(wanted, scores, prices) + beyond)
