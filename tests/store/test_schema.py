"""The tables: how they are made and upgraded, and databases that cannot be used."""

import itertools
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from crypto_predict.errors import DatabaseError
from crypto_predict.market.collected import BuiltCandle
from crypto_predict.store import open_reader, open_writer
from crypto_predict.store.tables import SCHEMA, metadata
from tests.support.children import child
from tests.support.databases import connected, execute
from tests.support.minute_forecasts import KEEP, step
from tests.support.minutes import EVER, MANY, MINUTES, START, candle, candles, span, vwap


def test_the_steps_make_the_tables(url: str) -> None:
    """Columns, keys and indexes. The newest step is the version that programs compare."""
    open_writer(url).close()
    with connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    assert [difference[1].name for difference in differences] == ["crypto_predict_schema"]  # Alembic's own
    config = Config()
    config.set_main_option("script_location", "crypto_predict.store:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]


OPEN = """
import sys
from crypto_predict.store import open_writer
sys.stdin.readline()
open_writer(sys.argv[1]).close()
"""


def test_processes_that_start_at_once_make_the_tables_once(url: str) -> None:
    with child(OPEN, url) as popen, child(OPEN, url) as two, child(OPEN, url) as three:
        for process in (popen, two, three):
            assert process.stdin is not None
            process.stdin.write("now\n")
            process.stdin.flush()
        for process in (popen, two, three):
            assert (process.wait(60), process.stderr and process.stderr.read()) == (0, "")
    with open_reader(url) as reader:
        assert reader.collected() == []


def test_a_newer_schema_is_refused(url: str) -> None:
    open_writer(url).close()
    execute(url, "UPDATE crypto_predict_schema SET version_num = '9999'")
    for opened in (open_reader, open_writer):
        with pytest.raises(DatabaseError, match=f"schema 9999 is newer than that of this program, {SCHEMA}; update"):
            opened(url)


def test_a_reader_does_not_upgrade(url: str) -> None:
    open_writer(url).close()
    execute(url, "UPDATE crypto_predict_schema SET version_num = '0000'")
    with pytest.raises(DatabaseError, match="schema 0000 is older than that of this program"):
        open_reader(url)


def test_an_empty_database_is_not_readable(url: str) -> None:
    if "://" not in url:
        Path(url).touch()
    with pytest.raises(DatabaseError, match="does not contain the tables of this program"):
        open_reader(url)


# What takes each step back.
BACK = {
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


@pytest.mark.parametrize("version", BACK)
def test_a_filled_database_of_an_earlier_schema_is_upgraded(version: str, url: str) -> None:
    """Nothing that is stored changes, and a candle that follows has the VWAP of the whole session."""
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, [*candles(0, 50), *candles(60, 90)], span(0, 90))
    for passed, statements in BACK.items():
        for statement in statements if passed >= version else ():
            execute(url, statement)
    execute(url, f"UPDATE crypto_predict_schema SET version_num = '{version}'")
    with open_writer(url) as writer, open_reader(url) as reader:
        (collected,) = reader.collected()
        assert (collected.since, collected.compared, collected.mismatched, collected.gaps, collected.missing) == (
            None,
            0,
            0,
            1,
            10,
        )
        writer.write_closed({MINUTES: [candle(90)]})
        stored = reader.candles(MINUTES, EVER, MANY)
        assert [row.candle for row in stored] == [*candles(0, 50), *candles(60, 91)]
        assert stored[-1].vwap == vwap([row.candle for row in stored])
        assert reader.coverage(MINUTES) == [span(0, 91)]
        writer.write_forecasts({MINUTES: [step(91, 1)]}, KEEP)
        assert reader.minute_records().get(MINUTES) is not None
        built = BuiltCandle(START, 1.0, 1.0, 1.0, 1.0, 1, 0, False, volume=0.5)
        writer.write_built({MINUTES: [built]})
        assert reader.built(MINUTES, EVER, MANY) == [built]


def test_a_failed_upgrade_changes_nothing(url: str) -> None:
    """SQLite too undoes changes of tables. A table of another program is in the way of the third one of ours."""
    execute(url, "CREATE TABLE coverage (something INTEGER)")
    with pytest.raises(DatabaseError, match=r"another program|already exists"):
        open_writer(url)
    execute(url, "DROP TABLE coverage")
    open_writer(url).close()


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_text(path: Path) -> None:
    path.write_text("open,high,low,close\n" * 1000)


def another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cookies (value TEXT)")
    connection.close()


def a_truncated_one(path: Path) -> None:
    with open_writer(str(path)) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 5000))
    os.truncate(path, 20_000)


@pytest.mark.parametrize("make", [a_folder, a_pipe, a_text, another_program, a_truncated_one])
def test_a_wrong_file_is_one_clear_error(make: Callable[[Path], None], tmp_path: Path) -> None:
    """At the latest when it is read. It is not changed, and nothing is created beside it but what SQLite needs."""
    path = tmp_path / "market.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with (
        pytest.raises(DatabaseError, match=rf"^database {path}: .*(not a file|not a database|tables|damaged)"),
        open_reader(str(path)) as reader,
    ):
        reader.candles(MINUTES, EVER, MANY)
    assert (path.read_bytes() if path.is_file() else b"") == before
    beside = {one.name for one in tmp_path.iterdir()} - {"market.db"}
    assert beside <= ({"market.db-wal", "market.db-shm"} if make is a_truncated_one else set())


@pytest.mark.parametrize("make", [a_folder, a_pipe, a_text, another_program])
def test_a_wrong_file_is_not_written_to(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(DatabaseError, match=r"not a file|not a database|belongs to another program"):
        open_writer(str(path))
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_missing_file_is_not_created_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"the file does not exist; collect\.py --database creates it"):
        open_reader(str(tmp_path / "folder" / "market.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
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


def test_a_reader_goes_on_with_a_replaced_file(tmp_path: Path) -> None:
    """Someone restored a copy while the API was running."""
    path, copy = tmp_path / "market.db", tmp_path / "copy.db"
    for each, count in ((path, 3), (copy, 5)):
        with open_writer(str(each)) as writer:
            writer.follow(MINUTES, simulated=False)
            writer.write(MINUTES, candles(0, count))
    with open_reader(str(path)) as reader:
        assert len(reader.candles(MINUTES, EVER, MANY)) == 3
        path.unlink()
        with pytest.raises(DatabaseError, match="the file does not exist"):
            reader.collected()
        copy.rename(path)
        assert len(reader.candles(MINUTES, EVER, MANY)) == 5


def test_a_reader_goes_on_with_a_file_that_was_copied_over_its_own(tmp_path: Path) -> None:
    """The file stays the same one, with other contents. SQLite does not notice that by itself."""
    path, copy = tmp_path / "market.db", tmp_path / "copy.db"
    for each, count in ((path, 3), (copy, 5000)):
        with open_writer(str(each)) as writer:
            writer.follow(MINUTES, simulated=False)
            writer.write(MINUTES, candles(0, count))
    with open_reader(str(path)) as reader:
        assert len(reader.candles(MINUTES, EVER, MANY)) == 3
        path.write_bytes(copy.read_bytes())
        assert len(reader.candles(MINUTES, EVER, MANY)) == 5000


def test_every_step_has_its_own_number() -> None:
    """Versions are compared as texts."""
    folder = Path("crypto_predict/store/migrations/versions")
    names = sorted(path.stem for path in (Path(__file__).parents[2] / folder).glob("step_*.py"))
    assert names == [f"step_{number:04}" for number in itertools.islice(itertools.count(1), len(names))]
