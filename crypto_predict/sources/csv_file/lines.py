"""The lines of a file as text, and the fields of a line: bounded, decompressed, decoded.

The text is UTF-8 or UTF-16. A line that is not is read as Windows-1252, in which older spreadsheets write. Gzip is
recognised by the content, whatever the name of the file.
"""

import csv
import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from crypto_predict.sources.exchange import Bounds

MOST_LINES = Bounds().candles
MOST_LENGTH = 10_000  # characters of a line
USUAL_LENGTH = 500  # characters of a line on average, at most

_GZIP = b"\x1f\x8b"
_OTHER_FORMATS = {  # how files begin that are saved or downloaded in place of a table
    b"PK\x03\x04": "it is a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"PAR1": "it is a Parquet file: save the table as CSV",
    b"SQLite format 3": "it is a database: name it with --database, and --source store",
    b"<!": "it is a web page, not a table: download the CSV file itself",
    b"<html": "it is a web page, not a table: download the CSV file itself",
    b"<?xml": "it is XML: save the table as CSV",
    b"{": "it is JSON: save the table as CSV",
    b"[": "it is JSON: save the table as CSV",
}

Lines = Iterator[tuple[int, str]]  # numbered from 1


class Unreadable(Exception):
    """Reading cannot continue."""


class BadRow(Exception):
    """One row is faulty. The message has all reasons; reading goes on."""

    def __init__(self, reason: str, *, is_text: bool = False) -> None:
        super().__init__(reason)
        self.is_text = is_text  # the row has neither a date nor a close


@contextmanager
def at_line(line: int) -> Iterator[None]:
    """Turn a `BadRow` in the context, without which nothing can be read, into `Unreadable`."""
    try:
        yield
    except BadRow as error:
        raise Unreadable(f"line {line}: {error}") from error


def lines(path: Path, most: int, notices: list[str]) -> Lines:
    """Yield every line of a file that is not blank, with its number. A notice is added if the encoding is a guess.

    Raise `Unreadable` if the file cannot be read, has more than `most` lines, or a line or all of them are too long.
    """
    try:
        if path.is_dir():
            raise Unreadable("it is a directory, not a file")
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe may never end
            raise Unreadable("it is not a regular file")
        with path.open("rb") as file:
            content = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file
            start = content.peek(64)[:64]
            for magic, advice in _OTHER_FORMATS.items():
                if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(magic):
                    raise Unreadable(advice)
            yield from _bounded(_decoded(cast("BinaryIO", content), start), most, notices)
    except FileNotFoundError as error:
        raise Unreadable("the file does not exist") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Unreadable(f"it is a truncated or damaged gzip file: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a path that no system call accepts
        raise Unreadable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _bounded(file: TextIO, most: int, notices: list[str]) -> Lines:
    left, guessed = most * USUAL_LENGTH + MOST_LENGTH, False
    for number in range(1, most + 1):
        line = file.readline(MOST_LENGTH + 1)
        left -= len(line)
        if len(line) > MOST_LENGTH:
            raise Unreadable(f"line {number} is longer than {MOST_LENGTH:,} characters: this is not a table of candles")
        if left < 0:
            raise Unreadable(f"it has more than {most * USUAL_LENGTH:,} characters; SOURCE_CANDLES allows more")
        if not line:
            return
        if not line.isascii():
            content = line.encode("utf-8", "surrogateescape")
            line = content.decode("utf-8", "replace")
            if "\ufffd" in line:
                line = content.decode("cp1252", "replace")
                if not guessed:
                    notices.append(f"the text is Windows-1252, as in line {number}")
                guessed = True
        if not line.isspace():
            yield number, line
    if file.read(1):
        raise Unreadable(f"it has more than {most:,} lines; SOURCE_CANDLES allows more")


def fields_of(line: str, delimiter: str) -> list[str]:
    """Return the fields of one line, or raise `BadRow`. A quoted field ends with its line: a lost quote costs one."""
    if "\0" in line:
        raise BadRow("it holds a NUL byte, so this is not text")
    try:
        return [text.strip() for text in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise BadRow(f"it is not CSV: {error}") from error


def _decoded(content: BinaryIO, start: bytes) -> TextIO:
    """Return the text of a file that begins with `start`. What is not UTF-8 stays as surrogates."""
    evens, odds = start[0::2], start[1::2]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return io.TextIOWrapper(content, "utf-16", "replace")
    if len(odds) > 1 and not (any(odds) and any(evens)):  # Latin letters have a zero byte in UTF-16
        return io.TextIOWrapper(content, "utf-16-be" if any(odds) else "utf-16-le", "replace")
    return io.TextIOWrapper(content, "utf-8-sig", "surrogateescape")
