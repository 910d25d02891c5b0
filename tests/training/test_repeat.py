"""A training that repeats: when, after which failures, and how it ends.

Where the training itself is not the point, the process of an attempt is a small program. The last one of a scenario
ends the repetition.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked import schedule, store
from crypto_predict.baked.ledger import Ledger
from crypto_predict.baked.schedule import Schedule, schedule_beside
from crypto_predict.command_line import BAD_ARGUMENTS, DONE, INTERRUPTED
from crypto_predict.market import EPOCH, Interval, Pair
from crypto_predict.market.clock import Clock
from crypto_predict.training.options import read_settings
from crypto_predict.training.repeat import next_training, reason_of, repeat
from tests.support.histories import make_history
from tests.support.live import until
from tests.support.replay import server as replay
from tests.support.replay.binance import BinanceExchange
from tests.support.replay.server import ReplayServer
from tests.support.training import QUICK, TRAINED_AT, Outputs, in_process, price_file, repeating

BTC, TETHER = Pair("BTC", "USD"), Pair("BTC", "USDT")
SIX_HOURS = timedelta(hours=6)
START = datetime(2026, 5, 17, 12, 10, tzinfo=UTC)
FAST = 36_000.0  # six hours in 0.6 s

# Its arguments are a folder and what each attempt does. It notes when it began, and what the schedule was.
PROGRAM = """
import json, os, signal, sys, time
folder, *attempts = sys.argv[1:]
log, plan = (os.path.join(folder, name) for name in ("log.jsonl", "model.training.json"))
count = sum(1 for _ in open(log)) if os.path.exists(log) else 0
seen = json.load(open(plan)) if os.path.exists(plan) else None
with open(log, "a") as file:
    file.write(json.dumps({"at": os.environ["TRAINING_ATTEMPT"], "schedule": seen}) + chr(10))
exec(attempts[count])
"""
END = "os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
OUTAGE = "os.write(2, b'train.py: error: no usable history in BTC/USD:\\n  binance: away\\n'); sys.exit(3)"
REFUSED = "os.write(2, b'train.py: error: refused by the gate\\n'); sys.exit(4)"
# It goes on beside the attempt that starts it.
LATER = "os.system(f'(while [ ! -e {{plan}} ]; do sleep 0.05; done; kill -{number} {{os.getppid()}}) &')"


def run(folder: Path, *attempts: str, limit: float = 60) -> tuple[int, list[dict[str, Any]]]:
    """Repeat these attempts; return the exit code and what each attempt noted."""
    command = [sys.executable, "-c", PROGRAM, str(folder), *attempts]
    code = repeat(SIX_HOURS, folder / "model.pkl", command, os.environ, Clock(START, FAST), limit)
    return code, [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def instants(notes: list[dict[str, Any]]) -> list[datetime]:
    """Return when the attempts began."""
    return [datetime.fromisoformat(note["at"]) for note in notes]


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 hypothesis needs it
    st.timedeltas(timedelta(minutes=1), timedelta(days=30)),
)
def test_a_training_follows_a_multiple_by_a_small_part_of_the_time(now: datetime, every: timedelta) -> None:
    """A thousand programs must not ask an exchange in the same second, and a new candle needs some seconds."""
    at = next_training(now, every)
    delay = (at - EPOCH) % every
    assert now < at <= now + every + delay
    assert timedelta(0) < delay <= min(timedelta(minutes=5), every / 20)


def test_trainings_begin_at_once_and_at_the_multiples(tmp_path: Path) -> None:
    """The clock is that of the market: a test lives through days."""
    code, notes = run(tmp_path, "pass", "pass", END)
    first, *others = instants(notes)
    assert code == DONE
    assert first - START < SIX_HOURS
    for before, at in zip([first, *others], others, strict=False):
        assert before < at
        assert (at - EPOCH) % SIX_HOURS < timedelta(hours=1)
    (planned, again) = (note["schedule"] for note in notes[1:])
    assert (planned["every_seconds"], planned["failure"]) == (21_600, None)
    assert datetime.fromisoformat(planned["next_at"]) <= others[0]
    assert datetime.fromisoformat(again["next_at"]) <= others[1]


def test_a_failure_is_tried_again_as_soon_as_its_kind_allows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An outage soon and ever later; a refusal later, since the gate refuses the same prices again within minutes.

    Arguments that became wrong wait for the next training. The schedule says why, in one line, and so does the log.
    """
    caplog.set_level("INFO")
    code, notes = run(tmp_path, OUTAGE, OUTAGE, OUTAGE, "pass", REFUSED, "pass", "sys.exit(2)", END)
    assert code == DONE
    plans = [plan for note in notes[1:] if (plan := note["schedule"])["failure"]]
    *waits, refused, _ = (
        datetime.fromisoformat(plan["next_at"]) - datetime.fromisoformat(plan["failure"]["at"]) for plan in plans
    )
    for number, wait in enumerate(waits):
        assert timedelta(seconds=15) * 2**number <= wait <= timedelta(seconds=30) * 2**number
    assert timedelta(minutes=8) <= refused <= timedelta(minutes=16)
    outage = "no usable history in BTC/USD: binance: away"
    assert [plan["failure"]["reason"] for plan in plans[:4]] == [outage, outage, outage, "refused by the gate"]
    assert f"the earlier model stays: {outage}; the next attempt begins" in caplog.text
    assert plans[-1]["failure"]["reason"]
    assert (datetime.fromisoformat(plans[-1]["next_at"]) - EPOCH) % SIX_HOURS <= timedelta(minutes=5)


def test_a_training_before_the_collector_has_begun_is_repeated_soon(tmp_path: Path) -> None:
    """A new system trains before its collector has named any pair: the others must not wait for six hours."""
    _, notes = run(tmp_path, *["sys.exit(75)"] * 6, END)
    plans = [note["schedule"] for note in notes[1:]]
    assert all(plan["failure"] is None for plan in plans)
    *early, regular = ((datetime.fromisoformat(plan["next_at"]) - EPOCH) % SIX_HOURS for plan in plans)
    assert any(since_multiple > timedelta(minutes=5) for since_multiple in early)
    assert regular <= timedelta(minutes=5), "a database that stays empty is no reason to train all the time"


def test_wrong_arguments_end_the_program(tmp_path: Path) -> None:
    """They would be as wrong in six hours."""
    code, notes = run(tmp_path, "sys.exit(2)", END)
    assert (code, len(notes)) == (BAD_ARGUMENTS, 1)
    assert not schedule_beside(tmp_path / "model.pkl").exists()


def test_a_training_that_is_killed_or_hangs_ends_nothing(tmp_path: Path) -> None:
    """The kernel kills the process that uses most memory, and a library may wait for ever, deaf to SIGTERM."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    code, notes = run(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", deaf, "1 / 0", END, limit=1)
    assert code == DONE
    killed, hung, defect = (note["schedule"]["failure"]["reason"] for note in notes[1:])
    assert killed == "its process was ended by SIGKILL, perhaps since the memory of the machine was used up"
    assert hung == "it took longer than 1 second"
    assert defect == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, DONE), (signal.SIGINT, INTERRUPTED)])
def test_a_signal_ends_it_while_it_waits(number: int, expected: int, tmp_path: Path) -> None:
    """Nobody plans a training any more, so there is no schedule that promises one."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), LATER.format(number=int(number))]
    assert repeat(timedelta(days=30), tmp_path / "model.pkl", command, os.environ, Clock()) == expected
    assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl"}


def test_a_reason_has_no_secret() -> None:
    """It is on the page."""
    log = "INFO: a\ntrain.py: error: database postgresql://market:secret@db/market?password=secret is away\n"
    assert reason_of(3, log) == "database postgresql://***@db/market?*** is away"
    assert reason_of(5, "") == "its process has ended with 5"


@pytest.mark.parametrize(
    ("arguments", "environ", "named"),
    [
        (("--until", "2025-06-30"), {}, "--until"),
        (("--interval", "1m"), {}, "--repeat"),
        ((), {"SOURCE_DATE_EPOCH": "1716034247"}, "SOURCE_DATE_EPOCH"),
        (("--repeat", "59s"), {}, "--repeat"),
        ((), {"REPEAT": "31d"}, "environment variable REPEAT"),
        ((), {"TRAINED_EVERY": "often"}, "TRAINED_EVERY"),
    ],
)
def test_what_means_one_training_is_refused(
    arguments: tuple[str, ...], environ: Mapping[str, str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names what contradicts the repetition."""
    with pytest.raises(SystemExit) as end:
        read_settings(arguments, {"REPEAT": "6h", **environ})
    assert end.value.code == BAD_ARGUMENTS
    assert f"train.py: error: {named}: " in capsys.readouterr().err


def test_a_blank_time_counts_as_unset() -> None:
    """Containers set variables to nothing."""
    settings, _ = read_settings((), {"REPEAT": "6h", "SOURCE_DATE_EPOCH": " ", "TRAINED_EVERY": " "})
    assert (settings.repeat, settings.trained_at, settings.trained_every) == (SIX_HOURS, None, None)


def test_a_release_says_when_the_next_training_is_due_and_another_training_does_not(tmp_path: Path) -> None:
    """The image is trained once, by a schedule elsewhere; whoever trains by hand plans nothing. Bytes stay the same."""
    prices = price_file(tmp_path, 200)
    output = tmp_path / "model.pkl"
    arguments = (*prices, *QUICK, "--output", str(output))
    assert in_process(*arguments, environ={**TRAINED_AT, "TRAINED_EVERY": "6h"}) == DONE
    path, model = schedule_beside(output), output.read_bytes()
    trained_at = store.load(output).card.trained_at
    assert schedule.read(path) == Schedule(SIX_HOURS, trained_at + SIX_HOURS)
    assert in_process(*arguments, environ=TRAINED_AT) == DONE
    assert not path.exists()
    assert output.read_bytes() == model


@pytest.fixture
def market() -> ReplayServer:
    """Binance with days up to the start of the clock."""
    history = make_history(400)
    shift = START.replace(hour=0, minute=0) - history.end + timedelta(days=40)
    days = [candle._replace(open_time=candle.open_time + shift) for candle in history.candles]
    return ReplayServer(BinanceExchange({(TETHER, Interval.DAY_1): days}))


def test_model_and_ledger_are_continued_through_outages_and_kills(market: ReplayServer, tmp_path: Path) -> None:
    """A system of weeks: an outage at the start, two trainings, a kill in the middle of one, a restart, and the end.

    The file at the output is no champion, as after an update with another schema, and must not refuse every training.
    """
    outputs, log = Outputs(tmp_path), tmp_path / "log"
    outputs.model_file.write_bytes(b"old")
    clock = Clock(START, FAST)

    def counts(number: int) -> bool:
        return outputs.ledger.exists() and len(outputs.lines()) >= number

    with market as server:
        environ = {"BINANCE_API_URL": server.url, "SOURCE": "binance", "DAYS": "200", "EVERY": "60", "REPEAT": "6h"}
        options = ("--output", str(outputs.model_file))
        with repeating(clock, environ, log, *options) as trainer:
            with server.failing(replay.answer(451)):
                until(lambda: schedule_beside(outputs.model_file).exists(), "the outage is on the schedule")
            plan = schedule.read(schedule_beside(outputs.model_file))
            assert plan is not None
            assert plan.failure is not None
            assert "451" in plan.failure.reason
            until(lambda: counts(2), "two trainings", 100)
            begun = log.read_text().count("a training begins")
            until(lambda: log.read_text().count("a training begins") > begun, "another training begins")
            trainer.kill()
        model = store.load(outputs.model_file)
        assert Ledger.read(outputs.ledger, [model.scorecard.head]).entries == model.scorecard.entries
        with repeating(clock, environ, log, *options) as trainer:
            until(lambda: counts(model.scorecard.entries + 1), "the record goes on")
            trainer.send_signal(signal.SIGTERM)
            assert trainer.wait(60) == DONE
    text = log.read_text()
    assert "the model is not compared with the earlier one: no usable model" in text
    # Python itself prints a signal that comes while an object is freed, and goes on.
    assert "Traceback" not in re.sub(r"Exception ignored in.*\nTraceback", "", text)
    assert {path.name for path in tmp_path.iterdir()} - {"log"} == {"model.pkl", "model.ledger.jsonl"}
    built = [line["build"] for line in outputs.lines() if line["kind"] == "release"]
    assert len(set(built)) == len(built)
