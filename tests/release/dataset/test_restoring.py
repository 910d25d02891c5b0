"""Restoring a dataset from its GitHub Release, and what a run adds to what it has restored."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.market import Candle, Span
from crypto_predict.release.__main__ import BAD_ARGUMENTS, DONE, FAILED
from crypto_predict.store import open_reader, open_writer
from tests.support import datasets, exports
from tests.support.collecting import collect_here
from tests.support.datasets import Snapshot, assets, export, months, published, read, restore
from tests.support.exports import DAYS
from tests.support.jobs import Job

job = datasets.job  # a fixture
DAY = timedelta(days=1)
BEGAN, ENDED = datetime(2026, 7, 20, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of days from 20 July to 10 November: five months."""
    folder = tmp_path_factory.mktemp("history")
    with open_writer(str(folder / "market.db")) as database:
        database.follow(DAYS, simulated=False)
        candles = [Candle(BEGAN + number * DAY, 3.0, 4.0, 2.0, 3.5, 10.0) for number in range(113)]
        database.write(DAYS, candles, Span(BEGAN - 5 * DAY, ENDED))
    export(str(folder / "market.db"), folder / "market")
    return folder / "market"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, history: Path) -> Iterator[Job]:
    """A job with a release of that history, for tests that only read it."""
    with datasets.repository(tmp_path_factory.mktemp("stored")) as job:
        published(job, history)
        yield job


def restored_months(folder: Path) -> list[int]:
    """Return the months of a restored folder, which has the files of its manifest."""
    assert sorted(entry["path"] for entry in exports.entries(folder)) == exports.paths(folder)
    return [int(path.rpartition("-")[2].removesuffix(".parquet")) for path in exports.paths(folder)]


@pytest.mark.parametrize(
    ("options", "expected", "asked_until"),
    [
        (["--since", "2026-07-20"], [10, 11], "2026-11-08"),
        (["--since", "2026-08-01", "--again", "2026-09-15"], [9, 10, 11], "2026-09-15"),
        (["--since", "2026-01-01"], [7, 8, 9, 10, 11], "2026-11-08"),
        (["--all"], [7, 8, 9, 10, 11], "2026-11-10"),
    ],
    ids=["a day", "again", "an earlier first day", "all"],
)
def test_the_months_that_may_change_are_restored_with_what_their_source_was_asked_for(
    stored: Job, tmp_path: Path, options: list[str], expected: list[int], asked_until: str
) -> None:
    """A backfill asks only for what a restored folder does not cover: the newest days, in which exchanges still revise.

    The first of its files has the coverage of those that were left out, so that their months are not fetched again.
    """
    folder = restore(stored, str(tmp_path / "restored"), *options)
    assert restored_months(folder) == expected
    database = str(tmp_path / "restored.db")
    assert collect_here(database, "--import", str(folder)).code == DONE
    with open_reader(database) as reader:
        (covered,) = reader.coverage(DAYS)
    assert (covered.start, f"{covered.end:%Y-%m-%d}") == (BEGAN - 5 * DAY, asked_until)


def test_what_a_restored_folder_adds_leaves_the_older_months_as_they_were(job: Job, stored: Job, history: Path) -> None:
    """Their files and what the manifest says of them; and no coverage is told twice."""
    Snapshot.of(stored).put(job)
    before = assets(job)
    folder, database = restore(job, "restored", "--since", "2026-07-20"), str(job.folder / "restored.db")
    assert collect_here(database, "--import", str(folder)).code == DONE
    with open_writer(database) as writer:
        more = [Candle(ENDED + number * DAY, 3.0, 4.0, 2.0, 3.5, 10.0) for number in range(30)]
        writer.write(DAYS, more, Span(ENDED - 2 * DAY, ENDED + 30 * DAY))
    export(database, folder)
    published(job, folder)
    old = list(exports.entries(history))
    new = list(exports.entries(restore(job, "all", "--all")))
    assert new[:4] == old[:4]
    assert [entry["candles"] for entry in new[4:]] == [30, 9]
    kept = [name for name, asset in assets(job).items() if asset["id"] == before.get(name, {}).get("id")]
    assert sorted(kept) == [f"alpaca_ETH-USD_1d_2026-{month:02}.parquet" for month in (7, 8, 9, 10)]


def test_a_run_whose_exchange_does_not_answer_forgets_nothing(job: Job, stored: Job, history: Path) -> None:
    """What was restored says that the newest days were not asked for, which they were."""
    Snapshot.of(stored).put(job)
    folder, database = restore(job, "restored", "--since", "2026-07-20"), str(job.folder / "restored.db")
    assert collect_here(database, "--import", str(folder)).code == DONE
    export(database, folder)
    published(job, folder)
    assert exports.manifest(restore(job, "all", "--all")) == exports.manifest(history)


def test_a_file_that_somebody_has_deleted_is_made_again(job: Job, stored: Job, history: Path) -> None:
    """All months from it on are restored, without the coverage of its own: a backfill then fetches it."""
    Snapshot.of(stored).put(job)
    (release,) = job.github.repository.releases
    release["assets"] = [asset for asset in release["assets"] if "2026-09" not in asset["name"]]
    done = job.release("restore-dataset", "--folder", str(job.folder / "restored"), "--since", "2026-07-20")
    assert "2026-09.parquet is not in the release dataset any more" in done.log
    assert restored_months(job.folder / "restored") == [10, 11]
    database = str(job.folder / "restored.db")
    assert collect_here(database, "--import", str(job.folder / "restored")).code == DONE
    with open_reader(database) as reader:
        covered = [(f"{span.start:%m-%d}", f"{span.end:%m-%d}") for span in reader.coverage(DAYS)]
    assert covered == [("07-15", "09-01"), ("10-01", "11-08")]
    published(job, history)
    assert read(job) == months(history)


def test_a_file_with_other_bytes_is_not_restored(job: Job, stored: Job) -> None:
    """GitHub's digest is not believed alone."""
    Snapshot.of(stored).put(job)
    asset = assets(job)["alpaca_ETH-USD_1d_2026-11.parquet"]
    job.github.repository.files[str(asset["id"])] = bytes(asset["size"])
    done = job.release("restore-dataset", "--folder", str(job.folder / "restored"))
    assert done.code == FAILED
    assert "2026-11.parquet of the release dataset is not the file that its manifest describes" in done.log
    assert not (job.folder / "restored" / "manifest.json").exists()


def test_without_a_release_nothing_is_restored_and_nothing_without_candles_is_published(job: Job) -> None:
    done = job.release("restore-dataset", "--folder", str(job.folder / "restored"))
    assert (done.code, "there is no release dataset yet" in done.log) == (DONE, True)
    assert not (job.folder / "restored").exists()
    with open_writer(str(job.folder / "empty.db")) as database:
        database.follow(DAYS, simulated=False)
    export(str(job.folder / "empty.db"), job.folder / "empty")
    assert "**Nothing** is published" in published(job, job.folder / "empty").page
    assert job.github.repository.releases == []


def test_a_day_that_is_none_and_a_folder_that_is_an_export_are_refused(job: Job, history: Path) -> None:
    done = job.release("restore-dataset", "--folder", str(job.folder / "restored"), "--again", "1 May")
    assert (done.code, "--again: '1 May' is not a day such as 2026-11-01" in done.log) == (BAD_ARGUMENTS, True), (
        done.log
    )
    done = job.release("restore-dataset", "--folder", str(history))
    assert (done.code, "name another one" in done.log) == (BAD_ARGUMENTS, True), done.log
