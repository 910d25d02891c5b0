"""Writing and reading the model file, which is a pickle only because its name must be ``model.pkl``.

The pickle is always the same one: of ``{"schema": 9, "sha256": "...", "payload": b"..."}``. The payload is the model as
JSON with packed `tables`, compressed by zlib; the digest is that of the JSON. Equal models give equal bytes with one
version of zlib. The file is not unpickled: its bytes are compared with those of this pickle, so nothing in it is
executed. Loading also checks that the forecasts can be evaluated, so callers need no further checks. It takes at most
2 s and 200 MB, whatever the file holds.
"""

import hashlib
import io
import json
import pickle
import re
import zlib
from functools import partial
from pathlib import Path
from typing import Any

from crypto_predict.baked import evaluation, files, plain, schema, tables
from crypto_predict.errors import OtherSchema, UnusableModel

MOST_BYTES = 8 * 2**20  # of a file; a pair takes some 60 kB: five years of closes, its backtest, other models
MOST_TEXT = 14 * 2**20  # characters of its JSON; a pair takes some 180,000
MOST_VALUES = 2_000_000  # in its JSON; a pair has some 20,000
MOST_KEYS = 700_000  # of the mappings in its JSON, and rows and members of its tables; a pair has some 10,000
MOST_GROUPS = 400_000  # lists and mappings in its JSON; a pair has some 1,000
PROTOCOL = 3  # without frames, in which a later protocol would divide the file

# Every protocol that has been in use, to name the schema of an older or newer file.
_SCHEMA = re.compile(rb"\x80[\x03-\x05](\x95.{8})?\}\(.{1,5}schemaK(?P<schema>.)", re.DOTALL)
_ENVELOPE = re.compile(
    rb"\x80\x03\}\(X\x06\0\0\0schemaK.X\x06\0\0\0sha256X@\0\0\0(?P<sha256>[0-9a-f]{64})"
    rb"X\x07\0\0\0payloadB(?P<size>.{4})(?P<payload>.*)u\.",
    re.DOTALL,
)


def save(model: schema.Model, path: Path) -> None:
    """Write the model atomically: a file at `path` is replaced only when the new one is complete."""
    files.write_atomically(path, dumps(model))


def dumps(model: schema.Model) -> bytes:
    """Return the bytes of a model file; equal models give equal bytes."""
    text = json.dumps(tables.packed(plain.encode(model)), separators=(",", ":"), allow_nan=False).encode()
    digest, payload = hashlib.sha256(text).hexdigest(), _compressed(text)
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=PROTOCOL)
    pickler.fast = True  # no memo, which nothing here would use
    pickler.dump({"schema": schema.VERSION, "sha256": digest, "payload": payload})
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
        model = plain.decode(schema.Model, _payload(data, path))
    except plain.Undecodable as error:
        raise UnusableModel(path, f"its content is not a model: {error}") from error
    except RecursionError as error:
        raise UnusableModel(path, "its data is nested too deeply to be a model") from error
    for pair, forecast in model.forecasts.items():
        if faults := evaluation.faults(forecast, model.card.pairs[pair].served):
            raise UnusableModel(path, f"its forecast of {pair} cannot be evaluated: {faults[0]}")
    return model


def _payload(data: bytes, path: Path) -> Any:
    """Return the payload of an intact file as plain data."""
    if (head := _SCHEMA.match(data)) is None:
        raise UnusableModel(path, "it is not a model of this program; do not open it with pickle, which may execute it")
    if (version := head["schema"][0]) != schema.VERSION:
        advice = "newer: update this program" if version > schema.VERSION else "older: train again"
        raise OtherSchema(
            path, f"it was written with schema {version}, this program reads {schema.VERSION}; it is {advice}"
        )
    envelope = _ENVELOPE.fullmatch(data)
    if envelope is None or int.from_bytes(envelope["size"], "little") != len(envelope["payload"]):
        raise UnusableModel(path, "it is truncated or damaged")
    text = _decompressed(envelope["payload"], path)
    if (digest := hashlib.sha256(text).hexdigest()) != envelope["sha256"].decode():
        raise UnusableModel(path, f"the digest of its payload is {digest[:12]}..., not as written: damaged or altered")
    for kind, count, most in (
        ("values", text.count(b",") + 1, MOST_VALUES),
        ("keys", keys := text.count(b'":'), MOST_KEYS),
        ("lists and mappings", text.count(b"[") + text.count(b"{"), MOST_GROUPS),
    ):
        if count > most:
            raise UnusableModel(path, f"it has {count:,} {kind}, more than a model can have ({most:,})")
    try:
        data = json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise UnusableModel(path, f"its payload is not plain data: {error}") from error
    return tables.unpacked(data, MOST_KEYS - keys)


def _compressed(text: bytes) -> bytes:
    """Return the payload: repetitions of less than six characters are no gain among digits, so they are not used."""
    writer = zlib.compressobj(zlib.Z_BEST_COMPRESSION, strategy=zlib.Z_FILTERED)
    return writer.compress(text) + writer.flush()


def _decompressed(payload: bytes, path: Path) -> bytes:
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(payload, MOST_TEXT + 1)
    except zlib.error as error:
        raise UnusableModel(path, f"its payload is truncated or damaged: {error}") from error
    if len(text) > MOST_TEXT:
        raise UnusableModel(path, f"its payload has more than {MOST_TEXT:,} characters, more than a model can have")
    if not reader.eof or reader.unused_data:
        raise UnusableModel(path, "its payload is truncated or damaged")
    return text


def _no_number(name: str) -> Any:
    """Refuse NaN and the infinities. Python refuses a whole number of more than 4,300 digits."""
    raise ValueError(f"{name} is no number")
