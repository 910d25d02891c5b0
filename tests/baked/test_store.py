import hashlib
import io
import json
import os
import pickle
import pickletools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto_predict.baked import plain, schema, store
from crypto_predict.baked.schema import Model
from crypto_predict.errors import UnusableModel
from tests.support import strategies
from tests.support.models import BTC, ETH, make_model

ROOT = Path(__file__).parents[2]
NAMED = Path("model.pkl")  # what errors call bytes that came from nowhere
MODEL = make_model(BTC, ETH)
DATA = store.dumps(MODEL)


def pickled(envelope: Any) -> bytes:
    """Plain data as a pickle without the memo, as a model file is."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=4)
    pickler.fast = True
    pickler.dump(envelope)
    return buffer.getvalue()


def sealed(payload: Any, version: Any = schema.VERSION) -> bytes:
    """A model file of this payload, with the digest that belongs to it."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return pickled(
        {"schema": version, "sha256": hashlib.sha256(canonical.encode()).hexdigest(), "payload": payload},
    )


def reason(data: bytes) -> str:
    """Why these bytes are no model."""
    with pytest.raises(UnusableModel) as error:
        store.loads(data, NAMED)
    assert str(error.value) == f"no usable model in model.pkl: {error.value.reason}"
    assert "\n" not in error.value.reason
    return error.value.reason


@settings(max_examples=40)
@given(strategies.models())
def test_what_was_saved_is_loaded_to_the_same_model(model: Model) -> None:
    assert store.loads(store.dumps(model), NAMED) == model


@settings(max_examples=40)
@given(strategies.models())
def test_equal_models_give_equal_bytes(model: Model) -> None:
    """Whichever way they were made: a copy shares none of the strings and numbers that the original shares inside."""
    copy = plain.decode(Model, plain.encode(model))
    assert store.dumps(copy) == store.dumps(model)


def test_another_process_writes_the_same_bytes() -> None:
    """Hash seeds and addresses must not show: a rebuilt image would differ for no reason."""
    program = "import sys; from tests.baked.test_store import DATA; sys.stdout.buffer.write(DATA)"
    for seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        child = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, check=True)
        assert child.stdout == DATA


def test_the_file_is_an_ordinary_pickle_of_a_documented_envelope() -> None:
    """Anybody can open it with Python alone and check it."""
    envelope = pickle.loads(DATA)
    assert list(envelope) == ["schema", "sha256", "payload"]
    assert sealed(plain.encode(MODEL)) == DATA
    assert envelope == pickle.loads(sealed(envelope["payload"]))


def test_no_opcode_of_the_file_can_call_anything() -> None:
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(DATA)}
    assert opcodes.isdisjoint({"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "PERSID", "GET"})


def test_a_saved_file_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    store.save(make_model(ETH), path)
    store.save(MODEL, path)
    assert store.load(path) == MODEL
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_model_is_followed(tmp_path: Path) -> None:
    """Volumes of an orchestrator are made of links."""
    store.save(MODEL, tmp_path / "real.pkl")
    (tmp_path / "model.pkl").symlink_to("real.pkl")
    assert store.load(tmp_path / "model.pkl") == MODEL


def make_absent(path: Path) -> None:
    path.with_name("another.pkl").touch()


def make_dangling(path: Path) -> None:
    path.symlink_to("nowhere.pkl")


def make_below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (make_absent, "there is no such file; train one with: python train.py"),
        (make_dangling, "there is no such file; train one with: python train.py"),
        (Path.touch, "it is empty"),
        (Path.mkdir, "it is not a regular file"),
        (os.mkfifo, "it is not a regular file"),
        (make_below_a_file, "it cannot be read: Not a directory"),
        (make_sparse, "1,073,741,824 bytes are more than a model can have (6,291,456)"),
    ],
    ids=["absent", "dangling link", "empty", "directory", "pipe", "below a file", "sparse gigabyte"],
)
def test_what_is_no_model_file_is_told_in_one_line(tmp_path: Path, make: Callable[[Path], None], expected: str) -> None:
    """A pipe must not make the server wait for ever, nor a huge file make it read."""
    path = tmp_path / "folder" / "model.pkl"
    path.parent.mkdir()
    make(path)
    with pytest.raises(UnusableModel) as error:
        store.load(path)
    assert (error.value.path, error.value.reason) == (path, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_model_that_may_not_be_read_is_told(tmp_path: Path) -> None:
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
    assert reason(DATA[:length]).startswith(
        "it is empty" if length == 0 else "it is truncated, or not a pickle of plain data, at byte "
    )


@settings(max_examples=300)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_gives_another_model(position: int, mask: int) -> None:
    """A bad disk or a cut connection: the answer is the same model or none, whichever bits were hit."""
    damaged = bytearray(DATA)
    damaged[position] ^= mask
    with suppress(UnusableModel):
        assert store.loads(bytes(damaged), NAMED) == MODEL


@settings(max_examples=200)
@given(st.integers(0, len(DATA)), st.integers(0, 40), st.binary(max_size=40))
def test_a_piece_replaced_by_anything_never_gives_another_model(position: int, length: int, piece: bytes) -> None:
    with suppress(UnusableModel):
        assert store.loads(DATA[:position] + piece + DATA[position + length :], NAMED) == MODEL


@given(st.binary())
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    assert reason(data)


ALLOWED = b"\x80\x04]}(aesuNK\x01\x88\x89G?\xf0\0\0\0\0\0\0\x8c\x01x."


@given(st.lists(st.sampled_from([ALLOWED[i : i + 1] for i in range(len(ALLOWED))]), max_size=40).map(b"".join))
def test_harmless_opcodes_in_a_senseless_order_are_refused(data: bytes) -> None:
    """Popping from an empty stack, dictionaries without values, lists as keys: an error of ours, never a traceback."""
    assert reason(b"\x80\x04" + data + b".")


def test_bytes_behind_the_end_are_refused() -> None:
    """What is not covered by the digest has no place in the file."""
    assert reason(DATA + b"x") == "1 bytes follow its end"
    assert reason(DATA + DATA) == f"{len(DATA)} bytes follow its end"


@pytest.mark.parametrize("envelope", [None, 1, "model", [], {}, [1, 2, 3], {"schema": 1, "sha256": ""}])
def test_what_is_no_envelope_is_refused(envelope: Any) -> None:
    assert reason(pickled(envelope)) == "it is not an envelope of schema, sha256 and payload"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (schema.VERSION + 1, f"it was written with schema {schema.VERSION + 1}, this program reads {schema.VERSION}; "),
        (1, f"it was written with schema 1, this program reads {schema.VERSION}; it is older: train again"),
        (0, "its schema version is 0"),
        (-1, "its schema version is -1"),
        (True, "its schema version is True"),
        (1.0, "its schema version is 1.0"),
        ("1", "its schema version is '1'"),
        (None, "its schema version is None"),
    ],
)
def test_another_schema_is_told_before_anything_else_is_read(version: Any, expected: str) -> None:
    """Another version's file may hold anything; what helps is to hear which of the two is old."""
    told = reason(sealed({"whatever": "other"}, version))
    assert told.startswith(expected)
    assert told.endswith("it is newer: update this program") or version != schema.VERSION + 1


def payload() -> dict[str, Any]:
    """The payload of a sound model, to be spoilt."""
    data: dict[str, Any] = plain.encode(MODEL)
    return data


def test_a_changed_number_does_not_match_the_digest() -> None:
    envelope = pickle.loads(DATA)
    envelope["payload"]["forecasts"]["BTC/USD"]["last_close"] += 1
    assert reason(pickled(envelope)).endswith("not as written: damaged or altered")


@pytest.mark.parametrize("digest", ["", "0" * 64, None, 5, ["0" * 64]])
def test_a_wrong_digest_is_refused(digest: Any) -> None:
    assert "damaged or altered" in reason(pickled({**pickle.loads(DATA), "sha256": digest}))


def anchor(at: str = "2024-05-18T12:00:00Z", price: float = 67_010.0) -> dict[str, Any]:
    """An anchor as it is written."""
    return {"at": at, "price": price}


@pytest.mark.parametrize(
    ("section", "field", "value", "expected"),
    [
        ("forecasts", "last_close", -1.0, "forecasts['BTC/USD']: last_close must be positive, not -1.0"),
        ("forecasts", "forecast_bands", [], "forecasts['BTC/USD']: 0 forecast_bands, not 365"),
        (
            "forecasts",
            "prophet_bands",
            [{"low": -0.1, "high": 0.1}],
            "forecasts['BTC/USD']: 1 prophet_bands, not 11 or none",
        ),
        ("forecasts", "prophet_weights", [0.5] * 364, "forecasts['BTC/USD']: 364 prophet_weights, not 365"),
        ("forecasts", "other_increments", [0.0] * 366, "forecasts['BTC/USD']: 366 other_increments, not 365"),
        ("forecasts", "anchor", anchor(price=0.0), "forecasts['BTC/USD'].anchor: price must be positive, not 0.0"),
        (
            "forecasts",
            "anchor",
            anchor(at="2024-05-17T23:59:59Z"),
            "forecasts['BTC/USD']: the anchor of 2024-05-17 23:59",
        ),
        (
            "forecasts",
            "anchor",
            anchor(at="2024-05-19T00:00:00Z"),
            "forecasts['BTC/USD']: the anchor of 2024-05-19 00:00",
        ),
        ("forecasts", "scale", "x", "forecasts['BTC/USD'].scale: expected a finite number, found 'x'"),
        ("forecasts", "last", "2022-12-31", "forecasts['BTC/USD']: last day 2022-12-31 lies before first day 2023-"),
        ("forecasts", "last", "9999-12-31", "forecasts['BTC/USD']: last day 9999-12-31 leaves no room for 365 days"),
        ("card", "candles", -0.5, "card.pairs['BTC/USD'].candles: expected a whole number, found -0.5"),
        ("card", "colour", "red", "card.pairs['BTC/USD']: missing nothing, unknown ['colour']"),
    ],
)
def test_content_that_is_no_model_is_refused_even_with_a_matching_digest(
    section: str, field: str, value: Any, expected: str
) -> None:
    """A digest tells damage; it does not tell who wrote the file."""
    data = payload()
    pairs = data["forecasts"] if section == "forecasts" else data["card"]["pairs"]
    pairs["BTC/USD"][field] = value
    assert reason(sealed(data)).startswith(f"its content is not a model: {expected}")


@pytest.mark.parametrize("value", ["1.0\xe4", "1.0 beta", "", "1" * 101, "\x1b[2J", 'x"', "a\nb"])
@pytest.mark.parametrize("field", ["version", "build", "git_revision", "python"])
def test_a_name_that_cannot_be_the_label_of_a_metric_is_refused(field: str, value: str) -> None:
    """It goes into headers, metrics and terminals as it is."""
    data = payload()
    data["card"][field] = value
    assert reason(sealed(data)).startswith(f"its content is not a model: card: {field} {value!r:.80} is not a label")


def test_a_source_that_would_write_to_a_terminal_is_refused() -> None:
    data = payload()
    data["card"]["pairs"]["BTC/USD"]["source"] = "file:\x1b[2J.csv"
    assert "source 'file:\\x1b[2J.csv' is not printable" in reason(sealed(data))


def test_a_card_of_other_pairs_than_the_forecasts_is_refused() -> None:
    data = payload()
    del data["card"]["pairs"]["ETH/USD"]
    assert reason(sealed(data)) == "its content is not a model: the model: card and forecasts name different pairs"


@pytest.mark.parametrize("content", [[], None, "model", 5, {}, [[[]]], float("inf")])
def test_a_payload_that_is_something_else_is_refused(content: Any) -> None:
    assert reason(sealed(content))


SAVE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from crypto_predict.baked import store
from tests.baked.test_store import MODEL
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    store.save(MODEL, Path(sys.argv[1]))
except OSError as error:
    sys.exit(error.strerror)
"""


def test_a_full_disk_leaves_the_model_before_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    """A real process that may write 4 kB and no more."""
    path = tmp_path / "model.pkl"
    store.save(make_model(ETH), path)
    command = [sys.executable, "-c", SAVE_ON_A_FULL_DISK, str(path)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (1, "File too large\n")
    assert store.load(path) == make_model(ETH)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        store.save(MODEL, tmp_path / "model.pkl")
    assert list(tmp_path.iterdir()) == [tmp_path / "model.pkl"]
    with pytest.raises(FileNotFoundError):
        store.save(MODEL, tmp_path / "missing" / "model.pkl")


SAVE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from crypto_predict.baked import store
from tests.support.models import ETH, make_model
from tests.baked.test_store import MODEL
for model in itertools.cycle([MODEL, make_model(ETH)]):
    store.save(model, Path(sys.argv[1]))
    print(flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_model(tmp_path: Path) -> None:
    """Power fails without asking. What the killed process leaves half-written is never called a model."""
    path = tmp_path / "model.pkl"
    for saves in (1, 2, 3, 5, 8, 13, 21, 34):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(saves):
                child.stdout.readline()
            child.kill()
        assert child.returncode == -signal.SIGKILL
        assert store.load(path) in (MODEL, make_model(ETH))
        assert [other.name for other in tmp_path.iterdir() if not other.name.startswith(".")] == ["model.pkl"]
        assert list(tmp_path.glob("*.pkl")) == [path]


def save_often(model: Model, path: Path) -> None:
    for _ in range(20):
        store.save(model, path)


def test_a_reader_meets_whole_models_only_while_writers_compete(tmp_path: Path) -> None:
    """A server may be started while a training run ends."""
    path = tmp_path / "model.pkl"
    models = [MODEL, make_model(ETH)]
    store.save(MODEL, path)
    writers = [threading.Thread(target=save_often, args=(model, path)) for model in models]
    for writer in writers:
        writer.start()
    seen = [store.load(path) for _ in range(20)]
    for writer in writers:
        writer.join()
    assert all(model in models for model in [*seen, store.load(path)])
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    """Whoever points at the model with a link must find the new one behind it."""
    (tmp_path / "releases").mkdir()
    link, target = tmp_path / "model.pkl", tmp_path / "releases" / "1.pkl"
    link.symlink_to(target)
    store.save(make_model(), link)
    assert link.is_symlink()
    assert store.load(target) == make_model()
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["1.pkl"]
