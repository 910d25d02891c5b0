"""The chart of the forecast: drawn, chosen by its address, read by keyboard, and the same as its table and its data."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from tests.support.browser import PHONE, Browser, needs_page
from tests.support.models import BTC, ETH, TRAINED_AT
from tests.support.page import with_prices
from tests.support.pages import NOW, RELEASED, collecting_site, published, serving_at, write_minutes

pytestmark = needs_page

FIGURE = "#forecast-chart"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model of simulated prices with three releases, and a database."""
    with collecting_site(tmp_path_factory.mktemp("site")) as (_, served):
        yield served.url


@pytest.fixture(scope="module")
def document(url: str) -> dict[str, Any]:
    """The document that the chart shows."""
    return with_prices(requests.get(f"{url}/page/BTC-USD.json", timeout=30).json())


def open_chart(browser: Browser, address: str) -> None:
    """Open a page and wait until its chart has been drawn."""
    browser.open(address)
    browser.until(lambda: browser.run("return performance.getEntriesByName('chart-drawn').length"), "the chart")
    browser.settle()


def query(browser: Browser) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(browser.driver.current_url).query).items()}


def pressed(browser: Browser) -> dict[str, str]:
    """Return which button of each group is pressed, or whether a single one is, by their names."""
    return dict(
        browser.run(
            """return Array.from(document.querySelectorAll(`${arguments[0]} [aria-pressed="true"]`), (button) =>
              [button.closest("[role=group]")?.getAttribute("aria-label") ?? button.textContent, button.value])""",
            FIGURE,
        )
    )


def choose(browser: Browser, *names: str) -> None:
    """Press buttons of the chart, by their text."""
    for name in names:
        browser.run(
            """const found = Array.from(document.querySelectorAll(`${arguments[0]} button`));
            found.find(({ textContent }) => textContent === arguments[1]).click()""",
            FIGURE,
            name,
        )


def set_beside(browser: Browser, model: str) -> None:
    """Choose a model beside the forecast."""
    browser.one(f"{FIGURE} .tools select").send_keys(model)
    browser.settle()


def ink(browser: Browser, *names: str) -> list[int]:
    """Return how many pixels of the chart have the colour of each of these names."""
    return list(
        browser.run(
            """const [selector, names] = arguments, figure = document.querySelector(selector);
            const probe = figure.appendChild(document.createElement("i"));
            const wanted = names.map((name) => {
              probe.style.color = `var(--chart-${name})`;
              return getComputedStyle(probe).color.match(/[0-9.]+/g).map(Number);
            });
            probe.remove();
            const counts = names.map(() => 0);
            for (const canvas of figure.querySelectorAll("canvas")) {
              const often = { willReadFrequently: true };
              const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", often);
              copy.drawImage(canvas, 0, 0);
              const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
              for (let at = 0; at < data.length; at += 4) {
                wanted.forEach(([red, green, blue], index) => {
                  const color = [data[at] - red, data[at + 1] - green, data[at + 2] - blue];
                  const away = Math.max(...color.map(Math.abs));
                  if (data[at + 3] > 200 && away < 4) counts[index] += 1;
                });
              }
            }
            return counts""",
            FIGURE,
            names,
        )
    )


def test_the_chart_is_drawn_in_the_colours_of_light_and_of_dark(url: str, browser: Browser) -> None:
    """The reader's system may change to dark while the page is open."""
    open_chart(browser, url)
    light = browser.run(
        "return getComputedStyle(document.querySelector(arguments[0])).getPropertyValue('--chart-price')", FIGURE
    )
    assert all(count > 50 for count in ink(browser, "price", "forecast"))
    browser.look(dark=True)
    browser.settle()
    dark = browser.run(
        "return getComputedStyle(document.querySelector(arguments[0])).getPropertyValue('--chart-price')", FIGURE
    )
    assert dark != light
    assert all(count > 50 for count in ink(browser, "price", "forecast"))


def test_a_view_is_in_its_address_and_comes_back_from_it(url: str, browser: Browser) -> None:
    """What is the default is not in the address."""
    open_chart(browser, url)
    assert query(browser) == {}
    usual = pressed(browser)
    choose(browser, "6M", "365", "Log", "Candles")
    set_beside(browser, "mine")
    chosen = pressed(browser)
    assert query(browser) == {"range": "6m", "ahead": "365", "scale": "log", "view": "candles", "model": "mine"}
    assert chosen == {"History": "6m", "Ahead": "365", "Scale": "log", "History as": "candles"}
    assert ink(browser, "model")[0] > 50
    assert ink(browser, "up")[0] > 50
    shared = browser.driver.current_url
    browser.open("about:blank")
    open_chart(browser, shared)
    assert pressed(browser) == chosen
    assert ink(browser, "up")[0] > 50
    assert ink(browser, "model")[0] > 50
    choose(browser, "1Y", "90", "Linear", "Line")
    set_beside(browser, "no other model")
    assert (query(browser), pressed(browser)) == ({}, usual)
    assert ink(browser, "up", "model") == [0, 0]


def test_another_model_is_loaded_when_it_is_chosen_and_its_record_is_said(url: str, browser: Browser) -> None:
    """The values of the chart are those of its document; one that does not exist is named."""
    open_chart(browser, url)
    assert browser.texts(f"{FIGURE} .tools select option") == ["no other model", "prophet", "garch", "mine"]
    assert not [path for path in browser.requests() if "/models/" in path]
    set_beside(browser, "garch")
    assert [path for path in browser.requests() if "/models/" in path] == [f"{url}/page/BTC-USD/models/garch.json"]
    sent = requests.get(f"{url}/page/BTC-USD/models/garch.json", timeout=30).json()
    values = with_prices({"decimals": 2, **sent})
    assert browser.text("#model-words") == sent["words"]
    browser.run("document.querySelector(arguments[0]).focus()", f"{FIGURE} .plot")
    browser.press(Keys.ARROW_RIGHT)
    first = [f"{values[end][0]:,.2f}" for end in ("prediction", "low", "high")]
    spoken = f"garch {first[0]} garch: 80 % range {first[1]} to {first[2]}"
    browser.until(lambda: spoken in browser.text(f"{FIGURE} .reading"), spoken)
    open_chart(browser, f"{url}/?model=lstm")
    assert browser.text("#model-words") == "There is no model lstm of this pair; there are prophet, garch, mine."


def test_the_back_button_returns_to_the_pair_and_its_view(url: str, browser: Browser) -> None:
    open_chart(browser, url)
    choose(browser, "6M")
    browser.one("a[href$='page/ETH-USD/']").click()
    browser.until(lambda: "ETH/USD" in browser.text("h1"), "the page of the other pair")
    browser.settle()
    assert pressed(browser)["History"] == "1y"
    browser.driver.back()
    browser.until(lambda: "BTC/USD" in browser.text("h1"), "the page of the pair before")
    browser.settle()
    assert (query(browser), pressed(browser)["History"]) == ({"range": "6m"}, "6m")


@pytest.mark.parametrize(
    "address",
    [
        "?range=<img src=x onerror=alert(1)>&scale=exp&view=3d&ahead=-1",
        "?release=2024-13-45&date=never&above=-5&below=1e999&compare=../../etc&minutes=%00",
        "?range=1y&range=5y&RANGE=all&utm_source=newsletter&=&&%%%",
        f"?release={'9' * 3000}",
    ],
)
def test_nonsense_in_the_address_is_named_and_the_page_stays_whole(address: str, url: str, browser: Browser) -> None:
    open_chart(browser, f"{url}/{address}")
    browser.read_to_the_end()
    assert pressed(browser)["History"] == "1y"
    assert not browser.all(".error, .problem:not([hidden]), img[src=x]")
    if "range=1y" not in address:
        name = "release" if "release" in address else "range"
        assert browser.until(lambda: f"The address has {name}=" in browser.text("#status"), "it is said")


def test_an_unknown_pair_is_a_page_that_names_those_that_exist(url: str, browser: Browser) -> None:
    browser.open(f"{url}/page/DOGE-USD/")
    assert "DOGE-USD" in browser.text("h1").replace("/", "-")
    assert [link.text for link in browser.all("main a, body > p a")][:2] == ["BTC/USD", "ETH/USD"]
    (fault,) = browser.faults()
    assert "404" in fault


def test_a_past_forecast_is_shown_under_what_followed(url: str, browser: Browser) -> None:
    """Its address shows it at once; without a forecast of that day, the page says from when there are some."""
    earliest, later = (f"{day:%Y-%m-%d}" for day in RELEASED)
    open_chart(browser, url)
    select = browser.one("#release select")
    assert browser.texts("#release option") == ["now", f"{TRAINED_AT:%Y-%m-%d}", later, earliest]
    select.send_keys(earliest)
    browser.until(lambda: "Released" in browser.text(".release-words"), "the release is described")
    browser.settle()
    assert query(browser) == {"release": earliest}
    words = browser.text(".release-words")
    assert "of the 30 days that followed" in words
    assert "what followed" in browser.texts(f"{FIGURE} .legend li")
    open_chart(browser, f"{url}/?release={earliest}")
    assert browser.text(".release-words") == words
    assert ink(browser, "actual")[0] > 50
    browser.run(
        "for (const one of document.querySelectorAll('#release button')) if (/today/.test(one.textContent)) one.click()"
    )
    browser.settle()
    assert query(browser) == {}
    assert "what followed" not in browser.texts(f"{FIGURE} .legend li")
    open_chart(browser, f"{url}/?release=2020-02-29")
    assert f"No forecast was released on 2020-02-29; there are releases from {earliest}" in browser.text(
        ".release-words"
    )


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same model beside minutes alone: of 34 days of the first pair, of 400 days of the second one."""
    folder = tmp_path_factory.mktemp("minutes")
    write_minutes(folder / "market.db", {BTC: 34, ETH: 400})
    with serving_at(NOW, published(folder), folder / "market.db") as served:
        yield served.url


@pytest.mark.parametrize(("slug", "days"), [("BTC-USD", 34), ("ETH-USD", 365)])
def test_candles_reach_as_far_as_the_range_and_the_line_is_drawn_before_them(
    slug: str, days: int, collected: str, browser: Browser
) -> None:
    """One page has all of them. The line ends at the first candle, so there is no hole between them."""
    document = with_prices(requests.get(f"{collected}/page/{slug}.json", timeout=30).json())
    browser.requests()
    open_chart(browser, f"{collected}/page/{slug}/?view=candles")
    browser.one(f"{FIGURE} summary").click()
    browser.until(lambda: browser.all(f"{FIGURE} .scroll tbody tr"), "the rows are made")
    rows: dict[str, dict[str, str]] = {}

    def read() -> None:
        head, *result = browser.rows(f"{FIGURE} .scroll tr")
        rows.update({time[:10]: dict(zip(head[1:], cells, strict=True)) for time, *cells in result})

    read()
    for _ in range(9):
        choose(browser, "Earlier")
        read()
    shown = [day_of(document, "last", -n) for n in range(366)]
    closes = {day_of(document, "last", 1 - n): close for n, close in enumerate(reversed(document["closes"]), 1)}
    has_candle = [bool(rows[day]["open"]) for day in shown]
    assert has_candle[:days] == [True] * days
    assert not any(has_candle[34:]) or slug == "ETH-USD"
    for day, candle in zip(shown, has_candle, strict=True):
        expected = "" if candle or closes[day] is None else f"{closes[day]:,.2f}"
        assert rows[day].get("daily close", "") == expected
    assert all(ink(browser, "up", "down"))
    assert (ink(browser, "price")[0] > 50) == (slug == "BTC-USD")
    pages = [request for request in browser.requests() if "limit=5000" in request]
    assert len(pages) == 1
    choose(browser, "Line", "All")
    browser.settle()
    assert ink(browser, "up", "down") == [0, 0]
    assert not [request for request in browser.requests() if "limit=5000" in request]


def test_no_more_candles_are_asked_for_once_the_line_is_chosen(collected: str, browser: Browser) -> None:
    """All of the history would take twelve questions."""
    open_chart(browser, f"{collected}/page/ETH-USD/?range=all")
    browser.requests()
    browser.run(
        "for (const view of ['candles', 'line']) document.querySelector(`#forecast-chart [value=${view}]`).click()"
    )
    browser.settle()
    assert len([request for request in browser.requests() if "limit=5000" in request]) == 1


def day_of(document: dict[str, Any], name: str, ahead: int) -> str:
    return str(date.fromisoformat(document[name]) + timedelta(days=ahead))


def test_arrow_keys_speak_the_exact_values_of_each_day(url: str, document: dict[str, Any], browser: Browser) -> None:
    """Through the live region of the chart, with every band; and the line below the chart shows the same."""
    open_chart(browser, url)
    browser.run("document.querySelector(arguments[0]).focus()", f"{FIGURE} .plot")
    spoken = f"{FIGURE} [role=status]"

    def says(*texts: str) -> None:
        browser.until(lambda: all(text in browser.text(spoken) for text in texts), f"{texts} is said")
        shown = browser.text(f"{FIGURE} .reading")
        assert all(text in shown for text in texts if not text.endswith(":")), shown

    def price(value: float) -> str:
        return f"{value:,.{document['decimals']}f}"

    browser.press(Keys.ARROW_RIGHT)
    ends = [price(levels[0]) for levels in document["quantiles"]]
    says(day_of(document, "last", 1), price(document["prediction"][0]), *ends[:3], *ends[-3:])
    browser.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    says(day_of(document, "last", -1), price(document["closes"][-2]))
    browser.press(Keys.PAGE_UP)
    says(day_of(document, "last", -31), price(document["closes"][-32]))
    browser.press(Keys.HOME)
    says(document["first"], price(document["closes"][0]))
    browser.press(Keys.END)
    says(day_of(document, "last", 365), price(document["prediction"][-1]))


def test_the_table_behind_the_chart_is_the_data(url: str, document: dict[str, Any], browser: Browser) -> None:
    """A page of it around the newest close, and the pages before and after it."""
    open_chart(browser, url)
    assert not browser.all(f"{FIGURE} table tbody")
    browser.one(f"{FIGURE} summary").click()
    browser.until(lambda: browser.all(f"{FIGURE} .scroll tbody tr"), "the rows are made")
    result: dict[str, list[str]] = {}

    def read() -> None:
        result.update({time: cells for time, *cells in browser.rows(f"{FIGURE} .scroll tbody tr")})

    read()
    first, last = min(result), max(result)
    assert first < document["last"] < last
    choose(browser, "Earlier")
    read()
    choose(browser, "Later", "Later")
    read()
    assert min(result) < first
    assert max(result) > last
    for ahead in range(-40, 40):
        row = result[f"{day_of(document, 'last', ahead)} UTC"]
        values = document["closes"] if ahead <= 0 else document["prediction"]
        assert f"{values[ahead - 1]:,.{document['decimals']}f}" in row


def test_the_chart_of_a_phone_fits_its_screen(url: str, browser: Browser) -> None:
    browser.look(PHONE)
    open_chart(browser, url)
    box = browser.run("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", f"{FIGURE} .plot")
    assert box["left"] >= 0
    assert box["right"] <= PHONE.width
    assert box["height"] > 150
    assert ink(browser, "forecast")[0] > 50
