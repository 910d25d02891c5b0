"""Tables as the bytes of Parquet or CSV.

What is read may be damaged or hostile: its rows, its columns and the memory that it takes are bounded.
"""

import contextlib
import resource
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from crypto_predict.baked.files import opened
from crypto_predict.dataset import tables
from crypto_predict.dataset.layout import PARQUET
from crypto_predict.dataset.manifest import Entry
from crypto_predict.dataset.tables import SCHEMA
from crypto_predict.errors import UnusableDataset
from crypto_predict.market import Interval

_MOST_MEMORY = 2**28  # bytes that reading one file may take, whatever it contains
_MOST_UNPACKED = 2**26  # bytes of all columns together; a month of minutes has 5 million
# Prices repeat in most of their digits, so that zstd compresses them best as they are.
_ENCODINGS = {"open_time": "DELTA_BINARY_PACKED", "volume": "BYTE_STREAM_SPLIT", "vwap": "BYTE_STREAM_SPLIT"}
_REPEATED = ["verdict", "reason"]


def packed(month: pa.Table, kind: str) -> bytes:
    """Return a table as the bytes of a file. The same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    if kind == PARQUET:
        pq.write_table(month, sink, compression="zstd", use_dictionary=_REPEATED, column_encoding=_ENCODINGS)
    else:
        pyarrow.csv.write_csv(month, sink)
    return bytes(sink.getvalue())


def read(folder: Path, entry: Entry, interval: Interval) -> pa.Table:
    """Return the table of a file; raise `UnusableDataset` unless bytes, rows and candles are those of the manifest."""
    month = unpacked(folder, entry)
    if fault := _fault(month, entry, interval):
        raise UnusableDataset(folder, f"{entry.path}: {fault}")
    return month


def unpacked(folder: Path, entry: Entry) -> pa.Table:
    """Return the table of a file; raise `UnusableDataset` unless its bytes are those of the manifest."""

    def unusable(reason: str) -> UnusableDataset:
        return UnusableDataset(folder, f"{entry.path}: {reason}")

    with opened(folder / entry.path, "month", entry.bytes, "export it again", unusable) as file:
        content = file.read()
    if sha256(content).hexdigest() != entry.sha256:
        raise unusable("its bytes are not those that the manifest describes; export it again")
    try:
        with _limited_memory():
            return _unpacked(content, entry)
    # pyarrow has errors of many kinds for a file that is damaged
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        raise unusable(f"it cannot be read: {' '.join(str(error).split())[:200]}") from error


def _unpacked(content: bytes, entry: Entry) -> pa.Table:
    pool = pa.system_memory_pool()  # others reserve more addresses than they use
    if not entry.path.endswith(PARQUET):
        types = pyarrow.csv.ConvertOptions(
            column_types=SCHEMA, strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        with pyarrow.csv.open_csv(pa.py_buffer(content), convert_options=types, memory_pool=pool) as batches:
            return pa.Table.from_batches(_limited(batches, entry.rows), SCHEMA)
    options: dict[str, Any] = {"thrift_string_size_limit": 2**20, "thrift_container_size_limit": 2**12}
    with pq.ParquetFile(pa.py_buffer(content), memory_map=False, pre_buffer=False, **options) as file:
        metadata = file.metadata
        if metadata.num_rows != entry.rows:
            raise ValueError(f"it has {metadata.num_rows} rows, not {entry.rows}")
        if not file.schema_arrow.equals(SCHEMA):
            raise ValueError("its columns are not those of candles")
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > _MOST_UNPACKED:
            raise ValueError("its columns are larger than those of a month can be")
        return pa.Table.from_batches(_limited(file.iter_batches(use_threads=False), entry.rows), SCHEMA)


def _limited(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches as long as they have no more rows than the manifest says."""
    for batch in batches:
        rows -= batch.num_rows
        if rows < 0 or batch.nbytes > _MOST_UNPACKED:
            raise ValueError("it has more than the manifest says")
        if batch.schema.names != SCHEMA.names:
            raise ValueError("its columns are not those of candles")
        yield pa.RecordBatch.from_arrays(batch.columns, schema=SCHEMA)


def _fault(month: pa.Table, entry: Entry, interval: Interval) -> str | None:
    """Return why a table is not the one that the manifest describes; None if it is."""
    start, end = (int(edge.timestamp()) for edge in (entry.start, entry.end))
    seconds = pc.divide(month["open_time"].cast(pa.int64()), 1_000_000)
    if seconds.to_pylist() != list(range(start, end, interval.seconds)):
        return f"its openings are not those from {entry.start} to {entry.end}"
    is_missing = pc.is_null(month["close"])
    if any(not pc.is_null(month[name]).equals(is_missing) for name in ("open", "high", "low", "volume")):
        return "its candles are not complete"
    if len(month) - month["close"].null_count != entry.candles:
        return f"it has {len(month) - month['close'].null_count} candles, not {entry.candles}"
    if tables.verdicts(month) != entry.verdicts or tables.digest(month, interval) != entry.digest:
        return "its candles are not those that the manifest describes"
    return None if tables.are_sound(month) else "it has candles that no market can have made"


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """Let this process take at most `_MOST_MEMORY` more inside the context.

    A page of Parquet says itself how large it becomes, whatever the metadata says: two gigabytes of a few kilobytes.
    """
    limit = resource.RLIMIT_DATA
    soft, hard = resource.getrlimit(limit)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    except OSError:  # not Linux: there the kernel does not count what is mapped
        yield
        return
    most = pages * resource.getpagesize() + _MOST_MEMORY
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(limit, (min([most, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(limit, (soft, hard))
