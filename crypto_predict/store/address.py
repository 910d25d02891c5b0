"""The addresses of databases: the path of an SQLite file, or the URL of a PostgreSQL server."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from crypto_predict.errors import InvalidValue
from crypto_predict.settings import masked

_EXPECTED = "a path such as data/market.db, sqlite:///data/market.db or postgresql://user:password@host:5432/name"
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")

# A mistyped URL, or a keyword string of libpq, is not a path: its password would become the name of a folder.
_NOT_A_PATH = re.compile(r"^[a-z][a-z+]+:|//.*@|:.*@|password=|\?", re.IGNORECASE)
_SECRET = re.compile(".*@|password=.*")


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """An SQLite database."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A database of a PostgreSQL server. As text it is without its password."""

    text: str
    url: URL = field(repr=False)

    def __str__(self) -> str:
        return self.text


Address = SqliteFile | PostgresServer


def parse(text: str) -> Address:
    """Read the address of a database: a path, ``sqlite:///path`` or ``postgresql://user:password@host:5432/name``.

    Raises:
        InvalidValue: The text is not one of them. The error shows it without passwords.
    """
    scheme, separator, rest = text.partition("://")
    if not text.isprintable():
        raise _invalid(text)
    if not separator:
        return _file(text, text)
    if scheme == "sqlite":
        return _file(rest[1:] if rest.startswith("/") else "", text)
    if scheme not in _POSTGRESQL:
        raise _invalid(text)
    try:
        url = make_url(text).set(drivername="postgresql+psycopg")
        psycopg.conninfo.make_conninfo(**{name: str(value) for name, value in url.query.items()})
    except (ArgumentError, ValueError, psycopg.ProgrammingError) as error:
        raise _invalid(text) from error
    # an @ after the first one: a part of a password that should have been encoded would be shown as a host
    if not url.database or "@" in (url.host or "") + url.database:
        raise _invalid(text)
    return PostgresServer(masked(text), url)


def _file(path: str, text: str) -> SqliteFile:
    # ":memory:" would be lost when its process ends
    if not path or path.startswith(":") or _NOT_A_PATH.search(path):
        raise _invalid(text)
    return SqliteFile(Path(path))


def _invalid(text: str) -> InvalidValue:
    shown = masked(text) if "://" in text else _SECRET.sub("***", text)
    return InvalidValue("database", shown, _EXPECTED)
