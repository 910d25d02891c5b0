"""The tables: how they are made and upgraded, and databases that cannot be used."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from crypto_predict.errors import DatabaseError
from crypto_predict.market import Interval
from crypto_predict.market.collected import BuiltCandle, Quarantined
from crypto_predict.store import open_reader, open_writer
from crypto_predict.store.tables import SCHEMA, metadata
from tests.support.databases import ON_BOTH, connected, execute
from tests.support.minutes import EVER, KEEP, MANY, MINUTES, START, candle, candles, span, step, vwap
from tests.support.processes import child


@ON_BOTH
def test_the_steps_make_the_tables(url: str) -> None:
    """Columns, keys and indexes. The newest step is the version that programs compare."""
    open_writer(url).close()
    with connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    assert [difference[1].name for difference in differences] == ["crypto_predict_schema"]  # Alembic's own
    config = Config()
    config.set_main_option("script_location", "crypto_predict.store:migrations")
    steps = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    assert steps == [f"{number:04}" for number in range(int(SCHEMA), 0, -1)], "versions are compared as texts"


OPEN = """
import sys
from crypto_predict.store import open_writer
sys.stdin.readline()
open_writer(sys.argv[1]).close()
"""


@ON_BOTH
def test_processes_that_start_at_once_make_the_tables_once(url: str) -> None:
    with child(OPEN, url) as first, child(OPEN, url) as second, child(OPEN, url) as third:
        for process in (first, second, third):
            assert process.stdin is not None
            process.stdin.write("now\n")
            process.stdin.flush()
        for process in (first, second, third):
            assert (process.wait(60), process.stderr and process.stderr.read()) == (0, "")
    with open_reader(url) as reader:
        assert reader.collected() == []


@ON_BOTH
def test_another_schema_is_refused(url: str) -> None:
    """A reader does not upgrade an older one, and needs the tables. A newer one is not for this program at all."""
    if "://" not in url:
        Path(url).touch()
    with pytest.raises(DatabaseError, match="does not contain the tables of this program"):
        open_reader(url)
    open_writer(url).close()
    for version, openers, message in (
        ("9999", (open_reader, open_writer), f"schema 9999 is newer than that of this program, {SCHEMA}; update"),
        ("0000", (open_reader,), "schema 0000 is older than that of this program"),
    ):
        execute(url, f"UPDATE crypto_predict_schema SET version_num = '{version}'")
        for opened in openers:
            with pytest.raises(DatabaseError, match=message):
                opened(url)


# What takes each step back, on PostgreSQL alone where it says so.
BACK = {
    "0007": ["DROP TABLE outages", "DROP TABLE outage_records"],
    "0006": ["DROP TABLE rollups", "DROP TABLE purged", "ALTER TABLE symbols DROP COLUMN unrolled"],
    "0005": [
        "CREATE TABLE single (LIKE price_history INCLUDING ALL)",
        "INSERT INTO single SELECT * FROM price_history",
        "DROP TABLE price_history",
        "ALTER TABLE single RENAME TO price_history",
        "ALTER INDEX single_pkey RENAME TO price_history_pkey",
    ],
    "0004": ["DROP TABLE hour_forecasts"],
    "0003": ["ALTER TABLE built_candles DROP COLUMN volume"],
    "0002": [f"DROP TABLE {name}" for name in ("forecasts", "forecast_scores", "forecast_records", "minute_models")],
    "0001": [
        *(f"DROP TABLE {name}" for name in ("built_candles", "streams")),
        *(
            f"ALTER TABLE symbols DROP COLUMN {name}"
            for name in ("since", "compared", "mismatched", "version", "session_turnover", "session_volume")
        ),
    ],
}
ON_POSTGRESQL = {"0005"}  # those of them that only PostgreSQL needs


@ON_BOTH
@pytest.mark.parametrize("version", BACK)
def test_a_filled_database_of_an_earlier_schema_is_upgraded(version: str, url: str) -> None:
    """Nothing that is stored changes, and a candle that follows has the VWAP of the whole session."""
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, [*candles(0, 50), *candles(60, 90)], span(0, 90))
    for passed, statements in BACK.items():
        for statement in statements if passed >= version and ("://" in url or passed not in ON_POSTGRESQL) else ():
            execute(url, statement)
    execute(url, f"UPDATE crypto_predict_schema SET version_num = '{version}'")
    with open_writer(url) as writer, open_reader(url) as reader:
        (collected,) = reader.collected()
        assert (collected.since, collected.compared, collected.mismatched) == (None, 0, 0)
        assert (collected.gaps, collected.missing) == (1, 10)
        assert collected.is_rolled == (version >= "0007"), "rollups came with that step"
        (day,) = reader.joined(MINUTES, Interval.DAY_1, EVER, MANY)
        assert writer.roll_up(MINUTES) is None
        assert [collected.is_rolled for collected in reader.collected()] == [True]
        assert reader.joined(MINUTES, Interval.DAY_1, EVER, MANY)[0].candle[:5] == day.candle[:5]
        writer.write_closed({MINUTES: [candle(90)]})
        stored = reader.candles(MINUTES, EVER, MANY)
        assert [row.candle for row in stored] == [*candles(0, 50), *candles(60, 91)]
        assert stored[-1].vwap == vwap([row.candle for row in stored])
        assert reader.coverage(MINUTES) == [span(0, 91)]
        writer.write_forecasts({MINUTES: [step(91, 1)]}, KEEP)
        assert list(reader.minute_records()) == [MINUTES]
        assert reader.hour_forecasts(MINUTES, EVER, MANY) == []
        built = BuiltCandle(START, 1.0, 1.0, 1.0, 1.0, 1, 0, False, volume=0.5)
        writer.write_built({MINUTES: [built]})
        assert reader.built(MINUTES, EVER, MANY) == [built]


@ON_BOTH
def test_a_failed_upgrade_changes_nothing(url: str) -> None:
    """SQLite too undoes changes of tables. A table of another program is in the way of the third one of ours."""
    execute(url, "CREATE TABLE coverage (something INTEGER)")
    with pytest.raises(DatabaseError, match=r"another program|already exists"):
        open_writer(url)
    execute(url, "DROP TABLE coverage")
    open_writer(url).close()


def another_program(path: Path) -> None:
    execute(str(path), "CREATE TABLE cookies (value TEXT)")


def a_truncated_one(path: Path) -> None:
    filled(path, 5000)
    os.truncate(path, 20_000)


def filled(path: Path, minutes: int) -> Path:
    with open_writer(str(path)) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, minutes))
    return path


WRONG: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a text": lambda path: path.write_text("open,high,low,close\n" * 1000),
    "of another program": another_program,
    "truncated": a_truncated_one,
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_one_clear_error(make: Callable[[Path], object], tmp_path: Path) -> None:
    """At the latest when it is read. It is not changed, and nothing is created beside it but what SQLite needs."""
    path = tmp_path / "market.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    message = rf"^database {path}: .*(not a file|not a database|tables|belongs to another program|damaged)"
    for opened in (open_reader, open_writer) if make is not a_truncated_one else (open_reader,):
        with pytest.raises(DatabaseError, match=message), opened(str(path)) as database:
            database.candles(MINUTES, EVER, MANY)
        assert (path.read_bytes() if path.is_file() else b"") == before
    beside = {other.name for other in tmp_path.iterdir()} - {"market.db"}
    assert beside <= ({"market.db-wal", "market.db-shm"} if make is a_truncated_one else set())


def test_a_path_that_does_not_exist_or_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A reader creates nothing."""
    with pytest.raises(DatabaseError, match=r"the file does not exist; collect\.py --database creates it"):
        open_reader(str(tmp_path / "folder" / "market.db"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"Not a directory|File exists"):
        open_writer(str(tmp_path / "file" / "market.db"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    with pytest.raises(DatabaseError, match="check the permissions of the file and its folder"):
        open_writer(str(folder / "market.db"))


def test_the_file_is_readable_by_others_as_the_umask_allows(tmp_path: Path) -> None:
    """Not executable; the API may run as another user of the same group."""
    before = os.umask(0o027)
    try:
        open_writer(str(tmp_path / "market.db")).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "market.db").stat().st_mode) == 0o640


def test_a_writer_notices_that_its_file_was_replaced(tmp_path: Path) -> None:
    """A connection keeps the old one open: what it writes there would be lost."""
    path, away = tmp_path / "market.db", tmp_path / "away.db"
    with open_writer(str(path)) as writer:
        writer.follow(MINUTES, simulated=False)
        path.rename(away)
        with pytest.raises(DatabaseError, match="the file does not exist"):
            writer.write(MINUTES, candles(0, 3))
        shutil.copy(away, path)
        with pytest.raises(DatabaseError, match="the file was replaced while it was in use; start again"):
            writer.write(MINUTES, candles(0, 3))


def test_a_reader_goes_on_with_another_file(tmp_path: Path) -> None:
    """Someone restored a copy while the API was running, or copied one over it, which SQLite does not notice itself."""
    path, copy = filled(tmp_path / "market.db", 3), filled(tmp_path / "copy.db", 5)
    larger = filled(tmp_path / "larger.db", 5000).read_bytes()
    with open_reader(str(path)) as reader:
        assert len(reader.candles(MINUTES, EVER, MANY)) == 3
        path.unlink()
        with pytest.raises(DatabaseError, match="the file does not exist"):
            reader.collected()
        copy.rename(path)
        assert len(reader.candles(MINUTES, EVER, MANY)) == 5
        path.write_bytes(larger)
        assert len(reader.candles(MINUTES, EVER, MANY)) == 5000


def test_the_file_is_sound_beside_an_open_writer(url: str) -> None:
    """SQLite judges its own file; foreign keys are held."""
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 3000), span(0, 3000), [Quarantined(candle(3), "a reason")])
        verdicts = [execute(url, f"PRAGMA {name}") for name in ("integrity_check", "foreign_key_check", "journal_mode")]
        assert verdicts == [["ok"], [], ["wal"]]
