"""`collect.py --import`: nothing is lost on the way out and back, and what a stranger's folder may contain."""

import itertools
import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crypto_predict.market import Candle, Interval, SeriesKey, Span
from crypto_predict.market.collected import ACTIVE, STOPPED, StreamSpan, StreamState
from crypto_predict.store import open_reader, open_writer
from tests.support.collecting import collect_here, collecting
from tests.support.exports import COUNT, DAYS, MINUTES, SILENT, at, candle, content, filled
from tests.support.minutes import EVER, MANY


def everything(url: str) -> dict[str, Any]:
    """Return all that an export shall keep, of every series of a database."""
    with open_reader(url) as database:
        return {
            str(each.series): {
                "series": replace(each, version=0, compared=0, mismatched=0),
                "candles": database.candles(each.series, EVER, MANY),
                "coverage": database.coverage(each.series),
                "gaps": database.gaps(each.series, EVER),
                "streams": database.streams(each.series.source, each.series.pair, EVER),
            }
            for each in database.collected()
        }


def exported(url: str, folder: Path, *arguments: str) -> Path:
    run = collect_here(url, "--export", str(folder), *arguments)
    assert run.code == 0, run.errors
    return folder


def imported(url: str, folder: Path) -> str:
    run = collect_here(url, "--import", str(folder))
    assert run.code == 0, run.errors
    return run.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An exported folder of the market of `exports`."""
    return exported(filled(str(tmp_path / "source.db")), tmp_path / "market")


def test_what_was_exported_is_what_is_imported(address: str, folder: Path, tmp_path: Path) -> None:
    """On both databases: candles with their VWAP, coverage, gaps, streams and states."""
    before = everything(str(tmp_path / "source.db"))
    assert imported(address, folder) == f"{folder}: 260 candles in 4 files, 260 new or changed\n"
    assert everything(address) == before
    assert collect_here(address, "--verify", str(folder)).code == 0


def test_csv_loses_nothing_either(folder: Path, tmp_path: Path) -> None:
    """Text has every digit of a float."""
    text = exported(str(tmp_path / "source.db"), tmp_path / "text", "--format", "csv")
    imported(str(tmp_path / "copy.db"), text)
    assert everything(str(tmp_path / "copy.db")) == everything(str(tmp_path / "source.db"))
    assert folder.exists()


def test_importing_twice_changes_nothing(folder: Path, tmp_path: Path) -> None:
    """Nor does it count the gaps as asked for once more, after which nobody would ask again."""
    copy = str(tmp_path / "copy.db")
    imported(copy, folder)
    before = everything(copy)
    assert imported(copy, folder).endswith(" 0 new or changed\n")
    assert everything(copy) == before


_HOUR = timedelta(hours=1)
_FIRST = Interval.HOUR_1.floor(at(0)) - 20 * _HOUR
PRICES = st.floats(1e-9, 1e9)


@st.composite
def writes(draw: st.DrawFn) -> list[tuple[list[Candle], Span | None]]:
    """Draw what a collector may have stored around the end of a month: candles with holes, and what it asked for."""
    result = []
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, 40))
        count = draw(st.integers(1, 20))
        hours = sorted(draw(st.sets(st.integers(first, first + count), max_size=count)))
        candles = []
        for hour in hours:
            low, price, high = sorted(draw(st.tuples(PRICES, PRICES, PRICES)))
            volume = draw(st.just(0.0) | PRICES)
            optional = draw(st.none() | st.tuples(PRICES, st.integers(0, 10**15), PRICES, PRICES))
            candles.append(Candle(_FIRST + hour * _HOUR, price, high, low, price, volume, *(optional or ())))
        asked = draw(st.none() | st.just(Span(_FIRST + first * _HOUR, _FIRST + (first + count + 1) * _HOUR)))
        result.append((candles, asked))
    return result


_numbers = itertools.count()


@pytest.mark.repeats
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(writes(), st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from(StreamState)), max_size=4))
def test_nothing_is_lost_on_the_way_out_and_back(
    tmp_path: Path, stored: list[tuple[list[Candle], Span | None]], streams: list[tuple[int, int, StreamState]]
) -> None:
    """Whatever was written in whatever order: floats of any size, holes that nobody asked for, gaps, outages."""
    place = tmp_path / str(next(_numbers))
    place.mkdir()
    series = SeriesKey("poloniex", MINUTES.pair, Interval.HOUR_1)
    one, two = str(place / "one.db"), str(place / "two.db")
    with open_writer(one) as database:
        database.follow(series, simulated=False)
        for candles, asked in stored:
            database.write(series, candles, asked)
        for start, length, state in streams:
            span = Span(_FIRST + start * _HOUR, _FIRST + (start + length) * _HOUR)
            database.write_streams(
                series.source, [series.pair], StreamSpan(span, state, "" if state is StreamState.CONNECTED else "why")
            )
        database.set_state(series, STOPPED, _FIRST)
    imported(two, exported(one, place / "market"))
    if any(candles for candles, _ in stored):
        kept, original = everything(two)[str(series)], everything(one)[str(series)]
        assert {name: kept[name] for name in kept} == original


def test_an_import_adds_to_what_is_stored(folder: Path, tmp_path: Path) -> None:
    """The newer candles of the database stay, and a candle that is replaced is kept as a revision."""
    copy = str(tmp_path / "copy.db")
    other = candle(5)._replace(trades=99)
    with open_writer(copy) as database:
        database.follow(MINUTES, simulated=False)
        database.set_state(MINUTES, STOPPED)
        database.write(MINUTES, [other, candle(COUNT + 1)])
    imported(copy, folder)
    with open_reader(copy) as database:
        stored = [row.candle for row in database.candles(MINUTES, EVER, MANY)]
        assert stored == [candle(n) for n in [*range(COUNT), COUNT + 1] if n not in SILENT]
        assert database.revisions(MINUTES, EVER) == [other]
        states = {each.series: each.state for each in database.collected()}
        assert states == {MINUTES: STOPPED, DAYS: ACTIVE}


def test_a_killed_import_is_continued_by_the_same_command(folder: Path, tmp_path: Path) -> None:
    """Kill -9 once something is stored: nothing is lost or doubled."""
    copy = str(tmp_path / "copy.db")
    with collecting(copy, "--import", str(folder)) as process:
        while not Path(copy).exists() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    imported(copy, folder)
    assert everything(copy) == everything(str(tmp_path / "source.db"))


def test_a_series_that_another_process_writes_is_not_imported(folder: Path, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy.db")
    with open_writer(copy) as database:
        database.follow(DAYS, simulated=True)
        with database.hold(DAYS):
            run = collect_here(copy, "--import", str(folder))
    assert run.code == 2
    assert "which writes it" in run.errors


Change = Callable[[dict[str, Any]], None]


def of_first(**values: object) -> Change:
    """Return what changes the first file in a manifest."""
    return lambda manifest: manifest["series"][1]["files"][0].update(values)


LIES: list[tuple[str, Change, str]] = [
    ("rows", of_first(rows=121), "the verdicts"),
    ("digest", of_first(digest="0" * 64), "its candles are not those that the manifest describes"),
    ("sha256", of_first(sha256="0" * 64), "its bytes are not those that the manifest describes"),
    ("path", of_first(path="../../etc/passwd"), "is not that of its series and month"),
    ("absolute path", of_first(path="/etc/passwd"), "is not that of its series and month"),
    ("span", of_first(start="2026-10-31T21:59:00Z"), "its openings are not those"),
    ("candles", of_first(candles=7), "candles, not 7"),
    ("future", of_first(coverage=[{"start": "2026-10-31T22:00:00Z", "end": "2999-01-01T00:00:00Z"}]), "the future"),
    ("size", of_first(bytes=2**40), "bytes are not those of a month"),
    ("interval", lambda manifest: manifest["series"][1].update(interval="3m"), "interval"),
    ("source", lambda manifest: manifest["series"][1].update(source="../x"), "which a path can have"),
    ("state", lambda manifest: manifest["series"][1].update(state="lost"), "is not a state"),
    ("version", lambda manifest: manifest.update(version=99), "version 99 is not 1"),
    ("format", lambda manifest: manifest.update(format="other"), "it is not that of an export"),
    ("members", lambda manifest: manifest.pop("files"), "missing ['files']"),
]


@pytest.mark.parametrize(("change", "reason"), [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES])
def test_a_manifest_that_lies_is_refused(folder: Path, tmp_path: Path, change: Change, reason: str) -> None:
    """In one line, and before anything of the file is stored."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    run = collect_here(str(tmp_path / "copy.db"), "--import", str(folder))
    assert run.code == 3
    assert reason in run.errors
    assert run.errors.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"format": "crypto-predict dataset", "version": 1}'])
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str, tmp_path: Path) -> None:
    (folder / "manifest.json").write_text(text)
    run = collect_here(str(tmp_path / "copy.db"), "--import", str(folder))
    assert run.code == 3
    assert "manifest.json" in run.errors
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("option", ["--import", "--verify"])
def test_a_folder_that_is_not_an_export_is_refused(tmp_path: Path, option: str) -> None:
    """Before a database is made."""
    run = collect_here(str(tmp_path / "copy.db"), option, str(tmp_path))
    assert run.code == 2
    assert f"{option}: '{tmp_path}' is not an exported folder: it has no manifest.json" in run.errors
    assert content(tmp_path) == {}
