"""The addresses of databases: the path of an SQLite file, or the URL of a PostgreSQL server."""

import re
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


def parse(text: str) -> tuple[Path | URL, str]:
    """Read a path, ``sqlite:///path`` or ``postgresql://user:password@host:5432/name``.

    Return it beside its text without the password.

    Raises:
        InvalidValue: The text is not one of them. The error shows it without passwords.
    """
    scheme, separator, rest = text.partition("://")
    public = masked(text) if separator else _SECRET.sub("***", text)
    invalid = InvalidValue("database", public, _EXPECTED)
    if not text.isprintable():
        raise invalid
    if not separator or scheme == "sqlite":
        path = text if not separator else rest[1:] if rest.startswith("/") else ""
        # ":memory:" would be lost when its process ends
        if not path or path.startswith(":") or _NOT_A_PATH.search(path):
            raise invalid
        return Path(path), str(Path(path))
    if scheme not in _POSTGRESQL:
        raise invalid
    try:
        url = make_url(text).set(drivername="postgresql+psycopg")
        psycopg.conninfo.make_conninfo(**{name: str(value) for name, value in url.query.items()})
    except (ArgumentError, ValueError, psycopg.ProgrammingError) as error:
        raise invalid from error
    # an @ after the first one: a part of a password that should have been encoded would be shown as a host
    if not url.database or "@" in (url.host or "") + url.database:
        raise invalid
    return url, public
