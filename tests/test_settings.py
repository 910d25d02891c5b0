import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.command_line import CommandLine, Option
from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.settings import admin_token, boolean, day, instant_of_epoch, label, masked, whole_number
from crypto_predict.wording import read_duration
from tests.support.serving import SETTINGS


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


def test_without_options_the_defaults_apply() -> None:
    options = parse({})
    assert (options.port, options.stale_after, options.until) == (8000, timedelta(hours=24), None)
    assert (options.pair, options.json) == ((Pair("BTC", "USD"),), False)


def test_an_environment_variable_replaces_the_default() -> None:
    options = parse(
        {"PORT": "80", "STALE_AFTER": "2d", "UNTIL": "2025-06-30", "PAIR": "ETH/USD, LTC/USD", "JSON": "yes"}
    )
    assert (options.port, options.stale_after, options.until) == (80, timedelta(days=2), date(2025, 6, 30))
    assert (options.pair, options.json) == ((Pair("ETH", "USD"), Pair("LTC", "USD")), True)


def test_an_option_wins_over_the_environment() -> None:
    """A list on the command line replaces that of the environment."""
    environ = {"PORT": "80", "STALE_AFTER": "2d", "UNTIL": "2025-06-30", "PAIR": "ETH/USD"}
    options = parse(environ, "--port", "81", "--stale-after", "90s", "--until", "2024-01-01", "--pair", "LTC/USD")
    assert (options.port, options.stale_after, options.until) == (81, timedelta(seconds=90), date(2024, 1, 1))
    assert options.pair == (Pair("LTC", "USD"),)


def test_an_empty_environment_variable_counts_as_absent() -> None:
    """Compose files and workflows pass unset variables as empty ones."""
    assert parse(dict.fromkeys(["PORT", "STALE_AFTER", "UNTIL", "PAIR", "JSON"], "")) == parse({})


def test_a_list_may_be_repeated_and_may_hold_commas_and_drops_duplicates() -> None:
    """Parsing again shares no state with that."""
    options = parse({}, "--pair", "BTC/USD, ETH/USD", "--pair", "LTC/USD", "--pair", "eth-usd")
    assert options.pair == (Pair("BTC", "USD"), Pair("ETH", "USD"), Pair("LTC", "USD"))
    assert parse({}, "--pair", "LTC/USD").pair == (Pair("LTC", "USD"),)


@pytest.mark.parametrize(
    ("arguments", "named"),
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
    ],
)
def test_a_faulty_option_is_named_with_its_value_and_ends_with_2(
    arguments: list[str], named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse({}, *arguments)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert all(part in message for part in named), message
    assert message.startswith("command: error: ")
    assert message.count("\n") == 1, "one line, whatever was typed"
    assert len(message) < 400


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "http"), ("STALE_AFTER", "0"), ("UNTIL", "never"), ("PAIR", "BTC/USD,"), ("JSON", "perhaps")],
)
def test_a_faulty_environment_variable_is_named_and_ends_with_2(
    variable: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the option, which was not given."""
    with pytest.raises(SystemExit) as end:
        parse({variable: value})
    assert end.value.code == 2
    assert f"environment variable {variable}: " in capsys.readouterr().err


def test_a_faulty_variable_does_not_matter_to_an_option_that_is_given() -> None:
    """The command line wins, so a variable that cannot be changed can be overridden."""
    assert parse({"PORT": "http"}, "--port", "9000").port == 9000


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


def test_true_and_false_have_several_spellings() -> None:
    assert [boolean(text) for text in ("1", "true", "YES", "On")] == [True] * 4
    assert [boolean(text) for text in ("", "0", "False", "no", "OFF")] == [False] * 5


@given(st.integers(-1000, 1000))
def test_whole_numbers_are_read_between_their_bounds_both_included(number: int) -> None:
    read = whole_number("n", -5, 500)
    if -5 <= number <= 500:
        assert read(str(number)) == number
    else:
        with pytest.raises(InvalidValue):
            read(str(number))


@pytest.mark.parametrize("text", ["", " 1", "1.0", "1e3", "0x10", "1_000", "+1", "\u0661", "--1", "9" * 5000, "one"])
def test_only_plain_whole_numbers_are_accepted(text: str) -> None:
    """Python's ``int`` accepts several of these."""
    with pytest.raises(InvalidValue, match="n: "):
        whole_number("n", -(10**17), 10**17)(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("90s", 90), ("15m", 15 * 60), ("24h", 24 * 3600), (" 2D ", 2 * 86_400)]
)
def test_durations_are_read_with_their_unit(text: str, seconds: int) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "0h", "-1h", "1.5h", "h", "1w", "1h30m", "1234567890", "\u0661h", "1825001d"]
)
def test_only_positive_durations_are_accepted(text: str) -> None:
    with pytest.raises(InvalidValue) as error:
        read_duration(text)
    assert error.value.value == text


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-02-30", "2024-13-01", "0000-01-01", "30.06.2025", "2024-06-01T00"]
)
def test_only_iso_dates_are_accepted(text: str) -> None:
    with pytest.raises(InvalidValue, match="ISO date"):
        day(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1716034247", datetime(2024, 5, 18, 12, 10, 47, tzinfo=UTC)),
        ("253402300799", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_the_training_time_is_read_from_source_date_epoch(text: str | None, expected: datetime | None) -> None:
    assert instant_of_epoch(text) == expected


@pytest.mark.parametrize("text", ["-1", "1.5", "now", "253402300800", "9" * 30])
def test_an_invalid_training_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="SOURCE_DATE_EPOCH"):
        instant_of_epoch(text)


@pytest.mark.parametrize("text", ["1.0\xe4", "1.0\udce4", "1 0", "a\nb", "-1", "x" * 101, "1/2", '1"'])
def test_an_invalid_label_is_refused(text: str) -> None:
    """A valid one is unchanged, and an empty one counts as unset."""
    assert [label("MODEL_VERSION", valid) for valid in (None, "", "1.2.3-rc.1+b_2")] == [None, None, "1.2.3-rc.1+b_2"]
    with pytest.raises(InvalidValue, match="MODEL_VERSION: "):
        label("MODEL_VERSION", text)


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


@pytest.mark.parametrize("text", [None, "", " \n", "sixteen of these", " schl\u00fcssel, der lang ist\n", "x" * 1_024])
def test_a_token_is_read_without_the_blanks_around_it(text: str | None) -> None:
    """Files of secrets end with a line feed."""
    assert admin_token({} if text is None else {"ADMIN_TOKEN": text}) == ((text or "").strip() or None)


@pytest.mark.parametrize(
    "text", ["hunter2" * 200, "\u2603" * 342, "hunter\n2", "hunter\x002", "hunter2", "hunter2hunter2h"]
)
def test_a_token_that_can_be_guessed_or_that_no_header_can_carry_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidValue, match="ADMIN_TOKEN") as refused:
        admin_token({"ADMIN_TOKEN": text})
    assert "hunter" not in str(refused.value) + repr(vars(refused.value))


def test_the_settings_of_the_server_can_be_logged() -> None:
    """They do not show the token."""
    assert "hunter2" not in repr(dataclasses.replace(SETTINGS, admin_token="hunter2"))
