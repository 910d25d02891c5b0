"""Ledgers made by hand, for tests that need one without training."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import NormalDist
from typing import Any

from crypto_predict.baked.ledger import (
    DAYS,
    HOURS,
    HOURS_A_DAY,
    MODEL_DAYS,
    NO_ENTRY,
    Content,
    HourlyOutcome,
    Ledger,
    Outcome,
    Release,
    entry_after,
    read_entry,
)
from crypto_predict.baked.models import Quantiles
from crypto_predict.baked.schema import Anchor
from crypto_predict.forecasting.record import Record
from crypto_predict.market import DAY, Pair
from crypto_predict.market.forecast import LEVELS
from tests.support.models import BTC

START = date(2024, 5, 17)  # the last candle of the first release
TOUCHED = (0.02, 0.1, 0.2, 0.4, 0.8, 0.8, 0.4, 0.2, 0.1, 0.02)  # the probabilities of a touch, at each horizon
SCORES = [NormalDist().inv_cdf(level) for level in LEVELS]


def make_release(last: date = START, pair: Pair = BTC) -> Release:
    """A release made ten minutes after the candle of `last` closed, at a price of 100."""
    close = datetime(last.year, last.month, last.day, tzinfo=UTC) + DAY
    prices = tuple(round(100 * 1.01**horizon, 2) for horizon in range(1, DAYS + 1))
    return Release(
        pair=pair,
        simulated=False,
        source="alpaca",
        history_sha256="0" * 64,
        made_at=close.replace(minute=10),
        build=f"0.3.1-{close:%Y%m%d}001000",
        anchor=Anchor(close, 100.0),
        last=last,
        prediction=prices,
        low=tuple(round(price * 0.9, 2) for price in prices),
        high=tuple(round(price * 1.1, 2) for price in prices),
        quantiles=tuple(
            tuple(round(price * share, 2) for share in (0.86, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)) for price in prices
        ),
        volatility=0.03,
        models={name: make_quantiles(width) for name, width in (("combined", 1.0), ("garch", 0.8))},
        hours=make_quantiles(days=[hours / 24 for hours in HOURS]),
        touched=(TOUCHED,) * 6,
    )


def make_quantiles(width: float = 1.0, shift: float = 0.0, days: Sequence[float] = MODEL_DAYS) -> Quantiles:
    """The quantiles so many days ahead of a Gaussian around 100, moved by `shift`: 3 % a day, times `width`."""
    return tuple(
        tuple(float(f"{100 * math.exp(shift + 0.03 * width * ahead**0.5 * score):.6g}") for score in SCORES)
        for ahead in days
    )


def make_outcome(day: date = START + DAY, close: float = 101.0, pair: Pair = BTC) -> Outcome:
    return Outcome(pair, False, day, close, 1.01 * close, 0.99 * close, "alpaca")


def make_hours(day: date, closes: Mapping[int, float], pair: Pair = BTC) -> HourlyOutcome:
    """The outcome of a day whose hours that open at these have a candle, with a range of 1 % around each close."""
    of_hours = [closes.get(hour) for hour in range(HOURS_A_DAY)]
    highs, lows = (tuple(None if close is None else share * close for close in of_hours) for share in (1.01, 0.99))
    return HourlyOutcome(pair, False, day, tuple(of_hours), highs, lows, "alpaca")


def make_ledger(*contents: Content) -> bytes:
    ledger = Ledger()
    for content in contents:
        ledger.append(content)
    return data_of(ledger)


def record_of(folder: Path, *entries: Content, after: Record | None = None) -> Record:
    """The record of a ledger with these entries, after those of another."""
    ledger = Ledger() if after is None else after.ledger
    for entry in entries:
        ledger.append(entry)
    path = folder / f"{len(list(folder.iterdir()))}.jsonl"
    path.write_bytes(data_of(ledger))
    return Record.read(path)


def data_of(ledger: Ledger) -> bytes:
    return b"".join(ledger.content())


def contents(data: bytes) -> list[Content]:
    result, previous = [], NO_ENTRY
    for line in data.splitlines(keepends=True):
        content, previous = read_entry(line, previous)
        result.append(content)
    return result


def members(content: Content) -> dict[str, Any]:
    """The members of a first line with this content, except those that chain it."""
    data = json.loads(entry_after(content, NO_ENTRY)[1])
    return {name: value for name, value in data.items() if name not in {"sha256", "previous"}}


def sealed(*contents: bytes | dict[str, Any]) -> bytes:
    """Return a ledger of any content, chained as documented."""
    lines, previous = [], NO_ENTRY
    for content in contents:
        text = content
        if isinstance(text, dict):
            text = json.dumps({"previous": previous, **text}, sort_keys=True, separators=(",", ":")).encode()
        previous = hashlib.sha256(text).hexdigest()
        lines.append(text[:-1] + f',"sha256":"{previous}"}}\n'.encode())
    return b"".join(lines)
