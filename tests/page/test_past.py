"""Forecasts of the past under what followed: the monthly fans, and any day again by its slider."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from tests.support.browser import PHONE, Browser, needs_page
from tests.support.page import with_prices
from tests.support.pages import collecting_site

pytestmark = needs_page

FANS, DAY = "#past-fans", "#past-chart"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with collecting_site(tmp_path_factory.mktemp("site")) as (_, served):
        yield served.url


@pytest.fixture(scope="module")
def closes(url: str) -> dict[str, float | None]:
    """The closes of the model by their day."""
    document = with_prices(requests.get(f"{url}/page/BTC-USD.json", timeout=30).json())
    first = date.fromisoformat(document["first"])
    return {str(first + timedelta(days=n)): close for n, close in enumerate(document["closes"])}


def open_past(browser: Browser, address: str) -> None:
    """Open a page and go to the section."""
    browser.open(address)
    browser.settle()
    browser.run("document.getElementById('past').scrollIntoView()")
    browser.one(f"{DAY} .values")
    browser.settle()


def outcomes(browser: Browser) -> list[list[str]]:
    return browser.rows("#past-outcomes tbody tr")


def get(url: str, path: str) -> Any:
    return requests.get(f"{url}{path}", timeout=30).json()


def test_the_past_is_loaded_when_a_reader_comes_near_and_is_small(url: str, browser: Browser) -> None:
    """Pictures and slider have one document."""
    browser.open(url)
    browser.settle()
    assert not [path for path in browser.requests() if "/hindcasts/" in path]
    open_past(browser, url)
    sizes = {path: size for path, size in browser.transfers().items() if "/hindcasts/" in path}
    assert list(sizes) == [f"{url}/page/BTC-USD/hindcasts/combined.json"]
    assert sum(sizes.values()) < 15_000


def test_the_fans_have_what_happened_beside_them_and_closes_outside_are_marked(
    url: str, closes: dict[str, float | None], browser: Browser
) -> None:
    """In the table of the chart, too: a close that was outside is in a column of its own."""
    open_past(browser, url)
    fans = get(url, "/page/BTC-USD/hindcasts/combined.json")["fans"]
    browser.run("document.querySelector('#past-fans summary').click()")
    browser.settle()
    head, *rows = browser.rows(f"{FANS} .scroll tr")
    assert head == ["Time", "what happened", "outside the range", "forecast", "80 % range"]
    while not browser.run("return document.querySelector('#past-fans .paging button').disabled"):
        browser.run("document.querySelector('#past-fans .paging button').click()")
        rows += browser.rows(f"{FANS} .scroll tbody tr")
    marked = 0
    for day, actual, outside, _, ends in rows:
        close = closes[day[:10]]
        assert actual == ("" if close is None else f"{close:,.2f}")
        if not ends or close is None:
            assert not outside
            continue
        low, high = (float(end.replace(",", "")) for end in ends.split(" to "))
        assert (outside != "") == (not low <= close <= high), day
        marked += bool(outside)
    assert marked
    assert len(fans) == 12
    assert "of 12 inside" in browser.text("#past-words")
    assert "outside the range" in browser.texts(f"{FANS} .legend li")


def test_any_day_is_shown_again_by_keyboard(url: str, closes: dict[str, float | None], browser: Browser) -> None:
    """Its forecasts beside what followed, spoken and as a table; the address shows the same day again."""
    open_past(browser, url)
    browser.run("document.querySelector('#past-day input').focus()")
    newest = browser.text("#past-day .day")
    assert all(row[-1] in {"yes", "no"} for row in outcomes(browser))
    browser.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.PAGE_DOWN)
    browser.settle()
    day = browser.text("#past-day .day")
    assert day < newest
    assert browser.one("#past-day input").get_attribute("aria-valuetext") == day
    assert f"day={day}" in browser.driver.current_url
    rows = outcomes(browser)
    assert [row[0] for row in rows] == ["1", "7", "30"]
    for ahead, target, ends, _, actual, inside in rows:
        assert target == str(date.fromisoformat(day) + timedelta(days=int(ahead)))
        close = closes[target]
        assert actual == ("not known" if close is None else f"{close:,.2f}")
        low, high = (float(end.replace(",", "")) for end in ends.split(" \N{EN DASH} "))
        assert inside == ("" if close is None else "yes" if low <= close <= high else "no")
    said = f"7 days after {day}: {rows[1][4]}"
    browser.until(lambda: any(said in text for text in browser.texts(f"{DAY} [role=status]")), said)
    open_past(browser, browser.driver.current_url)
    assert (browser.text("#past-day .day"), outcomes(browser)) == (day, rows)


def test_the_bands_through_time_are_what_was_forecast_before_each_day(url: str, browser: Browser) -> None:
    """The range that the table of a day has is that of the band on the day that was forecast."""
    open_past(browser, f"{url}/?day=2023-11-01")
    (_, target, ends, *_), *_ = outcomes(browser)
    browser.run("document.querySelector('#past-chart summary').click()")
    browser.settle()
    head, *rows = browser.rows(f"{DAY} .scroll tr")
    column = head.index("1 day before: 80 % range")
    by_day = {row[0][:10]: row for row in rows}
    assert by_day[target][column] == ends.replace("\N{EN DASH}", "to")


def test_another_model_is_chosen_and_its_address_shows_it_again(url: str, browser: Browser) -> None:
    """The day stays, or is the nearest that the model has; a model that does not exist is named."""
    open_past(browser, f"{url}/?day=2023-11-01")
    before = browser.text("#past-words")
    browser.one("#past-controls select").send_keys("mine")
    browser.until(lambda: browser.text("#past-words") != before, "its words")
    browser.settle()
    assert "past=mine" in browser.driver.current_url
    assert browser.text("#past-words") == get(url, "/page/BTC-USD/hindcasts/mine.json")["words"]
    assert abs(date.fromisoformat(browser.text("#past-day .day")) - date(2023, 11, 1)) <= timedelta(days=7)
    assert "What mine forecast on" in browser.text("#past-outcomes caption")
    shown = outcomes(browser)
    open_past(browser, browser.driver.current_url)
    assert outcomes(browser) == shown
    open_past(browser, f"{url}/?past=lstm")
    assert "no past forecasts of a model lstm; there are those of combined, garch, mine" in browser.text("#past")


def test_a_phone_has_the_slider_and_the_pictures_in_its_width(url: str, browser: Browser) -> None:
    browser.look(PHONE)
    open_past(browser, f"{url}/?span=all")
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE.width
    boxes = browser.run(
        """return ["#past-day input", "#past-fans .plot", "#past-chart .plot"].map(
          (selector) => document.querySelector(selector).getBoundingClientRect().toJSON())"""
    )
    assert all(box["left"] >= 0 and box["right"] <= PHONE.width and box["width"] > 200 for box in boxes)
