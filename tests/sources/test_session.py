import base64
import logging
import traceback
from dataclasses import replace
from datetime import timedelta

import pytest

from crypto_predict.errors import RefusedKeys, SourceError, Unreachable
from crypto_predict.market import Interval, Span
from crypto_predict.sources.alpaca.history import Alpaca
from crypto_predict.sources.alpaca.settings import AlpacaSettings
from tests.support.replay import server as replay
from tests.support.replay.minutes import BTC, QUICK, START, exchange, minutes, read
from tests.support.replay.server import Fault

KEY, SECRET = "PKT0THEKEY0THEKEY", "s3cretS3cretS3cret"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (replay.answer(451), "answered 451 Unavailable For Legal Reasons: it is closed to requests from where you are"),
        (replay.answer(418), "answered 418 I'm a Teapot: it has banned this machine for a while"),
        (replay.refused(400, "invalid symbol: XX"), 'answered 400 Bad Request "invalid symbol: XX"'),
        (replay.refused(401, "unauthorized."), 'answered 401 Unauthorized "unauthorized.": it wants keys, and none'),
        (replay.answer(403, "<html>", "text/html"), "answered 403 Forbidden: access is refused"),
        (replay.answer(404, "[" * 100_000), "answered 404 Not Found: nothing is at this address"),
        (replay.answer(301, location="https://example.com/"), "answered 301 Moved Permanently: it has moved"),
        (replay.bomb, "sent more than 4 MiB in one answer"),
        (replay.answer(200, "[" + "{}," * 1_000_000 + "0]"), "sent more than 320,000 values in one answer"),
        (replay.refused(429, "slow down", retry_after="86400"), "it asks to wait 86400 s, longer than the 60 s"),
    ],
)
def test_a_refusal_is_told_at_once_and_not_asked_again(fault: Fault, reason: str) -> None:
    """Asking again where one is banned prolongs the ban, and the next source is waiting."""
    with exchange(minutes(10)) as server:
        server.inject(fault)
        with pytest.raises(SourceError) as caught:
            read(server, 10)
        assert len(server.requests) == 1
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (replay.stall, "sent nothing for 0.3 s"),
        (replay.drip_body, "did not finish its answer within 0.6 s"),
        (replay.drip_headers, "did not finish its answer within 0.6 s"),
    ],
)
def test_a_server_that_only_keeps_the_line_open_is_given_up(fault: Fault, reason: str) -> None:
    """The SDK by itself would wait for ever; a byte now and then outwits a socket's timeout."""
    impatient = replace(QUICK, attempts=2, read_timeout=0.3, answer_timeout=0.6)
    with exchange(minutes(10)) as server:
        server.inject(fault, times=2)
        with pytest.raises(SourceError, match=reason):
            read(server, 10, impatient)
        assert len(server.requests) == 2


def test_a_server_that_stalls_once_loses_nothing() -> None:
    with exchange(minutes(10)) as server:
        server.inject(replay.stall)
        assert read(server, 10, replace(QUICK, read_timeout=1.0)) == minutes(10)


def test_retry_after_is_obeyed() -> None:
    """The server refuses until its time is over, so a client that asks earlier runs out of attempts."""
    with exchange(minutes(10)) as server:
        server.inject(replay.throttled(1), times=2)
        assert read(server, 10, replace(QUICK, attempts=2)) == minutes(10)


def test_an_exchange_out_of_reach_is_a_source_error() -> None:
    with exchange([]) as server:
        gone = server.url
    source = Alpaca(AlpacaSettings(gone), policy=QUICK)
    with pytest.raises(SourceError, match=r"cannot be reached: .*; check the network and the address"):
        next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=3))))


@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_are_refused_are_told_apart_by_the_names_of_their_variables(status: int) -> None:
    """Whoever set them must correct them; another source would hide that."""
    with exchange([]) as server:
        server.inject(replay.refused(status, "no"))
        source = Alpaca(AlpacaSettings(server.url, KEY, SECRET), policy=QUICK)
        with pytest.raises(RefusedKeys, match="the keys in ALPACA_API_KEY and ALPACA_SECRET_KEY; correct them"):
            next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=1))))
        assert len(server.requests) == 1


UNREACHABLE = [
    *[replay.answer(status) for status in (403, 407, 418, 429, 451, 500, 502, 503, 504)],
    *[replay.reset, replay.break_off, replay.stall, replay.drip_headers],
    *[replay.answer(200, "<html>Login</html>", "text/html"), replay.answer(200), replay.answer(204)],
]
REACHED = [
    *[replay.answer(status) for status in (301, 400, 401, 404, 410)],
    *[replay.answer(200, "{}"), replay.answer(200, '{"bars": {"BTC/USD": [1]}}'), replay.bomb],
]


@pytest.mark.parametrize(
    ("fault", "unreachable"), [*((fault, True) for fault in UNREACHABLE), *((fault, False) for fault in REACHED)]
)
def test_an_exchange_that_cannot_be_reached_is_told_apart_from_one_that_answers(
    fault: Fault, unreachable: bool
) -> None:
    """Invented prices may stand in for the one, and never for the other."""
    once = replace(QUICK, attempts=1)
    policy = replace(once, read_timeout=0.3, answer_timeout=0.6) if unreachable else replace(once, answer_timeout=30)
    with exchange(minutes(10)) as server:
        server.inject(fault, times=9)
        with pytest.raises(SourceError) as caught:
            read(server, 10, policy)
    assert isinstance(caught.value, Unreachable) is unreachable


@pytest.mark.parametrize("status", [403, 500])
def test_no_key_gets_into_an_error_or_a_log(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Logs of a workflow are public, and careless gateways send back whatever they were sent."""
    caplog.set_level(logging.DEBUG)
    with exchange([]) as server:
        server.inject(replay.echoing_keys(status), times=9)
        source = Alpaca(AlpacaSettings(server.url, KEY, SECRET), policy=QUICK)
        with pytest.raises(SourceError, match=r"refused: \*\*\*, \*\*\*") as caught:
            next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=1))))
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(map(repr, caplog.records))
    assert KEY not in told
    assert SECRET not in told


PASSWORD, ENCODED, SENT = "hu/sh@h1", "hu%2Fsh%40h1", base64.b64encode(b"user:hu/sh@h1").decode()


@pytest.mark.parametrize("fault", [replay.echoing_authorization, replay.reset, replay.answer(404), replay.stall])
def test_no_password_of_an_address_gets_into_an_error_or_a_log(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody's mirror of an exchange may stand behind a password."""
    caplog.set_level(logging.DEBUG)
    with exchange([]) as server:
        server.inject(fault, times=9)
        settings = AlpacaSettings(server.url.replace("//", f"//user:{ENCODED}@"))
        source = Alpaca(settings, policy=replace(QUICK, attempts=2, read_timeout=0.3))
        with pytest.raises(SourceError) as caught:
            next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=1))))
        assert server.requests[0].headers["authorization"] == f"Basic {SENT}"
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(settings)
    assert [secret for secret in (PASSWORD, ENCODED, SENT) if secret in told] == []


def test_a_password_that_begins_like_the_user_name_is_masked_to_its_end() -> None:
    with exchange([]) as server:
        server.inject(replay.refused(400, "no access for admin with admin-7351"))
        source = Alpaca(AlpacaSettings(server.url.replace("//", "//admin:admin-7351@")), policy=QUICK)
        with pytest.raises(SourceError, match=r"no access for \*\*\* with \*\*\*\"") as caught:
            next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=1))))
    assert "7351" not in str(caught.value)


def test_a_short_user_name_is_masked_as_a_word_alone() -> None:
    """Of one letter it would stand in every other word of a message."""
    with exchange([]) as server:
        server.inject(replay.refused(400, "your request was refused, u"))
        source = Alpaca(AlpacaSettings(server.url.replace("//", "//u:hush@")), policy=QUICK)
        with pytest.raises(SourceError, match=r"your request was refused, \*\*\*\""):
            next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=1))))


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:hush@127.0.0.1:9",
        "http://user:hush@127.0.0.1:99999",
        "http://user:hush@",
        "http://user:hu sh@h1",
        "socks9://user:hush@127.0.0.1:9",
        "http://user:hush@[::1",
        "user:hush@127.0.0.1:9",
        "//user:hush@127.0.0.1:9",
        "http://us/er:hush@127.0.0.1:9",
    ],
)
def test_no_password_of_a_proxy_gets_into_an_error_or_a_log(
    proxy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    source = Alpaca(AlpacaSettings("http://data.alpaca.invalid"), policy=replace(QUICK, attempts=2))
    with pytest.raises(SourceError) as caught:
        next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=1))))
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "hush" not in told
    assert "hu sh" not in told


@pytest.mark.parametrize("address", ["http://a..b", f"http://{'a' * 70}.com", "http://exa mple.com"])
def test_an_address_no_host_can_have_is_a_source_error(address: str) -> None:
    source = Alpaca(AlpacaSettings(address), policy=QUICK)
    with pytest.raises(SourceError) as caught:
        next(source.candles(BTC, Interval.DAY_1, Span(START, START + timedelta(days=1))))
    assert "tried" not in caught.value.reason
