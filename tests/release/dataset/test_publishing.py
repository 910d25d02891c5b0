"""Publishing a dataset as a GitHub Release, by the real `gh` on a GitHub on loopback; killed at any moment."""

import copy
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from crypto_predict.market import Candle, Interval, Span
from crypto_predict.release.__main__ import DONE, FAILED
from crypto_predict.store import open_writer
from tests.support import datasets, exports
from tests.support.collecting import collect_here
from tests.support.datasets import (
    PENDING,
    Snapshot,
    assets,
    export,
    months,
    names_of,
    publish,
    published,
    read,
    restore,
)
from tests.support.exports import COUNT, DAYS, MINUTES, START, at, candle
from tests.support.github import REPOSITORY
from tests.support.github_releases import Releases
from tests.support.jobs import Job
from tests.support.replay.server import Answer, Handler, answer
from tests.support.serving import ROOT
from tests.support.workflows import needs_act

job = datasets.job  # a fixture
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """The market of `exports` as it was exported, and again after more minutes and a revision."""

    first: Path
    second: Path
    database: str  # of the second


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Two exports, for all tests: they are not changed."""
    folder = tmp_path_factory.mktemp("days")
    made = Days(folder / "first", folder / "second", exports.filled(str(folder / "market.db")))
    export(made.database, made.first)
    with open_writer(made.database) as database:
        more = [candle(number) for number in range(COUNT, COUNT + 60)]
        revised = candle(COUNT - 3)._replace(close=candle(COUNT - 3).close + 0.5)
        database.write(MINUTES, [revised, *more], Span(at(COUNT - 3), at(COUNT + 60)))
        day = Interval.DAY_1.floor(START)
        database.write(DAYS, [Candle(day, 3.5, 4.0, 3.0, 3.75, 9.0)], Span(day, day + DAY))
    shutil.copytree(made.first, made.second)
    export(made.database, made.second)
    return made


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, days: Days) -> Snapshot:
    """A release of the first export."""
    with datasets.repository(tmp_path_factory.mktemp("first")) as job:
        published(job, days.first)
        return Snapshot.of(job)


def test_a_folder_is_published_under_flat_names_and_comes_back_as_it_was(job: Job, days: Days) -> None:
    """The manifest that is published is that of the export. The release is not the latest one, which is a program's."""
    assert "**Published** 4 of 4 files" in published(job, days.first).page
    assert sorted(assets(job)) == names_of(days.first)
    (release,) = job.github.repository.releases
    assert (release["tag_name"], release["make_latest"]) == ("dataset", "false")
    assert "refs/tags/dataset" in job.github.repository.refs()
    assert "| `binance` | `BTC/USDT` | 1m | 2026-10 to 2026-11 | 240 | 220 | 20 | 2026-11-01 02:00 |" in release["body"]
    folder = restore(job, "copy", "--all")
    assert months(folder) == months(days.first) == read(job)
    assert exports.manifest(folder) == exports.manifest(days.first)
    assert json.loads((folder / "outages.json").read_text())["outages"][0]["minutes"] == len(exports.SILENT)


def test_the_commands_of_the_page_and_of_the_guide_make_an_exported_folder_of_the_release(
    job: Job, days: Days, first: Snapshot
) -> None:
    """They need `gh`, bash and DuckDB. What a run has pending stays out of the table."""
    first.put(job)
    (release,) = job.github.repository.releases
    release["assets"].append({**release["assets"][0], "name": f"binance_BTC-USDT_1m_2026-12.parquet{PENDING}"})
    guide = (ROOT / "docs" / "dataset.md").read_text(encoding="utf-8").replace("YOU/crypto-predict", REPOSITORY)
    for name, text in (("page", release["body"]), ("guide", guide)):
        (commands,) = re.findall(r"(?ms)^```bash\n(gh .*?)^```", text)
        (place := job.folder / name).mkdir()
        done = job.run("bash", "-ec", f"cd {place}\n{commands}")
        assert done.returncode == 0, done.stderr
        assert name == "guide" or "BTC-USDT" in done.stdout
        assert months(place / "market") == months(days.first)
        assert collect_here(str(job.folder / "none.db"), "--verify", str(place / "market")).code == DONE


def test_a_second_day_replaces_what_changed_and_nothing_else(job: Job, days: Days, first: Snapshot) -> None:
    """The same folder again sends nothing."""
    first.put(job)
    before = assets(job)
    published(job, days.second)
    assert read(job) == months(days.second)
    after = assets(job)
    assert sorted(after) == names_of(days.second)
    unchanged = {name for name in after if after[name]["id"] == before[name]["id"]}
    assert unchanged == {"alpaca_ETH-USD_1d_2026-09.parquet", "binance_BTC-USDT_1m_2026-10.parquet"}
    asked = len(job.github.requests)
    published(job, days.second)
    assert {request.method for request in job.github.requests[asked:]} == {"GET"}


@dataclass
class Kill:
    """A fault: kill the process of a run at its request number `at`, before GitHub does what was asked, or after."""

    at: int
    before: bool
    run: list[subprocess.Popen[bytes]] = field(default_factory=list)
    asked: int = 0

    async def __call__(self, request: web.Request, handler: Handler) -> Answer:
        """Answer, or kill all processes of the run."""
        self.asked += 1
        if self.asked != self.at:
            return await handler(request)
        result = web.Response(status=500) if self.before else await handler(request)
        os.killpg(self.run[0].pid, signal.SIGKILL)
        return result


def killed(job: Job, folder: Path, number: int, *, before: bool) -> Kill:
    """Publish a folder, in a run that is killed at a request."""
    kill = Kill(number, before)
    command = [sys.executable, "-m", "crypto_predict.release", "publish-dataset", "--folder", str(folder)]
    with job.github.failing(kill):
        kill.run.append(subprocess.Popen(command, env=job.environ, cwd=ROOT, start_new_session=True))
        assert kill.run[0].wait(60) == -signal.SIGKILL, kill
    return kill


def moments(requests: int, count: int) -> list[tuple[int, bool]]:
    """Return random moments of a run with so many requests, always the same: each is before one of them, or after."""
    every = [(number, before) for number in range(1, requests + 1) for before in (True, False)]
    return sorted(random.Random(2026).sample(every, count))


@pytest.mark.repeats
@pytest.mark.parametrize("count", [3, pytest.param(30, marks=[pytest.mark.long, needs_act])])
def test_a_run_that_is_killed_loses_and_doubles_nothing_and_the_next_one_completes_it(
    job: Job, days: Days, first: Snapshot, count: int
) -> None:
    """After the kill a reader finds the one day or the other, whole. Killed are the program and `gh`, by SIGKILL."""
    first.put(job)
    asked = len(job.github.requests)
    published(job, days.second)
    found = set()
    for number, before in moments(len(job.github.requests) - asked, count):
        first.put(job)
        kill = killed(job, days.second, number, before=before)
        is_new = read(job) == months(days.second)
        assert is_new or read(job) == months(days.first), kill
        found.add(is_new)
        published(job, days.second)
        assert read(job) == months(days.second), kill
        assert sorted(assets(job)) == names_of(days.second), kill
    assert found == {False, True}


def test_a_first_run_that_is_killed_is_completed_without_sending_its_files_again(job: Job, days: Days) -> None:
    """GitHub says the SHA-256 of what it has."""
    killed(job, days.first, 5, before=False)
    sent = {asset["id"] for asset in assets(job).values()}
    assert read(job) == {}
    published(job, days.first)
    assert read(job) == months(days.first)
    assert sent <= {asset["id"] for asset in assets(job).values()}


def test_while_a_killed_run_is_unfinished_its_dataset_is_what_is_restored(
    job: Job, days: Days, first: Snapshot
) -> None:
    """A job that restores may not write, so it does not finish the run."""
    first.put(job)
    job.github.repository.permissions["contents"] = "write"
    with job.github.failing(answer(500), lambda request: request.method == "DELETE"):
        assert publish(job, days.second).code == FAILED
    assert f"manifest.json{PENDING}" in assets(job)
    job.github.repository.permissions["contents"] = "read"
    assert months(restore(job, "copy", "--all")) == months(days.second)


def when(method: str, part: str = "") -> Any:
    """Return the condition of a fault."""
    return lambda request: request.method == method and part in request.path + request.query_string


def test_an_upload_that_breaks_off_is_sent_again(job: Job, days: Days) -> None:
    """GitHub keeps an empty file in the state `starter`, whose name cannot be used until it is deleted."""
    stored = Releases(job.github.repository, "")
    job.github.inject(stored.break_off, when=when("POST", "binance_BTC-USDT_1m_2026-10"))
    done = published(job, days.first)
    assert "HTTP 422" not in done.page
    assert read(job) == months(days.first)
    assert {asset["state"] for asset in assets(job).values()} == {"uploaded"}


def test_an_answer_that_is_lost_after_github_has_done_it_is_no_failure(job: Job, days: Days, first: Snapshot) -> None:
    first.put(job)

    async def lose(request: web.Request, handler: Handler) -> Answer:
        await handler(request)
        return web.json_response({"message": "Server Error"}, status=502)

    for method in ("DELETE", "PATCH", "POST"):
        job.github.inject(lose, when=when(method, "/assets"))
    published(job, days.second)
    assert read(job) == months(days.second)
    assert sorted(assets(job)) == names_of(days.second)


def truncated(folder: Path) -> None:
    (path := next(folder.rglob("2026-11.parquet"))).write_bytes(path.read_bytes()[:-1])


def less(folder: Path) -> None:
    """Put an older export in place of the folder."""
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "older", folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (truncated, "2026-11.parquet: its bytes are not those that the manifest describes"),
        (less, "2026-11.parquet: it has 80 candles up to"),
    ],
)
def test_a_folder_that_is_damaged_or_has_less_than_the_release_changes_nothing(
    job: Job, days: Days, first: Snapshot, change: Any, says: str
) -> None:
    """A release is never made smaller by a run that has gone wrong."""
    first.put(job)
    before = copy.deepcopy(job.github.repository.releases)
    (older := job.folder / "older.db").unlink(missing_ok=True)
    with open_writer(str(older)) as database:
        database.follow(MINUTES, simulated=False)
        database.write(MINUTES, exports.minutes(220), Span(at(0), at(220)))
    export(str(older), job.folder / "older")
    shutil.copytree(days.second, job.folder / "folder")
    change(job.folder / "folder")
    done = publish(job, job.folder / "folder")
    assert (done.code, says in done.log) == (FAILED, True), done.log
    assert job.github.repository.releases == before


def test_a_release_has_room_for_a_thousand_files_and_says_when_that_ends(job: Job, days: Days, first: Snapshot) -> None:
    """Nothing is uploaded that would not fit. GitHub lists a hundred files a page."""
    first.put(job)
    (release,) = job.github.repository.releases
    release["assets"] += [others(number) for number in range(980)]
    warned = published(job, days.second).log
    assert "the release dataset has room for 7 months more: it has 986 of 1,000 files" in warned
    release["assets"] = [*release["assets"][1:], *(others(number) for number in range(1_000, 1_014))]
    before = copy.deepcopy(release)
    done = publish(job, days.second)
    assert (done.code, "would have 1,002 files; GitHub takes 1,000" in done.log) == (FAILED, True), done.log
    assert release == before


def others(number: int) -> dict[str, Any]:
    """Return a file that somebody else has put into the release."""
    return {"id": 9_000 + number, "name": f"other-{number}", "size": 1, "state": "uploaded", "digest": None}
