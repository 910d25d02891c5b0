"""Writing and reading the model file, which is a pickle only because its name must be ``model.pkl``.

It holds plain data: ``{"schema": 6, "sha256": "...", "payload": {...}}``, the digest being that of the payload as
canonical JSON. It is written without the pickle memo, so the same model gives the same bytes. It is read by `unpickle`,
which builds plain data only. Loading also checks that the forecasts can be evaluated, so callers need no further
checks. It takes at most 2 s and 200 MB, whatever the file holds.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from crypto_predict.baked import evaluation, files, plain, schema, unpickle
from crypto_predict.errors import OtherSchema, UnusableModel, shown

MOST_BYTES = 16 * 2**20  # a pair takes some 300 kB, its backtest, other models and five years of closes included
PROTOCOL = 4


def save(model: schema.Model, path: Path) -> None:
    """Write the model atomically: a file at `path` is replaced only when the new one is complete."""
    files.write_atomically(path, dumps(model))


def dumps(model: schema.Model) -> bytes:
    """Return the bytes of a model file; equal models give equal bytes."""
    payload = plain.encode(model)
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=PROTOCOL)
    pickler.fast = True  # no memo: bytes do not depend on which equal strings are one object
    pickler.dump({"schema": schema.VERSION, "sha256": _digest(payload), "payload": payload})
    return buffer.getvalue()


def load(path: Path) -> schema.Model:
    """Read a model file without trusting it.

    Raises:
        UnusableModel: The file is absent, too large, truncated, hostile or damaged.
        OtherSchema: An older or newer program wrote it; it may be intact.
    """
    return loads(read(path), path)


def read(path: Path) -> bytes:
    """Return the bytes of a model file, for `loads`; raise `UnusableModel` as `load` does."""
    advice = "train one with: python train.py"
    with files.opened(path, "model", MOST_BYTES, advice, partial(UnusableModel, path)) as file:
        return file.read(MOST_BYTES + 1)


def loads(data: bytes, path: Path) -> schema.Model:
    """Return the model in the bytes of a model file, with the errors of `load`, in which `path` is its name."""
    if not data:
        raise UnusableModel(path, "it is empty")
    if len(data) > MOST_BYTES:
        raise UnusableModel(path, f"{len(data):,} bytes are more than a model can have ({MOST_BYTES:,})")
    try:
        model = plain.decode(schema.Model, _payload(unpickle.loads(data), path))
    except unpickle.NotPlain as error:
        raise UnusableModel(path, str(error)) from error
    except plain.Undecodable as error:
        raise UnusableModel(path, f"its content is not a model: {error}") from error
    except RecursionError as error:
        raise UnusableModel(path, "its data is nested too deeply to be a model") from error
    for pair, forecast in model.forecasts.items():
        if faults := evaluation.faults(forecast, model.card.pairs[pair].served):
            raise UnusableModel(path, f"its forecast of {pair} cannot be evaluated: {faults[0]}")
    return model


def _payload(envelope: Any, path: Path) -> Any:
    """Return the payload of an intact envelope."""
    if not isinstance(envelope, dict) or not {"schema", "sha256", "payload"} <= envelope.keys():
        raise UnusableModel(path, "it is not an envelope of schema, sha256 and payload")
    version = envelope["schema"]
    if type(version) is not int or version < 1:
        raise UnusableModel(path, f"its schema version is {shown(version)}")
    if version != schema.VERSION:
        advice = "newer: update this program" if version > schema.VERSION else "older: train again"
        raise OtherSchema(
            path, f"it was written with schema {version}, this program reads {schema.VERSION}; it is {advice}"
        )
    try:
        digest = _digest(envelope["payload"])
    except ValueError as error:
        raise UnusableModel(path, f"its payload is not plain data: {error}") from error
    if digest != envelope["sha256"]:
        raise UnusableModel(path, f"the digest of its payload is {digest[:12]}..., not as written: damaged or altered")
    return envelope["payload"]


def _digest(payload: Any) -> str:
    digest = hashlib.sha256()
    for text in _canonical(payload):
        digest.update(text.encode())
    return digest.hexdigest()


def _canonical(value: Any, levels: int = 3) -> Iterator[str]:
    """Yield canonical JSON in pieces: while one of many pairs is made, no other thread of a server can run."""
    if not levels or not isinstance(value, dict):
        yield json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return
    yield "{"
    for n, key in enumerate(sorted(value)):
        yield f"{',' * (n > 0)}{json.dumps(key)}:"
        yield from _canonical(value[key], levels - 1)
    yield "}"
