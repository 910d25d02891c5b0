"""Options and environment variables, read once and handed on as frozen settings.

Every option has an environment variable of the same name (``--stale-after``: ``STALE_AFTER``); an option on the command
line wins. Environments are passed in, never reached for.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH, Pair

_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """How the exchanges are reached. Keys are optional and never printed."""

    alpaca_data_url: str | None = None  # None: the exchange's own address
    alpaca_api_key: str | None = None
    alpaca_secret_key: str | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> SourceSettings:
        """Read ``ALPACA_DATA_URL``, ``ALPACA_API_KEY`` and ``ALPACA_SECRET_KEY``; an empty value counts as absent."""
        return cls(
            alpaca_data_url=environ.get("ALPACA_DATA_URL") or None,
            alpaca_api_key=environ.get("ALPACA_API_KEY") or None,
            alpaca_secret_key=environ.get("ALPACA_SECRET_KEY") or None,
        )

    def __repr__(self) -> str:
        """Without the keys: a settings object may end up in a log."""
        return f"SourceSettings(alpaca_data_url={self.alpaca_data_url!r})"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What one training run is asked to do."""

    pairs: tuple[Pair, ...]
    sources: tuple[str, ...]  # names in order of preference
    days: int  # longest history used
    output: Path
    until: date | None  # candles after this UTC day are ignored
    seed: int
    prophet_json: Path | None
    picture: Path | None
    exchanges: SourceSettings
    trained_at: datetime | None  # SOURCE_DATE_EPOCH; None: now
    version: str | None  # MODEL_VERSION, set by a release; None: the program's own
    git_revision: str | None  # GIT_REVISION, set by a release; None: ask git


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How one server is run."""

    model: Path
    host: str
    port: int
    threads: int
    stale_after: timedelta  # a model older than this is reported by /fresh
    retrain_every: timedelta  # answers may be cached until the next retrain
    log_level: str  # debug, info, warning or error


class EnvironmentParser(argparse.ArgumentParser):
    """An argument parser whose options can be given as environment variables too."""

    def __init__(self, environ: Mapping[str, str], **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)
        self._environ = environ

    def add_option(
        self, name: str, read: Callable[[str], Any], default: str | None, explanation: str, metavar: str
    ) -> None:
        """Add ``--name``, whose text, from wherever it comes, is turned into a value by `read`."""
        self._add(name, default, explanation, type=_argparse_type(read), metavar=metavar)

    def add_list_option(
        self, name: str, read: Callable[[str], Any], default: str, explanation: str, metavar: str
    ) -> None:
        """Add ``--name``, which may be repeated and may hold several values between commas; duplicates are dropped."""
        self._add(name, default, explanation, type=_argparse_type(_list_of(read)), metavar=metavar, action=_Extend)

    def add_flag(self, name: str, explanation: str) -> None:
        """Add a ``--name`` that takes no value."""
        variable = _variable(name)
        try:
            default = boolean(self._environ.get(variable, ""))
        except InvalidValue as error:
            self.error(f"environment variable {variable}: {error}")
        self.add_argument(name, action="store_true", default=default, help=f"{explanation} (environment: {variable})")

    def _add(self, name: str, default: str | None, explanation: str, **traits: Any) -> None:
        variable = _variable(name)
        shown = f"(default: {default}; environment: {variable})" if default else f"(environment: {variable})"
        text = self._environ.get(variable)
        # argparse reads a default that is text like an argument, and only when the option is not given.
        given = _FromEnvironment(text, variable) if text else default
        self.add_argument(name, default=given, help=f"{explanation} {shown}".replace("%", "%%"), **traits)


class _FromEnvironment(str):
    """Text that came from the environment variable `variable`, so that an error can name it."""

    __slots__ = ("variable",)
    variable: str

    def __new__(cls, text: str, variable: str) -> Self:
        value = super().__new__(cls, text)
        value.variable = variable
        return value


class _Extend(argparse.Action):
    """Collects a repeated list option; what is given on the command line replaces the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 argparse's signature
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002 argparse's signature
    ) -> None:
        given = f"_given_{self.dest}"
        before = getattr(namespace, given, ())
        together = tuple(dict.fromkeys((*before, *values)))
        setattr(namespace, given, together)
        setattr(namespace, self.dest, together)


def boolean(text: str) -> bool:
    """Read ``1``, ``true``, ``yes``, ``on`` and their opposites."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise InvalidValue("flag", text, "true or false")


def whole_number(name: str, least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers between `least` and `most`, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise InvalidValue(name, text, f"a whole number from {least} to {most}")
        return int(text)

    return read


def day(text: str) -> date:
    """Read an ISO 8601 date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidValue("date", text, "an ISO date such as 2025-06-30") from error


def duration(text: str) -> timedelta:
    """Read ``90s``, ``15m``, ``24h``, ``2d`` or a bare number of seconds."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise InvalidValue("duration", text, "a positive time such as 90s, 15m, 24h or 2d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def instant_of_epoch(text: str | None) -> datetime | None:
    """Read ``SOURCE_DATE_EPOCH``: whole seconds since 1970; None or empty where it is not set."""
    if not text:
        return None
    seconds = whole_number("SOURCE_DATE_EPOCH", 0, 253_402_300_799)(text)
    return EPOCH + timedelta(seconds=seconds)


def _variable(name: str) -> str:
    return name.lstrip("-").replace("-", "_").upper()


def _list_of(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def read_list(text: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(read(part.strip()) for part in text.split(",")))

    return read_list


def _argparse_type(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return read(text)
        except InvalidValue as error:
            origin = f"environment variable {text.variable}: " if isinstance(text, _FromEnvironment) else ""
            raise argparse.ArgumentTypeError(f"{origin}{error}") from error

    return convert
