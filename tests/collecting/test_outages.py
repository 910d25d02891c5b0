"""`collect.py --outages`: what docs/outages.md says that it prints, and of what no stream was recorded."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.store import WritableDatabase, open_reader, open_writer
from tests.support.collecting import collect_here
from tests.support.minutes import EVER, MANY
from tests.support.serving import ROOT

DOCUMENT = ROOT / "docs" / "outages.md"
MINUTE = timedelta(minutes=1)
JULY = datetime(2025, 7, 1, tzinfo=UTC)
PAIRS = [Pair(base, "USDT") for base in ("BTC", "ETH")]


@pytest.fixture
def june(tmp_path: Path) -> str:
    """The database of the document: a month of two pairs."""
    path = str(tmp_path / "market.db")
    with open_writer(path) as writer:
        for series in (SeriesKey("binance", pair, Interval.MINUTE_1) for pair in PAIRS):
            store_minutes(writer, series, at(1, 0, 0), JULY)
        reason = "api.binance.com answered 503 to the handshake"
        for start, end, state in (
            (at(1, 0, 0), at(3, 10, 15, 2), StreamState.CONNECTED),
            (at(3, 10, 15, 2), at(3, 10, 46, 40), StreamState.EXCHANGE_DOWN),
            (at(3, 10, 46, 40), at(14, 3, 10, 8), StreamState.CONNECTED),
            (at(14, 3, 12, 31), JULY + MINUTE, StreamState.CONNECTED),
        ):
            shown = "" if state is StreamState.CONNECTED else reason
            writer.write_streams("binance", PAIRS, StreamSpan(Span(start, end), state, shown))
        writer.record_outages(at(1, 0, 0), JULY)
    return path


def at(day: int, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2025, 6, day, hour, minute, second, tzinfo=UTC)


def store_minutes(writer: WritableDatabase, series: SeriesKey, first: datetime, last: datetime) -> None:
    """Store the minutes from one instant to another. The exchange lacks half an hour of them, and two or one."""
    writer.follow(series, simulated=False)
    missing = {at(3, 10, 16) + number * MINUTE for number in range(30)}
    missing |= {at(5, 9, 1)} if series.pair == PAIRS[0] else {at(5, 9, 1), at(5, 9, 2)}
    openings = (first + number * MINUTE for number in range((last - first) // MINUTE))
    writer.write(
        series,
        [Candle(opening, 1.0, 1.0, 1.0, 1.0, 1.0) for opening in openings if opening not in missing],
        Span(first, last),
    )
    for _ in range(3):  # asked for again
        for opening in sorted(missing):
            writer.write(series, [], Span(opening, opening + MINUTE))
    writer.compared(series, 43_200, 1)


def test_the_commands_of_the_document_print_what_it_shows(june: str) -> None:
    """Of a month with an outage of the exchange and one of the collector."""
    text = DOCUMENT.read_text()
    first, second = re.findall(r"collect\.py (--outages [^#\n]*)", text)
    shown = collect_here(june, *shlex.split(first))
    assert (shown.code, shown.errors) == (0, "")
    assert shown.output == text.split("```")[3].removeprefix("\n")
    document = json.loads(collect_here(june, *shlex.split(f"{first} --json")).output)
    assert [(each["id"], each["cause"], each["pairs"], each["minutes"]) for each in document["outages"]] == [
        ("binance-collector-20250614T031008Z", "collector", ["BTC/USDT", "ETH/USDT"], 6),
        ("binance-20250603T101502Z", "exchange", ["BTC/USDT", "ETH/USDT"], 64),
    ]
    assert document["differences"][0]["mismatch_rate"] == 2 / 86_400
    assert document["missing_outside"] == {"quiet": 3}
    assert json.loads(collect_here(june, *shlex.split(second)).output)["outages"][-1]["lost"] == 60


def test_what_was_never_listened_to_is_missing_outside_of_outages(tmp_path: Path) -> None:
    """Such as what a backfill asked for. A collector that does not run now is an outage that goes on."""
    path = str(tmp_path / "market.db")
    open_writer(path).close()
    assert collect_here(path, "--outages").output == "no outage\n\nmissing outside of outages: no minute\n"
    with open_writer(path) as writer:
        series = SeriesKey("binance", PAIRS[0], Interval.MINUTE_1)
        store_minutes(writer, series, at(3, 0, 0), at(6, 0, 0))
        now = datetime.now(UTC)
        writer.write_streams(
            "binance", PAIRS[:1], StreamSpan(Span(now - 60 * MINUTE, now - 5 * MINUTE), StreamState.CONNECTED, "")
        )
        writer.record_outages(now - 60 * MINUTE, now - 5 * MINUTE)
    output = collect_here(path, "--outages").output
    assert "goes on UTC, 5 minutes: binance, collector" in output
    assert output.endswith("missing outside of outages: 31 minutes without a recorded stream\n")
    with open_reader(path) as reader:
        assert reader.outages(EVER, MANY, now - 5 * MINUTE) == []
