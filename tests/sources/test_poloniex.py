import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
import requests

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Candle, Interval, Quote, Span
from crypto_predict.sources.network.wire import milliseconds
from crypto_predict.sources.poloniex import EXCHANGE as POLONIEX_EXCHANGE
from crypto_predict.sources.poloniex.rest import CANDLES, TICKER
from tests.support.replay import server as replay
from tests.support.replay.minutes import BTC, START, full_minutes
from tests.support.replay.poloniex import VENUE as POLONIEX
from tests.support.replay.poloniex import PoloniexExchange, refusal
from tests.support.replay.server import ReplayServer
from tests.support.replay.venue import TETHER

TOP = Quote(START, 26447.57, 0.016313, 26447.58, 0.068307)


def test_a_candle_of_another_interval_is_refused() -> None:
    reason = POLONIEX.given_up(POLONIEX.row_changed(11, "MINUTE_5")).reason
    assert "a candle of another interval than MINUTE_1" in reason


def test_every_request_has_a_start_an_end_and_a_limit() -> None:
    """With only a start Poloniex returns the newest candles, whatever the start is."""
    with POLONIEX.serving(full_minutes(2 * POLONIEX.page)) as server:
        POLONIEX.read(server, POLONIEX.page + 10)
        queries = [request.query for request in server.requests]
    first = milliseconds(START)
    assert queries == [
        {
            "interval": "MINUTE_1",
            "startTime": str(first + start * 60_000),
            "endTime": str(first + end * 60_000 - 1),
            "limit": "500",
        }
        for start, end in pairwise((0, POLONIEX.page, POLONIEX.page + 10))
    ]


def test_numbers_may_be_text_or_numbers() -> None:
    """The documented row has both; times and trades may be text as well."""
    documented = json.loads(
        '["22814.01","22937.42","22832.57","22937.42","3916.58764051","0.171199","2982.64647063","0.130295",33,0,'
        '"22877.449915304470460711","MINUTE_5",1659664800000,1659665099999]'
    )
    opening = datetime(2022, 8, 5, 2, tzinfo=UTC)
    expected = Candle(
        opening, 22832.57, 22937.42, 22814.01, 22937.42, 0.171199, 3916.58764051, 33, 0.130295, 2982.64647063
    )
    numbers = [float(value) if place < 8 else value for place, value in enumerate(documented)]
    texts = list(map(str, documented))
    for sent in (documented, numbers, texts):
        with POLONIEX.serving([]) as server:
            server.inject(replay.answer(200, json.dumps([sent])))
            span = Span(opening, opening + timedelta(minutes=5))
            assert list(POLONIEX.source(server).candles(BTC, Interval.MINUTE_5, span)) == [expected]


@pytest.mark.parametrize("status", [200, 503])
def test_maintenance_may_pass(status: int) -> None:
    """A refusal has a code, whatever the status of HTTP is."""
    fault = replay.answer(status, refusal(503, "Platform in maintenance mode"))
    assert 'Platform in maintenance mode"' in POLONIEX.given_up(fault, TOP, lambda source: source.quote(BTC)).reason


@pytest.mark.parametrize("code", [24101, "24101", 10040, "10040"])
@pytest.mark.parametrize("status", [200, 400, 404])
def test_an_unknown_pair_is_known_by_its_code_whatever_the_status_of_http_is(status: int, code: int | str) -> None:
    with POLONIEX.serving(full_minutes(10)) as server:
        server.inject(replay.answer(status, json.dumps({"code": code, "message": "Invalid symbol"})))
        with pytest.raises(UnusableHistory, match="it does not have the pair BTC/USDT"):
            POLONIEX.read(server, 10)


def test_a_quote_has_the_time_of_the_answer_and_not_that_of_the_last_trade() -> None:
    """Nobody has traded the pair for two days, but its bid and ask are those of now. Each answer is one more quote."""
    with ReplayServer(PoloniexExchange({}, quotes={TETHER: TOP})) as server:
        source = POLONIEX.source(server)
        before = datetime.now(UTC)
        times = [source.quote(BTC).time for _ in range(8)]
        after = datetime.now(UTC)
        sent = json.loads(requests.get(f"{server.url}/markets/BTC_USDT/ticker24h", timeout=30).text)
    assert int(sent["ts"]) < milliseconds(TOP.time - timedelta(days=1))
    assert before - timedelta(seconds=1) <= times[0]
    assert times[-1] <= after
    assert all(later > earlier for earlier, later in pairwise(times))


def test_the_time_of_a_quote_is_that_of_the_clock_of_the_exchange() -> None:
    """It is ahead of this machine's, then it is set; an answer without a time comes between two others with one."""
    ahead, behind = datetime(2031, 5, 17, 12, 0, 30, tzinfo=UTC), datetime(2022, 5, 17, 12, 0, 30, tzinfo=UTC)
    dates = [ahead, ahead, None, ahead - timedelta(seconds=1), behind, behind]
    with ReplayServer(PoloniexExchange({}, quotes={TETHER: TOP})) as server:
        source, times = POLONIEX.source(server), []
        for date in dates:
            stamp = {"age": "7"} if date is None else {"date": format_datetime(date, usegmt=True)}
            server.inject(replay.with_headers(**stamp))
            times.append(source.quote(BTC).time)
    assert times[0] >= ahead > times[4] >= behind
    for part in (times[:4], times[4:]):
        assert all(later > earlier for earlier, later in pairwise(part))


def test_without_any_time_of_the_exchange_a_quote_has_that_of_this_machine() -> None:
    with ReplayServer(PoloniexExchange({}, quotes={TETHER: TOP})) as server:
        source, before = POLONIEX.source(server), datetime.now(UTC)
        server.inject(replay.with_headers(age="7"))  # a cache has sent it
        assert before <= source.quote(BTC).time <= datetime.now(UTC)


def test_the_rate_budget_allows_ten_tickers_a_second() -> None:
    """The documented limit; candles cost half of a ticker."""
    assert POLONIEX_EXCHANGE.rate == (10 * TICKER, 1) == (20 * CANDLES, 1)
