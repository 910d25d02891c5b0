"""Ends of any kind in the middle of writes: nothing is lost, doubled or altered."""

import os
import random
import signal
import time

import psycopg
import pytest

from crypto_predict.errors import DatabaseError
from crypto_predict.market import Interval, Span, aggregate
from crypto_predict.store import Database, open_reader, open_writer
from tests.support.databases import ON_BOTH, new_postgresql, stopped_server
from tests.support.minutes import EVER, KEEP, MANY, MINUTE, MINUTES, START, candle, candles, scores, span, vwap
from tests.support.processes import child, line

WINDOWS, WINDOW = 50, 50  # minutes
EVERY = 10  # minutes there is a forecast

# Continues at any window, as a backfill does, and prints each one that is stored. Every second one comes by a stream.
# The forecasts of the window before are repeated, those of the last one too: a process that was killed does not know
# whether they were stored.
BACKFILL = f"""
import sys
from crypto_predict.errors import DatabaseError
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.store import open_writer
from tests.support.minutes import KEEP, step
from tests.support.minutes import MINUTES, START, MINUTE, candles, span

def forecast(writer, end):
    steps = [step(minute, 1, 15) for minute in range(max(0, end - {2 * WINDOW}), end, {EVERY})]
    writer.write_forecasts({{MINUTES: steps}}, KEEP)

try:
    with open_writer(sys.argv[1]) as writer:
        writer.follow(MINUTES, simulated=False)
        while True:
            done = writer.coverage(MINUTES)
            first = (done[0].end - START) // MINUTE if done else 0
            if first >= {WINDOWS * WINDOW}:
                forecast(writer, first)
                break
            some = candles(first, first + {WINDOW})
            if first // {WINDOW} % 2:
                writer.write_closed({{MINUTES: some}})
                seen = StreamSpan(span(0, first + {WINDOW}), StreamState.CONNECTED, "")
                writer.write_streams(MINUTES.source, [MINUTES.pair], seen)
            else:
                writer.write(MINUTES, some, span(first, first + {WINDOW}))
            forecast(writer, first + {WINDOW})
            print(first, flush=True)
    print("done", flush=True)
except DatabaseError as error:
    print("failed:", error, flush=True)
"""


def check_forecasts(reader: Database) -> int:
    """Check that each outcome counts once; return the number of minutes that have them."""
    record = reader.minute_records().get(MINUTES)
    count = (record.until - START) // (EVERY * MINUTE) + 1 if record else 0
    assert (record.scores if record else ()) == ((scores(1, count), scores(15, count)) if count else ())
    remaining = range(max(0, count - 1 - KEEP // (EVERY * MINUTE)), count)
    cutoffs = [START + number * EVERY * MINUTE for number in remaining]
    assert [forecast.cutoff for forecast in reader.minute_forecasts(MINUTES, EVER, MANY)] == cutoffs
    return count * EVERY


def check(reader: Database) -> int:
    """Check that what is stored is whole; return the number of minutes."""
    covered = reader.coverage(MINUTES)
    stored = reader.candles(MINUTES, EVER, MANY)
    assert covered == ([span(0, len(stored))] if stored else [])
    assert [row.candle for row in stored] == candles(0, len(stored))
    assert reader.gaps(MINUTES, EVER) == []
    assert reader.revisions(MINUTES, EVER) == []
    assert [collected.candles for collected in reader.collected()] in ([len(stored)], [])
    seen = reader.streams(MINUTES.source, MINUTES.pair, EVER)
    assert [state.span.start for state in seen] in ([START], [])
    assert all(state.span.end <= covered[0].end for state in seen)
    assert check_forecasts(reader) <= len(stored)
    for interval in (Interval.MINUTE_15, Interval.DAY_1):
        made = [row.candle[:5] for row in reader.joined(MINUTES, interval, EVER, MANY)]
        assert made == [each[:5] for each in aggregate(candles(0, len(stored)), interval)]
    if stored:
        session = [candle(minute) for minute in range(len(stored)) if candle(minute).open_time.date() == START.date()]
        assert stored[len(session) - 1].vwap == vwap(session)
    return len(stored)


def finish(url: str) -> None:
    """Continue to the end, which is as if nothing had ended before."""
    with child(BACKFILL, url) as process:
        assert process.communicate(timeout=60)[0].endswith("done\n")
    with open_reader(url) as reader:
        assert check(reader) == check_forecasts(reader) == WINDOWS * WINDOW


@ON_BOTH
def test_a_process_killed_at_any_moment_leaves_whole_windows(url: str) -> None:
    """What was reported as stored is there; the next process continues, and the end is as if none had been killed."""
    moments = random.Random(5)
    open_writer(url).close()
    for _ in range(3):
        with child(BACKFILL, url) as process:
            reported = line(process)
            time.sleep(moments.uniform(0, 0.15))
            process.kill()
            assert process.stdout is not None
            reported = ([reported, *process.stdout.read().split("\n")[:-1]])[-1]
        with open_reader(url) as reader:
            result = min(check(reader), check_forecasts(reader))
        assert result >= (WINDOWS * WINDOW if reported == "done" else int(reported) + WINDOW)
    finish(url)


def test_a_server_that_goes_away_is_an_error_until_it_is_back() -> None:
    """Connections that are open meanwhile are replaced; what was written before is there."""
    url = new_postgresql()
    with open_writer(url) as writer, open_reader(url) as reader:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 50), span(0, 50))
        assert check(reader) == 50
        with stopped_server():
            for attempt in (
                lambda: open_reader(url),
                reader.collected,
                lambda: reader.minute_forecasts(MINUTES, EVER, 1),
                lambda: writer.write(MINUTES, candles(50, 99)),
                lambda: writer.write_forecasts({MINUTES: []}, KEEP),
            ):
                with pytest.raises(DatabaseError, match=r"^database postgresql://\*\*\*@/market_\d+\?\*\*\*: "):
                    attempt()
        assert check(reader) == 50
        writer.write(MINUTES, candles(50, 100), span(50, 100))
        assert check(reader) == 100


def test_a_connection_lost_in_a_transaction_undoes_it() -> None:
    """The process that writes learns of it, and can go on with the next write."""
    url = new_postgresql()
    with child(BACKFILL, url) as process:
        assert line(process) == "0"
        process.send_signal(signal.SIGSTOP)  # so that it is not done before the server is away
        with stopped_server():
            process.send_signal(signal.SIGCONT)
            output = process.communicate(timeout=60)[0].splitlines()
    assert output[-1].startswith("failed: database postgresql://***@/market_"), output
    with open_reader(url) as reader:
        assert check(reader) >= WINDOW
    finish(url)


def test_a_hold_does_not_outlive_its_server() -> None:
    """The context ends without an error of its own."""
    with open_writer(new_postgresql()) as writer:
        writer.follow(MINUTES, simulated=False)
        with writer.hold(MINUTES), stopped_server():
            pass
        with writer.hold(MINUTES):
            assert writer.write(MINUTES, candles(0, 3), Span(START, START + 3 * MINUTE)) == 3


def test_a_connection_that_stands_still_is_given_up() -> None:
    """Its machine answers TCP, so that only a time limit of the client ends the wait."""
    url = new_postgresql()
    open_writer(url).close()
    with open_reader(url) as database, psycopg.connect(url) as other:
        database.collected()
        others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ((process,),) = other.execute(others).fetchall()
        os.kill(process, signal.SIGSTOP)
        try:
            assert database.collected() == [], "over another connection"
        finally:
            os.kill(process, signal.SIGCONT)
