"""Reserving a series, or the pairs of a collector."""

import dataclasses
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crypto_predict.errors import DatabaseError, SeriesHeld
from crypto_predict.market import Pair
from crypto_predict.market.collected import Shard
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.databases import ON_BOTH, new_postgresql, stopped_server, wire
from tests.support.minutes import MINUTES, candles
from tests.support.processes import child, line

HOSTILE = dataclasses.replace(MINUTES, source="file:../../../etc/passwd\n%s' --")

# Holds what an expression returns until it is killed.
HOLD = """
import sys
from crypto_predict.market.collected import Shard
from crypto_predict.store import open_writer
from tests.support.minutes import MINUTES
with open_writer(sys.argv[1]) as writer, eval(sys.argv[2]):
    print("ready", flush=True)
    sys.stdin.read()
"""
OTHER = dataclasses.replace(MINUTES, pair=Pair("ETH", "USDT"))


@ON_BOTH
def test_a_second_process_is_refused_and_told_the_first(writer: WritableDatabase, url: str) -> None:
    """Other series are free. A process that is killed holds nothing any more."""
    with child(HOLD, url, "writer.hold(MINUTES)") as holder:
        assert line(holder) == "ready"
        text = rf"BTC/USDT 1m from binance is held by process {holder.pid} on .+ since 2\d\d\d-.+ UTC, which writes it"
        with pytest.raises(SeriesHeld, match=text), writer.hold(MINUTES):
            pass
        with writer.hold(OTHER):
            pass
        holder.kill()
        holder.wait()
        with writer.hold(MINUTES):
            assert writer.write(MINUTES, candles(0, 3)) == 3


@ON_BOTH
def test_a_series_is_held_once_by_a_process_too(writer: WritableDatabase, url: str) -> None:
    """By another thread or another connection. Several series are held at once; each is free after its context."""
    with open_writer(url) as second:
        with writer.hold(MINUTES), writer.hold(OTHER):
            for database in (writer, second):
                with pytest.raises(SeriesHeld, match=f"process {os.getpid()} on "), database.hold(MINUTES):
                    pass
        with second.hold(MINUTES), writer.hold(OTHER):
            pass


@ON_BOTH
def test_an_error_inside_frees_the_series_and_passes_unchanged(writer: WritableDatabase) -> None:
    for error in (OSError("of the caller"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, writer.hold(MINUTES):
            raise error
        assert caught.value is error


@ON_BOTH
def test_the_name_of_a_series_is_harmless(writer: WritableDatabase, tmp_path: Path) -> None:
    """It may be named after a path. Lock files lie beside the database and are removed."""
    writer.follow(HOSTILE, simulated=True)
    before = sorted(tmp_path.rglob("*"))
    with writer.hold(HOSTILE):
        assert all(path.parent == tmp_path for path in {*tmp_path.rglob("*")} - {*before})
        assert writer.write(HOSTILE, candles(0, 3)) == 3
    assert sorted(tmp_path.rglob("*")) == before
    assert HOSTILE in [collected.series for collected in writer.collected()]


@ON_BOTH
def test_of_many_threads_one_holds_a_series(writer: WritableDatabase) -> None:
    """The others are refused, whichever comes first."""
    together, done = threading.Barrier(8), threading.Barrier(8)

    def can_hold(_: int) -> bool:
        together.wait()
        try:
            with writer.hold(MINUTES):
                done.wait()
                return True
        except SeriesHeld:
            done.wait()
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(can_hold, range(8))) == 1


def refused(database: WritableDatabase, shard: Shard) -> str:
    """Return why a collector of a shard cannot run; an empty text if it can."""
    try:
        with database.hold_collector(shard):
            return ""
    except SeriesHeld as error:
        return str(error)


@ON_BOTH
def test_a_second_collector_is_refused_and_told_the_first(writer: WritableDatabase, url: str) -> None:
    """A file has one collector, a server one of each shard. A series can be held beside it."""
    with child(HOLD, url, "writer.hold_collector(Shard(1, 2))") as holder:
        assert line(holder) == "ready"
        assert f"its pairs are collected by process {holder.pid} on " in refused(writer, Shard(1, 2))
        assert bool(refused(writer, Shard(2, 2))) == ("://" not in url)
        with writer.hold(MINUTES):
            pass
        holder.kill()
        holder.wait()
        assert refused(writer, Shard(1, 2)) == ""


def test_collectors_with_other_numbers_of_shards_never_have_the_same_pairs() -> None:
    """Otherwise a machine that was forgotten when the shards were renumbered would collect twice."""
    shards = [Shard(number, of) for of in (1, 2, 3, 4) for number in range(1, of + 1)]
    pairs = [Pair(f"A{number}", "USD") for number in range(500)]
    url = new_postgresql()
    with open_writer(url) as writer, open_writer(url) as other:
        for first in shards:
            with writer.hold_collector(first):
                for second in shards:
                    common = any(pair in first and pair in second for pair in pairs)
                    assert [bool(refused(database, second)) for database in (writer, other)] == [
                        common,
                        common,
                    ]


def test_a_collector_takes_its_shard_again_after_the_server_was_away() -> None:
    """Unless another process has taken it meanwhile; it can try again later."""
    url = new_postgresql()
    with open_writer(url) as writer, open_writer(url) as other:
        with writer.hold_collector(Shard(1, 2)) as renew, writer.hold(MINUTES):
            renew()
            with stopped_server():
                with pytest.raises(DatabaseError) as caught:
                    renew()
                assert not isinstance(caught.value, SeriesHeld)
            renew()
            assert f"process {os.getpid()} on " in refused(other, Shard(1, 2))
            with pytest.raises(SeriesHeld), other.hold(MINUTES):
                pass
            with stopped_server():
                pass
            with other.hold_collector(Shard(1, 1)):
                for _ in range(2):
                    with pytest.raises(SeriesHeld, match="are collected by process"):
                        renew()
            renew()
            assert refused(other, Shard(1, 1)) != ""
        assert refused(other, Shard(1, 1)) == ""


def test_a_lost_connection_does_not_keep_its_own_collector_out() -> None:
    """The server keeps the locks of a connection until it notices that it is lost, which can take hours."""
    url = new_postgresql()
    with wire(url) as (address, cut), open_writer(address) as writer, open_writer(url) as other:
        with writer.hold_collector(Shard()) as renew:
            cut()
            assert refused(other, Shard()) != ""
            renew()
            assert refused(other, Shard()) != ""
        assert refused(other, Shard()) == ""


def test_the_collector_of_a_file_keeps_its_lock(tmp_path: Path) -> None:
    """Renewing it does nothing: the kernel holds the lock."""
    url = str(tmp_path / "market.db")
    with open_writer(url) as writer, open_writer(url) as other:
        with writer.hold_collector(Shard()) as renew:
            renew()
            assert "stop that process, or use another database" in refused(other, Shard(2, 2))
        assert refused(other, Shard(2, 2)) == ""


@pytest.mark.parametrize("shard", [Shard(0, 1), Shard(2, 1), Shard(1, 2**15), Shard(-1, -1)])
def test_a_shard_that_does_not_exist_is_a_defect_of_the_program(shard: Shard) -> None:
    with open_writer(new_postgresql()) as writer, pytest.raises(ValueError, match="is not 1/32767 or one with fewer"):
        refused(writer, shard)
