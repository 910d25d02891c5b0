"""Reserving a series."""

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from crypto_predict.errors import SeriesHeld
from crypto_predict.market import Pair
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.children import child, line
from tests.support.minutes import MINUTES, candles

HOSTILE = dataclasses.replace(MINUTES, source="file:../../../etc/passwd\n%s' --")

HOLD = """
import sys
from crypto_predict.store import open_writer
from tests.support.minutes import MINUTES
with open_writer(sys.argv[1]) as writer, writer.hold(MINUTES):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_the_first(writer: WritableDatabase, url: str) -> None:
    """Other series are free. A process that is killed holds nothing any more."""
    with child(HOLD, url) as holder:
        assert line(holder) == "held"
        text = rf"binance BTC/USDT 1m is held by process {holder.pid} on .+ since 2\d\d\d-.+ UTC, which writes it; wait"
        with pytest.raises(SeriesHeld, match=text), writer.hold(MINUTES):
            pass
        with writer.hold(dataclasses.replace(MINUTES, pair=Pair("ETH", "USDT"))):
            pass
        holder.kill()
        holder.wait()
        with writer.hold(MINUTES):
            assert writer.write(MINUTES, candles(0, 3)) == 3


def test_a_series_is_held_once_by_a_process_too(writer: WritableDatabase, url: str) -> None:
    """By another thread or another connection. Several series are held at once; each is free after its context."""
    other = dataclasses.replace(MINUTES, pair=Pair("ETH", "USDT"))
    with open_writer(url) as second:
        with writer.hold(MINUTES), writer.hold(other):
            for database in (writer, second):
                with pytest.raises(SeriesHeld, match=f"process {os.getpid()} on "), database.hold(MINUTES):
                    pass
        with second.hold(MINUTES), writer.hold(other):
            pass


def test_an_error_inside_frees_the_series_and_passes_unchanged(writer: WritableDatabase) -> None:
    for error in (OSError("of the caller"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, writer.hold(MINUTES):
            raise error
        assert caught.value is error


def test_the_name_of_a_series_is_harmless(writer: WritableDatabase, tmp_path: Path) -> None:
    """It may be named after a path. Lock files lie beside the database and are removed."""
    writer.follow(HOSTILE, simulated=True)
    before = sorted(tmp_path.rglob("*"))
    with writer.hold(HOSTILE):
        assert all(path.parent == tmp_path for path in {*tmp_path.rglob("*")} - {*before})
        assert writer.write(HOSTILE, candles(0, 3)) == 3
    assert sorted(tmp_path.rglob("*")) == before
    assert HOSTILE in [one.series for one in writer.collected()]


def test_of_many_threads_one_holds_a_series(writer: WritableDatabase) -> None:
    """The others are refused, whichever comes first."""
    results: list[str] = []
    together, done = threading.Barrier(8), threading.Barrier(8)

    def run() -> None:
        together.wait()
        try:
            with writer.hold(MINUTES):
                results.append("held")
                done.wait()
        except SeriesHeld:
            results.append("refused")
            done.wait()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["held", *["refused"] * 7]
