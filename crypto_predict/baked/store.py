"""Writing and reading ``model.pkl``.

The file is a pickle of plain data only: ``{"schema": 3, "sha256": "...", "payload": {...}}``, the digest being that of
the payload as canonical JSON. It is written without the pickle memo, so the same model gives the same bytes. It is read
by `unpickle`, which builds plain data only. Loading also checks that the forecasts can be evaluated, so callers need no
checks of their own. It takes at most 2 s and 200 MB, whatever the file holds.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import stat
from pathlib import Path
from typing import Any

from crypto_predict.baked import evaluation, files, plain, schema, unpickle
from crypto_predict.errors import OtherSchema, UnusableModel

MOST_BYTES = 6 * 2**20  # a pair takes some 100 kB, its backtest included
PROTOCOL = 4


def save(model: schema.Model, path: Path) -> None:
    """Write the model, all of it or nothing: a file at `path` is replaced only once the new one is complete.

    Raises:
        OSError: The file cannot be written.
    """
    files.write_atomically(path, dumps(model))


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
    if not data:
        raise UnusableModel(path, "it is empty")
    if len(data) > MOST_BYTES:
        raise UnusableModel(path, f"{len(data):,} bytes are more than a model can have ({MOST_BYTES:,})")
    try:
        model = plain.decode(schema.Model, _opened(unpickle.loads(data), path))
    except unpickle.NotPlain as error:
        raise UnusableModel(path, str(error)) from error
    except plain.Undecodable as error:
        raise UnusableModel(path, f"its content is not a model: {error}") from error
    except RecursionError as error:
        raise UnusableModel(path, "its data is nested too deeply to be a model") from error
    for pair, forecast in model.forecasts.items():
        if faults := evaluation.faults(forecast):
            raise UnusableModel(path, f"its forecast of {pair} cannot be evaluated: {faults[0]}")
    return model


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
            raise UnusableModel(path, f"{status.st_size:,} bytes are more than a model can have ({MOST_BYTES:,})")
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise UnusableModel(path, "there is no such file; train one with: python train.py") from error
    except OSError as error:
        raise UnusableModel(path, f"it cannot be read: {error.strerror}") from error


def _opened(envelope: Any, path: Path) -> Any:
    """The payload, once the envelope has been found whole."""
    if not isinstance(envelope, dict) or not {"schema", "sha256", "payload"} <= envelope.keys():
        raise UnusableModel(path, "it is not an envelope of schema, sha256 and payload")
    version = envelope["schema"]
    if type(version) is not int or version < 1:
        raise UnusableModel(path, f"its schema version is {version!r:.40}")
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
