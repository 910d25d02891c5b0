"""Files of a stranger's folder, which have the SHA-256 of their manifest, but not what a month has."""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crypto_predict.dataset import files, tables
from crypto_predict.dataset.layout import CSV, PARQUET, path_of
from crypto_predict.dataset.manifest import Entry
from crypto_predict.errors import UnusableDataset
from crypto_predict.market import EPOCH, Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import StoredMonth
from tests.support.processes import child

MINUTE = Interval.MINUTE_1
SERIES = SeriesKey("binance", Pair("BTC", "USDT"), MINUTE)
COUNT = 10
START = EPOCH + timedelta(days=365)


def month() -> pa.Table:
    """Return a sound table of ten minutes."""
    seconds = [int(START.timestamp()) + 60 * n for n in range(COUNT)]
    columns: list[list[Any]] = [
        seconds,
        *([float(n + 1)] * COUNT for n in (1, 3, 0, 2)),
        [1.0] * COUNT,
        *([None] * COUNT for _ in range(5)),
    ]
    return tables.table(StoredMonth(Span(START, START + COUNT * MINUTE.length), columns, (), (), ()), MINUTE)


def entry_of(content: bytes, table: pa.Table, kind: str = PARQUET) -> Entry:
    """Return the entry of a manifest that agrees with these bytes."""
    return Entry(
        path_of(SERIES, START, kind),
        *(COUNT, COUNT, START, START + COUNT * MINUTE.length, len(content), sha256(content).hexdigest()),
        *(tables.digest(table, MINUTE), {"traded": COUNT}, (), (), (), {}),
    )


def refused(folder: Path, content: bytes, table: pa.Table, kind: str = PARQUET) -> str:
    """Return why the bytes are refused."""
    entry = entry_of(content, table, kind)
    path = folder / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(UnusableDataset) as caught:
        files.read(folder, entry, MINUTE)
    return caught.value.reason


@pytest.mark.parametrize("kind", [PARQUET, CSV])
def test_a_sound_file_is_read_as_it_was_written(tmp_path: Path, kind: str) -> None:
    """Otherwise the refusals below would show nothing."""
    content = files.packed(month(), kind)
    entry = entry_of(content, month(), kind)
    path = tmp_path / entry.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert files.read(tmp_path, entry, MINUTE).equals(month())


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", [PARQUET, CSV])
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, part: float) -> None:
    """Even if the manifest describes exactly these bytes."""
    content = files.packed(month(), kind)
    assert refused(tmp_path, content[: int(len(content) * part)] or b"x", month(), kind)


def test_every_byte_of_a_parquet_file_may_be_wrong(tmp_path: Path) -> None:
    """It is refused, or it is the same month: no crash and no other candles."""
    content = files.packed(month(), PARQUET)
    for place in range(0, len(content), 31):
        changed = bytearray(content)
        changed[place] ^= 0x55
        entry = entry_of(bytes(changed), month())
        path = tmp_path / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(changed)
        try:
            table = files.read(tmp_path, entry, MINUTE)
        except UnusableDataset:
            continue
        assert list(tables.candles(table)) == list(tables.candles(month()))


def other_columns(table: pa.Table) -> pa.Table:
    return table.drop_columns(["vwap"])


def other_types(table: pa.Table) -> pa.Table:
    return table.set_column(5, "volume", table["volume"].cast(pa.float32()))


def one_row_more(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def other_order(table: pa.Table) -> pa.Table:
    return table.take(list(reversed(range(COUNT))))


def without_a_high(table: pa.Table) -> pa.Table:
    return table.set_column(2, table.schema.field("high"), [pa.array([None, *[4.0] * (COUNT - 1)], pa.float64())])


def impossible(table: pa.Table) -> pa.Table:
    return table.set_column(2, table.schema.field("high"), [pa.array([0.5] * COUNT, pa.float64())])


@pytest.mark.parametrize("change", [other_columns, other_types, one_row_more, other_order, without_a_high, impossible])
def test_a_table_that_is_not_a_month_of_candles_is_refused(
    tmp_path: Path, change: Callable[[pa.Table], pa.Table]
) -> None:
    table = change(month())
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    described = table if change is impossible else month()
    assert refused(tmp_path, bytes(sink.getvalue()), described)


BOMB = """
import sys
from pathlib import Path
from typing import Any
from crypto_predict.dataset import files
from tests.dataset.test_files import MINUTE, bomb, entry_of, month
from tests.support.processes import peak

content, folder = bomb(), Path(sys.argv[1])
entry = entry_of(content, month())
(folder / entry.path).parent.mkdir(parents=True)
(folder / entry.path).write_bytes(content)
before = peak()
try:
    files.read(folder, entry, MINUTE)
except files.UnusableDataset as error:
    print(len(content), (peak() - before) // 2**20, error.reason, flush=True)
"""


def bomb() -> bytes:
    """Return a small file whose column of texts takes 256 MB, while its footer says that it is small."""
    text = pa.array([None] * (COUNT - 1) + ["x" * 2**28], pa.string())
    table = month().set_column(13, "reason", text)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_statistics=False)
    content = bytes(sink.getvalue())
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:]
    size = pq.ParquetFile(pa.py_buffer(content)).metadata.row_group(0).column(13).total_uncompressed_size
    for number in (size, pq.ParquetFile(pa.py_buffer(content)).metadata.row_group(0).total_byte_size):
        footer = footer.replace(_varint(number), _padded(99, len(_varint(number))))
    return content[:start] + footer


def _varint(number: int) -> bytes:
    """Return a number as Thrift's compact protocol writes it: zigzag, seven bits a byte."""
    number, digits = number << 1, []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def _padded(number: int, length: int) -> bytes:
    """Return a small number in more bytes than it needs."""
    low, high = number << 1 & 127, number << 1 >> 7
    return bytes([low | 128, high | 128, *[128] * (length - 3), 0])


def test_a_file_that_says_it_is_small_and_is_not_takes_little_memory(tmp_path: Path) -> None:
    """A page of Parquet can become a hundred thousand times as large; a server that imports must not end by it."""
    with child(BOMB, str(tmp_path)) as process:
        output, errors = process.communicate(timeout=100)
    size, megabytes, *reason = output.split()
    assert int(size) < 2**20, errors
    assert int(megabytes) < 300
    assert "cannot be read" in " ".join(reason)


def test_a_footer_that_says_it_is_large_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    table = month().set_column(13, "reason", pa.array([None] * (COUNT - 1) + ["x" * 2**27], pa.string()))
    content = files.packed(table, PARQUET)
    assert "larger than those of a month can be" in refused(tmp_path, content, month())
