"""The command line of ``collect.py`` and its environment, as one frozen value."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from textwrap import fill
from types import SimpleNamespace

from crypto_predict.collecting.retention import parse_keep
from crypto_predict.command_line import CommandLine, Option
from crypto_predict.dataset.layout import KINDS, PARQUET
from crypto_predict.errors import InvalidValue
from crypto_predict.market import DAY, EPOCH, FIRST_DAY, FIRST_EXPECTED, Interval, Pair, Span
from crypto_predict.market.collected import Shard
from crypto_predict.settings import DEFAULT_DATABASE, boolean, day, whole_number
from crypto_predict.sources.catalog import EVERY_EXCHANGE, EXCHANGES, FILE, SIMULATED
from crypto_predict.sources.exchange import Bounds
from crypto_predict.sources.stored import COLLECTED, STORE, pair_or_collected
from crypto_predict.wording import listed

DEFAULT_PAIRS = tuple(Pair(base, "USD") for base in ("BTC", "ETH", "BNB", "LTC", "SOL"))
DEFAULT_INTERVAL = Interval.MINUTE_1

_OTHERS = (
    f"other environment: {', '.join(name for exchange in EXCHANGES.values() for name in exchange.variables)}, "
    "SOURCE_SECONDS and SOURCE_CANDLES (the most that 9,000 candles in a row may take, 300 and 200000)"
)
EXAMPLES = f"""\
examples:
  python collect.py                                                   live: five pairs from 90 days ago on, until Ctrl-C
  python collect.py --pair ADA/USD --since 2024-01-01                 live: one more pair from now on
  python collect.py --source simulated --database /tmp/market.db      live: an invented market, without a network
  python collect.py --backfill --since 2021-01-01                     minutes of five pairs, into data/market.db
  python collect.py --backfill --pair BTC/USD --interval 1h --since 2017-08-17 --source binance
  python collect.py --once                                            what is missing up to now; for cron
  python collect.py --status                                          what is stored, and how complete it is
  python collect.py --explain-gap --pair BTC/USD --since 2024-03-01   why candles are missing
  python collect.py --outages --since 2024-03-01                      outages of the exchanges and of the collector
  python collect.py --export data/market                              a Parquet file for each month, and a manifest
  python collect.py --verify data/market                              whether these files are whole, and as stored
  python collect.py --import data/market --database /tmp/copy.db      back into a database

Collecting may be ended at any time: the same command continues it. SIGTERM ends live collecting with 0.

exit codes: 0 done, 1 the database cannot be used, 2 bad arguments, or another process collects the same,
  3 no usable history of some pair, 130 interrupted
{fill(_OTHERS, width=118, subsequent_indent="  ")}
"""


class Mode(Enum):
    """What one run does."""

    LIVE = "live collecting"  # without an option
    BACKFILL = "--backfill"
    ONCE = "--once"
    STATUS = "--status"
    EXPLAIN_GAP = "--explain-gap"
    REBUILD_ROLLUPS = "--rebuild-rollups"
    OUTAGES = "--outages"
    EXPORT = "--export"
    IMPORT = "--import"
    VERIFY = "--verify"

    @property
    def writes(self) -> bool:
        """Whether the database is written."""
        return self in {Mode.LIVE, Mode.BACKFILL, Mode.ONCE, Mode.REBUILD_ROLLUPS, Mode.IMPORT}

    @property
    def chooses(self) -> bool:
        """Whether it may begin with pairs that are not stored yet."""
        return self in {Mode.LIVE, Mode.BACKFILL}


def exchange_names(text: str) -> tuple[str, ...]:
    """Read the name of a source that can be collected, or ``exchanges``, which means all of them."""
    names = [*EXCHANGES, SIMULATED]
    if text == EVERY_EXCHANGE:
        return tuple(EXCHANGES)
    if text not in names:
        raise InvalidValue("source", text, f"one of {', '.join(names)}; files are not collected")
    return (text,)


def export_kind(text: str) -> str:
    """Read the kind of files of an export."""
    if text not in KINDS:
        raise InvalidValue("format", text, f"one of {', '.join(KINDS)}")
    return text


OPTIONS = (
    Option("--backfill", boolean, "fetch everything from --since on that is not stored yet"),
    Option("--once", boolean, "fetch what is missing up to now for every stored series, and end"),
    Option("--status", boolean, "print what is stored, and how complete it is"),
    Option("--explain-gap", boolean, "print why candles are missing, and whether they can still come"),
    Option("--rebuild-rollups", boolean, "make the longer candles again that are kept beside the stored ones"),
    Option("--outages", boolean, "print the outages of the exchanges and of the collector, and what became of them"),
    Option(
        "--export", Path, "write the stored candles into a folder, a file for each month, if they changed", "FOLDER"
    ),
    Option("--import", Path, "store the candles of an exported folder", "FOLDER"),
    Option("--verify", Path, "check an exported folder, and compare it with the database", "FOLDER"),
    Option(
        "--pair",
        pair_or_collected,
        "pair to collect; may be repeated (default for --backfill, and live if nothing is stored: "
        f"{', '.join(map(str, DEFAULT_PAIRS))}; otherwise every stored pair; {COLLECTED} means this default)",
        "BASE/QUOTE",
        multiple=True,
    ),
    Option(
        "--source",
        exchange_names,
        f"where candles come from, in order of preference (default live and for --backfill: {EVERY_EXCHANGE}, "
        f"which are {','.join(EXCHANGES)}; "
        "otherwise every stored source)",
        "NAME,NAME",
        multiple=True,
    ),
    Option(
        "--interval",
        Interval.parse,
        f"length of a candle: {', '.join(interval.label for interval in Interval)} (default for --backfill: "
        f"{DEFAULT_INTERVAL.label}; otherwise every stored interval)",
        "TIME",
    ),
    Option(
        "--since", day, "first UTC day; --backfill needs it; live, a new pair begins 90 days ago without it", "DATE"
    ),
    Option("--until", day, "last UTC day", "DATE"),
    Option(
        "--database",
        str,
        "where candles are stored: a file of SQLite, or postgresql://...",
        "URL",
        variable="DATABASE_URL",
        default=DEFAULT_DATABASE,
    ),
    Option(
        "--format",
        export_kind,
        f"of the files of --export: {' or '.join(KINDS)}",
        "NAME",
        variable="EXPORT_FORMAT",
        default=PARQUET,
    ),
    Option("--shard", Shard.parse, "live: collect one part of all pairs, beside others that use this database", "N/OF"),
    Option(
        "--keep",
        parse_keep,
        "live: delete candles that are older: days (d), weeks (w) or years (y) for each interval",
        "1m:90d,5m:2y",
    ),
    Option("--no-forecasts", boolean, "live: do not forecast the next minutes and hours of the pairs"),
    Option(
        "--metrics-port",
        whole_number("port", 0, 65_535),
        "live: serve figures for Prometheus and the state of health at this port",
        "PORT",
    ),
    Option("--metrics-host", str, "live: the address at which --metrics-port listens", "HOST", default="127.0.0.1"),
    Option("--json", boolean, "print --status, --explain-gap or --outages as JSON"),
)
COMMAND = CommandLine(
    "collect.py",
    "Collect the candles of exchanges in a database: live, or with one of the first nine options.",
    OPTIONS,
    EXAMPLES,
)
# An environment may serve several commands: a variable that a mode does not use is not an error.
_ONLY_LIVE = ("--shard", "--keep", "--no-forecasts", "--metrics-port", "--metrics-host")
BESIDE = CommandLine("api.py", "", OPTIONS)
# They choose what to collect, and how; the others belong to one run of collect.py, or to train.py.
BESIDE_VARIABLES = frozenset(
    {"PAIR", "SOURCE", "SINCE", "KEEP", "SHARD", "NO_FORECASTS", "METRICS_PORT", "METRICS_HOST"}
)


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """Everything that one run of ``collect.py`` does."""

    mode: Mode
    database: str = field(repr=False)  # may contain a password
    pairs: tuple[Pair, ...]  # empty: every stored pair, or live the default if nothing is stored
    sources: tuple[str, ...]  # names in order of preference; empty: every stored source
    interval: Interval | None  # None: every stored interval
    since: date | None  # the first UTC day
    until: date | None  # the last UTC day; None: up to now
    as_json: bool
    folder: Path | None  # of --export, --import and --verify
    files: str  # the kind of files of --export
    shard: Shard
    keep: Mapping[Interval, timedelta]  # how long candles are kept; others for ever
    forecasts: bool  # whether the minutes and hours of the pairs are forecast
    metrics_port: int | None  # None: figures are not served
    metrics_host: str
    environ: Mapping[str, str] = field(repr=False)  # settings of the sources, with their keys

    @property
    def has_database(self) -> bool:
        """Whether there is a database to compare with: a server, or a file that exists."""
        return "://" in self.database or Path(self.database).exists()

    @property
    def span(self) -> Span:
        """From the first to the last day, both included; without one, from 1970 to the end of 9998."""
        end = (
            datetime(9999, 1, 1, tzinfo=UTC) if self.until is None else datetime.combine(self.until, time(), UTC) + DAY
        )
        return Span(self.start, end)

    @property
    def start(self) -> datetime:
        """The first instant (UTC)."""
        return EPOCH if self.since is None else datetime.combine(self.since, time(), UTC)


def settings_beside(database: str, environ: Mapping[str, str]) -> CollectSettings:
    """Return the settings of live collecting beside a server, from the environment; exit as `read_settings` does."""
    options = {option.envvar for option in OPTIONS} - BESIDE_VARIABLES
    others = {name: value for name, value in environ.items() if name not in options}
    others["SOURCE"] = ",".join(collected_sources(environ))
    return read_settings(["--database", database], others, command=BESIDE)


def collected_sources(environ: Mapping[str, str]) -> list[str]:
    """Return the names in ``SOURCE`` that can be collected; it is also that of train.py, with files and ``store``."""
    names = [name.strip() for name in environ.get("SOURCE", "").split(",")]
    return [name for name in names if name != STORE and not name.startswith(FILE)]


def read_settings(
    arguments: Sequence[str], environ: Mapping[str, str], now: datetime | None = None, command: CommandLine = COMMAND
) -> CollectSettings:
    """Read the settings from the command line and the environment; `now` is in UTC, None: this instant.

    Exit with 2 after a bad argument, whose value is named, and with 0 after ``--help``.
    """
    options = command.parse(arguments, environ)
    flags = [getattr(options, mode.value.strip("-").replace("-", "_")) for mode in tuple(Mode)[1:]]
    modes = [mode for mode, flag in zip(tuple(Mode)[1:], flags, strict=True) if flag] or [Mode.LIVE]
    if len(modes) > 1:
        named = listed([mode.value for mode in modes])
        command.fail(f"{named} were asked for; expected one of them, or none for live collecting")
    mode = modes[0]
    if fault := _fault(mode, options, command.named(arguments, environ), now or datetime.now(UTC)):
        command.fail(fault)
    try:
        Bounds.from_environ(environ)  # read again where the sources are opened
    except InvalidValue as error:
        command.fail(str(error))
    return CollectSettings(
        mode=mode,
        database=options.database,
        pairs=tuple(pair for pair in options.pair if pair is not None)
        or (DEFAULT_PAIRS if mode is Mode.BACKFILL else ()),
        sources=options.source or (tuple(EXCHANGES) if mode.chooses else ()),
        interval=options.interval or (DEFAULT_INTERVAL if mode.chooses else None),
        since=options.since,
        until=options.until,
        as_json=options.json,
        folder=options.export or getattr(options, "import") or options.verify,
        files=options.format,
        shard=options.shard or Shard(),
        keep=options.keep or {},
        forecasts=not options.no_forecasts,
        metrics_port=options.metrics_port,
        metrics_host=options.metrics_host,
        environ=environ,
    )


def _fault(mode: Mode, options: SimpleNamespace, given: Collection[str], now: datetime) -> str | None:
    """Return what is wrong with the options, of which the command line has those that are `given`; None if nothing."""
    since, until, interval = options.since, options.until, options.interval
    if mode is not Mode.LIVE and (names := [name for name in _ONLY_LIVE if name in given]):
        use = f"{mode.value} does not use {listed(names)}, only live collecting does"
        return f"{use}; leave {listed(names)} out, or {mode.value}"
    if mode not in {Mode.STATUS, Mode.EXPLAIN_GAP, Mode.OUTAGES} and "--json" in given:
        use = f"{mode.value} does not use --json, only --status, --explain-gap and --outages do"
        return f"{use}; leave --json out, or ask for one of them"
    if mode is not Mode.EXPORT and "--format" in given:
        return f"{mode.value} does not use --format, only --export does; leave --format out, or ask for --export"
    needed = "the first day of the backfill, such as --since 2021-01-01"
    endless = "used by live collecting, which does not end; add --backfill"
    only, label, is_live = DEFAULT_INTERVAL.label, interval and interval.label, mode is Mode.LIVE
    faults = (
        (since is None and mode is Mode.BACKFILL, "--since", "(not given)", needed),
        (since and since < FIRST_DAY, "--since", since, FIRST_EXPECTED),
        (since and until and since > until, "--since", since, f"a day up to --until, {until}"),
        (since and since > now.date(), "--since", since, f"a day up to today, {now:%Y-%m-%d} in UTC"),
        (is_live and label not in {None, only}, "--interval", label, f"{only}; add --backfill for others"),
        (is_live and until, "--until", until, endless),
    )
    return next((str(InvalidValue(name, value, text)) for is_wrong, name, value, text in faults if is_wrong), None)
