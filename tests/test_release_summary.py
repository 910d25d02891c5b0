"""The run's page: what it says of a release, in Markdown that nobody can write into."""

import math
import re
from collections.abc import Callable
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
from crypto_predict.baked.schema import Card, Gate, Model, PairForecast
from crypto_predict.market import Pair
from crypto_predict.release import __main__, markdown
from crypto_predict.release.picture import DAYS, STEP, picture
from tests.models import BTC, ETH, TRAINED_AT, make_forecast, make_model
from tests.training import QUICK, REVISION, in_process, price_file

HOSTILE = (
    "<script>alert(1)</script> | [x](https://evil.example) ![i](x) `code` **b** _i_ @all #1 $x$ ~~s~~ www.evil.example"
)
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Page:
    """What the command put on the run's page."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.html = MARKDOWN.render(text)

    def tables(self) -> list[list[list[str]]]:
        """Every table as rows of cells, its head included."""
        return [
            [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]
            for table in re.findall(r"<table>(.*?)</table>", self.html, re.DOTALL)
        ]


Summarize = Callable[..., Page]


@pytest.fixture
def summarize(tmp_path: Path) -> Summarize:
    """Run the command on a model, made by hand or a file; `champion` as well."""

    def run(model: Model | Path, *words: str, champion: Model | Path | None = None, **environ: str) -> Page:
        page = tmp_path / "summary.md"
        page.unlink(missing_ok=True)  # one page a run
        earlier = ("--champion", str(on_disk(champion, tmp_path / "champion.pkl"))) if champion else ()
        command = ["summary", "--model", str(on_disk(model, tmp_path / "model.pkl")), *earlier, *words]
        assert __main__.main(command, {"GITHUB_STEP_SUMMARY": str(page), **environ}) == 0
        return Page(page.read_text(encoding="utf-8"))

    return run


def on_disk(model: Model | Path, path: Path) -> Path:
    """The model's file, written at `path` where there is none."""
    if isinstance(model, Model):
        store.save(model, path)
        return path
    return model


def with_card(model: Model, **changes: object) -> Model:
    """The model with these fields of its card replaced."""
    card: Card = replace(model.card, **changes)  # type: ignore[arg-type]  # the tests name the fields
    return replace(model, card=card)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two real models, the second trained a day after the first on one day more, with its ledger."""
    folder = tmp_path_factory.mktemp("trained")
    models = folder / "old.pkl", folder / "new.pkl"
    for number, (model, days) in enumerate(zip(models, (400, 401), strict=True)):
        prices = price_file(folder, days)
        until = date.fromisoformat(prices[-1])
        stamp = {"SOURCE_DATE_EPOCH": f"{(until - date(1970, 1, 1)).days * 86_400 + 93_600}", **REVISION}
        earlier = ("--champion", str(models[0]), "--ledger", f"{models[0].with_suffix('')}.ledger.jsonl")
        assert in_process(*prices, *QUICK, "--output", str(model), *earlier[: 4 * number], environ=stamp) == 0
    return models


def test_a_build_is_told_by_its_name_and_figures(summarize: Summarize) -> None:
    figures = ("--digest", f"sha256:{'6a' * 32}", "--bytes", "61234567", "--start-seconds", "0.412")
    page = summarize(make_model(), *figures)
    for told in (figures[1], "61.2 MB", "0.41 s", "012345678"):
        assert told in page.text
    assert "<h2>Build 0.3.1-20240518121047</h2>" in page.html


def test_what_is_not_known_is_left_out(summarize: Summarize) -> None:
    """In a workflow an output that was not set is an empty argument."""
    page = summarize(make_model(), "--digest", "", "--bytes", "", "--start-seconds", "")
    for word in ("digest:", "size:", "start:"):
        assert word not in page.text


def test_every_forecast_stands_beside_persistence(summarize: Summarize) -> None:
    page = summarize(make_model(BTC, ETH))
    head, *rows = page.tables()[0]
    assert head == ["pair", "ahead", "close of", "forecast", "low", "high", "persistence", "change"]
    facts = ["1 day", "2024-05-18", "67,000.00", "65,000.00", "69,000.00", "67,010.00", "-0.0%"]
    assert rows == [["BTC/USD", *facts], ["ETH/USD", *facts]]


def test_a_real_release_tells_forecast_scores_record_and_changes(
    summarize: Summarize, trained: tuple[Path, Path]
) -> None:
    old, new = trained
    page = summarize(new, champion=old)
    forecast, scores, moves = page.tables()
    model, champion = store.load(new), store.load(old)
    (pair,) = model.forecasts
    backtest = model.card.pairs[pair].backtest
    assert backtest is not None
    assert [row[1] for row in forecast[1:]] == ["1 day", "7 days", "30 days", "90 days"]
    assert [row[3:5] for row in scores[1:]] == [
        [f"{score.relative_mae:.3f}", f"{score.coverage:.1%}"] for score in backtest.scores
    ]
    assert model.scorecard.pairs[pair].due == 1
    assert "1 forecast of 1 day came due" in page.html
    assert "2 releases since" in page.text
    assert "1 day of history added" in page.text
    assert "gate: passed" in page.text
    day = model.card.pairs[pair].forecast[2].day
    was, now = (Evaluator(one.forecasts[pair]).at_close(day).price for one in (champion, model))
    assert moves[3] == [str(pair), str(day), f"{was:,.2f}", f"{now:,.2f}", f"{now / was - 1:+.2%}"]


def test_a_page_of_a_dozen_pairs_stays_far_below_its_limit(summarize: Summarize) -> None:
    """GitHub cuts a page above 1 MiB, and nobody reads twenty screens."""
    pairs = [Pair(f"COIN{number}", "USD") for number in range(40)]
    page = summarize(make_model(*pairs), CHANGES="\n".join(["feat: " + "x" * 5_000] * 500))
    assert len(page.text.encode()) < 30_000
    assert "36 pairs more not drawn" in page.text
    assert "and 470 more" in page.text


def test_the_picture_shows_what_the_server_answers() -> None:
    forecast = make_forecast()
    low, high, price = lines_of(picture(BTC, forecast))
    evaluator = Evaluator(forecast)
    for index, days in enumerate(range(-DAYS, DAYS + 1, STEP)):
        if days != 0:
            answer = evaluator.at_close(forecast.last + timedelta(days=days))
            assert (low[index], price[index], high[index]) == (answer.low, answer.price, answer.high)
    assert low[DAYS // STEP] == price[DAYS // STEP] == high[DAYS // STEP] == forecast.last_close


def lines_of(chart: str) -> list[list[float]]:
    """The chart's lines: low, high, price."""
    return [[float(number) for number in line.split(", ")] for line in re.findall(r"line \[(.*)\]", chart)]


@pytest.mark.parametrize("times", [1e-13, 1e-6, 1.0, 1e5])
def test_a_picture_of_any_price_has_round_ends_and_no_exponent(times: float) -> None:
    """Mermaid reads no exponents, and a range that cuts a line off would hide it."""
    forecast = scaled(make_forecast(), times)
    chart = picture(BTC, forecast)
    assert re.findall(r"[0-9]e[+-]?[0-9]", chart) == []
    (axis,) = re.findall(r'y-axis "USD" ([0-9.]+) --> ([0-9.]+)', chart)
    bottom, top = map(float, axis)
    drawn = [price for line in lines_of(chart) for price in line]
    assert bottom <= min(drawn) < max(drawn) <= top
    assert max(drawn) - min(drawn) > (top - bottom) / 2  # it fills the picture
    assert len({len(line) for line in lines_of(chart)}) == 1


def scaled(forecast: PairForecast, times: float) -> PairForecast:
    """The same market, counted in another unit."""
    anchor = replace(forecast.anchor, price=forecast.anchor.price * times)
    trend = replace(forecast.trend, offset=forecast.trend.offset + math.log(times) / forecast.scale)
    return replace(forecast, last_close=forecast.last_close * times, anchor=anchor, trend=trend)


def test_a_picture_of_a_short_history_begins_with_it() -> None:
    forecast = make_forecast(first=date(2024, 5, 10))
    assert "-6 --> 90" in picture(BTC, forecast)
    assert [len(line) for line in lines_of(picture(BTC, forecast))] == [33, 33, 33]


def test_simulated_prices_are_shouted_at_both_ends(summarize: Summarize) -> None:
    assert summarize(make_model(simulated=True)).text.count("SIMULATED PRICES") == 2
    assert "SIMULATED" not in summarize(make_model()).text


def test_a_gate_that_was_lifted_is_told_with_its_reasons(summarize: Summarize) -> None:
    gate = Gate(passed=False, enforced=False, reasons=("BTC/USD: 12 % missing", HOSTILE), thresholds={})
    page = summarize(with_card(make_model(), gate=gate))
    assert "<strong>LIFTED</strong>: BTC/USD: 12 % missing" in page.html
    assert "<script>" not in page.html


def test_a_first_release_has_nothing_to_be_compared_with(summarize: Summarize) -> None:
    assert "There is no earlier model" in summarize(make_model(), "--champion", "").text


@pytest.mark.parametrize("kind", ["other schema", "damaged", "absent"])
def test_a_champion_that_cannot_be_read_is_told_in_one_line(summarize: Summarize, tmp_path: Path, kind: str) -> None:
    """The release is out already: its page must not fail over the one before."""
    path = tmp_path / "earlier.pkl"
    data = store.dumps(make_model())
    if kind == "other schema":
        path.write_bytes(data.replace(b"schemaK\x02", b"schemaK\x01", 1))
    elif kind == "damaged":
        path.write_bytes(data[:-100])
    page = summarize(make_model(), champion=path)
    (line,) = re.findall(r"<p>(Not compared: .*)</p>", page.html)
    assert {"other schema": "written with schema 1", "damaged": "truncated", "absent": "no such file"}[kind] in line


def test_what_changed_is_told_by_package_revision_and_source(summarize: Summarize) -> None:
    before = with_card(
        make_model(BTC, ETH, trained_at=TRAINED_AT - timedelta(hours=6)),
        version="0.3.0",
        git_revision="f" * 40,
        python="3.11.6",
        packages={"prophet": "1.4.9", "pystan": "3.10.0"},
    )
    facts = before.card.pairs
    facts[BTC] = replace(facts[BTC], source="binance", last=facts[BTC].last - timedelta(days=2))
    page = summarize(make_model(BTC, Pair("LTC", "USD")), champion=before)
    for told in (
        "version 0.3.1, was 0.3.0",
        "<code>012345678</code>, was <code>fffffffff</code>",
        "prophet 1.5.0, was 1.4.9, pystan gone, was 3.10.0, python 3.11.7, was 3.11.6",
        "BTC/USD: 2 days of history added, up to 2024-05-17, from alpaca, was binance",
        "LTC/USD: new",
        "ETH/USD: gone",
    ):
        assert told in page.html


def test_a_history_that_grew_shorter_is_told(summarize: Summarize) -> None:
    longer = make_model()
    facts = longer.card.pairs
    facts[BTC] = replace(facts[BTC], last=facts[BTC].last + timedelta(days=3))
    assert "3 days of history FEWER" in summarize(make_model(), champion=longer).text


def test_a_champion_of_long_ago_that_cannot_see_these_days_moves_nothing(summarize: Summarize) -> None:
    """After more than a year without a release its forecast has ended before this one begins."""
    ancient = make_model()
    ancient.forecasts[BTC] = make_forecast(last=date(2023, 1, 31))
    page = summarize(make_model(), champion=ancient)
    assert len(page.tables()) == 1
    assert "version 0.3.1, as before" in page.html


def test_commits_are_listed_whoever_wrote_them(summarize: Summarize, tmp_path: Path) -> None:
    """From the environment or a file, as text: a subject forms no markup, and takes no more than its line."""
    subjects = f"feat: more\n\n{HOSTILE}\n# heading\n1. one\n- nested\n> quote\n===\n\x1b[31mred\u202e\n"
    (tmp_path / "changes").write_text(subjects, encoding="utf-8")
    from_file = summarize(make_model(), "--changes", str(tmp_path / "changes"))
    section = from_file.html.partition("<p>Commits:</p>")[2]
    items = re.findall(r"<li>(.*)</li>", section)
    assert items[0] == "feat: more"
    assert items[2:] == ["# heading", "1. one", "- nested", "&gt; quote", "===", "?[31mred?"]
    assert set(re.findall(r"<(\w+)", section)) == {"ul", "li"}
    assert section in summarize(make_model(), CHANGES=subjects).html


@given(st.text(max_size=80))
@pytest.mark.parametrize("template", ["- {}", "| a |\n| --- |\n| {} |", "## {}"])
def test_escaped_text_is_shown_as_it_is(template: str, text: str) -> None:
    """Whatever it is: in a list, a table and a heading it stays text on one line."""
    found = [
        token for token in MARKDOWN.parse(template.format(f"{markdown.escape(text)} end")) if token.type == "inline"
    ]
    children = found[-1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    visible = "".join("?" if category(one).startswith("C") else one for one in " ".join(text.split()))
    assert "".join(child.content for child in children) == f"{visible} end".lstrip()


@given(st.text(max_size=40))
def test_nothing_ends_code_but_its_end(text: str) -> None:
    html = MARKDOWN.render(f"| a |\n| --- |\n| {markdown.code(text)} and more |")
    assert re.fullmatch(r"(?s).*<td><code>[^<]*</code> and more</td>.*", html)


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("--bytes", "many"), 2, "--bytes: 'many'"),
        (("--start-seconds", "nan"), 2, "--start-seconds: 'nan'"),
        (("--start-seconds", "soon"), 2, "--start-seconds: 'soon'"),
        (("--changes", "/nowhere"), 1, "/nowhere cannot be read"),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, named: str
) -> None:
    path = on_disk(make_model(), tmp_path / "model.pkl")
    assert __main__.main(["summary", "--model", str(path), *words], {}) == code
    assert named in capsys.readouterr().err


def test_a_release_without_a_readable_model_has_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["summary", "--model", str(tmp_path / "none.pkl")], {}) == 1
    assert "no usable model" in capsys.readouterr().err


def test_outside_of_a_workflow_the_page_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = on_disk(make_model(), tmp_path / "model.pkl")
    assert __main__.main(["summary", "--model", str(path)], {}) == 0
    assert "## Build 0.3.1" in capsys.readouterr().out
