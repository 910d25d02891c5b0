"""A reader of pickles that builds plain data only: dict, list, str, int, float, bool and None.

The model file is a pickle only because of its name, so just the opcodes of such data are supported. Without globals and
calls nothing can be executed; without the memo no object can be referenced twice, so time and memory are linear in the
size of the file. Keys are text, integers have at most 64 bits, and texts have a maximum length.
"""

import pickle
import struct
from collections.abc import Callable
from typing import Any

MOST_OPCODES = 1_500_000  # a pair takes some 40,000; an opcode of one byte can make an object of 64 bytes
MOST_TEXT = 64 * 2**10  # bytes; the longest text are the past forecasts of a model, some 35 kB
_MOST_INTEGER = 8  # bytes

_NUMBERS = {
    pickle.BINFLOAT[0]: struct.Struct(">d"),
    pickle.BININT1[0]: struct.Struct("<B"),
    pickle.BININT2[0]: struct.Struct("<H"),
    pickle.BININT[0]: struct.Struct("<i"),
}
_NEW: dict[int, Callable[[], Any]] = {
    pickle.NONE[0]: lambda: None,
    pickle.NEWTRUE[0]: lambda: True,
    pickle.NEWFALSE[0]: lambda: False,
    pickle.EMPTY_LIST[0]: list,
    pickle.EMPTY_DICT[0]: dict,
}
_SIZE_BYTES = {  # of what is preceded by its size
    pickle.SHORT_BINUNICODE[0]: 1,
    pickle.BINUNICODE[0]: 4,
    pickle.LONG1[0]: 1,
    pickle.FRAME[0]: 8,
}
_LONG, _FRAME = pickle.LONG1[0], pickle.FRAME[0]
_MARK, _PROTO, _STOP = pickle.MARK[0], pickle.PROTO[0], pickle.STOP[0]


class NotPlain(ValueError):
    """The bytes are not a pickle of plain data; the message is the reason."""


def loads(data: bytes) -> Any:
    """Return the object in a pickle.

    Raises:
        NotPlain: The pickle is truncated, holds anything but plain data, or exceeds a maximum.
    """
    stack: list[Any] = []
    marks: list[int] = []  # heights of the stack
    at = 0  # offset of the next byte
    try:
        for _ in range(MOST_OPCODES):
            opcode = data[at]
            at += 1
            if opcode in _SIZE_BYTES:
                start = at + _SIZE_BYTES[opcode]
                size = int.from_bytes(data[at:start], "little")
                if start + size > len(data):
                    raise IndexError
                at = start
                if opcode != _FRAME:  # the limits of frames only matter to readers of streams
                    at += size
                    stack.append(_value(opcode, data[start:at]))
            elif opcode in _NUMBERS:
                number = _NUMBERS[opcode]
                stack.append(number.unpack_from(data, at)[0])
                at += number.size
            elif opcode == _MARK:
                marks.append(len(stack))
            elif opcode in _NEW:
                stack.append(_NEW[opcode]())
            elif opcode in _ADD:
                add, count = _ADD[opcode]
                height = len(stack) - count if count else marks.pop()
                objects = stack[height:]
                del stack[height:]
                add(stack[-1], objects)
            elif opcode == _PROTO:
                at += 1
            elif opcode == _STOP:
                return _result(stack, len(marks), len(data) - at)
            else:
                import pickletools  # noqa: PLC0415 large, and needed for one message alone

                name = {ord(code.code): code.name for code in pickletools.opcodes}[opcode]
                raise NotPlain(f"it holds the pickle opcode {name}, which plain data never needs: do not run it")
    except (LookupError, struct.error, UnicodeDecodeError) as error:
        raise NotPlain(f"it is truncated, or not a pickle of plain data, at byte {at:,}") from error
    raise NotPlain(f"it has more than {MOST_OPCODES:,} pickle opcodes, more than a model can have")


def _value(opcode: int, content: bytes) -> str | int:
    if opcode == _LONG:
        if len(content) > _MOST_INTEGER:
            raise NotPlain(f"it holds a number of {len(content)} bytes; at most {_MOST_INTEGER} are allowed")
        return int.from_bytes(content, "little", signed=True)
    if len(content) > MOST_TEXT:
        raise NotPlain(f"it holds a text of {len(content):,} bytes; at most {MOST_TEXT:,} are allowed")
    return content.decode()


def _extend(target: Any, objects: list[Any]) -> None:
    if type(target) is not list:
        raise IndexError
    target.extend(objects)


def _update(target: Any, objects: list[Any]) -> None:
    """Update a dict with keys and values in turn."""
    if type(target) is not dict or len(objects) % 2:
        raise IndexError
    keys, before = objects[::2], len(target)
    for key in keys:  # before any is hashed: numbers with colliding hashes would take quadratic time
        if type(key) is not str:
            raise NotPlain(f"a key of a mapping is {type(key).__name__}, not text")
    target.update(zip(keys, objects[1::2], strict=True))
    if len(target) != before + len(keys):
        raise NotPlain("a key of a mapping is repeated")


_ADD: dict[int, tuple[Callable[[Any, list[Any]], None], int]] = {  # how many objects; 0: those after the last mark
    pickle.APPEND[0]: (_extend, 1),
    pickle.APPENDS[0]: (_extend, 0),
    pickle.SETITEM[0]: (_update, 2),
    pickle.SETITEMS[0]: (_update, 0),
}


def _result(stack: list[Any], marks: int, rest: int) -> Any:
    if rest:
        raise NotPlain(f"{rest} bytes follow its end")
    if len(stack) != 1 or marks:
        raise NotPlain(f"it ends with {len(stack)} objects and {marks} open marks, expected one object")
    return stack[0]
