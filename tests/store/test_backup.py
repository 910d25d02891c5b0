"""The commands of docs/self-hosting.md that back up a file of SQLite and restore it."""

import re
import subprocess
import sys
from pathlib import Path

from crypto_predict.market import Interval, Pair, SeriesKey, Span
from crypto_predict.store import open_reader, open_writer
from tests.support.collected import END, START, minutes
from tests.support.serving import ROOT

SERIES = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
COMMANDS = re.findall(
    r"^SQLite, .*?```sh\n(.*?)```",
    (ROOT / "docs" / "self-hosting.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)


def test_a_backup_that_is_made_while_it_is_written_restores_every_candle(tmp_path: Path) -> None:
    """The writer keeps its log beside the file, which a plain copy would miss."""
    (folder := tmp_path / ".venv" / "bin").mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    (tmp_path / "data").mkdir()
    database, candles = str(tmp_path / "data" / "market.db"), minutes()
    backup, restore = COMMANDS[0].splitlines()
    with open_writer(database) as writer:
        writer.follow(SERIES, simulated=False)
        writer.write(SERIES, candles, Span(START, END))
        subprocess.run(["bash", "-c", backup], cwd=tmp_path, check=True, timeout=60)
    (tmp_path / "data" / "market.db").write_bytes(b"a damaged disk")
    subprocess.run(["bash", "-c", restore], cwd=tmp_path, check=True, timeout=60)
    with open_reader(database) as reader:
        assert [stored.candle for stored in reader.candles(SERIES, Span(START, END), 10**6)] == candles
