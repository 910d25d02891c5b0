import logging
import re
import traceback
from dataclasses import replace

import pytest

from crypto_predict.errors import RefusedKeys, SourceError, Unreachable
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.network.wire import sanitizer
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


@pytest.mark.parametrize(
    ("address", "error", "reason"),
    [
        (
            "http://127.0.0.1:9",
            Unreachable,
            r"cannot be reached: .*; check the network .* \(tried 3 times\)",
        ),
        # All exchanges are away at once without a network: nobody waits for four attempts of each.
        ("http://data.alpaca.invalid", Unreachable, r"cannot be reached: [^(]*the address( \(tried 2 times\))?"),
        *((host, SourceError, "[^(]*") for host in ("http://a..b", f"http://{'a' * 70}.com", "http://exa mple.com")),
    ],
)
def test_an_exchange_that_cannot_be_reached_is_named_with_its_reason(
    address: str, error: type[SourceError], reason: str
) -> None:
    with pytest.raises(error) as caught:
        Alpaca(Settings(address), policy=QUICK).quote(BTC)
    assert re.search(f"{reason}$", caught.value.reason), caught.value.reason


@pytest.mark.parametrize(
    ("address", "text", "masked"),
    [
        ("http://admin:admin-7351@h", "no access for admin with admin-7351", "no access for *** with ***"),
        ("http://u:hush@h", "your request was refused, u", "your request was refused, ***"),
        ("http://h", "a\x1b[31m" + "b" * 300, f"a [31m{'b' * 194}..."),
    ],
)
def test_secrets_are_masked_to_their_ends_and_short_ones_as_whole_words(address: str, text: str, masked: str) -> None:
    """A password may begin like the user name, and a single letter occurs in many words of a message."""
    assert sanitizer((), address)(text) == masked
