"""Writing and reading ``model.pkl``.

The file is a pickle of plain data only: ``{"schema": 3, "sha256": "...", "payload": {...}}``, the digest being that of
the payload as canonical JSON. It is written without the pickle memo, so the same model gives the same bytes, and read
in two steps that leave a hostile file nothing to do: first its opcodes are compared with the few that plain data needs
(no globals, no calls, no memo to multiply with, hence memory in proportion to the file), then an unpickler that refuses
every global reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import pickletools
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from crypto_predict.baked import plain, schema
from crypto_predict.errors import OtherSchema, UnusableModel

MOST_BYTES = 16 * 2**20  # a pair takes some 100 kB, its backtest included
MOST_OPCODES = 1_000_000  # a pair takes some 16,000; one of a single byte can make an object of 64
PROTOCOL = 4

_OPCODES = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE"),
    }
)
# What the unpickler raises for a stream of allowed opcodes in an order that makes no sense.
_MALFORMED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
)


def save(model: schema.Model, path: Path) -> None:
    """Write the model, all of it or nothing: whatever stood at `path` stays whole until the new file is complete.

    Raises:
        OSError: The file cannot be written.
    """
    write_atomically(path, dumps(model))


def dumps(model: schema.Model) -> bytes:
    """The model as the bytes of a model file; equal models give equal bytes."""
    payload = plain.encode(model)
    return _pickled({"schema": schema.VERSION, "sha256": _digest(payload), "payload": payload})


def load(path: Path) -> schema.Model:
    """Read a model file without trusting it.

    Raises:
        UnusableModel: The file is absent, too large, truncated, hostile or damaged.
        OtherSchema: An older or newer program wrote it; it may be whole.
    """
    return loads(_read(path), path)


def loads(data: bytes, path: Path) -> schema.Model:
    """The model in the bytes of a model file; `path` is what errors call it.

    Raises:
        UnusableModel: As for `load`.
    """
    try:
        payload = _opened(_plain_data(data, path), path)
        return plain.decode(schema.Model, payload)
    except plain.Undecodable as error:
        raise UnusableModel(path, f"its content is not a model: {error}") from error
    except RecursionError as error:
        raise UnusableModel(path, "its data is nested too deeply to be a model") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` by way of a temporary file beside it, synced and renamed; a failure leaves nothing behind.

    A symbolic link stays one: the file it leads to is replaced.

    Raises:
        OSError: The file cannot be written.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """The same for several files that belong together: the first is put in its place once the last is complete.

    Raises:
        OSError: One cannot be written; all stay as they were.
    """
    complete: dict[Path, Path] = {}  # path to temporary file
    try:
        for path in map(Path.resolve, files):
            complete[path] = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        for temporary, data in zip(complete.values(), files.values(), strict=True):
            _write_synced(temporary, data)
        for path, temporary in complete.items():
            temporary.replace(path)
    except BaseException:
        for temporary in complete.values():
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _pickled(envelope: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=PROTOCOL)
    pickler.fast = True  # no memo: bytes do not depend on which equal strings happen to be one object
    pickler.dump(envelope)
    return buffer.getvalue()


def _digest(payload: Any) -> str:
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnusableModel(path, "it is not a regular file")
        if status.st_size > MOST_BYTES:
            raise UnusableModel(path, f"{status.st_size} bytes are more than a model can have ({MOST_BYTES})")
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)[:MOST_BYTES]
    except FileNotFoundError as error:
        raise UnusableModel(path, "there is no such file; train one with: python train.py") from error
    except OSError as error:
        raise UnusableModel(path, f"it cannot be read: {error.strerror}") from error


def _plain_data(data: bytes, path: Path) -> Any:
    """The object in the pickle, once every opcode has been found harmless."""
    if not data:
        raise UnusableModel(path, "it is empty")
    try:
        end = _checked_end(data, path)
    except (ValueError, OverflowError, UnicodeError) as error:
        raise UnusableModel(path, f"it is truncated or no pickle at all: {error}") from error
    if end != len(data):
        raise UnusableModel(path, f"{len(data) - end} bytes follow its end")
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except _MALFORMED as error:
        raise UnusableModel(path, f"it is a malformed pickle: {error}") from error


def _checked_end(data: bytes, path: Path) -> int:
    position = 0
    for count, (opcode, _, start) in enumerate(pickletools.genops(data)):
        if count == MOST_OPCODES:
            raise UnusableModel(path, f"it has more than {MOST_OPCODES:,} pickle opcodes, more than a model can have")
        if opcode.name not in _OPCODES:
            raise UnusableModel(
                path, f"it holds the pickle opcode {opcode.name}, which plain data never needs: do not run it"
            )
        position = start or 0
    return position + 1  # the last one is STOP, of one byte


class _PlainUnpickler(pickle.Unpickler):
    """A second lock on the same door: no global is ever looked up."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is code, not data")


def _opened(envelope: Any, path: Path) -> Any:
    """The payload, once the envelope has been found whole."""
    if not isinstance(envelope, dict) or not {"schema", "sha256", "payload"} <= envelope.keys():
        raise UnusableModel(path, "it is no envelope of schema, sha256 and payload")
    version = envelope["schema"]
    if type(version) is not int or version < 1:
        raise UnusableModel(path, f"its schema version is {version!r}")
    if version != schema.VERSION:
        age = "newer: update this program" if version > schema.VERSION else "older: train again"
        raise OtherSchema(
            path, f"it was written with schema {version}, this program reads {schema.VERSION}; it is {age}"
        )
    try:
        digest = _digest(envelope["payload"])
    except (ValueError, TypeError) as error:
        raise UnusableModel(path, f"its payload is not plain data: {error}") from error
    if digest != envelope["sha256"]:
        raise UnusableModel(
            path, f"its payload has the digest {digest[:12]}..., not the one written in it: damaged or altered"
        )
    return envelope["payload"]
