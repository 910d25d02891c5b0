"""The picture of a forecast: texts cover no line, and later prices are drawn and not used by the model."""

import itertools
import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase

from crypto_predict.baked.schema import Anchor, PairForecast
from crypto_predict.forecasting.daily import forecast_pair
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import DAY, Candle, Interval, Pair, Span
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.sources.simulated import GENESIS, Simulated
from crypto_predict.training.pair import candles_after
from crypto_predict.training.picture import FOLLOWED, draw_picture, save_picture
from tests.support.histories import START, as_csv, history_of, make_candle, make_history, read_candles, wandering
from tests.support.models import make_model
from tests.support.replay import server as replay
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.server import ReplayServer
from tests.support.serving import ROOT
from tests.support.training import QUICK, TRAINED_AT, in_process

pytestmark = pytest.mark.repeats

REAL = ROOT.parent / "shared" / "data"
CARD = make_model().card
YEAR = 365
BTC = Pair("BTC", "USD")

Market = tuple[Pair, str, list[Candle]]  # the pair, where the prices are from, daily candles


def simulated(pair: str, seed: int, days: int = 1200) -> Market:
    """Return days of the simulated market."""
    start = GENESIS + 1000 * DAY
    span = Span(start, start + days * DAY)
    return Pair.parse(pair), "simulated", list(Simulated(seed).candles(Pair.parse(pair), Interval.DAY_1, span))


def growing(days: int, daily: float) -> Market:
    """Return a market that grows by the same share each day, so that its line passes through a corner."""
    closes = [100 * math.exp(daily * day) for day in range(-1, days)]
    candles = [make_candle(START + n * DAY, closes[n + 1], closes[n]) for n in range(days)]
    return BTC, "file:growing.csv", candles


def real(name: str) -> Market:
    path = REAL / f"binance_{name}_1d.csv"
    if not path.exists():
        pytest.skip(f"{path} does not exist")
    return Pair.parse(name), f"file:{path.name}", read_candles(path)[-1200:]


def split(market: Market, followed: int) -> tuple[History, list[Candle]]:
    """Split off the last days."""
    pair, source, candles = market
    candle = candles[: len(candles) - followed]
    return history_of(candle, pair, source, simulated=source == "simulated"), candles[len(candle) :]


def forecast_of(history: History) -> PairForecast:
    last = history.candles[-1]
    return forecast_pair(history, Anchor(last.open_time + DAY, last.close), None, 0)[0]


MARKETS: dict[str, Callable[[], Market]] = {
    **{f"seed {seed}": partial(simulated, "BTC/USD", seed) for seed in range(3)},
    "dear": partial(simulated, "BTC/JPY", 1),
    "cheap": partial(simulated, "SHIB/USD", 2),
    "long names": partial(simulated, "1000SATSXX/STABLECOIN", 3),
    "up": partial(growing, 1200, 0.004),
    "down": partial(growing, 1200, -0.004),
    "steep": partial(growing, 1200, 0.01),
    **{name: partial(real, name) for name in ("BTC-USDT", "ETH-USDT", "BNB-USDT", "LTC-USDT")},
}


@cache
def fitted(name: str) -> tuple[History, PairForecast, list[Candle]]:
    """Return a market without its last year, its forecast, and the candles of that year; fit each market once."""
    history, after = split(MARKETS[name](), YEAR)
    return history, forecast_of(history), after


@pytest.mark.parametrize(("name", "followed"), [*itertools.product(MARKETS, (0, YEAR)), ("seed 0", 40)])
def test_texts_cover_neither_lines_nor_each_other(name: str, followed: int) -> None:
    """A legend in a corner of the axes would cover the line of some market."""
    history, forecast, after = fitted(name)
    after = after[:followed]
    facts = CARD.pairs[BTC]
    figure = draw_picture(history, forecast, replace(CARD, pairs={history.pair: facts}), after)
    legend, texts = written(figure)
    assert {"market", "fitted curve", "80 % interval", "forecast"} <= {text for text, _ in texts}
    assert (FOLLOWED in dict(texts)) == bool(after)
    boxes = [*texts, ("legend", legend)]
    assert [text for text, box in boxes for line in lines(figure) if box.count_contains(line)] == []
    assert [text for text, box in boxes if not contains(figure.bbox, box)] == []
    pairs = itertools.combinations(texts, 2)
    assert [(text, other) for (text, box), (other, another) in pairs if Bbox.intersection(box, another)] == []


def written(figure: Figure) -> tuple[Bbox, list[tuple[str, Bbox]]]:
    """Return the boxes of the legend and of each text, in pixels."""
    FigureCanvasAgg(figure)  # measures texts as it would draw them
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    hidden = {*outside(axes.get_yticklabels(), axes, 1), *outside(axes.get_xticklabels(), axes, 0)}
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text not in hidden]
    return legend.get_window_extent(), boxes


def outside(labels: list[Text], axes: Axes, along: int) -> list[Text]:
    """Return the tick labels beyond the ends of their axis, which matplotlib keeps but does not draw."""
    frame = axes.get_window_extent().get_points()[:, along]
    centres = [label.get_window_extent().get_points()[:, along].mean() for label in labels]
    return [label for label, at in zip(labels, centres, strict=True) if not frame[0] <= at <= frame[1]]


def lines(figure: Figure) -> list[FloatArray]:  # (n, 2) each
    """Return the points of every line of prices and of the interval's outline, in pixels."""
    (axes,) = figure.axes
    plotted = [np.asarray(line.get_xydata()) for line in axes.get_lines()]
    outlines = [np.asarray(path.vertices) for band in axes.collections for path in band.get_paths()]
    drawn = [points for points in [*plotted, *outlines] if len(points) > 2]  # not the mark of the cutoff
    assert len(drawn) >= 4
    return [axes.transData.transform(points) for points in drawn]


def contains(outer: BboxBase, inner: BboxBase) -> bool:
    return bool(outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1)


def drawn(folder: Path, *options: str) -> str:
    """Train on `prices.csv` and return the text of the SVG."""
    picture = folder / "picture.svg"
    files = ("--source", f"file:{folder}/prices.csv", "--output", f"{folder}/model.pkl", "--picture", str(picture))
    assert in_process("--pair", "BTC/USD", *files, *QUICK, *options) == 0
    return picture.read_text()


UNTIL = ("--until", f"{START + 199 * DAY:%Y-%m-%d}")


def test_later_prices_are_drawn_and_do_not_change_the_model(tmp_path: Path) -> None:
    """A forecast that used its outcome would look better than it is."""
    models = []
    for days, followed in ((200, 0), (260, 60), (800, YEAR)):
        (tmp_path / "prices.csv").write_text(as_csv(make_history(days)))
        assert (FOLLOWED in drawn(tmp_path, *UNTIL)) == bool(followed)
        models.append((tmp_path / "model.pkl").read_bytes())
        (tmp_path / "model.ledger.jsonl").unlink()
    assert models[0] == models[1] == models[2]
    assert FOLLOWED not in drawn(tmp_path, "--no-gate"), "it ends with the last day"


@pytest.mark.parametrize("days", [0, 1, 60, YEAR, YEAR + 60])
def test_later_prices_are_those_of_the_year_after(days: int) -> None:
    source, history = Simulated(1), split(simulated("BTC/USD", 1), 0)[0]
    close = history.candles[-1].open_time + DAY
    followed = candles_after(history, source, close + days * DAY + timedelta(minutes=1))
    assert followed == list(source.candles(BTC, Interval.DAY_1, Span(close, close + min(days, YEAR) * DAY)))


def test_impossible_candles_are_not_among_the_later_prices(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(as_csv(make_history(200)) + "2021-07-20,1,2,3,nan,5\n2021-07-21,2,3,1,2,5\n")
    source = CsvFile(str(tmp_path / "prices.csv"))
    history = replace(make_history(200), source=source.id)
    (followed,) = candles_after(history, source, START + 400 * DAY)
    assert (followed.open_time, followed.close) == (START + 201 * DAY, 2.0)


def test_if_the_source_fails_the_picture_is_drawn_without_later_prices(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The model is already trained."""
    days = [make_candle(START + n * DAY, wandering(n), wandering(n - 1)) for n in range(260)]
    files = ("--output", f"{tmp_path}/model.pkl", "--picture", f"{tmp_path}/it.svg")
    arguments = (*UNTIL, *QUICK, *files, "--days", "200")
    with ReplayServer(AlpacaExchange({(BTC, "1Day"): days})) as server:
        environ = {**TRAINED_AT, "SOURCE": "alpaca", "ALPACA_DATA_URL": server.url}
        assert in_process(*arguments, environ=environ) == 0
        assert FOLLOWED in (tmp_path / "it.svg").read_text()
        server.inject(replay.refused(404, "not found"), times=9, when=lambda request: request.query["start"] > UNTIL[1])
        with caplog.at_level(logging.WARNING):
            assert in_process(*arguments, environ=environ) == 0
    assert "BTC/USD: the picture does not show the prices that followed: alpaca: " in caplog.text
    assert FOLLOWED not in (tmp_path / "it.svg").read_text()


def test_every_colour_of_an_svg_can_be_read_in_light_and_in_dark_mode(tmp_path: Path) -> None:
    """GitHub shows both; the Web Content Accessibility Guidelines require 4.5 for text."""
    history, forecast, after = fitted("seed 0")
    save_picture(history, forecast, CARD, tmp_path / "it.svg", after)
    svg = (tmp_path / "it.svg").read_text()
    modes = dict(re.findall(r'\[style\*="fill: (#[0-9a-f]{6})"\]\{fill:(#[0-9a-f]{6})!important\}', svg))
    drawing = svg.partition("</style>")[2]
    assert set(re.findall("#[0-9a-f]{6}", re.sub(r"url\(#\w+\)", "", drawing))) == modes.keys()
    paper = "#ffffff"
    for text in set(re.findall(r"<text [^>]*fill: (#[0-9a-f]{6})", drawing)):
        assert contrast(text, paper) >= 4.5
        assert contrast(modes[text], modes[paper]) >= 4.5


def contrast(*colours: str) -> float:
    """Compute the contrast ratio of WCAG 2.2, from 1 to 21."""
    channels = [[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in colours]
    linear = [[c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour] for colour in channels]
    darker, brighter = sorted(np.array(linear) @ [0.2126, 0.7152, 0.0722])
    return float((brighter + 0.05) / (darker + 0.05))


def test_pictures_can_be_svg_png_and_pdf(tmp_path: Path) -> None:
    history, forecast, _ = fitted("seed 0")
    for name, start in (("it.PNG", b"\x89PNG"), ("it.pdf", b"%PDF"), ("it.svg", b"<?xml")):
        save_picture(history, forecast, CARD, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
