"""The text of the page: it is whole, valid and readable without scripts, whatever the model holds."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked.models import Estimate, ModelScore
from crypto_predict.baked.schedule import Failure, Schedule
from crypto_predict.baked.schema import (
    HORIZON_DAYS,
    Anchor,
    Backtest,
    Confidence,
    LiveForecast,
    LiveHourScore,
    LiveModel,
    LiveMonth,
    LiveRecord,
    LiveScore,
    Model,
    ProphetBacktest,
    ProphetScore,
    Score,
    Scorecard,
)
from crypto_predict.market import DAY, Pair
from crypto_predict.web.model import risk
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.page import hindcasts, html
from crypto_predict.web.page.assets import Assets
from crypto_predict.web.page.html import Site
from tests.support import strategies
from tests.support.models import (
    BTC,
    ETH,
    LAST,
    TRAINED_AT,
    blank,
    make_forecast,
    make_live_probabilities,
    make_model,
    make_report,
    make_touch_score,
    with_hindcasts,
    with_models,
)
from tests.support.page import SOURCES

VOID = {"meta", "link", "img", "input", "br", "hr"}  # of the elements of HTML that have no end tag
SERVER = Site(
    live=False,
    address=None,
    static=False,
    stale_after=timedelta(hours=24),
    repository_url="https://example.org/crypto-predict",
    assets=Assets(
        Path(),
        {name: name.replace(".", "-AAAAAAAA.") for name in ("main.js", "style.css", "icon.svg", "licenses.txt")},
        "TradingView Lightweight Charts",
    ),
)
EXPORT = replace(SERVER, static=True)
SECTIONS = Path(html.__file__).parent / "sections"
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)> & {{ 7 * 7 }} {% raw %}"


class Page(HTMLParser):
    """A page as a browser reads it, and what a browser forgives: wrong nesting, and attributes that are given twice."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []  # in their order
        self.faults: list[str] = []
        self.text = ""  # of all elements
        self.declaration = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self._open]

    def handle_decl(self, decl: str) -> None:
        """Record the type of the document."""
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        if len({name for name, _ in attrs}) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice: {attrs}")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that it is the innermost element that ends."""
        self.text += " " * (tag in {"td", "th", "dt"})
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> does not close the innermost element")

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of the elements with a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        """Return the values of an attribute, of all elements that have it."""
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    def words(self) -> str:
        """Return the text with single spaces."""
        return " ".join(self.text.split())


def rendered(
    model: Model, pair: Pair | None = None, site: Site = SERVER, root: str = "./", state: html.State | None = None
) -> str:
    answers = Answers(model)
    return html.page(answers, pair or answers.pairs[0], site, root, state or html.State())


def many(count: int) -> Model:
    return make_model(BTC, *(Pair(f"COIN{n}", "USD") for n in range(1, count)))


@cache
def recorded(*, simulated: bool = False) -> Model:
    """A model of BTC/USD with a backtest, Prophet's among it, and with published forecasts that came due."""
    tested, horizons = {"forecasts": 1_825, "coverage": 0.8}, {1: 1.0, 7: 0.987, 30: None}
    scores = tuple(
        blank(Score, horizon_days=horizon, relative_mae=ratio, p_value=1.0, pit=(0.1,) * 10, **tested)
        for horizon, ratio in horizons.items()
    )
    alone = blank(ProphetScore, horizon_days=1, relative_mae=4.76, **tested)
    span = {"first_cutoff": date(2020, 7, 1), "last_cutoff": LAST, "cutoffs": 1_825}
    prophet = blank(ProphetBacktest, scores=(alone,))
    backtest = blank(Backtest, scores=scores, prophet=prophet, **span)
    at = datetime(2024, 5, 1, 6, tzinfo=UTC)
    latest = tuple(
        LiveForecast(at, "0.3.0-1", LAST - n * DAY, 3, 64_000.0, 62_000.0, 66_000.0, 64_000.0, actual)
        for n, actual in enumerate((64_500.25, 66_000.5))
    )
    asked = make_live_probabilities()
    by_horizon = (
        blank(LiveScore, horizon_days=3, due=2, days=2, relative_mae=1.0, coverage=0.5, probabilities=asked),
        blank(LiveScore, horizon_days=7, due=2, days=900, coverage=0.81, coverage_confidence=Confidence(0.78, 0.84)),
    )
    newest = LiveMonth(date(2024, 12, 1), 3, None, 120, 30, Estimate(0.25, None, None))
    months = [
        LiveMonth(date(2024 - n // 12, 12 - n % 12, 1), horizon, None, 120, 30, Estimate(0.7, 0.6, 0.8))
        for n in range(1, 14)
        for horizon in (3, 7)
    ]
    hours = (blank(LiveHourScore, horizon_hours=1, due=7, days=2, relative_mae=0.997, coverage=0.7125),)
    live = blank(
        LiveRecord,
        since=at,
        hours=hours,
        touches=(make_touch_score(None, 6), make_touch_score(30)),
        releases=4,
        due=2,
        days=2,
        coverage=0.5,
        by_horizon=by_horizon,
        latest=latest,
        months=(newest, *months),
        probabilities=asked,
    )
    model = make_model(BTC, simulated=simulated)
    card = replace(model.card, pairs={BTC: replace(model.card.pairs[BTC], backtest=backtest)})
    records, nothing = {BTC: live}, dict[Pair, LiveRecord]()
    scorecard = Scorecard(4, "0" * 64, *((nothing, records) if simulated else (records, nothing)))
    return replace(model, card=card, scorecard=scorecard)


def compared(served: str = "combined") -> Model:
    """A model of BTC/USD with further models, and what they forecast in the past."""
    return with_hindcasts(with_models(make_model(BTC), "garch", "mine", served=served), "garch", "mine", every=7)


def hostile() -> Model:
    """A model whose texts try to become elements. A pair, a version and a build cannot: their schema refuses that."""
    model = make_model(BTC)
    left_out = replace(make_report("mine", 0), source=HOSTILE, scores=(), left_out=HOSTILE)
    facts = replace(
        model.card.pairs[BTC], source=HOSTILE, passed_over=(HOSTILE,), models=(left_out,), not_served=HOSTILE
    )
    gate = replace(model.card.gate, passed=False, reasons=(HOSTILE,))
    return replace(model, card=replace(model.card, pairs={BTC: facts}, gate=gate))


VARIANTS: dict[str, Callable[[], str]] = {
    "one pair": lambda: rendered(make_model(BTC)),
    "fifty pairs": lambda: rendered(many(50)),
    "the last of fifty pairs": lambda: rendered(many(50), Pair("COIN49", "USD"), root="../../"),
    "simulated": lambda: rendered(make_model(BTC, ETH, simulated=True)),
    "several models": lambda: rendered(compared()),
    "another default": lambda: rendered(compared("mine"), site=EXPORT),
    "stale": lambda: rendered(make_model(BTC), state=html.State(stale=True)),
    "a record": lambda: rendered(recorded()),
    "a simulated record": lambda: rendered(recorded(simulated=True)),
    "live": lambda: rendered(recorded(), site=replace(SERVER, live=True)),
    "an export": lambda: rendered(recorded(), site=EXPORT),
    "an export of a live site": lambda: rendered(
        recorded(), site=replace(EXPORT, address="https://example.org/predict/")
    ),
    "without scripts, styles and repository": lambda: rendered(
        make_model(BTC), site=replace(SERVER, assets=Assets(Path(), {}), repository_url=None)
    ),
    "hostile": lambda: rendered(hostile()),
    "an unknown pair": lambda: html.missing(HOSTILE, [BTC, ETH], SERVER, "../../"),
}


@pytest.fixture(scope="module", params=VARIANTS)
def page(request: pytest.FixtureRequest) -> Page:
    return Page(VARIANTS[request.param]())


def test_the_page_is_well_formed(page: Page) -> None:
    """Every element is closed where it began, so no browser repairs the page in its own way."""
    assert page.declaration == "doctype html"
    assert page.faults == []


def test_every_id_is_unique_and_every_fragment_and_label_has_its_element(page: Page) -> None:
    ids = page.values("id")
    fragments = {href.removeprefix("#") for href in page.values("href") if href.startswith("#")}
    labels = {label for name in ("aria-labelledby", "aria-describedby", "for") for label in page.values(name)}
    assert len(ids) == len(set(ids))
    assert fragments | labels <= set(ids)


def test_the_page_has_a_language_a_title_a_description_landmarks_and_headings_in_order(page: Page) -> None:
    """A screen reader lists the headings, which are below one h1, as the contents of the page."""
    tags = [tag for tag, _ in page.elements]
    described = {meta.get("name"): meta.get("content", "") for meta in page.all("meta")}
    assert page.all("html") == [{"lang": "en"}]
    assert [tags.count(tag) for tag in ("title", "main", "header", "footer", "h1")] == [1, 1, 1, 1, 1]
    assert described["viewport"] == "width=device-width, initial-scale=1"
    assert described["description"]
    assert page.all("a")[0]["href"].startswith("#")  # the skip link is the first
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_heads_scopes_controls_labels_and_images_alternatives(page: Page) -> None:
    """Each control stands in its label."""
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head.get("scope") in {"col", "row"} for head in page.all("th"))
    assert all("alt" in image for image in page.all("img"))
    assert len(page.all("label")) == len(page.all("input")) + len(page.all("select"))


def test_nothing_that_the_policy_forbids_is_in_the_page_or_loaded_from_another_origin(page: Page) -> None:
    """No inline script, style or event attribute. A link may lead elsewhere; what is fetched, and a form, may not."""
    assert page.all("style") == []
    assert all("src" in script for script in page.all("script"))
    names = [name for _, attributes in page.elements for name in attributes]
    assert [name for name in names if name.startswith("on") or name == "style"] == []
    fetched = page.values("src") + page.values("action")
    fetched += [link["href"] for link in page.all("link") if link["rel"] != "canonical"]
    assert all(not urlsplit(line).netloc for line in fetched if not line.startswith("https://example.org/predict/"))
    assert all(link["href"].startswith(("https://", "#", "./", "../")) for link in page.all("a"))


def test_a_moment_of_a_time_element_is_a_day_or_an_instant_in_utc(page: Page) -> None:
    moments = [time["datetime"] for time in page.all("time")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?", moment) for moment in moments)


def test_the_first_words_are_the_forecast_how_sure_it_is_and_how_good_it_has_been() -> None:
    """Before any table: a stranger reads these first."""
    page = Page(rendered(recorded()))
    first = page.words().partition("Close of day")[0]
    assert "Bitcoin at the end of 2024-05-18 (UTC): about $" in first
    assert "The 80 % range is meant to hold the price 80 of 100 times." in first
    assert 'Compared with "the price stays as it is"' in first
    assert "/forecast/BTC-USD" in first


def test_the_table_of_the_forecast_has_the_numbers_of_the_api() -> None:
    model = make_model(BTC)
    words = Page(rendered(model)).words()
    series = Answers(model).series[BTC, "combined"]
    for ahead in html.HORIZONS:
        row = series.row(LAST + ahead * DAY).price
        assert f"{row.low:,.0f}\N{EN DASH}{row.high:,.0f}" in words
        change = row.price / model.forecasts[BTC].anchor.price - 1
        assert f"{row.price:,.0f} {100 * change:+.2f} %" in words
    assert "starts at the price of 2024-05-18 12:00 UTC, 67,010.00, from which its change is counted" in words


def test_what_may_be_lost_is_what_the_api_says() -> None:
    """In a sentence and a table, before any script; a static page has it, too. A gain is not called a loss."""
    model = compared()
    answers = Answers(model)
    risks = [risk.risk(answers, "BTC-USD", f"date={LAST + ahead * DAY}") for ahead in (1, 7, 30)]
    means = [risk.percent(one.expected_shortfall[1]) for one in risks]
    falls = [f"{round(100 * one.falls[0].probability)} of 100" for one in risks[1:]]
    for site in (SERVER, EXPORT):
        words = Page(rendered(model, site=site)).words()
        assert f"In 5 of 100 cases Bitcoin loses more than 6.8 % in 7 days, on average {means[1]} then." in words
        assert "5 of 100 cases lose more than gain of 4.2 % 6.8 % 18 % Average of these 5" in words
        assert f"Average of these 5 gain of {means[0]}* {means[1]}* {means[2]}* 1 of 100 cases loses" in words
        assert f"A fall of at least 5 % under 1 of 100* {falls[0]} {falls[1]} A fall of at least 10 %" in words
        assert "In tests the 80 % range held 79 of 100 79 of 100 79 of 100" in words
        assert ("As data: /risk/BTC-USD" in words) == (site is SERVER)
    assert "In tests the" not in Page(rendered(make_model())).words()


def test_a_forecast_that_is_the_newest_price_is_said_once_and_has_its_ranges_alone() -> None:
    """Ten equal numbers tell a reader nothing, and on a phone they push the ranges out of sight."""
    model = make_model(BTC)
    nothing = (0.0,) * HORIZON_DAYS
    still = replace(model.forecasts[BTC], prophet_weights=nothing)
    page = Page(rendered(replace(model, forecasts={BTC: still})))
    table = page.words().partition("The forecast in USD")[2].partition("Ask")[0]
    assert "Its middle stays at that price on every day" in table
    assert table.count("67,010.00") == 1
    assert "Change" not in table
    assert table.count("range") == 1 + len(html.RANGES)


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        (make_forecast().anchor, "67,010.00 USD +0.16 % since the close of 2024-05-17, 2024-05-18 12:00 UTC"),
        (
            Anchor(datetime(2024, 5, 18, tzinfo=UTC), 66_900.5),
            "66,900.50 USD +0.30 % since the close of 2024-05-16, 2024-05-18 00:00 UTC",
        ),
    ],
)
def test_the_change_is_that_of_the_price_beside_it(anchor: Anchor, expected: str) -> None:
    """In the list of pairs, too; a price at a close is compared with the close before."""
    forecast = make_forecast(anchor=anchor)
    words = Page(rendered(replace(make_model(BTC), forecasts={BTC: forecast}))).words()
    price, _, change, *_ = expected.split()
    at = expected[-20:-4]
    assert expected in words
    assert re.search(f"Bitcoin {price} [{change[0]}]{change[1:]} % [0-9,]+\N{EN DASH}[0-9,]+ {at} ", words)


def test_all_models_are_in_one_table_the_best_first_and_what_is_left_out_has_its_reason() -> None:
    """With intervals; the default is marked."""
    page = Page(rendered(compared(served="garch")))
    table = page.words().partition("All models in the same tests")[2]
    rows = ("combined 0.900 (0.880", "garch the default 0.910 (0.880", "mine 0.920", "published 0.930")
    assert [table.index(row) for row in rows] == sorted(table.index(row) for row in rows)
    assert "79 (77\N{EN DASH}85) of 100, 999 tests" in table
    assert "combined is worse than garch at 1 day (by 2.0 %)" in table
    assert "broken is left out of this release: ValueError: no data" in table
    assert page.words().count("The default is the model garch: this page and the API answer with its forecast.") == 2


def test_published_forecasts_of_all_models_have_a_table_once_they_are_due() -> None:
    """Until then the page says for which models it waits."""
    model, at = recorded(), datetime(2024, 5, 1, 6, tzinfo=UTC)
    facts = replace(model.card.pairs[BTC], models=(make_report("combined", 0),))

    def said(scores: tuple[ModelScore, ...]) -> str:
        published = tuple(LiveModel(name, at, at, 4, 2, scores) for name in ("combined", "mine"))
        live = replace(model.scorecard.pairs[BTC], models=published)
        card, scorecard = replace(model.card, pairs={BTC: facts}), replace(model.scorecard, pairs={BTC: live})
        return Page(rendered(replace(model, card=card, scorecard=scorecard))).words()

    assert "no forecast of combined, mine at 1, 7, 30 and 90 days has come due yet" in said(())
    assert "mine 0.900 (0.880\N{EN DASH}0.950) 79 (77\N{EN DASH}85) of 100, 999 outcomes" in said(
        facts.models[0].scores
    )


def test_the_past_year_is_readable_without_scripts() -> None:
    """A dozen forecasts with what followed, and the count of those whose range held."""
    model = with_hindcasts(make_model(BTC), "mine")
    page = Page(rendered(model))
    table = page.words().partition("The 12 forecasts and their outcomes")[2].partition("Any day again")[0]
    held = hindcasts.fans(model.forecasts[BTC], model.forecasts[BTC].hindcasts["combined"])
    assert (table.count(" yes"), table.count(" no")) == (count := sum(fan.inside()[-1] for fan in held), 12 - count)
    assert f"{count} of 12 inside: that many closes 30 days after a forecast" in page.words()
    assert f"{held[-1].day} {held[-1].close:,.2f} {held[-1].target}" in table
    assert "no forecast of the past was tested that is a month old" in Page(rendered(make_model(BTC))).words()


def test_sources_have_names_for_people() -> None:
    """Where a price comes from, what it was compared with, and what was passed over."""
    model = make_model(BTC)
    facts = replace(
        model.card.pairs[BTC], source="file:data/{base}-{quote}.csv", passed_over=("store:poloniex: it is empty",)
    )
    words = Page(rendered(replace(model, card=replace(model.card, pairs={BTC: facts})))).words()
    assert "are those of the file BTC-USD.csv." in words
    assert "Source of the prices the file BTC-USD.csv" in words
    assert "Compared with Binance: its last close differs" in words
    assert "what this server has collected from Poloniex: it is empty" in words
    assert "file:" not in words


def test_each_section_is_a_template_and_a_script_of_its_name() -> None:
    """The list of sections is in page.html alone. A template that it lacks would be no part of the page."""
    shown = re.findall('<section id="([a-z]+)"', rendered(recorded()))
    templates, scripts = (
        {path.stem for path in folder.glob("*.*")} for folder in (SECTIONS, SOURCES / "scripts" / "sections")
    )
    assert len(shown) == len(set(shown))
    assert set(shown) == templates
    assert scripts - {"banner"} <= templates  # the banner is above all sections


def test_the_record_begins_with_its_picture_then_a_sentence_and_the_paragraphs_are_folded() -> None:
    unpublished = replace(recorded(), scorecard=Scorecard(0, "0" * 64, {}, {}))
    for model, picture in ((recorded(), "record-chart"), (unpublished, "record-coverage")):
        page = Page(rendered(model))
        of_record = page.elements[[attributes.get("id") for _, attributes in page.elements].index("record") :]
        ids = [attributes["id"] for _, attributes in of_record if "id" in attributes]
        tags = [tag for tag, _ in of_record]
        assert ids[2] == picture
        assert tags.index("figure") < tags.index("p") < tags.index("details") < tags.index("ul")


def test_coverage_by_month_is_a_table_beside_that_of_all_months() -> None:
    """The newest twelve, with an interval where there is one. A month without an outcome at a horizon says so."""
    table = (
        Page(rendered(recorded()))
        .words()
        .partition("Month 1 hour ahead 3 days ahead 7 days ahead")[2]
        .partition("Days")[0]
    )
    assert table.startswith(
        " All 71 2 days 50 2 days 81 (78\N{EN DASH}84) 900 days 2024-12 none due 25 30 days none due "
        "2024-11 none due 70 (60"
    )
    assert re.findall(r"20\d\d-\d\d", table) == [f"2024-{month:02}" for month in range(12, 0, -1)]


def test_probabilities_have_their_score_and_what_came_of_them() -> None:
    words = Page(rendered(recorded())).words()
    assert "6 hours 100 9,000 40.0 % 38.0 % 0.100 0.980 30 days 100 9,000 40.0 % 38.0 % 0.100 0.980" in words
    assert "3 days 14 2 0.100 0.909 (0.850\N{EN DASH}0.970) 0.010 0.155 of 0.245" in words
    assert "Said Came Questions 4.1 % 12.5 % 8 96.1 % 100.0 % 6" in words


def test_misses_are_shown_like_hits_and_what_is_not_known_is_called_that() -> None:
    """The second outcome is above the range; the error at 30 days is not known."""
    words = Page(rendered(recorded())).words()
    assert "1 hour 7 0.997 71.2 %  3 days 2 1.000 50.0 %".replace("  ", " ") in words
    assert "30 1,825 not known" in words
    assert "62,000.00 \N{EN DASH} 66,000.00 64,500.25 +0.78 % yes" in words
    assert "62,000.00 \N{EN DASH} 66,000.00 66,000.50 +3.13 % no" in words


@given(strategies.models())
@settings(max_examples=50)
def test_every_model_has_a_page(model: Model) -> None:
    """A file that loads can be shown, in words and in tables, however wild its figures."""
    for pair in model.forecasts:
        assert Page(rendered(model, pair)).faults == []


@given(source=st.text(st.characters(exclude_categories=["Cs"])), pair=st.sampled_from([BTC, ETH]))
def test_texts_of_the_model_stay_text(source: str, pair: Pair) -> None:
    """Whatever a source is called: the page has the same elements."""
    model = make_model(BTC, ETH)
    cards, reason = model.card.pairs.items(), (f"binance: {source}",)
    facts = {listed: replace(card, source=source, passed_over=reason) for listed, card in cards}
    usual = {listed: replace(card, passed_over=("binance: no answer",)) for listed, card in cards}
    tried = Page(rendered(replace(model, card=replace(model.card, pairs=facts)), pair))
    expected = Page(rendered(replace(model, card=replace(model.card, pairs=usual)), pair))
    assert tried.elements == expected.elements
    assert " ".join(f"Binance: {source}".split()) in tried.words()


def test_the_canonical_address_is_only_named_where_the_site_is_known() -> None:
    link = {"rel": "canonical", "href": "https://example.org/predict/page/BTC-USD/"}
    for site in (SERVER, EXPORT):
        known = replace(site, address="https://example.org/predict/")
        assert link in Page(rendered(make_model(BTC), site=known)).all("link")
        assert 'rel="canonical"' not in rendered(make_model(BTC), site=site)


def test_the_footer_has_the_notice_and_the_link_that_the_charts_library_asks_for() -> None:
    page = Page(rendered(make_model(BTC)))
    assert "TradingView Lightweight Charts" in page.words()
    assert "https://www.tradingview.com/" in [link["href"] for link in page.all("a")]


def test_a_menu_of_many_pairs_is_short_and_has_the_one_that_is_shown() -> None:
    """The list of all of them is further down."""
    text = rendered(many(50), Pair("COIN49", "USD"))
    menu = Page(text.partition('<ul class="pairs-menu">')[2].partition("</ul>")[0])
    assert len(menu.all("a")) == html.MENU_PAIRS + 2
    assert [link["href"] for link in menu.all("a") if "aria-current" in link] == ["./page/COIN49-USD/"]
    assert "all 50" in menu.words()


def test_the_next_training_is_named_only_if_one_is_planned() -> None:
    """And in plain words if it should have been, and why the last attempt failed."""
    none = rendered(make_model(BTC))
    assert "Next training" not in none
    assert "Before each training, the daily" in none
    failure = Failure(TRAINED_AT + timedelta(hours=6), "<no> exchange could be reached")
    plan = Schedule(timedelta(hours=6), TRAINED_AT + timedelta(hours=6, minutes=6), failure)
    text = rendered(make_model(BTC), state=html.State(schedule=plan, overdue=True))
    assert 'Next training</dt><dd><time datetime="2024-05-18T18:16:47Z">2024-05-18 18:16 UTC</time>' in text
    assert "overdue" in text
    assert '18:10 UTC</time><span class="note"></span>: &lt;no&gt; exchange could be reached</dd>' in text
    assert "Every 6 hours, the daily" in text
    assert "overdue" not in rendered(make_model(BTC), state=html.State(schedule=plan))
