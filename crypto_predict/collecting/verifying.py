"""``--verify``: whether an exported folder is what its manifest describes, and what the database has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.compute as pc

from crypto_predict.collecting.exporting import MonthDatabase, read_month
from crypto_predict.dataset import files, tables
from crypto_predict.dataset.layout import month_of
from crypto_predict.dataset.manifest import Entry, Series, load
from crypto_predict.errors import UnusableDataset
from crypto_predict.market import SeriesKey
from crypto_predict.wording import counted


@dataclass
class Verified:
    """What was found in a folder."""

    files: int = 0
    rows: int = 0
    faults: list[str] = field(default_factory=list)
    is_compared: bool = False  # with a database

    def report(self, folder: Path) -> str:
        """Return a line for each fault, and one for the folder."""
        database = "" if self.is_compared else "; not compared with a database, which does not exist"
        state = counted(len(self.faults), "fault") if self.faults else "sound"
        return "\n".join(
            [*self.faults, f"{folder}: {counted(self.files, 'file')}, {counted(self.rows, 'row')}, {state}{database}"]
        )


def verify(folder: Path, selection: Sequence[Series], database: MonthDatabase | None) -> Verified:
    """Check the bytes, the rows and the digest of some files, and compare them with the database, if there is one.

    A file of any series that the manifest does not have is a fault.
    Candles that only the database has, after the end of a file, or only the file, before its beginning, are no faults.
    """
    verified = Verified(is_compared=database is not None)
    listed = {entry.path for series in load(folder).described() for entry in series.files}
    for series in selection:
        for entry in series.files:
            verified.files += 1
            try:
                month = files.read(folder, entry, series.key.interval)
            except UnusableDataset as error:
                verified.faults.append(error.reason)
                continue
            verified.rows += len(month)
            if database is not None:
                verified.faults += _differences(database, series.key, entry, month)
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.glob("source=*/**/*.*")) if path.is_file())
    # hidden ones are temporary files of a killed export
    others = [path for path in found if path not in listed and not PurePath(path).name.startswith(".")]
    verified.faults += [f"{path}: it is not in the manifest" for path in others]
    return verified


def _differences(database: MonthDatabase, series: SeriesKey, entry: Entry, month: pa.Table) -> Iterator[str]:
    """Yield how a file differs from what the database has of the same openings."""
    stored = read_month(database, series, month_of(entry.start))
    if stored is None:
        return
    start, end = (pa.scalar(edge) for edge in (max(entry.start, stored.span.start), min(entry.end, stored.span.end)))
    ours, theirs = (
        each.filter(pc.and_(pc.greater_equal(each["open_time"], start), pc.less(each["open_time"], end)))
        for each in (month, tables.table(stored, series.interval))
    )
    if not ours.equals(theirs):
        different = [
            row["open_time"] for row, other in zip(ours.to_pylist(), theirs.to_pylist(), strict=True) if row != other
        ]
        first = f"the first at {different[0]:%Y-%m-%d %H:%M} UTC"
        yield f"{entry.path}: {counted(len(different), 'row')} differ from the database, {first}; export it again"
