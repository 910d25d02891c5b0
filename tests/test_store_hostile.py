import copyreg
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.baked import schema, store
from crypto_predict.errors import UnusableModel
from tests.test_store import DATA, ROOT, reason


# What runs when a pickle is trusted. Each entry makes a pickle that creates the file of the given name.
def by_reduce(marker: str, protocol: int) -> bytes:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    return pickle.dumps(Evil(), protocol)


def text(marker: str) -> bytes:
    """The command as an opcode that pushes it."""
    return f"S'touch {marker}'\n".encode()


def by_stack_global(marker: str) -> bytes:
    return b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + text(marker) + b"\x85R."


def by_global(marker: str) -> bytes:
    return b"cposix\nsystem\n(" + text(marker) + b"tR."


def by_inst(marker: str) -> bytes:
    return b"(" + text(marker) + b"iposix\nsystem\n."


def by_obj(marker: str) -> bytes:
    return b"(cposix\nsystem\n" + text(marker) + b"o."


def by_build(marker: str) -> bytes:
    """Hands the state to ``__setstate__`` of an object, which was made to be ``os.system``."""
    return b"\x80\x02cargparse\nNamespace\n)\x81}S'__setstate__'\ncposix\nsystem\nsb" + text(marker) + b"b."


def by_extension(marker: str) -> bytes:
    return b"\x80\x02\x82\xf0" + text(marker) + b"\x85R."


def inside_a_model(marker: str) -> bytes:
    """An envelope as it should be, with a call where a number should be."""
    hostile = by_stack_global(marker)[2:-1]
    at = DATA.index(b"\x8c\x04seed") + len(b"\x8c\x04seed")
    grown = DATA[:at] + hostile + DATA[at + 2 :]
    return grown[:3] + struct.pack("<Q", len(grown) - 11) + grown[11:]  # the frame says how long it is


HOSTILE: list[Callable[[str], bytes]] = [
    *(lambda marker, protocol=protocol: by_reduce(marker, protocol) for protocol in range(6)),
    *(by_stack_global, by_global, by_inst, by_obj, by_build, by_extension, inside_a_model),
]


@pytest.fixture
def extension() -> Iterator[None]:
    """An extension code that stands for ``os.system``, as some library might have registered one."""
    copyreg.add_extension("posix", "system", 0xF0)
    yield
    copyreg.remove_extension("posix", "system", 0xF0)


@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize("make", HOSTILE)
def test_a_hostile_pickle_runs_nothing(make: Callable[[str], bytes], tmp_path: Path) -> None:
    """Each of these runs a command when Python's own ``pickle.load`` reads it, and that is shown first."""
    marker, path = tmp_path / "ran", tmp_path / "model.pkl"
    path.write_bytes(make(str(marker)))
    with path.open("rb") as file:
        pickle.load(file)
    assert marker.exists(), "this pickle is harmless and proves nothing"
    marker.unlink()
    with pytest.raises(UnusableModel, match=r"it holds the pickle opcode [A-Z0-9_]+, which plain data never needs"):
        store.load(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("data", "opcode"),
    [
        (b"Pmodule\n.", "PERSID"),
        (b"\x80\x02NQ.", "BINPERSID"),
        (b"\x80\x02ccollections\nOrderedDict\n.", "GLOBAL"),
        (b"\x80\x02N)\x81.", "EMPTY_TUPLE"),
        (b"\x80\x04N}}\x92.", "NEWOBJ_EX"),
        (b"\x80\x02\x83\x01\x02.", "EXT2"),
        (b"\x80\x02\x84\x01\x02\x03\x04.", "EXT4"),
        (b"\x80\x02]q\x00(h\x00h\x00e.", "BINPUT"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "LONG_BINPUT"),
        (b"\x80\x04]\x94.", "MEMOIZE"),
        (b"\x80\x02]222eee.", "DUP"),
        (b"\x80\x02g0\n.", "GET"),
        (b"\x80\x04\x8f.", "EMPTY_SET"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x02K\x01\x85.", "TUPLE1"),
        (b"I5\n.", "INT"),
        (b"F0.5\n.", "FLOAT"),
        (b"S'x'\n.", "STRING"),
    ],
)
def test_an_opcode_that_plain_data_never_needs_is_refused_by_name(data: bytes, opcode: str) -> None:
    """Persistent names, extension codes, buffers, and the memo, with which a few bytes multiply into gigabytes."""
    assert reason(data) == f"it holds the pickle opcode {opcode}, which plain data never needs: do not run it"


ENVELOPE = b"\x80\x04}(\x8c\x06schemaK" + bytes([schema.VERSION]) + b"\x8c\x06sha256\x8c\x00\x8c\x07payload"
DEEP = 400_000
FULL = store.MOST_BYTES - 10
TOO_MANY = "it has more than 1,000,000 pickle opcodes, more than a model can have"
TRUNCATED = "it is truncated or no pickle at all: "
BOMBS: dict[str, tuple[bytes, str]] = {
    "dictionaries": (b"\x80\x04" + b"}" * FULL + b".", TOO_MANY),
    "marks": (b"\x80\x04" + b"(" * FULL + b".", TOO_MANY),
    "one text": (b"\x80\x04X" + struct.pack("<I", FULL - 10) + b"x" * (FULL - 10) + b".", "it is no envelope"),
    "a text that is not there": (b"\x80\x04X\xff\xff\xff\xffx.", TRUNCATED),
    "a longer one": (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x3fx.", TRUNCATED),
    "bytes that are not there": (b"\x80\x05\x96" + b"\xff" * 7 + b"\x3fx.", TRUNCATED),
    "a number that is not there": (b"\x80\x02\x8b\xff\xff\xff\x7f\x01.", TRUNCATED),
    "a frame that is not there": (b"\x80\x04\x95" + b"\xff" * 7 + b"\x3fN.", "it is a malformed pickle: "),
    "a huge memo": (b"\x80\x02Nr\xff\xff\xff\x7f.", "it holds the pickle opcode LONG_BINPUT"),
    "a deep list": (b"\x80\x04" + b"]" * DEEP + b"a" * (DEEP - 1) + b".", "it is no envelope"),
    "a deep payload": (ENVELOPE + b"]" * DEEP + b"a" * (DEEP - 1) + b"u.", "its data is nested too deeply"),
    "a deep mapping": (ENVELOPE + b"}\x8c\x01x" * DEEP + b"N" + b"s" * DEEP + b"u.", TOO_MANY),
}
LOAD_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from crypto_predict.baked import store
from crypto_predict.errors import UnusableModel
resource.setrlimit(resource.RLIMIT_AS, (384 * 2**20, 384 * 2**20))
try:
    store.load(Path(sys.argv[1]))
except UnusableModel as error:
    sys.exit(error.reason)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_takes_little_memory_and_ends_in_one_line(bomb: str, tmp_path: Path) -> None:
    """In a process of its own that would die of the attempt."""
    data, expected = BOMBS[bomb]
    (tmp_path / "model.pkl").write_bytes(data)
    command = [sys.executable, "-c", LOAD_WITH_LITTLE_MEMORY, str(tmp_path / "model.pkl")]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert child.stderr.startswith(expected)
    assert child.stderr.count("\n") == 1
