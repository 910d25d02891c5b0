"""Every error of the project's own, in one tree.

Each carries the facts as fields and says what was wrong, with which value, and what to do. None knows of HTTP or of
exit codes: the entry points and the web application each have the one table from error to answer.

::

    CryptoPredictError
    ├── InvalidValue        an argument, a setting or a query parameter is not what it must be
    ├── SourceError         a source of history could not deliver
    │   ├── Unreachable     it did not answer, or does not serve this location
    │   └── RefusedKeys     it does not accept the keys that are set
    ├── UnusableHistory     history arrived, but no model can be fitted to it
    ├── Refused             the release gate found what must not ship
    ├── UnusableModel       a model file cannot be trusted or read
    │   └── OtherSchema     it was written with another schema
    ├── BrokenLedger        a ledger of released forecasts is not whole
    ├── ReleaseFailed       a step of a release could not be done
    ├── UnfitImage          an image must not ship
    ├── UnknownPair         the model holds no forecast for this pair
    ├── OutOfRange          the model does not cover this instant
    └── NoProphetInterval   the model has no backtest from which to take the interval of Prophet alone
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path


class CryptoPredictError(Exception):
    """What every error of this project is."""


class InvalidValue(CryptoPredictError):
    """The value of `name` is not what it must be; `expected` says what would be."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name}: {shown(value)} is not {expected}")
        self.name = name
        self.value = value
        self.expected = expected


class SourceError(CryptoPredictError):
    """The source called `source` could not deliver, for `reason`."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class Unreachable(SourceError):
    """The source did not answer: no network, a timeout, an overload, or it does not serve this location."""


class RefusedKeys(SourceError):
    """The source does not accept the keys that are set. No other source is tried after it."""


class UnusableHistory(CryptoPredictError):
    """The history of `subject` (a pair or a file) has these `faults`, all of them at once."""

    SHOWN = 20  # a hostile file may have a million

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        shown = list(faults[: self.SHOWN])
        if len(faults) > self.SHOWN:
            shown.append(f"... and {len(faults) - self.SHOWN} more")
        lines = f" {shown[0]}" if len(shown) == 1 else "".join(f"\n  {fault}" for fault in shown)
        super().__init__(f"no usable history in {subject}:{lines}")
        self.subject = subject
        self.faults = tuple(faults)


class Refused(CryptoPredictError):
    """The release gate lets nothing out, for these `reasons`, all of them at once, each with its pair."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("refused by the gate:" + "".join(f"\n  {reason}" for reason in reasons))
        self.reasons = tuple(reasons)


class UnusableModel(CryptoPredictError):
    """The model file at `path` cannot be used, for `reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"no usable model in {path}: {reason}")
        self.path = path
        self.reason = reason


class OtherSchema(UnusableModel):
    """The model file may be whole, but a program with another schema wrote it."""


class BrokenLedger(CryptoPredictError):
    """The ledger at `path` cannot be carried on, for `reason`; `line` is the first at fault, None where none is."""

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        where = "" if line is None else f"line {line}: "
        super().__init__(f"no usable ledger in {path}: {where}{reason}")
        self.path = path
        self.line = line
        self.reason = reason


class ReleaseFailed(CryptoPredictError):
    """A step of a release could not be done: something outside of it failed, or is not there."""


class UnfitImage(CryptoPredictError):
    """The image `image` must not ship, for these `faults`, all of them at once."""

    def __init__(self, image: str, faults: Sequence[str]) -> None:
        super().__init__(f"{image} must not ship:" + "".join(f"\n  {fault}" for fault in faults))
        self.image = image
        self.faults = tuple(faults)


class UnknownPair(CryptoPredictError):
    """The model holds no forecast for `pair`; `known` are those it does hold."""

    def __init__(self, pair: str, known: Sequence[str]) -> None:
        super().__init__(f"{shown(pair)} is not in this model, which holds {', '.join(known)}")
        self.pair = pair
        self.known = tuple(known)


class OutOfRange(CryptoPredictError):
    """The model answers for the days `first` to `last`, both included, and `asked` lies outside."""

    def __init__(self, asked: date | datetime, first: date, last: date) -> None:
        super().__init__(f"{asked.isoformat()} lies outside the range of this model, {first} to {last}")
        self.asked = asked
        self.first = first
        self.last = last


class NoProphetInterval(CryptoPredictError):
    """The model has no interval for what Prophet alone forecasts for `asked`, which lies after the candle of `last`."""

    def __init__(self, asked: date | datetime, last: date) -> None:
        super().__init__(
            f"{asked.isoformat()} lies after the last candle, {last}, and this model has no backtest from which to "
            f"take the interval of Prophet alone: ask for a day up to {last}, or for model=combined"
        )
        self.asked = asked
        self.last = last


def shown(value: object, most: int = 80) -> str:
    """The value as a person may read it in one line: quoted, escaped and never longer than `most` and a bit."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"
