"""The page by keyboard alone."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.browser import DESKTOP, PHONE, Browser, Screen, needs_page
from tests.support.pages import collecting_site

pytestmark = needs_page

# What a reader can use: visible, and not switched off.
CONTROLS = """
return Array.from(document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']"))
  .filter((one) => !one.disabled && one.checkVisibility({ visibilityProperty: true }))"""
# Collects each element that gets the focus, and whether that can be seen.
FOLLOW = """
globalThis.reached = [];
const looks = (one) => {
  const { outline, boxShadow, borderColor } = getComputedStyle(one);
  return outline + boxShadow + borderColor;
};
const plain = new Map(arguments[0].map((one) => [one, looks(one)]));
const isInView = (one) => {
  const { bottom, top } = one.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
};
let began;
document.addEventListener("focusin", ({ target }) => {
  reached.push([target, looks(target) !== plain.get(target)]);
  began = isInView(target);
});
document.addEventListener("focusout", ({ target }) => {
  reached.at(-1)[1] &&= began || isInView(target);  // by then the browser has scrolled
});"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with collecting_site(tmp_path_factory.mktemp("site")) as (_, served):
        yield served.url


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_control_is_reached_in_order_and_its_focus_is_seen(screen: Screen, url: str, browser: Browser) -> None:
    """By the Tab key, each once, from the top of the page to its end."""
    browser.look(screen, reduced_motion=True)  # nothing scrolls slowly
    browser.open(url)
    browser.read_to_the_end()
    controls = browser.run(CONTROLS)
    browser.run(FOLLOW, controls)
    # Month, day, year and calendar are reached one by one, and so are hour, minute, half of the day and clock.
    parts = 3 * len(browser.all("input[type=date], input[type=time]"))
    browser.press(*[Keys.TAB] * (len(controls) + parts))
    reached = [one for one, _ in browser.run("return reached")]
    missed = browser.run(
        "return arguments[0].filter((one) => !arguments[1].includes(one)).map((one) => one.outerHTML)",
        controls,
        reached,
    )
    unseen = browser.run("return reached.filter(([, isSeen]) => !isSeen).map(([one]) => one.outerHTML.slice(0, 200))")
    assert (missed, unseen) == ([], [])
    tops = browser.run("return reached.map(([one]) => Array.from(document.querySelectorAll('*')).indexOf(one))")
    assert tops == sorted(tops)


def test_the_first_key_leads_to_the_content(url: str, browser: Browser) -> None:
    browser.open(url)
    browser.settle()
    browser.press(Keys.TAB, Keys.ENTER)
    browser.until(lambda: browser.driver.current_url.endswith("#main"), "the link is followed")
    browser.press(Keys.TAB)
    assert browser.run("return document.querySelector('main').contains(document.activeElement)")


def test_buttons_of_a_chart_and_its_table_work_by_keys(url: str, browser: Browser) -> None:
    browser.open(url)
    browser.settle()
    browser.run("document.querySelector('#forecast-chart button[value=all]').focus()")
    browser.press(Keys.SPACE)
    browser.until(lambda: "range=all" in browser.driver.current_url, "the range is chosen")
    assert browser.run("return document.activeElement.getAttribute('aria-pressed')") == "true"
    browser.run("document.querySelector('#forecast-chart summary').focus()")
    browser.press(Keys.ENTER)
    browser.one("#forecast-chart .scroll tbody tr")
    browser.press(Keys.TAB)
    assert browser.run("return document.activeElement.closest('details.values') !== null")
