"""The command line of ``train.py`` and its environment, as settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from crypto_predict.command_line import CommandLine
from crypto_predict.errors import InvalidValue, shown
from crypto_predict.market import Pair
from crypto_predict.settings import (
    GateThresholds,
    SourceSettings,
    day,
    file_path,
    instant_of_epoch,
    label,
    whole_number,
)
from crypto_predict.sources.catalog import FILE, pair_in_name, source_name
from crypto_predict.training.settings import (
    BacktestPlan,
    EarlierRelease,
    GatePlan,
    HistoryRequest,
    Outputs,
    ReleaseFacts,
    TrainSettings,
)

DEFAULT_PAIR = Pair("BTC", "USD")

DESCRIPTION = "Train a forecast and bake it into one file: history in, model.pkl out."
EXAMPLES = """\
examples:
  python train.py                                        Bitcoin from Alpaca, five years back, no key needed
  python train.py --pair BTC/USD --pair ETH/USD          several pairs in one model
  python train.py --pair SOL/USD --source file:SOL.csv   your own CSV or CSV.gz: time,open,high,low,close,volume
  python train.py --source alpaca,simulated              an invented market where no exchange can be reached
  python train.py --until 2025-06-30                     as if that were yesterday
  python train.py --picture forecast.svg                 a picture beside the model
  python train.py --backtest backtest.csv                every forecast of the backtest, one a row
  python train.py --ledger model.ledger.jsonl            carry the record of released forecasts on

exit codes: 0 done, 1 the result could not be written, 2 bad arguments, 3 no usable history, 4 refused by the gate,
  130 interrupted
other environment: ALPACA_DATA_URL, ALPACA_API_KEY, ALPACA_SECRET_KEY, SOURCE_SECONDS and SOURCE_CANDLES (the most
  that one history may take, 300 and 200000), SOURCE_DATE_EPOCH (the training time), MODEL_VERSION and GIT_REVISION
  (what the card says of the release), GATE_STALEST_HOURS and the gate's other thresholds
"""


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[TrainSettings, bool]:
    """Command line and environment as settings, and whether the report is wanted as JSON.

    Raises:
        SystemExit: With 2 after a bad argument, whose value is named; with 0 after ``--help``.
    """
    command = CommandLine(environ, prog="train.py", description=DESCRIPTION, epilog=EXAMPLES)
    _add_history(command)
    _add_outputs(command)
    _add_backtest(command)
    _add_release(command)
    command.add_flag("--json", "print the report as JSON")
    options = command.parse(arguments)
    if not options.pair and (file := _file_of_one_pair(options.source)):
        typed = shlex.join(["python", "train.py", *arguments, "--pair", str(pair_in_name(file))])
        command.fail(f"the pair of {shown(file)} is not named; type: {typed} (or set PAIR)")
    try:
        return _settings(options, environ), options.json
    except InvalidValue as error:
        command.fail(str(error))


def _add_history(command: CommandLine) -> None:
    command.add_list_option(
        "--pair",
        Pair.parse,
        None,
        f"pair to forecast; may be repeated (default: {DEFAULT_PAIR}; a file needs it)",
        "BASE/QUOTE",
    )
    command.add_list_option(
        "--source",
        source_name,
        "alpaca",
        "where history comes from, in order of preference: alpaca, file:PATH, simulated",
        "NAME,NAME",
    )
    command.add_option(
        "--days", whole_number("days", 30, 36_500), "1825", "longest history that a fit sees, in days", "N"
    )
    command.add_option("--until", day, None, "ignore every candle after this UTC day", "DATE")
    command.add_option("--seed", whole_number("seed", 0, 2**31 - 1), "0", "for the fit and the simulated market", "N")


def _add_outputs(command: CommandLine) -> None:
    command.add_option("--output", file_path, "model.pkl", "the model file to write", "FILE")
    command.add_option(
        "--prophet-json",
        file_path,
        None,
        "also write Prophet's own JSON; several pairs need {base} in the name",
        "FILE",
    )
    command.add_option(
        "--picture",
        file_path,
        None,
        "also draw the forecast as .svg, .png or .pdf; several pairs need {base} in the name",
        "FILE",
    )


def _add_backtest(command: CommandLine) -> None:
    command.add_option("--backtest", file_path, None, "also write every forecast of the backtest, as CSV", "FILE")
    command.add_list_option(
        "--horizons", whole_number("horizons", 1, 365), "1,7,30,90", "days ahead at which the forecast is scored", "N,N"
    )
    command.add_option(
        "--every", whole_number("every", 1, 365), "1", "days from one cutoff of the backtest to the next", "N"
    )


def _add_release(command: CommandLine) -> None:
    command.add_option(
        "--ledger",
        file_path,
        None,
        "the ledger of earlier releases, which is scored and carried on beside the model",
        "FILE",
    )
    command.add_option(
        "--champion", file_path, None, "the model that this one would replace; a worse one is refused", "FILE"
    )
    command.add_flag("--no-gate", "write the model whatever the gate finds; the model card records it")


def _file_of_one_pair(sources: Sequence[str]) -> str | None:
    """Return the first source that is a file of a single pair."""
    return next((name for name in sources if name.startswith(FILE) and "{base}" not in name), None)


def _settings(options: SimpleNamespace, environ: Mapping[str, str]) -> TrainSettings:
    return TrainSettings(
        history=HistoryRequest(
            pairs=options.pair or (DEFAULT_PAIR,),
            sources=options.source,
            days=options.days,
            until=options.until,
            access=SourceSettings.from_environ(environ),
        ),
        backtest=BacktestPlan(tuple(sorted(options.horizons)), options.every),
        outputs=Outputs(options.output, options.backtest, options.prophet_json, options.picture),
        gate=GatePlan(GateThresholds.from_environ(environ), enforced=not options.no_gate),
        earlier=EarlierRelease(options.ledger, options.champion),
        release=ReleaseFacts(
            trained_at=instant_of_epoch(environ.get("SOURCE_DATE_EPOCH")),
            version=label("MODEL_VERSION", environ.get("MODEL_VERSION")),
            git_revision=label("GIT_REVISION", environ.get("GIT_REVISION")),
        ),
        seed=options.seed,
    )
