"""The dataset workflow itself, from the exchange to the GitHub Release. Only GitHub and the exchange are replaced."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crypto_predict.market import Candle, Interval, aggregate
from crypto_predict.sources.catalog import EXCHANGES
from tests.support import workflows
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.minutes import BTC
from tests.support.replay.server import ReplayServer, refused, stall
from tests.support.workflows import World, needs_act
from tests.support.yaml_files import read_workflow

pytestmark = [needs_act, pytest.mark.repeats, pytest.mark.timeout(600)]

WORKFLOW = read_workflow("dataset.yml")
DAY = timedelta(days=1)
TODAY = Interval.DAY_1.floor(datetime.now(UTC))
NEWEST = (TODAY - DAY).replace(day=1)  # the month of yesterday
FIRST = (NEWEST - DAY).replace(day=1) - 2 * DAY  # so that the files are of three months


def market(until: datetime) -> list[Candle]:
    """Return candles from `FIRST` to a day, which they do not include: of an hour each day."""
    days = range((until - FIRST) // DAY)
    minutes = [FIRST + day * DAY + timedelta(hours=12, minutes=minute) for day in days for minute in range(60)]
    return [Candle(opening, 50.0, 90.0, 20.0, 60.0 + number % 24, 3.0) for number, opening in enumerate(minutes)]


def exchange(candles: Sequence[Candle]) -> ReplayServer:
    return ReplayServer(
        AlpacaExchange({(BTC, "1Min"): candles, (BTC, "1Day"): list(aggregate(candles, Interval.DAY_1))})
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A repository whose exchanges can be replaced."""
    with workflows.world_without_images(tmp_path) as made:
        yield made


def run(world: World, server: ReplayServer, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow of a night."""
    given = {
        "DATASET": "BTC/USD",
        "DATASET_SOURCE": "alpaca",
        "DATASET_SINCE": f"{FIRST:%Y-%m-%d}",
        "ALPACA_DATA_URL": server.url,
        **variables,
    }
    return world.run("dataset.yml", "schedule", **given)


def ran(world: World, server: ReplayServer, **variables: str) -> str:
    """Run the workflow, which must succeed; return what it printed."""
    done = run(world, server, **variables)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


def files(world: World) -> dict[str, dict[str, Any]]:
    """Return the files of the release by name."""
    (release,) = world.github.repository.releases
    return {asset["name"]: asset for asset in release["assets"]}


def content(world: World, name: str) -> bytes:
    """Return the bytes of a file of the release."""
    return world.github.repository.files[str(files(world)[name]["id"])]


def published_candles(world: World) -> int:
    """Return how many candles the manifest describes, whose files are those of the release."""
    (series,) = json.loads(content(world, "manifest.json"))["series"]
    for entry in series["files"]:
        name = f"alpaca_BTC-USD_1m_{entry['path'].rpartition('/')[2]}"
        assert sha256(content(world, name)).hexdigest() == entry["sha256"]
    return sum(entry["candles"] for entry in series["files"])


def closes(world: World, month: datetime) -> Mapping[datetime, float]:
    """Return the published closes of a month by opening."""
    (path := world.folder / "month.parquet").write_bytes(content(world, f"alpaca_BTC-USD_1m_{month:%Y-%m}.parquet"))
    rows = pq.read_table(path, columns=["open_time", "close"]).to_pylist()
    return {row["open_time"]: row["close"] for row in rows if row["close"] is not None}


def test_the_first_run_publishes_all_months_and_the_next_one_adds_a_day_and_repairs_a_revision(world: World) -> None:
    """What was restored is the release alone: the second run has nothing else of the first one."""
    candles = market(TODAY)
    with exchange(market(TODAY - DAY)) as server:
        ran(world, server)
    (release,) = world.github.repository.releases
    assert (release["tag_name"], release["make_latest"]) == ("dataset", "false")
    months = [f"alpaca_BTC-USD_1m_{month:%Y-%m}.parquet" for month in (FIRST, FIRST + 3 * DAY, NEWEST)]
    first = files(world)
    assert sorted(first) == sorted({*months, "manifest.json", "outages.json"})
    assert "| `alpaca` | `BTC/USD` | 1m |" in release["body"]

    revised = candles[-90]._replace(close=25.5)  # of the day before yesterday
    candles[-90] = revised
    before = len(world.github.requests)
    with exchange(candles) as server:
        ran(world, server)
    second = files(world)
    assert sorted(second) == sorted(first)
    assert second[months[0]] == first[months[0]]
    asked = [request.path.rpartition("/")[2] for request in world.github.requests[before:] if request.method == "GET"]
    assert str(first[months[0]]["id"]) not in asked  # a month that cannot change is not even downloaded
    stored = closes(world, revised.open_time)
    assert stored[revised.open_time] == revised.close
    newest = candles[-1].open_time
    assert closes(world, newest)[newest] == candles[-1].close
    assert published_candles(world) == len(candles)


def test_without_its_variable_nothing_runs(world: World) -> None:
    with exchange(()) as server:
        ran(world, server, DATASET="")
        assert server.requests == world.github.requests == []
    assert world.github.repository.releases == []


@pytest.mark.long
def test_a_fetch_that_takes_too_long_is_published_as_far_as_it_is_and_is_continued(world: World) -> None:
    """The exchange stops answering in the middle of the history. A night without any answer changes nothing."""
    candles = market(TODAY)
    with exchange(candles) as server:
        middle = f"{FIRST + 20 * DAY:%Y-%m-%d}"
        with server.failing(stall, lambda request: request.query.get("start", "")[:10] > middle):
            log = ran(world, server, DATASET_LIMIT="30s")
        assert "**Not all** was fetched within 30s: the next run continues." in log
        assert 0 < published_candles(world) < len(candles)
        ran(world, server)
        assert published_candles(world) == len(candles)
        before = files(world)
        with server.failing(refused(403, "forbidden")):
            assert run(world, server).returncode != 0
    assert files(world) == before
    (issue,) = world.github.repository.issues
    assert (issue["state"], issue["title"]) == ("open", "The scheduled dataset is failing")


def test_no_job_that_runs_libraries_can_publish() -> None:
    """The job that publishes has the standard library and `gh`; the exchange and pyarrow are in another one."""
    jobs = WORKFLOW["jobs"]
    written = {name: [what for what, may in job["permissions"].items() if may == "write"] for name, job in jobs.items()}
    assert written == {"collect": [], "publish": ["contents"], "alert": ["issues"]}
    assert [name for name, job in jobs.items() if "requirements-live.txt" in str(job)] == ["collect"]
    assert [name for name, job in jobs.items() if "secrets." in str(job)] == ["collect"]
    assert set(jobs["alert"]["needs"]) == set(jobs) - {"alert"}


def test_every_address_of_an_exchange_reaches_the_fetch() -> None:
    (step,) = (step for step in WORKFLOW["jobs"]["collect"]["steps"] if step.get("id") == "fetch")
    addresses = [exchange.api.variable for exchange in EXCHANGES.values()]
    assert {name: step["env"].get(name) for name in addresses} == {
        name: f"${{{{ vars.{name} }}}}" for name in addresses
    }


def test_each_part_is_off_until_the_variable_names_pairs() -> None:
    jobs = WORKFLOW["jobs"]
    assert [name for name in ("collect", "alert") if "vars.DATASET != ''" not in jobs[name]["if"]] == []
    assert "needs.collect.outputs.exported == 'success'" in jobs["publish"]["if"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", WORKFLOW["on"]["schedule"][0]["cron"])
