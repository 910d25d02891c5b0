"""Poisoned histories, given to the real command as files: each is refused, with its reason, and changes no file."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import train
from crypto_predict.market import DAY, EPOCH, Candle, Interval, Pair, Span
from crypto_predict.sources.simulated import Simulated

BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")
LAST = datetime(2025, 6, 30, tzinfo=UTC)
DAYS = 400
SPAN = Span(LAST - (DAYS - 1) * DAY, LAST + DAY)
MIDDLE, NEAR_END = DAYS // 2, DAYS - 20

Candles = list[Candle]


def clean(pair: Pair = BTC) -> Candles:
    """A sound history of 400 days, from a simulated market."""
    return list(Simulated(0).candles(pair, Interval.DAY_1, SPAN))


CLEAN, OTHER = clean(), clean(ETH)
SHUFFLED = Random(0).sample(CLEAN, DAYS)


def dated(values: Candle, day: Candle) -> Candle:
    """One candle's values under another's date."""
    return values._replace(open_time=day.open_time)


def later(candles: Candles, by: timedelta) -> Candles:
    """All of it shifted in time."""
    return [candle._replace(open_time=candle.open_time + by) for candle in candles]


def at(index: int, change: Callable[[Candle], Candle]) -> Candles:
    """The clean history with one candle changed."""
    return [*CLEAN[:index], change(CLEAN[index]), *CLEAN[index + 1 :]]


def since(index: int, change: Callable[[Candle], Candle]) -> Candles:
    """The clean history with every candle changed from one on."""
    return [*CLEAN[:index], *map(change, CLEAN[index:])]


def with_(name: str, value: float) -> Callable[[Candle], Candle]:
    """A change to one field of a candle."""
    changes: dict[str, Any] = {name: value}
    return lambda candle: candle._replace(**changes)


def times(factor: float) -> Callable[[Candle], Candle]:
    """A change of unit."""
    return lambda c: Candle(c.open_time, c.open * factor, c.high * factor, c.low * factor, c.close * factor, c.volume)


def flat_from(index: int) -> Candles:
    """Closes that stop moving, while the other prices still vary."""
    price = CLEAN[index].close
    rest = [
        Candle(candle.open_time, price, price * (1.0001 + 1e-6 * n), price * 0.9999, price, candle.volume)
        for n, candle in enumerate(CLEAN[index + 1 :])
    ]
    return [*CLEAN[: index + 1], *rest]


def reopened(candle: Candle, price: float) -> Candle:
    """The candle as if it had opened at this price."""
    return candle._replace(open=price, high=max(candle.high, price), low=min(candle.low, price))


def filled_weekends() -> Candles:
    """A stock exchange's calendar, with weekends filled in."""
    filled: Candles = []
    for candle in CLEAN:
        rests = candle.open_time.weekday() >= 5 and filled
        price = filled[-1].close if rests else candle.close
        filled.append(
            Candle(candle.open_time, price, price * 1.001, price * 0.999, price, 1.0)
            if rests
            else reopened(candle, filled[-1].close if filled else candle.open)
        )
    return filled


def pasted_block() -> Candles:
    """Thirty days once more, under the dates that follow them."""
    block = [dated(values, day) for values, day in zip(CLEAN[100:130], CLEAN[130:160], strict=True)]
    return [*CLEAN[:130], *block, *CLEAN[160:]]


def filled_in(first: int, last: int) -> Candles:
    """The days between filled in along a straight line, in every column."""
    ends = np.array([CLEAN[first - 1][1:6], CLEAN[last][1:6]], dtype=np.float64)
    rows = np.linspace(ends[0], ends[1], last - first + 2)[1:-1].tolist()
    lines = [Candle(CLEAN[first + n].open_time, *row) for n, row in enumerate(rows)]
    return [*CLEAN[:first], *lines, *CLEAN[last:]]


def with_closes(first: int, close: Callable[[int], float], volume: float = 1.0) -> Candles:
    """The clean history up to the day `first`, and these closes from then on."""
    candles = CLEAN[:first]
    for n in range(first, DAYS):
        opened, closed = candles[-1].close if candles else close(-1), close(n)
        high, low = max(opened, closed) * 1.001, min(opened, closed) * 0.999
        candles = [*candles, Candle(CLEAN[n].open_time, opened, high, low, closed, volume)]
    return candles


def hanging(days: int, noise: float) -> Candles:
    """The last days at one price, but for some noise in units of that price."""
    random, price = Random(2), CLEAN[DAYS - days - 1].close
    return with_closes(DAYS - days, lambda _: price * (1 + noise * random.uniform(-1, 1)))


def values_of(candles: Candles) -> Candles:
    """These values in this order under the clean history's dates."""
    return [dated(values, day) for values, day in zip(candles, CLEAN, strict=True)]


def without(*missing: int) -> Candles:
    """The clean history without some of its days."""
    return [candle for number, candle in enumerate(CLEAN) if number not in missing]


FIVE_PERCENT = Random(1).sample(range(1, DAYS - 1), DAYS // 20)

POISON: dict[str, tuple[Candles, str]] = {
    "a week old": (CLEAN[:-7], "stale: the newest candle, of 2025-06-23"),
    "one candle from the future": ([*CLEAN, CLEAN[-1]._replace(open_time=datetime(2999, 1, 1, tzinfo=UTC))], "future"),
    "a candle twice": ([*CLEAN[:MIDDLE], CLEAN[MIDDLE], *CLEAN[MIDDLE:]], "1 of 401 candles repeat an opening"),
    "a candle twice, differing": ([*CLEAN, times(1.01)(CLEAN[-1])], "1 of 401 candles repeat an opening; the first"),
    "the whole file twice": ([*CLEAN, *CLEAN], "400 of 800 candles repeat an opening"),
    "a block under new dates": (pasted_block(), "copied: 30 candles equal an earlier one"),
    "values shuffled": (values_of(SHUFFLED), "jump"),
    "values reversed": (values_of(CLEAN[::-1]), "detached"),
    "values of 30 days reversed": (
        values_of([*CLEAN[:200], *CLEAN[200:230][::-1], *CLEAN[230:]]),
        "detached: a day of 30 in a row opens",
    ),
    "closes shuffled": (
        [c._replace(close=other.close) for c, other in zip(CLEAN, SHUFFLED, strict=True)],
        "are impossible",
    ),
    "flat": ([Candle(c.open_time, 250.0, 250.0, 250.0, 250.0, 1.0) for c in CLEAN], "flat: the same close on 400 days"),
    "flat for three weeks": (flat_from(NEAR_END - 2), "flat: the same close on 22 days in a row up to 2025-06-30"),
    "frozen for four days": (
        [dated(CLEAN[300], c) if 300 < n < 304 else c for n, c in enumerate(CLEAN)],
        "frozen: the same open, high, low and close on 4 days in a row",
    ),
    "hanging for 30 days": (hanging(30, 1e-9), "almost flat: 30 days in a row up to 2025-06-30"),
    "hanging for most of its days": (hanging(300, 5e-7), "almost flat: 300 days in a row up to 2025-06-30"),
    "two weeks filled in": (filled_in(200, 214), "straight: the moves of 15 days in a row"),
    "365 days filled in": (filled_in(20, 385), "straight: the moves of"),
    "constant growth": (with_closes(0, lambda n: 100 * 1.001**n), "straight: the moves of 399 days in a row"),
    "closed at weekends": (filled_weekends(), "days close at the price of the day before"),
    "half a year missing to half a year": (CLEAN[-179:], "too short: 179 days; at least 180"),
    "29 days": (CLEAN[-29:], "too short: 29 days"),
    "ten days missing": (without(*range(200, 210)), "gap: 10 candles are missing in a row from 2024-12-13"),
    "every other day missing": (without(*range(0, DAYS, 2)), "gaps: 199 of 399 candles are missing"),
    "five percent missing": (without(*FIVE_PERCENT), "gaps: 20 of 400 candles are missing; at most 1.00%"),
    "weekly rows": (
        [c._replace(open_time=LAST - 7 * (LAST - c.open_time)) for c in CLEAN],
        "gap: 6 candles are missing in a row",
    ),
    "NaN close": (at(MIDDLE, with_("close", math.nan)), "1 of 400 candles are impossible"),
    "NaN volume": (at(MIDDLE, with_("volume", math.nan)), "volume nan is not zero or a positive number"),
    "NaN in the last row": (at(DAYS - 1, with_("close", math.nan)), "close nan is not a positive number"),
    "a negative price": (at(MIDDLE, with_("close", -1.0)), "close -1.0 is not a positive number"),
    "all prices negative": (since(0, times(-1)), "400 of 400 candles are impossible"),
    "high below low": (at(MIDDLE, lambda c: c._replace(high=c.low, low=c.high)), "are impossible"),
    "unit times 10": (since(MIDDLE, times(10)), "jump: on 1 day the price does not continue the day before"),
    "unit divided by 100": (since(MIDDLE, times(0.01)), "jump: on 1 day"),
    "another currency": (since(MIDDLE, times(1.25)), "jump: on 1 day"),
    "cents in the last row": (at(DAYS - 1, times(100)), "jump: on 1 day the price does not continue the day before"),
    "a unit for one month": ([times(10)(c) if 200 <= n < 230 else c for n, c in enumerate(CLEAN)], "jump: on 2 days"),
    "bad tick times 10": (at(MIDDLE, times(10)), "jump: on 2 days"),
    "bad tick of 60 percent": (at(MIDDLE, times(1.6)), "jump: on 2 days"),
    "bad close of -40 percent": (
        at(MIDDLE, lambda c: c._replace(close=c.close * 0.6, low=min(c.low, c.close * 0.6))),
        "jump: on 1 day",
    ),
    "bad open of 60 percent": (
        at(MIDDLE, lambda c: c._replace(open=c.open * 1.6, high=max(c.high, c.open * 1.6))),
        "jump: on 1 day",
    ),
    "wick times 100": (
        at(MIDDLE, lambda c: c._replace(high=c.high * 100)),
        "range: on 1 day prices span a factor of 8",
    ),
    "wick divided by 10": (
        at(MIDDLE, lambda c: c._replace(low=c.low / 10)),
        "range: on 1 day prices span a factor of 8",
    ),
    "another pair spliced in": ([*CLEAN[:150], *OTHER[150:250], *CLEAN[250:]], "jump: on 2 days"),
    "another pair from a day on": ([*CLEAN[:250], *OTHER[250:]], "jump: on 1 day"),
    "two pairs in turns": ([(CLEAN, OTHER)[n % 2][n] for n in range(DAYS)], "jump: on 399 days"),
    "two pairs in one file": ([c for both in zip(CLEAN, OTHER, strict=True) for c in both], "repeat an opening"),
    "open and close swapped": ([c._replace(open=c.close, close=c.open) for c in CLEAN], "detached"),
    "days that begin at noon": (later(CLEAN, timedelta(hours=-12)), "400 of 400 candles open where none can"),
    "a clock off by a minute": (later(CLEAN, timedelta(minutes=-1)), "candles open where none can"),
    "hours instead of days": (
        [c._replace(open_time=LAST - timedelta(hours=DAYS - n)) for n, c in enumerate(CLEAN)],
        "too short: 16 days",
    ),
    "seconds read as milliseconds": (
        [c._replace(open_time=EPOCH + (c.open_time - EPOCH) / 1000) for c in CLEAN],
        "candles open where none can",
    ),
}


def as_csv(candles: Candles) -> str:
    """The candles as the text of a CSV file, in their order."""
    rows = [f"{c.open_time.isoformat()},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in candles]
    return "\n".join(["time,open,high,low,close,volume", *rows, ""])


def run_training(folder: Path, candles: Candles, *options: str) -> int:
    """The real command on a file of these candles, as if the day after `LAST` had just begun."""
    (folder / "poison.csv").write_text(as_csv(candles))
    files = ("--pair", "BTC/USD", "--source", f"file:{folder / 'poison.csv'}", "--output", str(folder / "model.pkl"))
    return train.main([*files, "--until", f"{LAST:%Y-%m-%d}", *options], {})


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_refused_with_4_and_its_reason_and_the_previous_model_stays(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candles, reason = POISON[kind]
    (tmp_path / "model.pkl").write_bytes(b"the previous model")
    assert run_training(tmp_path, candles) == 4
    errors = capsys.readouterr().err
    assert "train.py: error: refused by the gate:" in errors
    assert reason in errors
    assert (tmp_path / "model.pkl").read_bytes() == b"the previous model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pkl", "poison.csv"]


REORDERED = {
    "shuffled": SHUFFLED,
    "reversed": CLEAN[::-1],
    "two rows swapped": [*CLEAN[:9], CLEAN[10], CLEAN[9], *CLEAN[11:]],
}


@pytest.mark.parametrize("order", REORDERED)
def test_the_order_of_rows_does_not_matter(order: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Many sites export the newest day first; each row has its date."""
    assert run_training(tmp_path, REORDERED[order], "--json", "--every", "60") == 0
    card = json.loads(capsys.readouterr().out)["card"]["pairs"]["BTC/USD"]
    assert run_training(tmp_path, CLEAN, "--json", "--every", "60") == 0
    assert json.loads(capsys.readouterr().out)["card"]["pairs"]["BTC/USD"] == card
