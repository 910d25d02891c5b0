"""Ask, the record, the pairs and a new one, in a browser: what they say is what the API says."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser, needs_page
from tests.support.minutes import MINUTE
from tests.support.pages import NOW, TOKEN, At, collecting_site

pytestmark = needs_page


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[At]:
    """A model of simulated prices with its ledger, a database, and the token that changes what is collected."""
    environ = {"ADMIN_TOKEN": TOKEN, "SOURCE": "simulated", "PAIR": "BTC/USD"}
    with collecting_site(tmp_path_factory.mktemp("site"), **environ) as (_, served):
        yield served


@pytest.fixture
def url(served: At) -> str:
    return served.url


def get(url: str) -> Any:
    return requests.get(url, timeout=30).json()


def fill(browser: Browser, selector: str, text: str) -> None:
    """Write into a field as a reader does; a date or a time as its value."""
    field = browser.one(selector)
    if field.get_attribute("type") in {"date", "time"}:
        browser.run("arguments[0].value = arguments[1]", field, text)
    else:
        field.clear()
        field.send_keys(text)


def open_section(browser: Browser, address: str, name: str) -> None:
    browser.open(address)
    browser.settle()
    browser.run("document.getElementById(arguments[0]).scrollIntoView()", name)
    browser.settle()


def choose(browser: Browser, kind: str) -> None:
    """Choose a kind of question by its text, as a reader does by typing it."""
    browser.one("#ask-form select").send_keys(kind)


def answered(browser: Browser) -> str:
    return str(browser.until(lambda: browser.text("#ask-answer .sentence"), "the answer"))


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("ends above", "date=2024-06-30&above=70000"),
        ("ends below", "date=2024-06-30&below=0.5"),
        ("ends between", "date=2024-06-30T15:30Z&above=60000&below=70000"),
        ("touches", "date=2024-05-18T21:00Z&touches=68000"),
        ("stays above", "date=2024-06-30&stays_above=60000"),
        ("stays below", "date=2024-06-30&stays_below=75000"),
        ("stays between", "date=2024-06-30&stays_above=60000&stays_below=75000"),
    ],
)
def test_a_question_is_answered_as_the_api_answers_it(kind: str, query: str, url: str, browser: Browser) -> None:
    """With number, sentence, interval, and the command that asks the same; the address asks it again."""
    (moment, *prices) = [value for _, value in parse_qsl(query)]
    open_section(browser, url, "ask")
    choose(browser, kind)
    fill(browser, "[name=date]", moment[:10])
    fill(browser, "[name=time]", moment[11:16])
    for name, text in zip(("above", "below"), prices, strict=False):
        fill(browser, f"[name={name}]", text)
    assert [field.is_displayed() for field in browser.all("#ask-form [type=number]")] == [True, len(prices) == 2]
    browser.one("[name=above]").send_keys(Keys.ENTER)
    said, path = answered(browser), f"/probability/BTC-USD?{query}"
    answer = get(f"{url}{path}")
    percent = round(answer["probability"] * 100)
    assert said.startswith(f"{percent} %. That should" if percent else "Below 0.5 %. That should")
    shown = browser.text("#ask-answer")
    assert answer["words"] in shown
    assert ("old, and the forecast starts there" in shown) == ("T21:00Z" in query), "of an hour that is asked for"
    assert all(f"{answer[name]:,.2f}" in shown for name in ("prediction", "low", "high"))
    assert browser.text("#ask-answer code") == f'curl "{url}{path}"'
    assert parse_qs(urlsplit(browser.driver.current_url).query) == parse_qs(query)
    open_section(browser, browser.driver.current_url, "ask")
    assert answered(browser) == said
    assert browser.one("#ask-form select").get_attribute("value") == kind.replace(" ", "-")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("date=2024-05-10&touches=1", "No."),
        ("date=2024-05-10&stays_above=1", "Yes."),
        ("date=2024-06-30&stays_above=60000&stays_below=61000", "No."),
    ],
)
def test_what_is_known_about_touches_has_no_probability(query: str, said: str, url: str, browser: Browser) -> None:
    """A day has passed, or the corridor does not contain the newest price; the words of the API give the reason."""
    open_section(browser, f"{url}/?{query}", "ask")
    assert answered(browser) == said
    assert get(f"{url}/probability/BTC-USD?{query}")["words"] in browser.text("#ask-answer")
    assert "The forecast is" not in browser.text("#ask-answer")


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("above", "-5", "-5 is not a price"),
        ("above", "", None),
        ("below", "9", "The second price (9) must be more than the first (70000)."),
        ("date", "2199-01-01", "2199-01-01 is not covered by this model: choose a day from 2023-01-01 to 2025-05-17"),
        ("date", "2023-01-05", None),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_with_its_reason(
    field: str, text: str, problem: str | None, url: str, browser: Browser
) -> None:
    open_section(browser, url, "ask")
    if field == "below":
        choose(browser, "ends between")
        fill(browser, "[name=above]", "70000")
    fill(browser, f"[name={field}]", text)
    browser.one("[name=above]").send_keys(Keys.ENTER)
    said = browser.until(lambda: browser.text("#ask-answer"), "an answer")
    if problem is None:
        assert "BTC/USD" in said
        assert not browser.all("#ask-answer .problem")
    else:
        assert problem in said
        wrong = browser.one(f"[name={field}]")
        assert (wrong.get_attribute("aria-invalid"), wrong) == ("true", browser.driver.switch_to.active_element)


def test_the_record_has_every_prediction_beside_what_happened(url: str, browser: Browser) -> None:
    """In the chart's table as in the page's own; misses are not hidden."""
    open_section(browser, url, "record")
    latest = get(f"{url}/page/BTC-USD/record.json")["live"]["latest"]
    rows = {day: cells for day, *cells in browser.rows("#outcomes-table tbody tr")}
    assert {one["target"] for one in latest} == set(rows)
    for one in latest:
        cells = " ".join(rows[one["target"]])
        assert f"{one['actual']:,.2f}" in cells
        assert f"{one['prediction']:,.2f}" in cells
        assert rows[one["target"]][-1] == ("yes" if one["low"] <= one["actual"] <= one["high"] else "no")
    browser.one("#record-chart summary")
    browser.run("document.querySelector('#record-chart summary').click()")
    drawn = {day.removesuffix(" UTC"): cells for day, *cells in browser.rows("#record-chart .scroll tbody tr")}
    for one in latest:
        assert f"{one['actual']:,.2f}" in drawn[one["target"]]
    assert "inside" in browser.text("#record-chart figcaption")


def test_two_pairs_are_drawn_together_from_100_on(url: str, browser: Browser) -> None:
    """The address draws them again; a pair that is not there is named."""
    open_section(browser, url, "pairs")
    browser.one("#compare-pair").send_keys("ETH/USD")
    words = browser.until(lambda: browser.text("#compare-words"), "the pairs are compared")
    assert "BTC/USD" in words
    assert "ETH/USD" in words
    browser.one("#compare-chart summary")
    browser.run("document.querySelector('#compare-chart summary').click()")
    browser.settle()
    rows = browser.rows("#compare-chart .scroll tbody tr")
    assert rows[-1][1:] == rows[-1][1:2] * 2  # both pairs of the hand-made model have the same prices
    assert "compare=ETH-USD" in browser.driver.current_url
    open_section(browser, browser.driver.current_url, "pairs")
    assert browser.until(lambda: browser.text("#compare-words"), "the pairs are compared") == words
    open_section(browser, f"{url}/?compare=DOGE-USD", "pairs")
    assert "DOGE/USD is not among the pairs" in browser.until(lambda: browser.text("#compare-words"), "it is said")


def test_a_pair_is_added_with_the_token_alone(served: At, url: str, browser: Browser) -> None:
    """What was wrong is said. The new pair is listed within a minute. The token is nowhere in page or address."""
    open_section(browser, url, "pairs")
    before = browser.texts("#pairs-table tbody tr th")
    fill(browser, "#add-pair-name", "SOL/USD")
    fill(browser, "#add-pair-token", "not the token")
    browser.press(Keys.ENTER)
    browser.until(lambda: "character that cannot be sent" in browser.text("#add-pair-answer"), "it is refused at once")
    fill(browser, "#add-pair-token", "not-the-token")
    browser.press(Keys.ENTER)
    browser.until(lambda: "token" in browser.text("#add-pair-answer.problem").lower(), "the server refuses it")
    (fault,) = browser.faults()
    assert "401" in fault
    assert get(f"{url}/series") == [one for one in get(f"{url}/series") if one["pair"] != "SOL/USD"]
    fill(browser, "#add-pair-token", TOKEN)
    browser.press(Keys.ENTER)
    browser.until(lambda: "is collected" in browser.text("#add-pair-answer"), "it is added")
    served.move_to(NOW + MINUTE)
    browser.pass_time(MINUTE)
    browser.until(lambda: len(browser.all("#pairs-table tbody tr")) > len(before), "the new pair is listed")
    assert any("SOL/USD" in text for text in browser.texts("#pairs-table tbody tr th"))
    assert TOKEN not in browser.driver.page_source + browser.driver.current_url
    assert (
        browser.run("return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)") == "{}{}"
    )
