"""The feed: valid by the rules of its standards, whatever the ledger holds."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.ledger import Release
from crypto_predict.baked.schema import Anchor, Model
from crypto_predict.market import DAY, Pair
from crypto_predict.web.page.feed import feed
from crypto_predict.web.page.releases import Releases
from tests.support.feeds import HISTORY, entries, faults, links, parse, text
from tests.support.ledgers import START, make_ledger, make_outcome, make_release
from tests.support.models import BTC, ETH, make_model

SITE = "https://example.org/crypto/"
NAME, MONTH = "feed.xml", "feed/{}.xml"
MODEL = make_model(trained_at=datetime(2024, 7, 20, tzinfo=UTC))
Write = Callable[..., Path]


def published(days: int, *, every: int = 24) -> list[Release]:
    """Releases of some days, one every so many hours."""
    first = make_release(START)
    times = [first.made_at + timedelta(hours=n * every) for n in range(days * 24 // every)]
    return [replace(make_release(at.date() - DAY), made_at=at, build=f"0.3.1-{at:%Y%m%d%H%M%S}") for at in times]


def feed_of(path: Path, model: Model = MODEL, address: str | None = None, month: str | None = None) -> bytes:
    return feed(model, Releases(model, path), month, address, "https://example.org/source")


def documents(path: Path, model: Model = MODEL, address: str | None = None) -> dict[str, bytes]:
    """The whole feed by address, from the root of the site."""
    months = Releases(model, path).index().months
    archives = {MONTH.format(month): feed_of(path, model, address, month) for month in months}
    return {NAME: feed_of(path, model, address), **archives}


def test_an_entry_says_in_words_what_was_forecast(write: Write) -> None:
    """The price, three horizons with their ranges, and what persistence says."""
    (entry,) = entries(feed_of(write(make_release())))
    assert text(entry, "title") == "Bitcoin at $100.00, $107.21 forecast 7 days ahead"
    assert text(entry, "summary") == (
        "One Bitcoin cost $100.00 on 18 May 2024 at 00:00 UTC. "
        "Forecast for the close of 18 May 2024, 1 day ahead: $101.00, with 80 % probability between $90.90 and "
        "$111.10. Forecast for the close of 24 May 2024, 7 days ahead: $107.21, with 80 % probability between $96.49 "
        "and $117.93. Forecast for the close of 16 June 2024, 30 days ahead: $134.78, with 80 % probability between "
        "$121.30 and $148.26. Persistence, the forecast that the price stays as it is, says $100.00 for each of these "
        "days. Build 0.3.1-20240518001000."
    )
    assert text(entry, "updated") == "2024-05-18T00:10:00Z"
    assert links(entry) == {"alternate": "page/BTC-USD/?release=2024-05-18"}


@pytest.mark.parametrize("address", [None, SITE])
def test_every_document_is_valid_and_its_links_lead_to_the_site(write: Write, address: str | None) -> None:
    """Absolute where the address is known, else relative to the document itself."""
    for name, data in documents(write(*published(50, every=12)), address=address).items():
        assert faults(data, urljoin(SITE, name)) == []
        absolute = {relation: urljoin(urljoin(SITE, name), href) for relation, href in links(parse(data)).items()}
        assert absolute["alternate"] == SITE
        assert absolute["self"] == urljoin(SITE, name)
        for entry in entries(data):
            href = links(entry)["alternate"]
            assert urljoin(urljoin(SITE, name), href).startswith(f"{SITE}page/BTC-USD/?release=2024-")
            assert ("://" in href) is (address is not None)


def test_every_release_has_an_entry_in_an_archive_and_the_newest_fifty_in_the_feed(write: Write) -> None:
    """An entry is the same in both."""
    files = documents(write(*published(100)))
    newest = [text(entry, "id") for entry in entries(files.pop(NAME))]
    archived = [text(entry, "id") for data in files.values() for entry in entries(data)]
    assert len(newest) == 50
    assert len(archived) == len(set(archived)) == 100
    assert set(newest) <= set(archived)
    assert list(files) == ["feed/2024-05.xml", "feed/2024-06.xml", "feed/2024-07.xml", "feed/2024-08.xml"]


@pytest.mark.parametrize(
    ("days", "every"), [(1, 24), (14, 24), (49, 24), (50, 24), (51, 24), (64, 24), (20, 6), (63, 6)]
)
def test_following_the_links_to_earlier_archives_every_release_is_found(write: Write, days: int, every: int) -> None:
    """As a reader does that has just subscribed (RFC 5005, section 4.2)."""
    files = documents(write(*published(days, every=every)))
    result, name = set[str](), NAME
    while name:
        document = files.pop(name)  # no archive is linked twice
        result |= {text(entry, "id") for entry in entries(document)}
        earlier = links(parse(document)).get("prev-archive")
        name = urljoin(name, earlier).lstrip("/") if earlier else ""
    assert len(result) == days * 24 // every


def test_archives_link_each_other_and_the_feed(write: Write) -> None:
    """The month of the training still grows: it is not marked as an archive, whose content must not change."""
    files = documents(write(*published(64)))
    may, june, july = (parse(files[MONTH.format(month)]) for month in ("2024-05", "2024-06", "2024-07"))
    relations = {relation: href for relation, href in links(june).items() if relation not in {"self", "alternate"}}
    assert relations == {
        "current": "../feed.xml",
        "prev-archive": "../feed/2024-05.xml",
        "next-archive": "../feed/2024-07.xml",
    }
    assert "prev-archive" not in links(may)
    assert "next-archive" not in links(july)
    assert [element.find(f"{HISTORY}archive") is not None for element in (may, june, july)] == [True, True, False]


def test_identities_stay_when_releases_follow(write: Write) -> None:
    """Whatever the version or the address of the site: readers show an entry once."""
    releases = published(3)
    before = feed_of(write(*releases[:2]))
    after = feed_of(write(*releases), address=SITE)
    assert text(parse(before), "id") == text(parse(after), "id")
    ids = [[text(entry, "id") for entry in entries(data)] for data in (before, after)]
    assert ids[1][1:] == ids[0]
    assert all(line.startswith("urn:uuid:") for line in ids[1])


def test_another_ledger_is_another_feed(write: Write) -> None:
    first, second = (feed_of(write(release)) for release in published(2))
    assert text(parse(first), "id") != text(parse(second), "id")


def test_without_a_ledger_the_feed_is_valid_and_empty(tmp_path: Path) -> None:
    data = feed_of(tmp_path / "none")
    assert faults(data, urljoin(SITE, NAME)) == []
    assert entries(data) == []
    assert text(parse(data), "updated") == "2024-07-20T00:00:00Z"


def test_simulated_prices_are_called_so_wherever_they_stand(write: Write) -> None:
    """Titles are all that some readers show. Real releases of the same pair are left out."""
    model = make_model(simulated=True)
    path = write(make_release(), replace(make_release(START + DAY), simulated=True))
    data = feed_of(path, model)
    (entry,) = entries(data)
    assert "simulated" in text(parse(data), "title")
    assert text(entry, "title").startswith("Simulated: ")
    assert text(entry, "summary").startswith("These prices are simulated: no exchange was asked.")


def test_each_pair_has_entries_of_its_own(write: Write) -> None:
    both = [make_release(), make_release(pair=ETH)]
    data = feed_of(write(*both, make_outcome()), make_model(BTC, ETH))
    assert [links(entry)["alternate"] for entry in entries(data)] == [
        "page/ETH-USD/?release=2024-05-18",
        "page/BTC-USD/?release=2024-05-18",
    ]
    assert text(parse(data), "title") == "Crypto Predict: forecasts of BTC/USD and ETH/USD"


@st.composite
def releases(draw: st.DrawFn) -> Release:
    """Releases with any pair, build, source, time and prices that a ledger can hold."""
    made_at = datetime(2000, 1, 1, tzinfo=UTC) + draw(st.timedeltas(timedelta(0), timedelta(days=36_500)))
    pair = Pair(draw(st.text("ABC0123456789", min_size=1, max_size=20)), draw(st.sampled_from(["USD", "AMP", "LT"])))
    price = draw(st.floats(5e-324, 1e308))
    return replace(
        make_release(made_at.date(), pair),
        build=draw(st.text("azAZ09._+-", min_size=1, max_size=100)),
        source=draw(st.text(max_size=50)),
        made_at=made_at,
        anchor=Anchor(made_at, price),
        prediction=(price,) * 30,
        low=(0.0,) * 30,
        high=(price,) * 30,
        quantiles=(),
        volatility=None,
        hours=(),
        touched=(),
        models={},
    )


@given(release=releases())
def test_the_feed_is_valid_whatever_the_ledger_holds(file: Path, release: Release) -> None:
    file.write_bytes(make_ledger(release))
    model = make_model(release.pair)
    for address in (None, SITE):
        for name, data in documents(file, model, address).items():
            assert faults(data, urljoin(SITE, name)) == []
            assert len(entries(data)) == 1


@given(odd=st.text())
def test_every_text_becomes_xml(file: Path, odd: str) -> None:
    """Control characters and markup too."""
    file.unlink(missing_ok=True)
    data = feed(MODEL, Releases(MODEL, file), None, None, odd)
    assert [fault for fault in faults(data, urljoin(SITE, NAME)) if "author" in fault] == []
