"""Rows that were altered outside of this program: left out of every answer, counted, and logged once each.

SQLite stores any value in any column, and a column of PostgreSQL may hold numbers that are not finite.
"""

import logging
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from crypto_predict import logs
from crypto_predict.errors import InvalidValue, shown

MOST_LOGGED = 1_000  # rows

_DAMAGE = (ValueError, TypeError, AttributeError, ArithmeticError, OSError, InvalidValue)
_log = logging.getLogger("crypto_predict.database")

R = TypeVar("R")
T = TypeVar("T")


class DamagedRows:
    """The damaged rows of the database at `address`. Safe to share between threads."""

    def __init__(self, address: str) -> None:
        self.count = 0  # how often a row was left out
        self._address = address
        self._logged: set[tuple[str, str]] = set()

    def leave_out(self, table: str, rows: Iterable[R], read: Callable[[R], T]) -> list[T]:
        """Return what `read` makes of the rows of a table, without those for which it raises an error."""
        rows = list(rows)
        try:
            return list(map(read, rows))
        except _DAMAGE:
            pass
        sound = []
        for row in rows:
            try:
                sound.append(read(row))
            except _DAMAGE as error:
                self._add(table, row, error)
        return sound

    def _add(self, table: str, row: object, error: Exception) -> None:
        self.count += 1
        values = list(row) if isinstance(row, Iterable) else [row]
        text = ", ".join(shown(value) for value in values[:4])  # its key is among them
        if (table, text) in self._logged or len(self._logged) >= MOST_LOGGED:
            return
        self._logged.add((table, text))
        logs.event(
            _log,
            logging.WARNING,
            "damaged row left out",
            database=self._address,
            table=table,
            row=text,
            reason=shown(str(error)),
        )


def text(value: object) -> str:
    """Return a value of a row that must be text.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text")
    return value


def whole(value: object) -> int:
    """Return a value of a row that must be a whole number, not below zero.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{shown(value)} is not a whole number from 0 on")
    return value


def number(value: object) -> float:
    """Return a value of a row that must be a finite number, not below zero.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{shown(value)} is not a finite number from 0 on")
    return value
