"""Several collectors share one database: who collects which pairs while some of them are gone."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.live.shards import GONE, LATEST, LOOKED, Shards
from crypto_predict.errors import DatabaseError, SeriesHeld
from crypto_predict.market import Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import Shard
from crypto_predict.store import open_reader, open_writer
from tests.support.clocks import MovedClock
from tests.support.collecting import collect_here
from tests.support.databases import execute, new_postgresql, stopped_server
from tests.support.live import binance_of, collecting_apart, minutes_of, until
from tests.support.live_markets import BEGIN, BTC, CALM, ETH, SOL, START, Market, market, wait_whole

PAIRS = (BTC, ETH, SOL)
END = (  # what holds a shard on the server
    "SELECT pg_terminate_backend(pid, 5000) FROM (SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory'"
    " AND objid = :number AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS holders"
)
MANY = [Pair(f"A{number}", "USD") for number in range(100)]


def collector_of(database: str, shard: Shard) -> str:
    """Return which process collects a shard; an empty text if none does."""
    with open_reader(database) as reader:
        return next((state.collector for state in reader.shards() if state.shard == shard), "")


def collecting_shard(database: str, result: Market, shard: str) -> AbstractContextManager[subprocess.Popen[str]]:
    names = ("--pair", ",".join(map(str, PAIRS)), "--no-forecasts")
    return collecting_apart(database, result.motion.clock, binance_of(result.server), *names, "--shard", shard)


def wait_collected(database: str, by: subprocess.Popen[str], shard: Shard) -> None:
    begin = f"process {by.pid} on "
    until(lambda: collector_of(database, shard).startswith(begin), f"{begin}this machine collects {shard}")


def test_the_pairs_of_a_killed_collector_are_collected_by_another_one_until_it_runs_again() -> None:
    """Real processes, one of them ended with kill -9. Each candle is there once, and none was stored with others."""
    database, half, other = new_postgresql(), Shard(1, 2), Shard(2, 2)
    assert {pair in half for pair in PAIRS} == {True, False}
    with open_writer(database):
        pass  # the tables are there before the processes are
    with market(Clock(START, CALM), pairs=PAIRS) as result, collecting_shard(database, result, "1/2") as guest:
        with collecting_shard(database, result, "2/2") as killed:
            wait_collected(database, guest, half)
            wait_collected(database, killed, other)
            wait_whole(database, result, *PAIRS, minutes=1)
            killed.kill()
            killed.wait()
            wait_collected(database, guest, other)
            wait_whole(database, result, *PAIRS, minutes=1)
        with collecting_shard(database, result, "2/2") as restarted:
            wait_collected(database, restarted, other)
            end = wait_whole(database, result, *PAIRS, minutes=1)
    with open_reader(database) as reader:
        for pair in PAIRS:
            assert reader.revisions(minutes_of("binance", pair), Span(BEGIN, end)) == []
            assert reader.gaps(minutes_of("binance", pair), Span(BEGIN, end)) == []


class Group:
    """Collectors of one database, whose clock a test moves."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url, self._stack = url, stack
        self.clock = MovedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self._ends: dict[Shards, ExitStack] = {}

    def started(self, number: int, of: int, url: str = "") -> Shards:
        """Start a collector, on a connection of its own."""
        ends = self._stack.enter_context(ExitStack())
        shards = Shards(ends.enter_context(open_writer(url or self.url)), Shard(number, of), self.clock)
        ends.enter_context(shards.reserved())
        self._ends[shards] = ends
        return shards

    def end(self, shards: Shards) -> None:
        """End a collector."""
        self._ends.pop(shards).close()

    def after(self, seconds: float, *collectors: Shards) -> None:
        """Let some seconds pass, in which these collectors look as often as they do; without any, all of them."""
        for _ in range(round(seconds / LOOKED)):
            self.clock.elapsed += LOOKED
            for shards in collectors or self._ends:
                shards.release(shards.look())


@pytest.fixture
def group() -> Iterator[Group]:
    with ExitStack() as stack:
        yield Group(new_postgresql(), stack)


def held(*collectors: Shards) -> list[list[int]]:
    """Return the numbers of the shards that each collects."""
    return [sorted(shard.number for shard in shards.collected) for shards in collectors]


def test_a_shard_is_taken_over_by_the_next_one_once_nobody_has_collected_it_for_a_while(group: Group) -> None:
    """A restart is over before. All pairs are then collected, each by one process."""
    first, second, third = (group.started(number, 3) for number in (1, 2, 3))
    group.after(10)
    group.end(second)
    group.after(GONE)
    assert held(first, third) == [[1], [3]]
    group.after(LATEST - GONE)
    assert held(first, third) == [[1], [2, 3]]
    assert all((pair in first) + (pair in third) == 1 for pair in MANY)


def test_the_shards_of_several_that_are_gone_go_to_several_others(group: Group) -> None:
    collectors = [group.started(number, 4) for number in (1, 2, 3, 4)]
    for gone in collectors[:2]:
        group.end(gone)
    group.after(60)
    assert sorted(map(len, held(*collectors[2:]))) == [2, 2]
    group.end(collectors[2])
    group.after(60)
    assert held(collectors[3]) == [[1, 2, 3, 4]], "the last one has all of them"


def test_a_shard_that_nobody_was_started_for_is_collected_too(group: Group) -> None:
    first, third = group.started(1, 3), group.started(3, 3)
    group.after(60)
    assert held(first, third) == [[1], [2, 3]]


def test_who_was_started_for_a_shard_gets_it_back(group: Group) -> None:
    """It waits without an error, and says for whom; the guest keeps its own."""
    first = group.started(1, 2)
    group.after(60)
    assert held(first) == [[1, 2]]
    second = group.started(2, 2)
    assert "process " in second.waits_for
    assert not any(pair in second for pair in MANY)
    leaving = first.look()
    assert leaving == [Shard(2, 2)]
    assert not any(pair in Shard(2, 2) for pair in MANY if pair in first), "it follows none of the pairs any more"
    second.look()
    assert held(second) == [[]], "the guest has not stored everything yet"
    first.release(leaving)
    second.look()
    assert (held(first, second), second.waits_for) == ([[1], [2]], "")


def test_the_status_names_the_collector_of_each_shard(group: Group) -> None:
    """And whether it was started for another one."""
    group.started(2, 3)
    group.after(60)
    with open_writer(group.url) as writer:
        writer.follow(minutes_of("binance", BTC), simulated=False)
    rows = json.loads(collect_here(group.url, "--status", "--json").output)["shards"]
    assert [(row["shard"], row["is_guest"]) for row in rows] == [("1/3", True), ("2/3", False), ("3/3", True)]
    assert all(row["collector"].startswith(f"process {os.getpid()} on ") for row in rows)
    table = collect_here(group.url, "--status").output.split("\n\n")[-1].splitlines()
    assert [line.split()[0] for line in table[1:]] == ["1/3", "2/3", "3/3"]
    assert [line.endswith("yes") for line in table[1:]] == [True, False, True]


def test_two_processes_for_one_shard_and_those_with_other_numbers_are_refused(group: Group) -> None:
    """Also while a guest collects it. So is one beside a collector of an earlier version, which gives nothing back."""
    group.started(1, 2)
    group.after(60)
    group.started(2, 2)
    for number, of in ((1, 2), (2, 2), (1, 1), (3, 4)):
        with pytest.raises(SeriesHeld, match=r"collected by process \d+ on "):
            group.started(number, of)
    url = new_postgresql()
    with open_writer(url) as earlier, earlier.hold_collector(Shard(1, 2)), pytest.raises(SeriesHeld):
        group.started(1, 2, url)


def test_nobody_takes_a_shard_because_the_database_was_away(group: Group) -> None:
    """However long that was: each takes its own again first."""
    first, second = group.started(1, 2), group.started(2, 2)
    group.after(10)
    with stopped_server():
        for shards in (first, second):
            with pytest.raises(DatabaseError):
                shards.look()
        group.clock.elapsed += 600
    group.after(60)
    assert held(first, second) == [[1], [2]]


def test_a_collector_whose_connection_was_lost_gets_its_shard_back(group: Group) -> None:
    """Another one has taken the shard meanwhile. Until it is back, its pairs are not collected twice."""
    first, second = group.started(1, 2), group.started(2, 2)
    group.after(10)
    execute(group.url, END, number=2 << 15 | 2)
    group.after(60, first)
    assert held(first) == [[1, 2]]
    second.renew()
    assert held(second) == [[]]
    assert "process " in second.waits_for
    group.after(10)
    assert (held(first, second), second.waits_for) == ([[1], [2]], "")


def test_the_collector_of_a_file_watches_no_shards(tmp_path: Path) -> None:
    """It has one collector, whatever its shard."""
    clock = MovedClock(datetime(2026, 1, 1, tzinfo=UTC))
    with open_writer(str(tmp_path / "market.db")) as writer, open_writer(str(tmp_path / "market.db")) as other:
        shards = Shards(writer, Shard(1, 2), clock)
        with shards.reserved():
            for _ in range(2):
                assert shards.look() == []
                clock.elapsed += timedelta(minutes=5).total_seconds()
            assert shards.collected == {Shard(1, 2)}
            with pytest.raises(SeriesHeld), Shards(other, Shard(2, 2), clock).reserved():
                pass
