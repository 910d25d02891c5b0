"""The command line of ``train.py`` and its environment, as one frozen value."""

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from textwrap import fill
from types import SimpleNamespace

from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.models import NAME
from crypto_predict.command_line import CommandLine, Option
from crypto_predict.errors import InvalidValue, shown
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.market import Interval, Pair
from crypto_predict.market.collected import Shard
from crypto_predict.market.forecast import HOURS_AHEAD, MINUTES_AHEAD
from crypto_predict.settings import DEFAULT_DATABASE, boolean, day, file_path, instant_of_epoch, label, whole_number
from crypto_predict.sources.catalog import EVERY_EXCHANGE, EXCHANGES, FILE, pair_in_name, source_names
from crypto_predict.sources.exchange import Bounds
from crypto_predict.sources.stored import COLLECTED, pair_or_collected
from crypto_predict.training.lists import ALL, LIST, LISTED_BY, EveryPair, read_list
from crypto_predict.wording import listed, read_duration

DEFAULT_PAIR = Pair("BTC", "USD")
# What is scored with --interval 1m and 1h: the unit, by default so many days, at these horizons, and the longest one.
INTRADAY = {
    Interval.MINUTE_1: ("minutes", 90, (1, 5, 15), MINUTES_AHEAD),  # days that the default of SOURCE_CANDLES allows
    Interval.HOUR_1: ("hours", 1_095, (1, 3, 6, 12, 24), HOURS_AHEAD),
}

_SOURCES = (
    f"where history comes from, in order of preference: {', '.join(EXCHANGES)}, store, file:PATH, simulated; "
    f"{EVERY_EXCHANGE}: all exchanges in this order"
)
_DAYS = "longest history that a fit sees, in days; unless given 90 with --interval 1m, 1095 with 1h"
_HOURS = "hourly candles from which the next 24 hours are learned; 0: without them"
_HORIZONS = (
    "days ahead at which the forecast is scored; with --interval 1m minutes, 1,5,15 unless given; with 1h hours, "
    "1,3,6,12,24"
)
_EVERY = "days from one cutoff of the backtest to the next; with --interval 1m minutes, with 1h hours"
RIVALS = ("prophet", "gaussian", "garch", "deribit", "theta", "damped-trend", "local-level", "autoregression")
_RIVALS = f"models that are tested and served beside ours: {', '.join(RIVALS)}, FILE.py, FILE.csv; none with ''"
_RIVAL_EVERY = "days from one cutoff to the next in the test of a FILE.py"
_RIVAL_SECONDS = "longest time that the test of one FILE.py takes; past it, it is scored on what it has"
_SERVE = f"the model that answers by default, {COMBINED} or one of the rivals, unless it is worse than persistence"
_REPEAT = "train at once and then at each multiple of this time, such as 6h, until SIGTERM; continues model and ledger"
_PAIR = (
    f"pair to forecast; may be repeated (default: {DEFAULT_PAIR}; a file needs it); {COLLECTED}: all those too that "
    f"collect.py collects; {LIST}FILE: those of a list, one a line; {ALL}, {ALL}:200: all or the first ones of the "
    f"source's list ({', '.join(LISTED_BY)}), each with a file of its own in a folder"
)
_OUTPUT = "the model file to write, or a folder (models/), which gets a file a pair and their index"
_WORKERS = "processes of this machine that train the pairs of a folder"
_SHARD = "train this part of the pairs of a folder, such as 3/16; by default that of JOB_COMPLETION_INDEX and SHARDS"
_MERGE = "train nothing: make one folder, --output, of those of all shards; may be repeated"
_MOST_REFUSED = "percent of the pairs of a folder that may be refused; more refuse the release"
_DATABASE = "what --source store reads: the database of collect.py"
_INTERVAL = "1d: train a model; 1m and 1h: only score the forecasts of minutes or hours, and write no model"
LEAST_HOURS = timedelta(days=61)  # from which they can be learned
ONE_A_PAIR = "several pairs need {base} in the name"
EXAMPLES = """\
examples:
  python train.py                                        Bitcoin from an exchange, five years back, no key needed
  python train.py --pair BTC/USD --pair ETH/USD          several pairs in one model
  python train.py --pair SOL/USD --source file:SOL.csv   your own CSV or CSV.gz: time,open,high,low,close,volume
  python train.py --source exchanges,simulated           a simulated market if no exchange can be reached
  python train.py --source store                         what collect.py has collected, joined to days
  python train.py --pair collected                       every pair that collect.py collects
  python train.py --until 2025-06-30                     as if that were yesterday
  python train.py --picture forecast.svg                 a picture beside the model
  python train.py --backtest backtest.csv                every forecast of the backtest, one a row
  python train.py --interval 1m --backtest minutes.csv   forecasts of minutes out of sample; no model is written
  python train.py --interval 1h --backtest hours.csv     the same of hours
  python train.py --ledger model.ledger.jsonl            continue the record of released forecasts
  python train.py --pair all:200 --source simulated --output models/ --workers 2    a folder with a file a pair
  python train.py --repeat 6h                            train now and every six hours, each time from the model before

exit codes: 0 done, 1 the result could not be written, 2 bad arguments, 3 no usable history, 4 refused by the gate,
  130 interrupted; with --repeat 0 after SIGTERM
"""
_VARIABLES = [name for each in EXCHANGES.values() for name in each.variables if name != each.stream.variable]
EXAMPLES += (
    fill(
        f"other environment: {', '.join(_VARIABLES)}, "
        "DERIBIT_API_URL (the index of --rivals deribit), "
        "SOURCE_SECONDS and SOURCE_CANDLES (the most that one history may take, 300 and 200000), SOURCE_DATE_EPOCH "
        "(the training time), RIVAL_USER (the user id of a FILE.py, if root trains), TRAINED_EVERY (the time to the "
        "next training of a release, such as 6h), MODEL_VERSION and GIT_REVISION (shown in the model card), "
        "GATE_STALEST_HOURS and the gate's other thresholds",
        width=118,
        subsequent_indent="  ",
    )
    + "\n"
)


def _pair(text: str) -> Pair | EveryPair | tuple[Pair, ...] | None:
    if text.startswith(LIST):
        return read_list(text)
    return EveryPair.parse(text) or pair_or_collected(text)


@dataclass(frozen=True, slots=True)
class _Output:
    """The path of ``--output``."""

    path: Path
    is_folder: bool

    @classmethod
    def parse(cls, text: str) -> "_Output":
        path = file_path(text)
        return cls(path, text.endswith("/") or os.path.isdir(path))  # noqa: PTH112 false, not an error, if the name is too long


def _rival(text: str) -> str | tuple[str, ...]:
    if not text:
        return ()
    if text not in RIVALS and not text.endswith((".py", ".csv")):
        raise InvalidValue("rival", text, f"{', '.join(RIVALS)}, a .py file with a model, or a .csv with forecasts")
    return text


def _model(text: str) -> str:
    if not NAME.fullmatch(text):
        raise InvalidValue("serve", text, "the name of a model, such as combined, garch or mine")
    return text


def _interval(text: str) -> Interval:
    interval = Interval.parse(text)
    if interval not in {Interval.DAY_1, *INTRADAY}:
        raise InvalidValue("interval", text, "1d, 1h or 1m")
    return interval


def _hours(text: str) -> int:
    """Return whole days."""
    span = read_duration(text, "hours") if text.strip("0") else timedelta()
    if span and not LEAST_HOURS <= span <= timedelta(days=3_650):
        raise InvalidValue("hours", text, f"0, or a time from {LEAST_HOURS.days}d to 3650d, such as 365d")
    return span.days


def _every(text: str, name: str = "time") -> timedelta:
    every = read_duration(text, name)
    if not timedelta(minutes=1) <= every <= timedelta(days=30):
        raise InvalidValue(name, text, "a time from 1m to 30d, such as 6h")
    return every


# With --interval 1m and 1h they have nothing to do.
_ONLY_DAYS = (
    "--hours",
    *("--output", "--prophet-json", "--picture", "--ledger", "--champion", "--no-gate"),
    *("--rivals", "--rival-every", "--rival-seconds", "--serve"),
)
COMMAND = CommandLine(
    "train.py",
    "Train a forecast and bake it into one file: history in, model.pkl out.",
    [
        Option("--pair", _pair, _PAIR, "BASE/QUOTE", multiple=True),
        Option("--source", source_names, _SOURCES, "NAME,NAME", default=(EVERY_EXCHANGE,), multiple=True),
        Option("--days", whole_number("days", 30, 36_500), _DAYS, "N", default="1825"),
        Option("--hours", _hours, _HOURS, "TIME", default="365d"),
        Option("--database", str, _DATABASE, "URL", variable="DATABASE_URL", default=DEFAULT_DATABASE),
        Option("--interval", _interval, _INTERVAL, "TIME", variable="TRAIN_INTERVAL", default=Interval.DAY_1.label),
        Option("--until", day, "ignore every candle after this UTC day", "DATE"),
        Option("--seed", whole_number("seed", 0, 2**31 - 1), "seed of fit and simulated market", "N", default="0"),
        Option("--output", _Output.parse, _OUTPUT, "FILE", default="model.pkl"),
        Option("--workers", whole_number("workers", 1, 256), _WORKERS, "N", default="1"),
        Option("--shard", Shard.parse, _SHARD, "N/OF"),
        Option("--merge", file_path, _MERGE, "FOLDER", multiple=True),
        Option("--most-refused", whole_number("most-refused", 0, 100), _MOST_REFUSED, "N", default="10"),
        Option("--prophet-json", file_path, f"also write Prophet's own JSON; {ONE_A_PAIR}", "FILE"),
        Option("--picture", file_path, f"also draw the forecast as .svg, .png or .pdf; {ONE_A_PAIR}", "FILE"),
        Option("--backtest", file_path, "also write every forecast of the backtest, as CSV", "FILE"),
        Option("--horizons", whole_number("horizons", 1, 365), _HORIZONS, "N,N", default=("1,7,30,90",), multiple=True),
        Option("--every", whole_number("every", 1, 365), _EVERY, "N", default="1"),
        Option("--rivals", _rival, _RIVALS, "NAME,NAME", default=("prophet,garch",), multiple=True),
        Option("--rival-every", whole_number("rival-every", 1, 365), _RIVAL_EVERY, "N", default="7"),
        Option("--rival-seconds", whole_number("rival-seconds", 1, 86_400), _RIVAL_SECONDS, "N", default="600"),
        Option("--serve", _model, _SERVE, "NAME", default=COMBINED),
        Option("--ledger", file_path, "the ledger of earlier releases, which is scored and continued", "FILE"),
        Option("--champion", file_path, "the model that this one would replace; a worse one is refused", "FILE"),
        Option("--no-gate", boolean, "write the model even if the gate refuses it; the model card records that"),
        Option("--repeat", _every, _REPEAT, "TIME"),
        Option("--json", boolean, "print the report as JSON"),
        Option("--verbose", boolean, "print all tables of the report"),
    ],
    EXAMPLES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Everything that one run does.

    With minutes and hours only the fields of history, of the backtest and `backtest` matter.
    """

    # The history.
    pairs: tuple[Pair, ...]
    sources: tuple[str, ...]  # names in order of preference
    days: int  # longest history that a fit sees
    until: date | None = None  # candles after this UTC day are ignored
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)  # settings of the sources, with their keys
    hours: int = 0  # days of hourly candles, of which the next 24 hours are learned; 0: there are none
    database: str = field(default="", repr=False)  # what the source store reads; may contain a password
    every_pair: EveryPair | None = None  # those that the first source lists, too
    collected: bool = False  # whether every collected pair is forecast, too; one that fails does not stop the others
    interval: Interval = Interval.DAY_1  # others train nothing: their forecasts are scored
    seed: int = 0  # of the fit and the simulated market
    # The backtest.
    horizons: tuple[int, ...]  # days (minutes, hours) ahead, ascending
    every: int  # days (minutes, hours) from one cutoff to the next
    rivals: tuple[str, ...] = ("prophet", "garch")  # models that are tested beside ours
    rival_every: int = 7  # days from one cutoff of a file's model to the next
    rival_seconds: int = 600  # that its test takes at most
    rival_user: int | None = None  # RIVAL_USER; None: the user of this program
    serve: str = COMBINED  # the model that answers by default
    # The gate.
    thresholds: GateThresholds = field(default_factory=GateThresholds)
    enforced: bool = True  # False: faults are only published in the model card
    # The release before this one.
    ledger: Path | None = None  # continued beside the model
    champion: Path | None = None  # the model that this one would replace
    # The files to write; None if a file is not wanted. `Pair.fill` inserts the pair where there is one file a pair.
    output: Path  # the model, or the folder of models
    is_folder: bool = False  # whether it is a folder
    backtest: Path | None = None  # every forecast of the backtest, as CSV
    prophet_json: Path | None = None  # for each pair
    picture: Path | None = None  # for each pair
    # What a release sets in the environment.
    trained_at: datetime | None = None  # SOURCE_DATE_EPOCH; None: now
    version: str | None = None  # MODEL_VERSION; None: the version of this program
    git_revision: str | None = None  # GIT_REVISION; None: asked from git
    trained_every: timedelta | None = None  # TRAINED_EVERY; None: no training is planned after this one
    # How it is run.
    repeat: timedelta | None = None  # from one training to the next; None: it is trained once
    workers: int = 1  # processes for the pairs of a folder
    shard: Shard | None = None  # the part of these pairs; None: all
    merged: tuple[Path, ...] = ()  # the folders of all shards, of which one is made; nothing is trained then
    most_refused: int = 10  # percent of the pairs of a folder
    verbose: bool = False  # whether the report has all tables


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[TrainSettings, bool]:
    """Read the settings from the command line and the environment, and whether the report is wanted as JSON.

    Raises:
        SystemExit: With 2 after a bad argument, whose value is named; with 0 after ``--help``.
    """
    options = COMMAND.parse(arguments, environ)
    files = [name for name in options.source if name.startswith(FILE) and "{base}" not in name]
    if files and not options.pair:
        typed = shlex.join(["python", "train.py", *arguments, "--pair", str(pair_in_name(files[0]))])
        COMMAND.fail(f"the pair of {shown(files[0])} is not named; type: {typed} (or set PAIR)")
    try:
        Bounds.from_environ(environ)  # read again where the sources are opened, after slow imports
        if options.interval in INTRADAY:
            _count_within_days(options, COMMAND.named(arguments, environ))
        trained_at = instant_of_epoch(environ.get("SOURCE_DATE_EPOCH"))
        if options.repeat is not None:
            _check_repeated(options, trained_at)
        trained_every = environ.get("TRAINED_EVERY", "").strip()
        rival_user = environ.get("RIVAL_USER", "").strip()
        given = vars(options)
        as_json, pairs, output, merged = (given.pop(name) for name in ("json", "pair", "output", "merge"))
        every_pair = next((pair for pair in pairs if isinstance(pair, EveryPair)), None)
        named = tuple(pair for pair in pairs if isinstance(pair, Pair))
        given["shard"] = given["shard"] or _shard_of_job(environ)
        settings = TrainSettings(
            pairs=named or (() if every_pair else (DEFAULT_PAIR,)),
            every_pair=every_pair,
            collected=None in pairs,
            output=output.path,
            is_folder=output.is_folder,
            merged=merged,
            sources=given.pop("source"),
            environ=environ,
            horizons=tuple(sorted(given.pop("horizons"))),
            rivals=tuple(dict.fromkeys(given.pop("rivals"))),
            thresholds=GateThresholds.from_environ(environ),
            enforced=not given.pop("no_gate"),
            trained_at=trained_at,
            version=label("MODEL_VERSION", environ.get("MODEL_VERSION")),
            git_revision=label("GIT_REVISION", environ.get("GIT_REVISION")),
            trained_every=_every(trained_every, "TRAINED_EVERY") if trained_every else None,
            rival_user=whole_number("RIVAL_USER", 1, 2**31 - 1)(rival_user) if rival_user else None,
            **given,
        )
        _check_folder(settings)
    except InvalidValue as error:
        COMMAND.fail(str(error))
    return settings, as_json


def _check_repeated(options: SimpleNamespace, trained_at: datetime | None) -> None:
    """Raise `InvalidValue` if an option or a variable means one training, which --repeat does not end with."""
    if options.interval in INTRADAY:
        raise InvalidValue(
            "--repeat", options.repeat, f"used with --interval {options.interval.label}, which writes no model"
        )
    if options.until is not None:
        raise InvalidValue("--until", options.until, "used with --repeat, which always trains up to now")
    if trained_at is not None:
        raise InvalidValue("SOURCE_DATE_EPOCH", trained_at, "used with --repeat, where each training has its own time")


def _shard_of_job(environ: Mapping[str, str]) -> Shard | None:
    """Return the shard of a Kubernetes Indexed Job: ``JOB_COMPLETION_INDEX``, from 0, of ``SHARDS``; None without."""
    if not (number := environ.get("JOB_COMPLETION_INDEX", "").strip()) or not (of := environ.get("SHARDS", "").strip()):
        return None
    most = whole_number("SHARDS", 1, 9_999)(of)
    return Shard(whole_number("JOB_COMPLETION_INDEX", 0, most - 1)(number) + 1, most)


def _check_folder(settings: TrainSettings) -> None:
    """Raise `InvalidValue` if a setting is of a folder and the output is a file, or the other way round."""
    if not settings.is_folder:
        for option, unused in (
            ("--pair", None if settings.every_pair is None else ALL),
            ("--workers", settings.workers if settings.workers > 1 else None),
            ("--shard", settings.shard),
            ("--merge", settings.merged[0] if settings.merged else None),
        ):
            if unused is not None:
                raise InvalidValue(option, str(unused), "used with a model file; name a folder: --output models/")
        return
    if settings.interval in INTRADAY:
        raise InvalidValue("--interval", settings.interval.label, "1d, which the models of a folder have")
    for option, value in (
        ("--pair", COLLECTED if settings.collected else None),
        ("--backtest", settings.backtest),
        ("--prophet-json", settings.prophet_json),
        ("--picture", settings.picture),
        ("--ledger", settings.ledger),
        ("--repeat", settings.repeat),
    ):
        if value is not None:
            raise InvalidValue(option, str(value), "used with a folder of models; name a model file with --output")


def _count_within_days(options: SimpleNamespace, given: Collection[str]) -> None:
    """Set what is counted in minutes or hours to the defaults of these, unless it is `given` on the command line.

    Variables are left unused: an environment serves every training.

    Raises:
        InvalidValue: An option on the command line has nothing to do, or horizons are too far ahead.
    """
    label, (unit, days, horizons, most) = options.interval.label, INTRADAY[options.interval]
    if unused := [name for name in _ONLY_DAYS if name in given]:
        raise InvalidValue("--interval", label, f"1d, which {listed(unused)} needs; {label} writes no model")
    if None in options.pair:
        raise InvalidValue("--pair", COLLECTED, f"a pair such as BTC/USD, as {label} needs")
    if "--horizons" not in given:
        options.horizons = horizons
    if max(options.horizons) > most:
        raise InvalidValue("--horizons", max(options.horizons), f"at most {most} {unit} ahead")
    if "--days" not in given:
        options.days = days
    if "--every" not in given:
        options.every = 1
