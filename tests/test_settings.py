import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.command_line import CommandLine, Option
from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.settings import admin_token, boolean, day, instant_of_epoch, label, masked, whole_number
from crypto_predict.wording import read_duration
from tests.support.serving import SETTINGS

DEFAULTS = {
    "port": 8000,
    "stale_after": timedelta(hours=24),
    "until": None,
    "pair": (Pair("BTC", "USD"),),
    "json": False,
}
ENVIRON = {"PORT": "80", "STALE_AFTER": "2d", "UNTIL": "2025-06-30", "PAIR": "ETH/USD, LTC/USD", "JSON": "yes"}


def parse(environ: Mapping[str, str], *arguments: str) -> SimpleNamespace:
    """Parse a command with one option of each kind."""
    options = [
        Option("--port", whole_number("port", 0, 65_535), "100 % of the port", "N", default="8000"),
        Option("--stale-after", read_duration, "when a model is old", "TIME", default="24h"),
        Option("--until", day, "last day", "DATE"),
        Option("--pair", Pair.parse, "pairs", "PAIR", default=("BTC/USD",), multiple=True),
        Option("--json", boolean, "as JSON"),
    ]
    command = CommandLine("command", "A command.", options)
    return command.parse(arguments, environ)


def test_an_option_wins_over_its_variable_which_replaces_the_default_unless_it_is_empty() -> None:
    """Compose files and workflows pass unset variables as empty ones. A list replaces that of the environment."""
    assert vars(parse({})) == vars(parse(dict.fromkeys(ENVIRON, ""))) == DEFAULTS
    pairs = (Pair("ETH", "USD"), Pair("LTC", "USD"))
    changed = {"port": 80, "stale_after": timedelta(days=2), "until": date(2025, 6, 30), "pair": pairs, "json": True}
    assert vars(parse(ENVIRON)) == changed
    given = parse(ENVIRON, "--stale-after", "90s", "--until", "2024-01-01", "--pair", "LTC/USD")
    wins = {"stale_after": timedelta(seconds=90), "until": date(2024, 1, 1), "pair": pairs[1:]}
    assert vars(given) == changed | wins
    assert parse({"PORT": "http"}, "--port", "9000").port == 9000  # its variable may be faulty


def test_a_list_may_be_repeated_and_may_hold_commas_and_drops_duplicates() -> None:
    """Parsing again shares no state with that."""
    options = parse({}, "--pair", "BTC/USD, ETH/USD", "--pair", "LTC/USD", "--pair", "eth-usd")
    assert options.pair == (Pair("BTC", "USD"), Pair("ETH", "USD"), Pair("LTC", "USD"))
    assert parse({}, "--pair", "LTC/USD").pair == (Pair("LTC", "USD"),)


FAULTY_VARIABLES = {"PORT": "http", "STALE_AFTER": "0", "UNTIL": "never", "PAIR": "BTC/USD,", "JSON": "perhaps"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--port", "65536"], ["--port", "'65536'", "a whole number from 0 to 65535"]),
        (["--stale-after", "soon"], ["--stale-after", "'soon'", "90s, 15m, 24h or 2d"]),
        (["--until", "2024-02-30"], ["--until", "'2024-02-30'", "ISO date"]),
        (["--pair", "BTC/USD,bitcoin"], ["--pair", "'bitcoin'", "BTC/USD"]),
        (["--pair", ""], ["--pair", "''"]),
        (["--prot", "1"], ["no such option `--prot`; did you mean `--port`?"]),
        (["--untill=2024-01-01"], ["no such option `--untill`; did you mean `--until`?"]),
        (["-pair", "BTC/USD"], ["did you mean `--pair`?"]),
        (["--p", "1"], ["no such option `--p`"]),
        (["--zzz" + "z" * 10_000], ["no such option `--zzz", "`python command --help` lists the options"]),
        (["--port"], ["--port", "requires an argument"]),
        (["--port", "--json"], ["--port: '--json' is not a value; expected --port N"]),
        (["--json=1"], ["--json", "does not take a value"]),
        (["BTC/USD"], ["unexpected argument 'BTC/USD'"]),
        (["--until", "2024\n01"], ["--until: '2024\\n01' is not one line of UTF-8 text"]),
        (["--pair", "\udcff"], ["--pair: '\\udcff' is not one line of UTF-8 text"]),
        (["--un\ntil", "x\udcff"], ["no such option `--un?til`; did you mean `--until`?"]),
        *(({name: text}, [f"environment variable {name}: "]) for name, text in FAULTY_VARIABLES.items()),
    ],
)
def test_a_faulty_option_or_variable_is_named_with_its_value_and_ends_with_2(
    given: list[str] | dict[str, str], named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(given) if isinstance(given, dict) else parse({}, *given)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert all(part in message for part in named), message
    assert message.startswith("command: error: ")
    assert message.count("\n") == 1, "one line, whatever was typed"
    assert len(message) < 400


def test_the_help_names_every_default_and_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """It is shown despite faulty variables."""
    with pytest.raises(SystemExit) as end:
        parse({"PORT": "http"}, "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    assert "100 % of the port [env var: PORT; default: 8000]" in shown
    assert "when a model is old [env var: STALE_AFTER; default: 24h]" in shown
    assert "last day [env var: UNTIL]" in shown
    assert "pairs [env var: PAIR; default: BTC/USD]" in shown
    assert "as JSON [env var: JSON]" in shown


@given(st.integers(-1000, 1000))
def test_whole_numbers_are_read_between_their_bounds_both_included(number: int) -> None:
    read = whole_number("n", -5, 500)
    if -5 <= number <= 500:
        assert read(str(number)) == number
    else:
        with pytest.raises(InvalidValue):
            read(str(number))


def token(text: str | None) -> str | None:
    return admin_token({} if text is None else {"ADMIN_TOKEN": text})


read_label = partial(label, "MODEL_VERSION")
TOKENS = (None, "", " \n", "sixteen of these", " schl\u00fcssel, der lang ist\n", "x" * 1_024)
VALID: list[tuple[Callable[[Any], object], Mapping[Any, object]]] = [
    (boolean, dict.fromkeys(("1", "true", "YES", "On"), True) | dict.fromkeys(("", "0", "False", "no", "OFF"), False)),
    (lambda text: read_duration(text).total_seconds(), {"1": 1, "90s": 90, "15m": 900, "24h": 86_400, " 2D ": 172_800}),
    (read_label, {None: None, "": None, "1.2.3-rc.1+b_2": "1.2.3-rc.1+b_2"}),
    (token, {text: (text or "").strip() or None for text in TOKENS}),  # files of secrets end with a line feed
    (instant_of_epoch, {None: None, "": None, "0": datetime(1970, 1, 1, tzinfo=UTC)}),
    (instant_of_epoch, {"1716034247": datetime(2024, 5, 18, 12, 10, 47, tzinfo=UTC)}),
    (instant_of_epoch, {"253402300799": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)}),
]


@pytest.mark.parametrize(("read", "text", "value"), [(read, *item) for read, items in VALID for item in items.items()])
def test_every_spelling_of_a_value_is_read(read: Callable[[Any], object], text: str | None, value: object) -> None:
    assert read(text) == value


INVALID: list[tuple[Callable[[str], object], str, list[str]]] = [
    (
        whole_number("n", -(10**17), 10**17),  # Python's `int` accepts several of these
        "n: ",
        ["", " 1", "1.0", "1e3", "0x10", "1_000", "+1", "\u0661", "--1", "9" * 5000, "one"],
    ),
    (
        read_duration,
        "duration: ",
        ["", "0", "0h", "-1h", "1.5h", "h", "1w", "1h30m", "1234567890", "\u0661h", "1825001d"],
    ),
    (day, "ISO date", ["", "yesterday", "2024-02-30", "2024-13-01", "0000-01-01", "30.06.2025", "2024-06-01T00"]),
    (instant_of_epoch, "SOURCE_DATE_EPOCH", ["-1", "1.5", "now", "253402300800", "9" * 30]),
    (read_label, "MODEL_VERSION: ", ["1.0\xe4", "1.0\udce4", "1 0", "a\nb", "-1", "x" * 101, "1/2", '1"']),
    (
        token,  # that can be guessed, or that no header of a request can carry
        "ADMIN_TOKEN",
        ["hunter2" * 200, "\u2603" * 342, "hunter\n2", "hunter\x002", "hunter2", "hunter2hunter2h"],
    ),
]


@pytest.mark.parametrize(
    ("read", "named", "text"), [(read, named, text) for read, named, texts in INVALID for text in texts]
)
def test_any_other_text_is_refused_and_a_token_is_not_shown(
    read: Callable[[str], object], named: str, text: str
) -> None:
    with pytest.raises(InvalidValue, match=named) as refused:
        read(text)
    assert "hunter" not in str(refused.value) + repr(vars(refused.value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://user:hush@host:80/path", "http://***@host:80/path"),
        ("see https://hush@host, or https://other", "see https://***@host, or https://other"),
        ("http://user:hu/sh@x@host", "http://***@host"),
        ("http://host/path?key=hush&x=hush#hush", "http://host/path?***"),
        ("is this right? Yes", "is this right? Yes"),
    ],
)
def test_secrets_in_addresses_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_the_settings_of_the_server_can_be_logged() -> None:
    """They do not show the token."""
    assert "hunter2" not in repr(dataclasses.replace(SETTINGS, admin_token="hunter2"))
