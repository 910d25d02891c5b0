"""A reader of pickles that builds plain data only: dict, list, str, int, float, bool and None.

It supports only the opcodes that such data needs. Without globals and calls nothing can be executed; without the memo
no object can be referenced twice, so time and memory are linear in the size of the file. Keys are text, integers have
at most 64 bits, and texts have a maximum length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

MOST_OPCODES = 750_000  # a pair takes some 16,000; an opcode of one byte can make an object of 64 bytes
MOST_TEXT = 16 * 2**10  # bytes; the longest text is a source, which may be a path
_MOST_INTEGER = 8  # bytes

_FLOAT, _INT4, _INT2 = struct.Struct(">d"), struct.Struct("<i"), struct.Struct("<H")
_UINT4, _UINT8 = struct.Struct("<I"), struct.Struct("<Q")
_STOP = ord(".")


class NotPlain(ValueError):
    """The bytes are not a pickle of plain data; the message is the reason."""


def loads(data: bytes) -> Any:
    """Return the object in a pickle.

    Raises:
        NotPlain: The pickle is truncated, holds anything but plain data, or exceeds a maximum.
    """
    return _Machine(data).run()


class _Machine:
    """The pickle machine: a stack of objects and a stack of marks."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0  # offset of the next byte
        self._stack: list[Any] = []
        self._marks: list[int] = []

    def run(self) -> Any:
        data, known = self._data, _HANDLERS
        try:
            for _ in range(MOST_OPCODES):
                opcode = data[self._at]
                self._at += 1
                if opcode == _STOP:
                    return self._result()
                handler = known[opcode]
                if handler is None:
                    raise NotPlain(
                        f"it holds the pickle opcode {_name(opcode)}, which plain data never needs: do not run it"
                    )
                handler(self)
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise NotPlain(f"it is truncated, or not a pickle of plain data, at byte {self._at:,}") from error
        raise NotPlain(f"it has more than {MOST_OPCODES:,} pickle opcodes, more than a model can have")

    def _result(self) -> Any:
        if self._at != len(self._data):
            raise NotPlain(f"{len(self._data) - self._at} bytes follow its end")
        if len(self._stack) != 1 or self._marks:
            raise NotPlain(
                f"it ends with {len(self._stack)} objects and {len(self._marks)} open marks, expected one object"
            )
        return self._stack[0]

    def _unpacked(self, kind: struct.Struct) -> Any:
        (value,) = kind.unpack_from(self._data, self._at)
        self._at += kind.size
        return value

    def _taken(self, size: int) -> bytes:
        start = self._at
        self._at += size
        if self._at > len(self._data):
            raise IndexError
        return self._data[start : self._at]

    def protocol(self) -> None:
        self._at += 1

    def frame(self) -> None:
        """Skip a frame length, which only matters to stream readers, but refuse one beyond the end."""
        if self._unpacked(_UINT8) > len(self._data) - self._at:
            raise IndexError

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def none(self) -> None:
        self._stack.append(None)

    def true(self) -> None:
        self._stack.append(True)

    def false(self) -> None:
        self._stack.append(False)

    def float8(self) -> None:
        self._stack.append(_FLOAT.unpack_from(self._data, self._at)[0])
        self._at += 8

    def int1(self) -> None:
        self._stack.append(self._data[self._at])
        self._at += 1

    def int2(self) -> None:
        self._stack.append(self._unpacked(_INT2))

    def int4(self) -> None:
        self._stack.append(self._unpacked(_INT4))

    def long(self) -> None:
        (size,) = self._taken(1)
        if size > _MOST_INTEGER:
            raise NotPlain(f"it holds a number of {size} bytes; at most {_MOST_INTEGER} are allowed")
        self._stack.append(int.from_bytes(self._taken(size), "little", signed=True))

    def short_text(self) -> None:
        start = self._at + 1
        self._at = start + self._data[start - 1]
        if self._at > len(self._data):
            raise IndexError
        self._stack.append(self._data[start : self._at].decode())

    def text(self) -> None:
        size = self._unpacked(_UINT4)
        if size > MOST_TEXT:
            raise NotPlain(f"it holds a text of {size:,} bytes; at most {MOST_TEXT:,} are allowed")
        self._stack.append(self._taken(size).decode())

    def empty_dict(self) -> None:
        self._stack.append({})

    def empty_list(self) -> None:
        self._stack.append([])

    def append(self) -> None:
        self._extend([self._stack.pop()])

    def appends(self) -> None:
        self._extend(self._marked())

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def set_items(self) -> None:
        self._update(self._marked())

    def _marked(self) -> list[Any]:
        height = self._marks.pop()
        items = self._stack[height:]
        del self._stack[height:]
        return items

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise IndexError
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target, keys = self._stack[-1], items[::2]
        if type(target) is not dict or len(items) % 2:
            raise IndexError
        for key in keys:  # before any is hashed: numbers with colliding hashes would take quadratic time
            if type(key) is not str:
                raise NotPlain(f"a key of a mapping is {type(key).__name__}, not text")
        before = len(target)
        target.update(zip(keys, items[1::2], strict=True))
        if len(target) != before + len(keys):
            raise NotPlain("a key of a mapping is repeated")


def _name(opcode: int) -> str:
    """Return Python's name of an opcode.

    Raises:
        IndexError: The byte is not an opcode.
    """
    import pickletools  # noqa: PLC0415 large, and needed for this message alone

    names = {ord(one.code): one.name for one in pickletools.opcodes}
    if opcode not in names:
        raise IndexError
    return names[opcode]


def _handlers() -> list[Callable[[_Machine], None] | None]:
    by_opcode: dict[bytes, Callable[[_Machine], None]] = {
        b"\x80": _Machine.protocol,
        b"\x95": _Machine.frame,
        b"(": _Machine.mark,
        b"N": _Machine.none,
        b"\x88": _Machine.true,
        b"\x89": _Machine.false,
        b"G": _Machine.float8,
        b"K": _Machine.int1,
        b"M": _Machine.int2,
        b"J": _Machine.int4,
        b"\x8a": _Machine.long,
        b"\x8c": _Machine.short_text,
        b"X": _Machine.text,
        b"}": _Machine.empty_dict,
        b"s": _Machine.set_item,
        b"u": _Machine.set_items,
        b"]": _Machine.empty_list,
        b"a": _Machine.append,
        b"e": _Machine.appends,
    }
    return [by_opcode.get(bytes([opcode])) for opcode in range(256)]


_HANDLERS = _handlers()
