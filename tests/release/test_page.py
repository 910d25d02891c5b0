"""The run's page about a release. Text from outside cannot add markup to it."""

import math
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from crypto_predict.baked import store
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.models import PairwiseScore
from crypto_predict.baked.schema import Gate, LiveRecord, Scorecard
from crypto_predict.market import Pair
from crypto_predict.release.__main__ import main
from crypto_predict.release.job import code, escape
from crypto_predict.release.page import PICTURE_DAYS, PICTURE_STEP, changes, page, picture
from tests.support.engine import build, forget
from tests.support.models import BTC, ETH, TRAINED_AT, blank, make_forecast, make_model
from tests.support.training import QUICK, REVISION, in_process, price_file

DIGEST = f"sha256:{'6a' * 32}"
HOSTILE = (
    "<script>alert(1)</script> | [x](https://evil.example) ![i](x) `c` **b** _i_ @all #1 $x$ ~~s~~ www.evil.example"
)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a page as rows of cells, with its head."""
    return [
        [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]
        for table in re.findall(r"<table>(.*?)</table>", MARKDOWN.render(text), re.DOTALL)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of two real models, the second trained a day after the first on one day more, with its ledger."""
    folders = [tmp_path_factory.mktemp(name) / "app" for name in ("old", "new")]
    for folder, days in zip(folders, (400, 401), strict=True):
        folder.mkdir()
        prices = price_file(folder.parent, days)
        stamp = {"SOURCE_DATE_EPOCH": f"{(date.fromisoformat(prices[-1]) - date(1970, 1, 1)).days * 86_400 + 93_600}"}
        old = folders[0] / "model.pkl", folders[0] / "model.ledger.jsonl"
        earlier = ("--champion", str(old[0]), "--ledger", str(old[1])) if folder != folders[0] else ()
        output = ("--output", str(folder / "model.pkl"))
        assert in_process(*prices, *QUICK, *output, *earlier, environ={**stamp, **REVISION}) == 0
    return folders


def image_of(folder: Path, request: pytest.FixtureRequest) -> str:
    """An image with only the files of the folder, in /app."""
    (folder.parent / "Dockerfile").write_text("FROM scratch\nCOPY app /app\n")
    tag = f"crypto-predict-test:{folder.parent.name}"
    build(arguments={}, context=folder.parent, tag=tag)
    request.addfinalizer(lambda: forget(tag))
    return tag


@pytest.mark.engine
def test_a_real_release_shows_forecast_scores_record_and_changes(
    trained: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """From two images: the one released, and the one before it."""
    champion, model = (store.load(folder / "model.pkl") for folder in trained)
    old, new = (image_of(folder, request) for folder in trained)
    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "CHANGES": "feat: more\n\nfix: less\n"}
    assert main(["summary", "--image", new, "--champion", old, "--into", str(tmp_path / "built")], environ) == 0
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    forecast, scores, moves = tables(text)
    (pair,) = model.forecasts
    backtest = model.card.pairs[pair].backtest
    assert backtest is not None
    assert [row[1] for row in forecast[1:]] == ["1 day", "7 days", "30 days", "90 days"]
    assert [row[3:5] for row in scores[1:]] == [
        [f"{score.relative_mae:.3f}", f"{score.coverage:.1%}"] for score in backtest.scores
    ]
    day = model.card.pairs[pair].forecast[2].day
    was, now = (Evaluator(each.forecasts[pair]).at(day).price for each in (champion, model))
    assert moves[3] == [str(pair), str(day), f"{was:,.2f}", f"{now:,.2f}", f"{now / was - 1:+z.2%}"]
    for words in (
        f"## Build {escape(model.card.build)}",
        "gate: passed",
        "1 forecast of 1 day came due",
        "2 releases since",
        "1 day of history added",
        "- feat: more\n- fix: less",
    ):
        assert words in text


@pytest.mark.engine
def test_an_image_without_model_or_ledger_has_no_page_even_if_an_earlier_one_was_copied(
    trained: list[Path], tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder may have the files of another release, which are not those of the image."""
    (bare := tmp_path / "app").mkdir()
    (bare / "api.py").touch()
    whole, other = image_of(trained[0], request), image_of(bare, request)
    words = ("--into", str(tmp_path / "built"))
    assert main(["summary", "--image", whole, *words], {}) == 0
    assert "There is no earlier model" in capsys.readouterr().err
    assert main(["summary", "--image", other, *words], {}) == 1
    assert "it is not an image of this project" in capsys.readouterr().err
    (bare / "model.pkl").write_bytes((trained[0] / "model.pkl").read_bytes())
    assert main(["summary", "--image", image_of(bare, request), *words], {}) == 4
    assert "no usable ledger" in capsys.readouterr().err


def test_every_forecast_is_shown_with_persistence() -> None:
    head, *rows = tables(text := page(make_model(BTC, ETH), DIGEST))[0]
    assert head == ["pair", "ahead", "close of", "forecast", "low", "high", "persistence", "change"]
    facts = ["1 day", "2024-05-18", "67,000.00", "65,000.00", "69,000.00", "67,010.00", "+0.0%"]
    assert rows == [["BTC/USD", *facts], ["ETH/USD", *facts]]
    for words in (DIGEST, "012345678", "Not scored, since the history is too short for a backtest: BTC/USD, ETH/USD."):
        assert words in text


def test_the_page_says_whose_forecast_it_shows() -> None:
    model = make_model(BTC, ETH)
    names = {BTC: ("garch", None), ETH: ("combined", f"mine is left out: {HOSTILE}")}
    for pair, (served, not_served) in names.items():
        model.card.pairs[pair] = replace(model.card.pairs[pair], served=served, not_served=not_served)
    garch = tuple((math.log(80_000 + day),) * 7 for day in range(365))
    model.forecasts[BTC] = replace(model.forecasts[BTC], models={"garch": garch})
    shown = MARKDOWN.render(text := page(model, DIGEST))
    assert "BTC/USD: the forecast is that of the model <code>garch</code>, the scores below are those of ours" in shown
    assert "ETH/USD: the forecast is ours: mine is left out: " in shown
    assert "<script>" not in shown
    assert lines_of(text.partition("BTC/USD: fitted")[2].partition("```")[0])[2][-1] == 80_089.0
    assert tables(changes(model, make_model(BTC)))[0][1][3] == "80,000.00"


def test_what_scores_have_in_common_is_shown_once(trained: list[Path]) -> None:
    """A forecast without evidence is persistence at every horizon."""
    model = store.load(trained[0] / "model.pkl")
    ((pair, facts),) = model.card.pairs.items()
    assert facts.backtest is not None
    scores = tuple(replace(score, words="no better: it is persistence") for score in facts.backtest.scores)
    model.card.pairs[pair] = replace(facts, backtest=replace(facts.backtest, scores=scores))
    text = page(model, DIGEST)
    assert [row[-1] for row in tables(text)[1][1:]] == ["no better (1)"] * len(scores)
    assert text.count("it is persistence") == text.count("(1) it is persistence.") == 1


def test_a_page_of_a_dozen_pairs_stays_far_below_its_limit() -> None:
    """GitHub cuts a page above 1 MiB, and twenty screens are too long to read."""
    model = make_model(*(Pair(f"COIN{number}", "USD") for number in range(40)))
    text = page(model, DIGEST, changes(model, model), ["feat: " + "x" * 5_000] * 500)
    assert len(text.encode()) < 40_000
    assert "36 pairs more not drawn" in text
    assert "and 470 more" in text


def test_simulated_prices_are_announced_at_top_and_bottom_and_a_lifted_gate_with_its_reasons() -> None:
    assert page(make_model(simulated=True), DIGEST).count("SIMULATED PRICES") == 2
    assert "SIMULATED" not in page(make_model(), DIGEST)
    gate = Gate(passed=False, enforced=False, reasons=("BTC/USD: 12 % missing", HOSTILE), thresholds={})
    model = make_model()
    html = MARKDOWN.render(page(replace(model, card=replace(model.card, gate=gate)), DIGEST))
    assert "<strong>LIFTED</strong>: BTC/USD: 12 % missing" in html
    assert "<script>" not in html


def test_the_record_says_how_ours_compares_with_each_other_model() -> None:
    """For tomorrow, with the number of outcomes; a page of twelve models has eight such lines."""
    words = f"combined is better than mine at 1 day {HOSTILE}"
    scores = [blank(PairwiseScore, model="combined", horizon_days=1, forecasts=60, words=words)] * 9
    others = [
        blank(PairwiseScore, model=model, horizon_days=days, words="of no interest")
        for model, days in (("mine", 1), ("combined", 7))
    ]
    record = blank(LiveRecord, since=TRAINED_AT, words="1 forecast", pairwise=(*others, *scores))
    text = page(replace(make_model(), scorecard=Scorecard(1, DIGEST[7:], {BTC: record}, {})), DIGEST)
    shown = MARKDOWN.render(text)
    assert shown.count("combined is better than mine at 1 day") == 8
    assert shown.count("(60 outcomes)") == 8
    assert "of no interest" not in shown
    assert "<script>" not in shown


def test_changes_are_listed_by_build_package_and_source() -> None:
    before = make_model(BTC, ETH, trained_at=TRAINED_AT - timedelta(hours=6))
    card = replace(before.card, python="3.11.6", packages={"prophet": "1.4.9", "pystan": "3.10.0"})
    facts = card.pairs[BTC]
    card.pairs[BTC] = replace(facts, source="binance", last=facts.last - timedelta(days=2), history_sha256="1")
    html = MARKDOWN.render(changes(make_model(BTC, Pair("LTC", "USD")), replace(before, card=card)))
    for words in (
        "build <code>0.3.1-20240518121047</code>, was <code>0.3.1-20240518061047</code>",
        "packages: prophet 1.5.0, was 1.4.9; pystan removed, was 3.10.0; python 3.11.7, was 3.11.6",
        "BTC/USD: 2 days of history added, up to 2024-05-17, from alpaca, was binance<",
        "LTC/USD: new",
        "ETH/USD: removed",
    ):
        assert words in html


def test_a_history_that_became_shorter_is_pointed_out_and_an_ended_forecast_is_not_compared() -> None:
    """After more than a year, the champion has no forecast for these days."""
    longer, ancient = make_model(), make_model()
    longer.card.pairs[BTC] = replace(longer.card.pairs[BTC], last=longer.card.pairs[BTC].last + timedelta(days=3))
    assert "3 days of history FEWER" in changes(make_model(), longer)
    ancient.forecasts[BTC] = make_forecast(last=date(2023, 1, 31))
    assert tables(changes(make_model(), ancient)) == []


def test_commit_subjects_are_listed_without_their_markup() -> None:
    """Anybody may have written them. Each takes one line."""
    subjects = ["feat: more", HOSTILE, "# heading", "1. one", "- nested", "> quote", "===", "\x1b[31mred\u202e"]
    section = MARKDOWN.render(page(make_model(), DIGEST, "", subjects)).partition("<h3>Commits</h3>")[2]
    items = re.findall(r"<li>(.*)</li>", section)
    assert items[0] == "feat: more"
    assert items[2:] == ["# heading", "1. one", "- nested", "&gt; quote", "===", "?[31mred?"]
    assert set(re.findall(r"<(\w+)", section)) == {"ul", "li"}


def lines_of(chart: str) -> list[list[float]]:
    """The chart's lines: low, high, price."""
    return [[float(number) for number in line.split(", ")] for line in re.findall(r"line \[(.*)\]", chart)]


def test_the_picture_shows_the_answers_of_the_server() -> None:
    forecast = make_forecast()
    low, high, price = lines_of(picture(BTC, forecast))
    evaluator = Evaluator(forecast)
    for index, days in enumerate(range(-PICTURE_DAYS, PICTURE_DAYS + 1, PICTURE_STEP)):
        if days != 0:
            answer = evaluator.at(forecast.last + timedelta(days=days))
            assert (low[index], price[index], high[index]) == (answer.low, answer.price, answer.high)
    middle = PICTURE_DAYS // PICTURE_STEP
    assert low[middle] == price[middle] == high[middle] == forecast.last_close
    of_a_week = picture(BTC, make_forecast(first=date(2024, 5, 10)))
    assert ("-6 --> 90" in of_a_week, [len(line) for line in lines_of(of_a_week)]) == (True, [33, 33, 33])


@pytest.mark.parametrize("times", [1e-13, 1e-6, 1.0, 1e5])
def test_a_picture_of_any_price_has_no_exponent_and_cuts_no_line(times: float) -> None:
    """Mermaid does not parse exponents, and hides lines outside the axis."""
    forecast = make_forecast()  # in another unit:
    anchor = replace(forecast.anchor, price=forecast.anchor.price * times)
    trend = replace(forecast.trend, offset=forecast.trend.offset + math.log(times) / forecast.scale)
    chart = picture(BTC, replace(forecast, last_close=forecast.last_close * times, anchor=anchor, trend=trend))
    assert re.findall(r"[0-9]e[+-]?[0-9]", chart) == []
    (axis,) = re.findall(r'y-axis "USD" ([0-9.]+) --> ([0-9.]+)', chart)
    bottom, top = map(float, axis)
    drawn = [price for line in lines_of(chart) for price in line]
    assert bottom <= min(drawn) < max(drawn) <= top
    assert max(drawn) - min(drawn) > (top - bottom) / 2  # the lines fill the picture
    assert len({len(line) for line in lines_of(chart)}) == 1


@given(st.text(max_size=80))
@pytest.mark.parametrize("template", ["- {}", "| a |\n| --- |\n| {} |", "## {}"])
def test_escaped_text_is_shown_unchanged(template: str, text: str) -> None:
    """In a list, a table and a heading it stays text on one line."""
    tokens = MARKDOWN.parse(template.format(f"{escape(text)} end"))
    children = [token for token in tokens if token.type == "inline"][-1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    visible = "".join("?" if category(letter).startswith("C") else letter for letter in " ".join(text.split()))
    assert "".join(child.content for child in children) == f"{visible} end".lstrip()


@given(st.text(max_size=40))
def test_no_text_can_end_code_early(text: str) -> None:
    html = MARKDOWN.render(f"| a |\n| --- |\n| {code(text)} and more |")
    assert re.fullmatch(r"(?s).*<td><code>[^<]*</code> and more</td>.*", html)
