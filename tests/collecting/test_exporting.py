"""`collect.py --export`: what is in the folder, what is written again, and what a bad end leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crypto_predict import locks
from crypto_predict.market import Candle, Interval, Span
from crypto_predict.market import digest as digest_of
from crypto_predict.store import open_writer
from tests.support.collecting import collect_here, collecting
from tests.support.databases import execute, new_database
from tests.support.disks import full, small_disk
from tests.support.exports import (
    COUNT,
    DAYS,
    MINUTE,
    MINUTES,
    SILENT,
    at,
    candle,
    content,
    entries,
    filled,
    manifest,
    minutes,
    paths,
)
from tests.support.serving import ROOT

OF_MINUTES = "source=binance/pair=BTC-USDT/interval=1m"
OCTOBER, NOVEMBER = f"{OF_MINUTES}/2026-10.parquet", f"{OF_MINUTES}/2026-11.parquet"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a file of SQLite with a market."""
    return filled(new_database("sqlite", tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "market"


def exported(url: str, folder: Path, *arguments: str) -> str:
    """Export, and return the report."""
    run = collect_here(url, "--export", str(folder), *arguments)
    assert run.code == 0, run.errors
    return run.output


def test_there_is_a_file_for_each_month_of_each_series(address: str, folder: Path) -> None:
    """On both databases: the paths are what DuckDB, polars and pandas read as columns."""
    filled(address)
    report = exported(address, folder)
    of_days = "source=alpaca/pair=ETH-USD/interval=1d"
    assert paths(folder) == [f"{of_days}/2026-09.parquet", f"{of_days}/2026-10.parquet", OCTOBER, NOVEMBER]
    assert report.startswith(f"{folder}: 4 files written (280 rows, ")
    table = pq.ParquetFile(folder / NOVEMBER).read()
    assert table["open_time"].to_pylist() == [at(number) for number in range(120, COUNT)]
    closes = dict(zip(table["open_time"].to_pylist(), table["close"].to_pylist(), strict=True))
    assert closes == {at(n): None if n in SILENT else candle(n).close for n in range(120, COUNT)}
    verdicts = ["exchange down"] * 10 + ["disconnected"] * 10
    assert table["verdict"].to_pylist()[10:30] == verdicts
    assert table["reason"].to_pylist()[10:30] == ["HTTP 503"] * 10 + ["no answer"] * 10
    assert set(table["asked"].to_pylist()) == {True}


def test_the_manifest_describes_each_file(url: str, folder: Path) -> None:
    """Who gets the folder can check it without this program: bytes, candles, gaps and outages."""
    exported(url, folder)
    entry = next(entry for entry in entries(folder) if entry["path"] == NOVEMBER)
    november = [each for each in minutes() if each.open_time >= at(120)]
    data = (folder / NOVEMBER).read_bytes()
    assert (entry["bytes"], entry["sha256"]) == (len(data), sha256(data).hexdigest())
    assert entry["digest"] == digest_of(november, Interval.MINUTE_1)
    assert (entry["rows"], entry["candles"]) == (COUNT - 120, len(november))
    assert (entry["start"], entry["end"]) == ("2026-11-01T00:00:00Z", "2026-11-01T02:00:00Z")
    quiet = sum(not each.volume for each in november)
    expected = {"traded": len(november) - quiet, "quiet": quiet, "exchange down": 10, "disconnected": 10}
    assert entry["verdicts"] == expected
    (gap,) = entry["gaps"]
    assert (gap["start"], gap["missing"]) == ("2026-11-01T00:10:00Z", 20)
    assert [stream["state"] for stream in entry["streams"]] == [
        "connected",
        "exchange down",
        "disconnected",
        "connected",
    ]
    simulated = {series["source"]: series["simulated"] for series in manifest(folder)["series"]}
    assert simulated == {"alpaca": True, "binance": False}


def test_running_it_again_writes_nothing(url: str, folder: Path) -> None:
    """A nightly export must not give a backup of the folder anything to copy."""
    exported(url, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    bytes_before = content(folder)
    assert exported(url, folder) == f"{folder}: 0 files written (0 rows, 0 bytes), 4 unchanged\n"
    assert content(folder) == bytes_before
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")} == before


def test_only_the_months_that_changed_are_written_again(url: str, folder: Path) -> None:
    """A revision of last month, and new candles of this one."""
    exported(url, folder)
    before = content(folder)
    with open_writer(url) as database:
        database.write(MINUTES, [candle(5)._replace(trades=99)])
    assert "1 file written" in exported(url, folder)
    after = content(folder)
    assert {path for path in before if before[path] != after[path]} == {OCTOBER, "manifest.json"}
    with open_writer(url) as database:
        database.write(MINUTES, [candle(COUNT)], Span(at(COUNT), at(COUNT + 1)))
    assert "1 file written" in exported(url, folder)
    assert {path for path in before if after[path] != content(folder)[path]} == {NOVEMBER, "manifest.json"}
    assert collect_here(url, "--verify", str(folder)).code == 0


def test_an_exchange_that_revises_a_year_has_every_month_of_it_written_again(tmp_path: Path, folder: Path) -> None:
    days = [
        Candle(datetime(2025, 1, 1, tzinfo=UTC) + n * timedelta(days=1), 3.0, 4.0, 2.0, 3.0, 1.0) for n in range(400)
    ]
    url = new_database("sqlite", tmp_path)
    with open_writer(url) as database:
        database.follow(DAYS, simulated=False)
        database.write(DAYS, days, Span(days[0].open_time, days[-1].open_time + timedelta(days=1)))
    exported(url, folder)
    with open_writer(url) as database:
        database.write(DAYS, [day._replace(close=3.5) for day in days[:365]])
    assert "12 files written" in exported(url, folder)
    assert "2 unchanged" in exported(url, folder, "--since", "2026-01-01")


def test_the_months_of_a_span_are_exported_whole(url: str, folder: Path) -> None:
    """A file that a later export of fewer days shortened would lose what is in it."""
    exported(url, folder, "--source", "binance", "--since", "2026-11-01", "--until", "2026-11-01")
    assert paths(folder) == [NOVEMBER]
    assert pq.ParquetFile(folder / NOVEMBER).metadata.num_rows == COUNT - 120
    exported(url, folder, "--pair", "BTC/USD", "--interval", "1m")
    assert paths(folder) == [OCTOBER, NOVEMBER]


def test_candles_that_the_database_no_longer_keeps_stay_in_the_folder(url: str, folder: Path) -> None:
    """With `--keep` the database forgets: the folder is the archive."""
    exported(url, folder)
    before = content(folder)
    with open_writer(url) as database:
        database.purge(Interval.MINUTE_1, at(125), 10**6)
        database.write(MINUTES, [candle(200)._replace(trades=99)])
    exported(url, folder)
    assert content(folder)[OCTOBER] == before[OCTOBER]
    table = pq.ParquetFile(folder / NOVEMBER).read()
    assert table["open_time"].to_pylist() == [at(number) for number in range(120, COUNT)]
    assert table["close"].to_pylist()[:5] == [candle(number).close for number in range(120, 125)]
    assert table["trades"].to_pylist()[80] == 99
    assert set(table["asked"].to_pylist()) == {True}
    assert collect_here(url, "--verify", str(folder)).code == 0


def test_csv_files_have_the_same_rows(url: str, folder: Path) -> None:
    """For spreadsheets; both kinds in one folder would be one market twice."""
    exported(url, folder, "--format", "csv")
    lines = (folder / f"{OF_MINUTES}/2026-11.csv").read_text().splitlines()
    assert len(lines) == 1 + COUNT - 120
    assert lines[0].startswith('"open_time","open","high"')
    assert collect_here(url, "--verify", str(folder)).code == 0
    run = collect_here(url, "--export", str(folder))
    assert (run.code, run.errors.count("\n")) == (2, 1)
    assert "--format: 'parquet' is not csv" in run.errors


def test_a_folder_with_other_files_is_left_alone(url: str, folder: Path) -> None:
    folder.mkdir()
    (folder / "letter.txt").write_text("Dear")
    run = collect_here(url, "--export", str(folder))
    assert run.code == 2
    assert "letter.txt" in run.errors
    assert content(folder) == {"letter.txt": b"Dear"}


def test_two_exports_at_once_are_refused(url: str, folder: Path) -> None:
    """The second would remove the temporary files of the first."""
    exported(url, folder)
    with locks.holding(folder / ".export.lock", lambda _: AssertionError()):
        run = collect_here(url, "--export", str(folder))
    assert run.code == 2
    assert f"process {os.getpid()} on" in run.errors
    exported(url, folder)


def test_real_and_simulated_prices_do_not_share_a_folder(url: str, folder: Path, tmp_path: Path) -> None:
    exported(url, folder)
    other = str(tmp_path / "other.db")
    with open_writer(other) as database:
        database.follow(MINUTES, simulated=True)
        database.write(MINUTES, [candle(0)])
    run = collect_here(other, "--export", str(folder))
    assert run.code == 2
    assert "simulated prices" in run.errors


def test_a_disk_that_fills_leaves_every_file_whole(url: str, tmp_path: Path) -> None:
    """The months before it are described, and the same command continues once there is room."""
    with small_disk(tmp_path / "disk") as disk:
        folder = disk / "market"
        exported(url, folder, "--source", "alpaca")
        before = content(folder)
        with full(disk):
            run = collect_here(url, "--export", str(folder))
            assert run.code == 1
            assert "No space left" in run.errors
        assert {path: data for path, data in content(folder).items() if path in before} == before
        assert collect_here(url, "--verify", str(folder)).code == 0
        exported(url, folder)
        assert len(paths(folder)) == 4


def test_a_damaged_file_is_written_again(url: str, folder: Path) -> None:
    exported(url, folder)
    whole = content(folder)
    (folder / OCTOBER).write_bytes(whole[OCTOBER][:-100])
    run = collect_here(url, "--verify", str(folder))
    assert run.code == 1
    assert run.output.startswith(f"{OCTOBER}: its bytes are not those that the manifest describes")
    (folder / NOVEMBER).unlink()
    exported(url, folder)
    assert content(folder) == whole


def test_verify_names_what_differs_from_the_database(url: str, folder: Path) -> None:
    exported(url, folder)
    with open_writer(url) as database:
        database.write(MINUTES, [candle(7)._replace(trades=99), candle(9)._replace(trades=99)])
    (folder / OF_MINUTES / "2026-12.parquet").write_bytes(b"")
    run = collect_here(url, "--verify", str(folder))
    assert run.code == 1
    assert f"{OCTOBER}: 2 rows differ from the database, the first at 2026-10-31 22:07 UTC" in run.output
    assert f"{OF_MINUTES}/2026-12.parquet: it is not in the manifest" in run.output
    run = collect_here(str(folder / "absent.db"), "--verify", str(folder), "--until", "2026-10-31")
    assert "not compared with a database" in run.output
    assert run.output.count("it is not in the manifest") == 1


def test_damaged_rows_of_the_database_are_not_exported(url: str, folder: Path) -> None:
    """A row that somebody altered is no candle anywhere else either."""
    seconds = int(at(3).timestamp())
    execute(url, f"UPDATE price_history SET close = 'text' WHERE open_time = {seconds}")
    execute(url, f"UPDATE price_history SET volume = -1 WHERE open_time = {seconds + 60}")
    exported(url, folder)
    table = pq.ParquetFile(folder / OCTOBER).read()
    assert table["close"].to_pylist()[2:6] == [candle(2).close, None, None, candle(5).close]


def killed_while_exporting(url: str, folder: Path, files: int) -> None:
    """Start an export and kill it once so many files have their names."""
    with collecting(url, "--export", str(folder)) as process:
        while not (folder / "manifest.json").exists() or len(paths(folder)) < files:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("files", [0, 2, 7])
def test_after_a_kill_every_file_is_whole_and_described(
    tmp_path: Path, folder: Path, files: int, months_of_minutes: Callable[[], str]
) -> None:
    """Kill -9 in the middle of an export that replaces files: the old file or the new one, never a part."""
    url = months_of_minutes()
    exported(url, folder)
    (folder / "manifest.json").rename(tmp_path / "before")
    whole = content(folder)
    shutil.rmtree(folder)
    killed_while_exporting(url, folder, files)
    assert {path: data for path, data in content(folder).items() if path.endswith(".parquet")}.items() <= whole.items()
    run = collect_here(url, "--verify", str(folder))
    assert run.code == 0, run.output + run.errors
    exported(url, folder)
    assert {path: data for path, data in content(folder).items() if path != "manifest.json"} == whole
    assert json.loads((folder / "manifest.json").read_text()) == json.loads((tmp_path / "before").read_text())


@pytest.fixture
def months_of_minutes(tmp_path: Path) -> Callable[[], str]:
    """A function that stores ten months of hours, and returns the address."""

    def make() -> str:
        url = str(tmp_path / "hours.db")
        series = type(MINUTES)(MINUTES.source, MINUTES.pair, Interval.HOUR_1)
        hours = [Candle(at(0) + n * 60 * MINUTE, 1.0 + n, 2.0 + n, 0.5, 1.5, float(n)) for n in range(7200)]
        with open_writer(url) as database:
            database.follow(series, simulated=False)
            database.write(series, hours, Span(hours[0].open_time, hours[-1].open_time + 60 * MINUTE))
        return url

    return make


def test_the_lock_of_a_killed_export_locks_nothing(url: str, folder: Path) -> None:
    """And its temporary files are removed."""
    exported(url, folder)
    leftover = folder / OF_MINUTES / ".2026-10.parquet.0a1b2c3d.tmp"
    leftover.write_bytes(b"half")
    assert collect_here(url, "--verify", str(folder)).code == 0
    (folder / ".export.lock").write_text("process 1 on example")
    exported(url, folder)
    assert not leftover.exists()
    assert not (folder / ".export.lock").exists()


def test_a_torn_line_of_the_journal_describes_nothing(url: str, folder: Path) -> None:
    """A kill in the middle of a line; the next export must not continue that line."""
    exported(url, folder)
    whole = content(folder)
    (folder / ".manifest.journal").write_text('{"source": "bin')
    assert collect_here(url, "--verify", str(folder)).code == 0
    exported(url, folder)
    assert content(folder) == whole


def test_without_pyarrow_one_line_says_what_to_install(url: str, folder: Path) -> None:
    """It is optional in a virtual environment of one's own."""
    absent = "import runpy, sys; sys.modules['pyarrow'] = None"
    code = f"{absent}; sys.argv[0] = 'collect.py'; runpy.run_path('collect.py', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, "--export", str(folder), "--database", url],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pyarrow" in done.stderr
    assert "requirements-live.txt" in done.stderr
