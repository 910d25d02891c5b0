"""Past releases: what was forecast then, and what really followed, from a ledger that nobody trusts."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.ledger import Release
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.page.releases import PAUSE_ENTRIES, Releases, ReleasesUnavailable
from tests.support.ledgers import START, make_ledger, make_outcome, make_release, members, sealed
from tests.support.models import BTC, ETH, make_model

MODEL = make_model()
SECOND = START + DAY  # last candle of the second release
DAYS = [str(START + DAY), str(SECOND + DAY)]  # on which the two releases were made


def at(release: Release, hours: float) -> Release:
    """The same forecasts, published some hours later by another build."""
    made_at = release.made_at + timedelta(hours=hours)
    return replace(release, made_at=made_at, build=f"0.3.1-{made_at:%Y%m%d%H%M%S}")


def test_the_newest_release_of_each_day_is_listed_newest_first(write: Callable[..., Path]) -> None:
    """The day is that of its training in UTC."""
    path = write(make_release(), at(make_release(), 6), at(make_release(), 23 + 2 / 3), make_release(SECOND))
    releases = Releases(MODEL, path)
    assert list(releases.listed(BTC).days) == DAYS[::-1]
    newest = releases.release(BTC, DAYS[0])
    assert (newest.build, newest.made_at) == ("0.3.1-20240518235000", datetime(2024, 5, 18, 23, 50, tzinfo=UTC))


def test_a_release_is_as_it_was_published(write: Callable[..., Path]) -> None:
    """Its quantiles by level, each a line through the days."""
    first, second = make_release(), make_release(SECOND)
    document = Releases(MODEL, write(first, make_outcome(), second)).release(BTC, DAYS[1])
    assert (document.build, document.made_at, document.anchor) == (second.build, second.made_at, second.anchor)
    assert (document.prediction, document.low, document.high) == (second.prediction, second.low, second.high)
    assert document.last == SECOND
    assert document.levels == LEVELS
    assert document.quantiles is not None
    assert [len(line) for line in document.quantiles] == [30] * 7
    assert document.quantiles[1] == tuple(row[1] for row in second.quantiles)


def test_a_release_of_the_first_format_has_its_interval_alone(tmp_path: Path) -> None:
    old = {name: value for name, value in members(make_release()).items() if name not in {"quantiles", "volatility"}}
    (tmp_path / "l").write_bytes(sealed({**old, "format": 1}))
    document = Releases(MODEL, tmp_path / "l").release(BTC, DAYS[0])
    assert document.quantiles is None
    assert document.low == make_release().low


def test_what_followed_is_what_was_first_recorded(write: Callable[..., Path]) -> None:
    """A day without an outcome is a hole."""
    days = [START, START + DAY, START + 3 * DAY]
    outcomes = [make_outcome(day, 101.0 + n) for n, day in enumerate(days)]
    releases = Releases(MODEL, write(make_release(), *outcomes, make_outcome(START + DAY, 999.0)))
    assert releases.release(BTC, DAYS[0]).outcomes == (102.0, None, 103.0, *[None] * 27)
    assert Releases(MODEL, write(make_release())).release(BTC, DAYS[0]).outcomes == (None,) * 30


@pytest.mark.parametrize("simulated", [False, True])
def test_simulated_forecasts_and_real_ones_are_never_mixed(write: Callable[..., Path], *, simulated: bool) -> None:
    real, later = make_release(), make_release(SECOND)
    path = write(
        real,
        replace(real, simulated=True, build="invented"),
        make_outcome(),
        replace(make_outcome(close=5.0), simulated=True),
        replace(later, simulated=True, build="invented"),
    )
    releases = Releases(make_model(simulated=simulated), path)
    listed = releases.listed(BTC)
    documents = [releases.release(BTC, day) for day in listed.days]
    builds = {release.build for release in documents}
    assert builds == ({"invented"} if simulated else {real.build})
    assert listed.simulated is simulated
    assert documents[-1].outcomes[0] == (5.0 if simulated else 101.0)
    assert {release.build for release, _ in releases.newest()} == builds
    assert {release.build for release, _ in releases.of_month("2024-05")} == builds


def test_pairs_have_their_own_releases(write: Callable[..., Path]) -> None:
    """One that the model no longer holds has no page."""
    path = write(make_release(), make_release(pair=ETH), make_release(SECOND, ETH), make_outcome(pair=ETH, close=7.0))
    releases = Releases(make_model(BTC, ETH), path)
    assert list(releases.listed(BTC).days) == DAYS[:1]
    assert list(releases.listed(ETH).days) == DAYS[::-1]
    assert releases.release(BTC, DAYS[0]).outcomes[0] is None
    assert releases.release(ETH, DAYS[0]).outcomes[0] == 7.0
    assert [release.pair for release, _ in Releases(MODEL, path).newest()] == [BTC]


def test_the_feed_has_the_newest_fifty_and_the_months_all_of_them(write: Callable[..., Path]) -> None:
    made = [at(make_release(START + n * DAY), hours) for n in range(20) for hours in (0, 6, 12)]
    releases = Releases(MODEL, write(*made[:30], make_outcome(), *made[30:], make_outcome(START + 2 * DAY)))
    assert [release for release, _ in releases.newest()] == made[-50:]
    assert list(releases.index().months) == ["2024-05", "2024-06"]
    of_months = [entry for month in releases.index().months for entry in releases.of_month(month)]
    assert [release for release, _ in of_months] == made
    assert len({sha256 for _, sha256 in of_months}) == 60


DATA = make_ledger(make_release(), make_outcome(), make_release(SECOND))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "does not exist"),
        (b"", "it is empty"),
        (DATA[:-1], "cut off"),
        (DATA.replace(b"alpaca", b"abacus"), "damaged or altered"),
        (b"\0" * 1000 + b"\n", "not an entry"),
        (b"[" * 100_000, "more than an entry can have"),
        (sealed(b'{"kind":"release"}'), "format"),
        (sealed({**members(make_release()), "build": "b" * 50_000}), "is not a label"),
        (sealed({**members(make_release()), "build": "<script>"}), "is not a label"),
        (sealed(members(make_release()), members(make_outcome(date(9000, 1, 1)))), "more than a century apart"),
        (sealed({**members(make_release()), "last": "0001-01-01"}), "more than a century apart"),
        (sealed(members(make_release()), members(make_release(date(2150, 1, 1)))), "more than a century apart"),
    ],
)
def test_without_a_usable_ledger_there_are_no_past_releases(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes | None, reason: str
) -> None:
    """The log says why, once. Everything else works."""
    caplog.set_level(logging.INFO)
    if data is not None:
        (tmp_path / "l").write_bytes(data)
    releases = Releases(MODEL, tmp_path / "l")
    releases.prepare()
    for _ in range(2):
        assert releases.listed(BTC).days == ()
        assert (list(releases.newest()), releases.index().months, releases.index().head) == ([], {}, None)
    with pytest.raises(Problem, match="the ledger has no releases"):
        releases.release(BTC, DAYS[0])
    (record,) = caplog.records
    assert record.getMessage() == "past releases are not available"
    assert reason in str(vars(record))


def test_the_ledger_of_another_model_and_a_folder_are_not_shown(write: Callable[..., Path]) -> None:
    other, path = replace(MODEL, scorecard=replace(MODEL.scorecard, head="f" * 64)), write(make_release())
    assert Releases(other, path).listed(BTC).days == Releases(MODEL, path.parent).listed(BTC).days == ()


def test_what_was_never_released_is_not_shown(write: Callable[..., Path]) -> None:
    """Entries after the one that the model names are left from a training that was interrupted."""
    path = write(make_release(), make_release(SECOND))
    head = make_ledger(make_release())[-67:-3].decode()
    named = replace(MODEL, scorecard=replace(MODEL.scorecard, head=head))
    releases = Releases(named, path)
    assert list(releases.listed(BTC).days) == DAYS[:1]
    assert [release for release, _ in releases.newest()] == [make_release()]


def test_a_ledger_that_grew_since_the_start_answers_as_before(write: Callable[..., Path]) -> None:
    """A training beside the server continues it."""
    path = write(make_release())
    releases = Releases(MODEL, path)
    releases.prepare()
    write(make_release(), make_release(SECOND))
    assert releases.release(BTC, DAYS[0]).build == make_release().build
    assert [release for release, _ in releases.newest()] == [make_release()]


@pytest.mark.parametrize("contents", [[], [make_release(SECOND)], [at(make_release(), 1)]])
def test_a_ledger_that_was_replaced_since_the_start_is_not_mistaken_for_the_old_one(
    write: Callable[..., Path], contents: list[Release]
) -> None:
    path = write(make_release())
    releases = Releases(MODEL, path)
    releases.prepare()
    write(*contents)
    with pytest.raises(ReleasesUnavailable, match="has been changed or removed"):
        releases.release(BTC, DAYS[0])
    path.unlink()
    with pytest.raises(ReleasesUnavailable, match="has been changed or removed"):
        releases.release(BTC, DAYS[0])


def test_while_the_ledger_is_read_a_question_is_refused_after_a_while(write: Callable[..., Path]) -> None:
    """And answered as soon as it has been read."""
    reading, go_on = threading.Event(), threading.Event()

    def pause(_: float) -> None:
        reading.set()
        assert go_on.wait(60)

    path = write(*(make_release(START + n * DAY) for n in range(PAUSE_ENTRIES)))
    releases = Releases(MODEL, path, sleep=pause, wait_seconds=0.01)
    thread = threading.Thread(target=releases.prepare)
    thread.start()
    assert reading.wait(60)
    with pytest.raises(ReleasesUnavailable, match="being read"):
        releases.listed(BTC)
    go_on.set()
    thread.join()
    assert len(releases.listed(BTC).days) == PAUSE_ENTRIES


@given(
    hours=st.lists(st.integers(0, 100 * 24), min_size=1, max_size=8).map(sorted),
    closes=st.lists(st.tuples(st.integers(-5, 130), st.floats(0.01, 1e9)), max_size=8),
)
def test_every_listed_day_has_a_release_of_that_day(
    file: Path, hours: list[int], closes: list[tuple[int, float]]
) -> None:
    """Whatever was released when, and whatever followed."""
    made = [at(make_release(), hour) for hour in hours]
    file.write_bytes(make_ledger(*made, *(make_outcome(START + n * DAY, close) for n, close in closes)))
    releases = Releases(MODEL, file)
    days = releases.listed(BTC).days
    assert set(days) == {str(release.made_at.date()) for release in made}
    expected: dict[date, float] = {}
    for n, close in closes:
        expected.setdefault(START + n * DAY, close)
    for day in days:
        release = releases.release(BTC, day)
        assert release.made_at == max(r.made_at for r in made if str(r.made_at.date()) == day)
        following = (release.last + n * DAY for n in range(1, 31))
        assert release.outcomes == tuple(expected.get(day) for day in following)
