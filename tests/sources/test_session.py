import logging
import traceback
from dataclasses import replace

import pytest

from crypto_predict.errors import RefusedKeys, SourceError, Unreachable
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.exchange import Settings
from tests.support.replay import server as replay
from tests.support.replay.alpaca import exchange, read
from tests.support.replay.minutes import BTC, QUICK, minutes
from tests.support.replay.server import Fault

KEY, SECRET = "PKT0THEKEY0THEKEY", "s3cretS3cretS3cret"
KEYS = {"ALPACA_API_KEY": KEY, "ALPACA_SECRET_KEY": SECRET}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (replay.answer(403, "<html>", "text/html"), "answered 403 Forbidden: access is refused"),
        (replay.answer(404, "[" * 100_000), "answered 404 Not Found: nothing is at this address"),
    ],
)
def test_a_refusal_is_reported_at_once_and_not_retried(fault: Fault, reason: str) -> None:
    """Asking again prolongs a ban."""
    with exchange(minutes(10)) as server:
        server.inject(fault)
        with pytest.raises(SourceError) as caught:
            read(server, 10)
        assert len(server.requests) == 1
    assert reason in caught.value.reason


def test_after_one_stall_nothing_is_lost() -> None:
    with exchange(minutes(10)) as server:
        server.inject(replay.stall)
        assert read(server, 10, replace(QUICK, read_timeout=0.3)) == minutes(10)


def test_an_unreachable_exchange_is_a_source_error() -> None:
    with exchange([]) as server:
        gone = server.url
    source = Alpaca(Settings(gone), policy=QUICK)
    with pytest.raises(SourceError, match=r"cannot be reached: .*; check the network and the address"):
        source.quote(BTC)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_keys_are_named_by_their_variables(status: int) -> None:
    """The user must correct them; another source would hide that."""
    with exchange([]) as server:
        server.inject(replay.refused(status, "no"))
        source = Alpaca(Settings(server.url, keys=KEYS), policy=QUICK)
        with pytest.raises(RefusedKeys, match="the keys in ALPACA_API_KEY and ALPACA_SECRET_KEY; correct them"):
            source.quote(BTC)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [403, 500])
def test_errors_and_logs_do_not_contain_keys(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """The logs of a workflow are public, and some gateways quote the request."""
    caplog.set_level(logging.DEBUG)
    with exchange([]) as server:
        server.inject(replay.echoing(status), times=9)
        source = Alpaca(Settings(server.url, keys=KEYS), policy=QUICK)
        with pytest.raises(SourceError, match=r"refused: \*\*\*, \*\*\*") as caught:
            source.quote(BTC)
    text = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(map(repr, caplog.records))
    assert KEY not in text
    assert SECRET not in text


def test_a_password_that_begins_like_the_user_name_is_masked_to_its_end() -> None:
    with exchange([]) as server:
        server.inject(replay.refused(400, "no access for admin with admin-7351"))
        source = Alpaca(Settings(server.url.replace("//", "//admin:admin-7351@")), policy=QUICK)
        with pytest.raises(SourceError, match=r"no access for \*\*\* with \*\*\*\"") as caught:
            source.quote(BTC)
    assert "7351" not in str(caught.value)


def test_a_short_user_name_is_masked_only_as_a_whole_word() -> None:
    """A single letter occurs in many words of a message."""
    with exchange([]) as server:
        server.inject(replay.refused(400, "your request was refused, u"))
        source = Alpaca(Settings(server.url.replace("//", "//u:hush@")), policy=QUICK)
        with pytest.raises(SourceError, match=r"your request was refused, \*\*\*\""):
            source.quote(BTC)


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
def test_errors_and_logs_do_not_contain_the_password_of_a_proxy(
    proxy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    source = Alpaca(Settings("http://data.alpaca.invalid"), policy=replace(QUICK, attempts=2))
    with pytest.raises(SourceError) as caught:
        source.quote(BTC)
    text = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "hush" not in text
    assert "hu sh" not in text


@pytest.mark.parametrize("address", ["http://a..b", f"http://{'a' * 70}.com", "http://exa mple.com"])
def test_an_impossible_host_name_is_a_source_error(address: str) -> None:
    source = Alpaca(Settings(address), policy=QUICK)
    with pytest.raises(SourceError) as caught:
        source.quote(BTC)
    assert "tried" not in caught.value.reason


def test_a_name_that_cannot_be_resolved_is_looked_up_twice_at_most() -> None:
    """Without a network, all exchanges are found to be away at once: nobody waits for four attempts of each."""
    source = Alpaca(Settings("http://data.alpaca.invalid"))
    with pytest.raises(Unreachable, match=r"cannot be reached: .*; check the network and the address") as caught:
        source.quote(BTC)
    assert "tried" not in caught.value.reason or "(tried 2 times)" in caught.value.reason
