"""A body with its headers, and how values become one: JSON, CSV."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from crypto_predict.baked import plain
from crypto_predict.market import Pair

JSON, CSV = "application/json", "text/csv"
CSV_TYPE = f"{CSV}; charset=utf-8; header=present"

Headers = list[tuple[str, str]]

PAIR, SIMULATED = "Crypto-Predict-Pair", "Crypto-Predict-Simulated"
STALE = ("Crypto-Predict-Stale", "true")  # of answers of a model that is too old, or its newest price
PROVENANCE = ("Crypto-Predict-Kind", "Crypto-Predict-As-Of", PAIR, "Crypto-Predict-Model", SIMULATED)
SERIES = ("Crypto-Predict-Source", "Crypto-Predict-Interval")  # of candles

# The headers of every answer.
COMMON: Headers = [
    ("Access-Control-Allow-Origin", "*"),
    # Pages of other origins may read only these in addition to a few standard headers.
    (
        "Access-Control-Expose-Headers",
        ", ".join([*PROVENANCE, STALE[0], *SERIES, "Date", "ETag", "Link", "Retry-After"]),
    ),
    ("X-Content-Type-Options", "nosniff"),
]


class Rendered(NamedTuple):
    """The body of an answer, and the headers that describe it."""

    body: bytes
    headers: Headers  # shared between answers: do not change
    pair: Pair | None = None  # that it is about; None: several, or none
    status: int = 200


def render(value: Any, *, simulated: bool = False, pair: Pair | None = None) -> Rendered:
    """Render a value (see `plain.encode`), which is about `pair`, as JSON."""
    return json_body(f"{json.dumps(plain.encode(value))}\n".encode(), simulated_header(simulated), pair)


def render_rows(rows: Sequence[Any]) -> Rendered:
    """Render dataclasses as a JSON list, which is marked if one of them rests on invented prices."""
    return render(rows, simulated=any(row.simulated for row in rows))


def json_body(body: bytes, headers: Headers, pair: Pair | None = None) -> Rendered:
    """Return JSON about `pair`, with further `headers`."""
    return Rendered(body, [("Content-Type", JSON), ("Content-Length", str(len(body))), *headers], pair)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return CSV (RFC 4180): a header, then a line for each row. None is empty; booleans are written as in JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows)
    return text.getvalue().encode()


def file_headers(body: bytes, *parts: str) -> Headers:
    """Return the headers of a table that is downloaded under a name of these parts."""
    name = ("Content-Disposition", f'attachment; filename="{"-".join(parts)}.csv"')
    return [("Content-Type", CSV_TYPE), ("Content-Length", str(len(body))), name]


def simulated_header(simulated: bool) -> Headers:
    """Return the header that marks invented prices, if they are."""
    return [(SIMULATED, "true")] if simulated else []
