import hashlib
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto_predict.baked import plain, schema, store, tables
from crypto_predict.baked.schema import LiveForecast, LiveRecord, Model, Scorecard
from crypto_predict.errors import UnusableModel
from crypto_predict.web.http.schemas import schema_of
from tests.support import strategies
from tests.support.models import BTC, ETH, LAST, TRAINED_AT, blank, make_model

ROOT = Path(__file__).parents[2]
NAMED = Path("model.pkl")  # the name in errors
MODEL = make_model(BTC, ETH)
DATA = store.dumps(MODEL)
SCHEMA_END = DATA.index(b"schemaK") + len(b"schemaK") + 1
SAVE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from crypto_predict.baked import store
from tests.support.models import BTC, ETH, make_model
for model in itertools.cycle([make_model(BTC, ETH), make_model(ETH)]):
    store.save(model, Path(sys.argv[1]))
    print(flush=True)
"""


def pickled(envelope: Any, protocol: int = store.PROTOCOL) -> bytes:
    """Pickle plain data without the memo, as in a model file."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol)
    pickler.fast = True
    pickler.dump(envelope)
    return buffer.getvalue()


def enclosed(text: bytes, version: Any = schema.VERSION) -> bytes:
    """A model file of this JSON, with the right digest."""
    return pickled({"schema": version, "sha256": hashlib.sha256(text).hexdigest(), "payload": zlib.compress(text, 9)})


def sealed(payload: Any, version: Any = schema.VERSION) -> bytes:
    """A model file of this payload, with the right digest."""
    return enclosed(json.dumps(payload, separators=(",", ":")).encode(), version)


def reason(data: bytes) -> str:
    """The reason for which these bytes are refused."""
    with pytest.raises(UnusableModel) as error:
        store.loads(data, NAMED)
    assert str(error.value) == f"no usable model in model.pkl: {error.value.reason}"
    assert "\n" not in error.value.reason
    return error.value.reason


@settings(max_examples=20)
@given(strategies.models())
def test_loading_a_saved_model_gives_an_equal_model_which_gives_equal_bytes(model: Model) -> None:
    """Although equal strings and numbers of a copy are not the same objects."""
    data = store.dumps(model)
    copy = store.loads(data, NAMED)
    assert copy == model
    assert store.dumps(copy) == data


def test_the_file_is_an_ordinary_pickle_of_a_documented_envelope() -> None:
    """It can be opened and checked with Python alone, and none of its opcodes can call anything."""
    envelope = pickle.loads(DATA)
    assert list(envelope) == ["schema", "sha256", "payload"]
    text = zlib.decompress(envelope["payload"])
    assert envelope["sha256"] == hashlib.sha256(text).hexdigest()
    assert json.loads(text) == tables.packed(plain.encode(MODEL))
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(DATA)}
    calls = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "PERSID", "GET"}
    assert opcodes.isdisjoint(calls)


def test_saving_replaces_the_earlier_file_also_through_a_link(tmp_path: Path) -> None:
    """Orchestrators mount volumes as links. No other file is left."""
    path, link = tmp_path / "model.pkl", tmp_path / "link.pkl"
    link.symlink_to(path.name)
    for model in (make_model(ETH), MODEL):
        store.save(model, link)
        assert store.load(link) == store.load(path) == model
        assert link.is_symlink()
        assert sorted(tmp_path.iterdir()) == [link, path]


def make_below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda path: path.with_name("another.pkl").touch(),
            "the file does not exist; train one with: python train.py",
        ),
        (lambda path: path.symlink_to("nowhere.pkl"), "the file does not exist; train one with: python train.py"),
        (Path.touch, "it is empty"),
        (Path.mkdir, "it is not a regular file"),
        (os.mkfifo, "it is not a regular file"),
        (make_below_a_file, "it cannot be read: Not a directory"),
        (make_sparse, "1,073,741,824 bytes are more than a model can have (8,388,608)"),
    ],
    ids=["absent", "dangling link", "empty", "directory", "pipe", "below a file", "sparse gigabyte"],
)
def test_a_path_without_a_model_file_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], expected: str
) -> None:
    """The server neither waits for a pipe nor reads a huge file."""
    path = tmp_path / "folder" / "model.pkl"
    path.parent.mkdir()
    make(path)
    with pytest.raises(UnusableModel) as error:
        store.load(path)
    assert (error.value.path, error.value.reason) == (path, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read all files")
def test_a_model_without_read_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    store.save(MODEL, path)
    path.chmod(0)
    with pytest.raises(UnusableModel, match="it cannot be read: Permission denied"):
        store.load(path)


@given(st.integers(0, len(DATA) - 1))
@example(0)
@example(1)
@example(len(DATA) - 1)
@example(len(DATA) // 2)
def test_a_truncated_file_is_refused_wherever_it_was_cut(length: int) -> None:
    expected = "it is empty" if length == 0 else "it is truncated" if length >= SCHEMA_END else "it is not a model"
    assert reason(DATA[:length]).startswith(expected)


@settings(max_examples=250)
@given(st.integers(0, len(DATA)), st.integers(0, 40), st.binary(max_size=40))
def test_changed_bytes_never_give_a_different_model(position: int, length: int, piece: bytes) -> None:
    """After a disk or network fault the file gives the same model or an error."""
    with suppress(UnusableModel):
        assert store.loads(DATA[:position] + piece + DATA[position + length :], NAMED) == MODEL


@given(st.binary())
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    assert reason(data)


def test_bytes_after_the_end_are_refused() -> None:
    """The digest does not cover them."""
    assert reason(DATA + b"x") == "it is truncated or damaged"
    assert reason(DATA + DATA) == "it is truncated or damaged"
    envelope = pickle.loads(DATA)
    assert reason(pickled({**envelope, "payload": envelope["payload"] + b"x"})) == "its payload is truncated or damaged"
    assert reason(pickled({**envelope, "payload": envelope["payload"][:-1]})) == "its payload is truncated or damaged"


OF_ANOTHER_FORM: list[Any] = [None, 1, "model", [], {}, [1, 2, 3], {"sha256": "0" * 64}]


@pytest.mark.parametrize("envelope", OF_ANOTHER_FORM)
def test_data_that_is_not_an_envelope_is_refused(envelope: Any) -> None:
    assert reason(pickled(envelope)).startswith("it is not a model of this program; do not open it with pickle")
    assert reason(pickled({"schema": schema.VERSION, "sha256": envelope})) == "it is truncated or damaged"


NOT_A_MODEL = "it is not a model of this program; do not open it with pickle, which may execute it"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (schema.VERSION + 1, f"it was written with schema {schema.VERSION + 1}, this program reads {schema.VERSION}; "),
        (1, f"it was written with schema 1, this program reads {schema.VERSION}; it is older: train again"),
        (-1, NOT_A_MODEL),
        (True, NOT_A_MODEL),
        (1.0, NOT_A_MODEL),
        ("1", NOT_A_MODEL),
        (None, NOT_A_MODEL),
    ],
)
def test_another_schema_is_reported_before_the_payload_is_read(version: Any, expected: str) -> None:
    """The payload of another schema may hold anything; the message names which of the two is older."""
    message = reason(sealed({"whatever": "other"}, version))
    assert message.startswith(expected)
    assert message.endswith("it is newer: update this program") or version != schema.VERSION + 1


def test_a_file_of_the_pickles_before_is_older() -> None:
    """Up to schema 8 the payload was plain data itself, in a pickle of protocol 4."""
    older = pickled({"schema": 8, "sha256": "0" * 64, "payload": plain.encode(MODEL)}, protocol=4)
    assert reason(older).startswith("it was written with schema 8,")


def test_the_members_of_a_model_change_only_with_the_version_of_its_schema() -> None:
    """An older program would misread the file. Raise `VERSION`, then write version and digest here."""
    members = json.dumps(schema_of(Model), sort_keys=True)
    digest = "18475aeb6e98525a2fc32d5cac77fe751239e0da4f1457ac406a457395b12fb0"
    assert (schema.VERSION, hashlib.sha256(members.encode()).hexdigest()) == (9, digest)


def payload() -> dict[str, Any]:
    """The payload of a valid model, for tests that change it."""
    data: dict[str, Any] = plain.encode(MODEL)
    return data


@pytest.mark.parametrize("digest", ["", "0" * 64, None, 5, ["0" * 64]])
def test_a_wrong_digest_is_refused(digest: Any) -> None:
    expected = "not as written: damaged or altered" if digest == "0" * 64 else "it is truncated or damaged"
    assert reason(pickled({**pickle.loads(DATA), "sha256": digest})).endswith(expected)


def anchor(at: str = "2024-05-18T12:00:00Z", price: float = 67_010.0) -> dict[str, Any]:
    """An anchor as plain data."""
    return {"at": at, "price": price}


def quantiles(ahead: int, row: str) -> str:
    """The fault of a row of quantiles."""
    return f": forecast_quantiles {ahead} days ahead are not 7 that ascend around 0: {row}"


CLOSE = 66_900.5
BEGIN_AND_END = ": closes do not begin with a price and end with last_close, 66900.5"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("last_close", -1.0, ": last_close must be positive, not -1.0"),
        ("closes", [CLOSE], ": 1 closes, not 503"),
        ("closes", [None] * 502 + [CLOSE], BEGIN_AND_END),
        ("closes", [CLOSE] * 503 + [66_900.6], ": 504 closes, not 503"),
        ("closes", [CLOSE] * 502 + [66_900.6], BEGIN_AND_END),
        ("closes", [CLOSE, 0.0, *[CLOSE] * 501], ": closes must be positive"),
        ("forecast_quantiles", [], ": 0 forecast_quantiles, not 365"),
        ("forecast_quantiles", [[0.0] * 7] * 30 + [[0.0] * 6] * 335, quantiles(31, "(0.0, 0.0, 0.0, ")),
        ("forecast_quantiles", [[-3.0, -2.0, -1.0, 0.0, -0.5, 2.0, 3.0]] * 365, quantiles(1, "(-3.0, -2.0, ")),
        ("forecast_quantiles", [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]] * 365, quantiles(1, "(1.0, 2.0, ")),
        ("prophet_bands", [{"low": -0.1, "high": 0.1}], ": 1 prophet_bands, not 11 or none"),
        ("prophet_weights", [0.5] * 364, ": 364 prophet_weights, not 365"),
        ("prophet_weights", [0.5] * 366, ": 366 prophet_weights, not 365"),
        ("anchor", anchor(price=0.0), ".anchor: price must be positive, not 0.0"),
        ("anchor", anchor(at="2024-05-17T23:59:59Z"), ": the anchor of 2024-05-17 23:59"),
        ("anchor", anchor(at="2024-05-19T00:00:00Z"), ": the anchor of 2024-05-19 00:00"),
        ("last", "2022-12-31", ": last day 2022-12-31 lies before first day 2023-"),
        ("last", "9999-12-31", ": last day 9999-12-31 leaves no room for 365 days"),
    ],
)
def test_invalid_content_is_refused_even_with_a_matching_digest(field: str, value: Any, expected: str) -> None:
    """A digest reveals damage, but an attacker can compute a new one. `test_plain` has the wrong types."""
    data = payload()
    data["forecasts"]["BTC/USD"][field] = value
    assert reason(sealed(data)).startswith(f"its content is not a model: forecasts['BTC/USD']{expected}")


def test_a_published_forecast_of_nothing_is_refused() -> None:
    """The page divides the outcome by it."""
    latest = blank(LiveForecast, made_at=TRAINED_AT, target=LAST)
    live = blank(LiveRecord, since=TRAINED_AT, latest=(latest,))
    model = replace(make_model(), scorecard=Scorecard(1, "0" * 64, {BTC: live}, {}))
    expected = "scorecard.pairs['BTC/USD'].latest[0]: prediction must be positive, not 0.0"
    assert reason(store.dumps(model)) == f"its content is not a model: {expected}"


@pytest.mark.parametrize("value", ["1.0\xe4", "1.0 beta", "", "1" * 101, "\x1b[2J", 'x"', "a\nb"])
@pytest.mark.parametrize("field", ["version", "build", "git_revision", "python"])
def test_a_text_that_cannot_be_a_metric_label_is_refused(field: str, value: str) -> None:
    """It is written to headers, metrics and terminals without escaping."""
    data = payload()
    data["card"][field] = value
    assert reason(sealed(data)).startswith(f"its content is not a model: card: {field} {value!r:.80} is not a label")


def test_a_card_that_misleads_its_reader_is_refused() -> None:
    """By control characters of a terminal, and by pairs without a forecast."""
    hostile, incomplete = payload(), payload()
    hostile["card"]["pairs"]["BTC/USD"]["source"] = "file:\x1b[2J.csv"
    assert "source 'file:\\x1b[2J.csv' is not printable" in reason(sealed(hostile))
    del incomplete["card"]["pairs"]["ETH/USD"]
    fault = "its content is not a model: the model: card and forecasts name different pairs"
    assert reason(sealed(incomplete)) == fault


@pytest.mark.parametrize("content", [[], None, "model", 5, {}, [[[]]], float("inf")])
def test_a_payload_of_another_type_is_refused(content: Any) -> None:
    assert reason(sealed(content))


def test_a_killed_writer_leaves_a_complete_model(tmp_path: Path) -> None:
    """As after a power failure: an incomplete file never has the name of the model."""
    path = tmp_path / "model.pkl"
    for saves in (1, 3, 8):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(saves):
                child.stdout.readline()
            child.kill()
        assert store.load(path) in (MODEL, make_model(ETH))
        assert list(tmp_path.glob("*.pkl")) == [path]


def test_a_reader_only_sees_complete_models_while_writers_compete(tmp_path: Path) -> None:
    """A server can start while a training ends."""
    path = tmp_path / "model.pkl"
    models = [MODEL, make_model(ETH)]
    store.save(MODEL, path)

    def save_often(model: Model) -> None:
        for _ in range(20):
            store.save(model, path)

    writers = [threading.Thread(target=save_often, args=(model,)) for model in models]
    for writer in writers:
        writer.start()
    seen = [store.load(path) for _ in range(20)]
    for writer in writers:
        writer.join()
    assert all(model in models for model in [*seen, store.load(path)])
    assert list(tmp_path.iterdir()) == [path]
