import json
import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict import logs
from crypto_predict.errors import InvalidValue


@pytest.fixture
def written() -> Iterator[list[str]]:
    """The lines that are written at level info and above; the root logger is restored after the test."""
    root, lines = logging.getLogger(), list[str]()
    before, level = list(root.handlers), root.level
    logs.configure("info", lines.append)
    yield lines
    root.handlers[:] = before
    root.setLevel(level)


def test_an_event_is_one_json_object_with_its_fields(written: list[str]) -> None:
    """Time, level and event come first, then the fields of the event; events below the level are not written."""
    logs.event(logging.getLogger("test"), logging.DEBUG, "detail")
    logs.event(logging.getLogger("test"), logging.WARNING, "100 % full", disk="/dev/sda", left=0)
    (line,) = map(json.loads, written)
    assert list(line) == ["time", "level", "event", "disk", "left"]
    assert (line["level"], line["event"], line["time"][-1]) == ("warning", "100 % full", "Z")


def test_other_libraries_write_the_same_lines_with_tracebacks_on_the_line_of_their_event(written: list[str]) -> None:
    """A log with two formats is hard to parse, and a traceback over several lines would look like several events."""
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("elsewhere").exception("lost %s of %s", 3, 4)
    (line,) = map(json.loads, written)
    assert line["event"] == "lost 3 of 4"
    assert "ValueError: why" in line["traceback"]


@given(st.text(), st.text())
def test_no_text_can_break_or_forge_a_line(name: str, value: str) -> None:
    """A line holds printable ASCII only, whatever its values: clients choose some of them."""
    line = logs.line(0.0, "info", name, {"value": value})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"time": "1970-01-01T00:00:00.000Z", "level": "info", "event": name, "value": value}


class Pipe:
    """A pipe with `Lines` at one end."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.lines = logs.Lines(self.writer)

    def rest(self) -> bytes:
        """Close the writing end and return all bytes that were not read yet."""
        os.close(self.writer)
        with open(self.reader, "rb") as stream:  # noqa: PTH123 a descriptor has no path
            return stream.read()


def test_lines_arrive_in_order_and_whole_while_the_process_runs() -> None:
    """A line is never written inside another one, and lines do not wait for `close`."""
    pipe = Pipe()
    written = [f"{number} {'x' * (number % 300)}" for number in range(200)]
    pipe.lines.write("first")
    assert os.read(pipe.reader, 100) == b"first\n"
    for line in written:
        pipe.lines.write(line)
    pipe.lines.close(600)
    assert pipe.rest().decode().splitlines() == written
    assert pipe.lines.dropped == 0


def filled(pipe: Pipe) -> str:
    """Write more lines than are kept while the reader stalls; return the line that each of them is."""
    line, count = "x" * 299, 3 * logs.Lines.MOST_BYTES // 300
    for _ in range(count):
        pipe.lines.write(line)
    assert pipe.lines.dropped >= count // 2
    return line


def test_a_reader_that_stalls_loses_lines_and_blocks_nothing() -> None:
    """Writing does not wait, dropped lines are counted, other lines are whole, and `close` returns."""
    pipe = Pipe()
    line = filled(pipe)
    pipe.lines.close(600)
    written = os.read(pipe.reader, 2**20)
    assert set(written.decode().splitlines()) == {line}
    assert written.endswith(b"\n")


def test_whoever_is_in_a_hurry_does_not_wait_for_a_slow_reader() -> None:
    """The reader makes progress, so `close` would otherwise wait until its deadline."""
    pipe = Pipe()
    filled(pipe)
    checks = iter([False, True])

    def is_hurried() -> bool:
        os.read(pipe.reader, 4_096)
        return next(checks)

    pipe.lines.close(600, is_hurried)
    assert next(checks, None) is None
    assert len(os.read(pipe.reader, 2**20)) > 4_096


def test_lines_are_written_again_when_the_reader_continues() -> None:
    """A stall can be temporary."""
    pipe = Pipe()
    filled(pipe)
    read = 0
    while read < 3 * logs.Lines.MOST_BYTES // 300 - pipe.lines.dropped:
        read += os.read(pipe.reader, 2**20).count(b"\n")
    pipe.lines.write("after")
    assert os.read(pipe.reader, 100) == b"after\n"
    pipe.lines.close(10)


def test_a_non_blocking_descriptor_receives_every_line() -> None:
    """Another process that shares it may have set this mode."""
    pipe = Pipe()
    os.set_blocking(pipe.writer, False)
    for number in range(1_000):
        pipe.lines.write(f"{number} {'x' * 200}")
    read = b""
    while read.count(b"\n") < 1_000:
        read += os.read(pipe.reader, 2**16)
    assert [int(line.split()[0]) for line in read.splitlines()] == list(range(1_000))
    pipe.lines.close(10)


@pytest.mark.parametrize("descriptor", [None, "closed"])
def test_a_log_that_cannot_be_written_stops_nothing(descriptor: str | None) -> None:
    """The reader of a pipe may exit, and a process may have no standard output: the lines are dropped and counted."""
    pipe = Pipe()
    os.close(pipe.reader)
    lines = pipe.lines if descriptor else logs.Lines(-1)
    for _ in range(100):
        lines.write("x" * 100)
    lines.close(10)
    assert lines.dropped == 100
    os.close(pipe.writer)


def test_a_level_is_read_in_any_case_and_an_unknown_one_refused() -> None:
    assert logs.level_name("WARNING") == "warning"
    with pytest.raises(InvalidValue, match="one of debug, info, warning, error"):
        logs.level_name("loud")
