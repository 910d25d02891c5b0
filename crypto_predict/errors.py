"""The errors of the project, in one tree.

An error carries its facts as fields; its message states what was wrong, with the value, and what to do. These errors do
not depend on HTTP or exit codes: the commands and the web application each have one table from error to answer. ::

    CryptoPredictError
    ├── InvalidValue                                an argument, a setting or a parameter has a wrong value
    ├── UnknownPair, OutOfRange, NoProphetInterval  a question that the model cannot answer
    ├── SourceError ── Unreachable, RefusedKeys     a source did not deliver
    ├── UnusableHistory, Refused                    no model can be fitted, or the release gate refused it
    ├── UnusableModel ── OtherSchema                a model file
    ├── UnusableDataset                             an exported folder
    ├── BrokenLedger                                a ledger of released forecasts
    ├── DatabaseError ── SeriesHeld, UnknownSeries  a database of the market
    └── ReleaseFailed, UnfitImage                   a step of a release
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any


class CryptoPredictError(Exception):
    """Base class of all errors of this project. One can be pickled, whatever arguments it is made of."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made again in another process: with its message and fields, not from its arguments."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[CryptoPredictError], texts: tuple[Any, ...], fields: dict[str, Any]) -> CryptoPredictError:
    error = kind.__new__(kind, *texts)
    error.__dict__.update(fields)
    return error


class InvalidValue(CryptoPredictError):
    """The value of `name` is not what was `expected`."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name}: {shown(value)} is not {expected}")
        self.name, self.value, self.expected = name, value, expected


class SourceError(CryptoPredictError):
    """The source did not deliver because of `reason`."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.reason = reason


class Unreachable(SourceError):
    """The source did not answer (no network, timeout, overload), or does not serve this location."""


class RefusedKeys(SourceError):
    """The source refused the keys. No other source is tried after it."""


class UnusableHistory(CryptoPredictError):
    """The history of `subject` (a pair or a file) has these `faults`: all of them, of which the message shows 20."""

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        most = 20  # a hostile file may have a million
        more = [f"... and {len(faults) - most} more"] if len(faults) > most else []
        lines = f" {faults[0]}" if len(faults) == 1 else _lines([*faults[:most], *more])
        super().__init__(f"no usable history in {subject}:{lines}")
        self.subject, self.faults = subject, tuple(faults)


class Refused(CryptoPredictError):
    """The release gate refused for these `reasons`: all of them, each with its pair."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(f"refused by the gate:{_lines(reasons)}")
        self.reasons = tuple(reasons)


class UnusableModel(CryptoPredictError):
    """The model file at `path` cannot be used because of `reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"no usable model in {path}: {reason}")
        self.path, self.reason = path, reason


class OtherSchema(UnusableModel):
    """The model file was written with another schema; it may be whole."""


class UnusableDataset(CryptoPredictError):
    """The exported folder at `path` cannot be used because of `reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"no usable export in {path}: {reason}")
        self.path, self.reason = path, reason


class BrokenLedger(CryptoPredictError):
    """The ledger at `path` cannot be continued because of `reason`, found in `line` if that is a number."""

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        super().__init__(f"no usable ledger in {path}: {'' if line is None else f'line {line}: '}{reason}")
        self.path, self.line, self.reason = path, line, reason


class DatabaseError(CryptoPredictError):
    """The database at `address` (without password) cannot be used because of `reason`."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"database {address}: {reason}")
        self.address, self.reason = address, reason


class SeriesHeld(DatabaseError):
    """Another process writes this series."""


class UnknownSeries(DatabaseError):
    """The database does not contain this series, or not any more."""


class ReleaseFailed(CryptoPredictError):
    """A step of a release failed because of something outside of it."""


class UnfitImage(CryptoPredictError):
    """The image must not be released because of these `faults`: all of them."""

    def __init__(self, image: str, faults: Sequence[str]) -> None:
        super().__init__(f"{image} must not ship:{_lines(faults)}")


class UnknownPair(CryptoPredictError):
    """The model does not have `pair`, but those in `pairs`."""

    def __init__(self, pair: str, pairs: Sequence[str]) -> None:
        most = 36  # of a model file; a folder may have thousands
        more = f" and {len(pairs) - most:,} more, see /pairs" if len(pairs) > most else ""
        super().__init__(f"{shown(pair)} is not in this model, which holds {', '.join(pairs[:most])}{more}")


class OutOfRange(CryptoPredictError):
    """`day` is outside the days `first` to `last`, both included, that the model answers for."""

    def __init__(self, day: date | datetime, first: date, last: date) -> None:
        super().__init__(f"{day.isoformat()} lies outside the range of this model, {first} to {last}")
        self.day, self.first, self.last = day, first, last


class NoProphetInterval(CryptoPredictError):
    """`day` is after `last`, the last candle, where Prophet alone has no interval without a backtest."""

    def __init__(self, day: date | datetime, last: date) -> None:
        super().__init__(
            f"{day.isoformat()} lies after the last candle, {last}, and this model has no backtest from which to "
            f"take the interval of Prophet alone: ask for a day up to {last}, or for model=combined"
        )
        self.day, self.last = day, last


def shown(value: object) -> str:
    """Format a value for a message: strings quoted, lists and dicts by their type, cut after 80 characters."""
    if isinstance(value, (list, dict)):  # may be nested too deeply to be formatted
        return type(value).__name__
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{shortened(text)} ({len(text)} characters)"


def shortened(text: str) -> str:
    """Return a text from outside for a message, cut after 80 characters."""
    return text if len(text) <= 80 else f"{text[:80]}..."


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"\n  {text}" for text in texts)
