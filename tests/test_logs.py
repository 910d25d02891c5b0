import io
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
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def stream(root_logger: logging.Logger) -> io.StringIO:  # noqa: ARG001 it is put back by the fixture
    """What is written at level info and above."""
    stream = io.StringIO()
    logs.configure("info", stream)
    return stream


def test_an_event_is_one_json_object_with_its_fields(stream: io.StringIO) -> None:
    """Machines read the log: time, level and event stand first, the event's own fields after them."""
    logs.event(logging.getLogger("test"), logging.WARNING, "100 % full", disk="/dev/sda", left=0)
    line = json.loads(stream.getvalue())
    assert list(line) == ["time", "level", "event", "disk", "left"]
    assert line["level"] == "warning"
    assert line["event"] == "100 % full"
    assert line["time"].endswith("Z")


def test_other_libraries_write_the_same_lines(stream: io.StringIO) -> None:
    """A log of two formats is read by no machine."""
    logging.getLogger("elsewhere").error("lost %s of %s", 3, 4)
    assert json.loads(stream.getvalue())["event"] == "lost 3 of 4"


def test_a_traceback_stays_on_the_line_of_its_event(stream: io.StringIO) -> None:
    """A traceback over many lines would be taken for many events."""
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("test").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: why" in json.loads(line)["traceback"]


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    logs.event(logging.getLogger("test"), logging.DEBUG, "detail")
    assert stream.getvalue() == ""


@given(st.text(), st.text())
def test_no_text_can_break_or_forge_a_line(name: str, value: str) -> None:
    """Whoever controls a value must not control the log: no line break, no control character, nothing beyond ASCII."""
    line = logs.line(0.0, "info", name, {"value": value})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"time": "1970-01-01T00:00:00.000Z", "level": "info", "event": name, "value": value}


@given(st.text())
def test_quoted_text_reads_back_as_json(value: str) -> None:
    """The request log puts its lines together by hand, of texts that are quoted by this."""
    assert json.loads(logs.quoted(value)) == value
    assert logs.quoted(value).isascii()


def test_buffered_lines_wait_for_a_flush() -> None:
    """A system call for each request would cost more than the request."""
    raw = io.BytesIO()
    lines = logs.BufferedLines(io.BufferedWriter(raw))
    lines.write("one")
    lines.write("two")
    assert raw.getvalue() == b""
    lines.flush()
    assert raw.getvalue() == b"one\ntwo\n"


def test_a_log_that_nobody_reads_any_more_stops_nothing() -> None:
    """The reader of a pipe may go away: the service goes on."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = open(writer, "wb")  # noqa: PTH123, SIM115 a descriptor has no path, and closing it is what is tested
    lines = logs.BufferedLines(stream)
    for _ in range(1000):
        lines.write("x" * 100)
    lines.flush()
    with pytest.raises(BrokenPipeError):
        stream.close()
    lines.write("the stream is closed")
    lines.flush()


def test_a_level_is_read_in_any_case() -> None:
    assert logs.level_name("WARNING") == "warning"


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidValue, match="one of debug, info, warning, error"):
        logs.level_name("loud")
