"""Which exchange a model is trained from: over real HTTP from all exchanges, to the card and the report."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_predict.baked.schema import PairCard
from crypto_predict.command_line import exit_code
from crypto_predict.errors import Refused
from crypto_predict.market import DAY, Candle, Interval, Pair
from crypto_predict.sources.catalog import EXCHANGES
from crypto_predict.training import pipeline, report
from crypto_predict.training.options import read_settings
from tests.support.histories import START, make_candle, wandering
from tests.support.replay import server as replay
from tests.support.replay.exchanges import VENUES
from tests.support.replay.server import Fault
from tests.support.training import QUICK

BTC, TETHER = Pair("BTC", "USD"), Pair("BTC", "USDT")
DAYS = 100
TODAY = START + DAYS * DAY
NOW = TODAY + timedelta(minutes=20)  # no hour has closed
CLOSE = wandering(DAYS - 1)
NAMES = tuple(EXCHANGES)  # in order of preference


def market(factor: float = 1.0, days: int = DAYS) -> list[Candle]:
    """Return these days, with every price times `factor`."""
    return [make_candle(START + n * DAY, factor * wandering(n), factor * wandering(n - 1)) for n in range(days)]


@dataclass
class Exchanges:
    """All exchanges, which have the same prices unless `candles` are given for one of them."""

    stack: ExitStack
    folder: Path

    def train(
        self,
        *options: str,
        faults: dict[str, Fault] | None = None,
        candles: dict[str, list[Candle]] | None = None,
        most_apart: str = "",
    ) -> PairCard:
        """Train, and return the card of the model."""
        servers = {
            venue.id: self.stack.enter_context(venue.serving((candles or {}).get(venue.id, market()), Interval.DAY_1))
            for venue in VENUES
        }
        for name, fault in (faults or {}).items():
            servers[name].inject(fault, times=100)
        environ = {EXCHANGES[name].api.variable: server.url for name, server in servers.items()}
        environ |= {"GATE_LEAST_DAYS": "50", "GATE_MOST_APART": most_apart}
        output = self.folder / "model.pkl"
        arguments = ["--days", str(DAYS), *QUICK, "--output", str(output), *options]
        self.servers = servers
        model, seconds, _ = pipeline.train(read_settings(arguments, environ)[0], NOW)
        self.report = report.as_text(model.card, output, seconds)
        return model.card.pairs[BTC]


@pytest.fixture
def exchanges(tmp_path: Path) -> Iterator[Exchanges]:
    """All exchanges, and a folder for the model."""
    with ExitStack() as stack:
        yield Exchanges(stack, tmp_path)


def test_by_default_the_first_exchange_is_used_and_the_second_one_confirms_it(
    exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        card = exchanges.train(candles={"binance": market(1.001)})
    assert (card.source, card.traded, card.passed_over) == ("alpaca", BTC, ())
    check = card.cross_check
    assert check is not None
    assert (check.source, check.traded, check.day) == ("binance", TETHER, (TODAY - DAY).date())
    assert check.close == pytest.approx(1.001 * CLOSE)
    assert check.difference == pytest.approx(0.001)
    assert len(exchanges.servers["binance"].requests) == 1
    assert [exchanges.servers[name].requests for name in NAMES[2:]] == [[] for _ in NAMES[2:]]
    text = exchanges.report
    assert "source: alpaca for BTC/USD" in text
    assert "BTC/USD: the last close is 24,641.84 (BTC/USDT) at binance, +0.10% apart" in text
    assert "BTC/USDT) at binance, +0.10 % apart" in caplog.text


REFUSALS: dict[str, tuple[Fault, str]] = {
    "place": (replay.answer(451), "answered 451 Unavailable For Legal Reasons"),
    "too many requests": (replay.answer(429, retry_after="9999"), "answered 429 Too Many Requests"),
    "outage": (replay.answer(503, retry_after="9999"), "answered 503 Service Unavailable"),
}


@pytest.mark.parametrize(("fault", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_moves_on_to_the_next_exchange_and_stands_on_the_card(
    fault: Fault, reason: str, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    """Binance's main host refuses the machines that release; Alpaca may do so one day."""
    with caplog.at_level(logging.INFO):
        card = exchanges.train(faults={"alpaca": fault})
    assert (card.source, card.traded, card.simulated) == ("binance", TETHER, False)
    [passed_over] = card.passed_over
    assert passed_over.startswith("alpaca: 127.0.0.1:")
    assert reason in passed_over
    assert card.cross_check is not None
    assert card.cross_check.source == NAMES[2]
    assert "BTC/USD: binance is used, since others are not: alpaca: " in caplog.text
    assert "BTC/USD: the prices of binance are those of BTC/USDT" in caplog.text
    assert "source: binance (BTC/USDT) for BTC/USD" in exchanges.report


def test_the_last_exchange_is_used_without_a_second_opinion(exchanges: Exchanges) -> None:
    *others, last = NAMES
    card = exchanges.train(faults=dict.fromkeys(others, replay.answer(451)))
    assert (card.source, card.cross_check, len(card.passed_over)) == (last, None, len(others))
    assert "BTC/USD: not used: alpaca: 127.0.0.1:" in exchanges.report


@pytest.mark.parametrize("gate", [(), ("--no-gate",)])
def test_a_stale_exchange_gives_way_to_a_fresh_one(gate: tuple[str, ...], exchanges: Exchanges) -> None:
    """An exchange may answer with the prices of last week."""
    card = exchanges.train(*gate, candles={"alpaca": market(days=DAYS - 7)})
    assert card.source == "binance"
    assert "alpaca: stale" in card.passed_over[0]


def test_prices_that_differ_by_more_than_two_percent_are_refused(exchanges: Exchanges) -> None:
    """One of the two exchanges is wrong, and nobody knows which. Coins that are rarely traded may need more."""
    assert exchanges.train(candles={"binance": market(1.021)}, most_apart="0.05").cross_check is not None
    with pytest.raises(Refused) as refusal:
        exchanges.train(candles={"binance": market(1.021)})
    assert exit_code(refusal.value) == 4
    [reason] = refusal.value.reasons
    assert reason.startswith("BTC/USD: alpaca: cross-check: the close of 2021-04-10 is ")
    assert reason.endswith("(BTC/USDT) at binance, 2.1% apart; at most 2.0% are allowed")
    card = exchanges.train("--no-gate", candles={"binance": market(1.021)})
    assert card.cross_check is not None
    assert reason.replace("alpaca: ", "") in exchanges.report.replace("\n    ", " ")
