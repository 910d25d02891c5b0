"""Judge candles one by one, as a source delivers them."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from crypto_predict.market import Candle, Interval
from crypto_predict.market.interval import MONDAY

# Kinds of defects. They complete "N candles ...".
REPEATED = "repeat an opening"
UNORDERED = "stand after a later one"
FUTURE = "open in the future"
OFF_GRID = "open where none can"
IMPOSSIBLE = "are impossible"

# The openings that are expected, of intervals whose length does not tell them.
_GRIDS = {Interval.DAY_1: "a day at 00:00 UTC", Interval.WEEK_1: "a week, on Monday at 00:00 UTC"}


class Audit:
    """The defects and the quarantine of a stream of candles in any order.

    Of several candles with the same opening the last one counts. Each candle in ascending order takes constant time,
    and one byte for each opening of the grid: candles are not stored.
    """

    def __init__(self, interval: Interval) -> None:
        self.received = 0  # candles so far
        self.quarantine: set[datetime] = set()  # UTC openings whose candle is off the grid, or has impossible values
        self._interval = interval
        self._first_step = 0  # from a Monday on, in intervals
        self._received = bytearray()  # 1 for an opening that was received, for each step from the first one on
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}  # by kind
        self._previous: tuple[datetime, int | None] | None = None  # opening and line

    def add(self, candle: Candle, now: datetime, line: int | None = None) -> bool:
        """Judge one candle and return whether it can be used. `now` is in UTC; `line` is its line in a file."""
        self.received += 1
        opening = candle.open_time
        if opening > now:
            self._note(FUTURE, place(opening, line))
            return False
        step, offset = divmod(opening - MONDAY, self._interval.length)
        if offset:
            is_repeated = opening in self.quarantine
        else:
            index = self._index(step)
            is_repeated, self._received[index] = self._received[index] == 1, 1
        self._note_position(opening, line, is_repeated=is_repeated)
        faults = [] if offset else candle.faults()
        if offset:
            self._note(OFF_GRID, f"{place(opening, line)}{self._off_grid(opening)}")
        elif faults:
            self._note(IMPOSSIBLE, f"{place(opening, line)}: {'; '.join(faults)}")
        self._previous = opening, line
        if offset or faults:
            self.quarantine.add(opening)
            return False
        self.quarantine.discard(opening)
        return True

    def defects(self) -> Mapping[str, str]:
        """Return the defects by their kind: how many candles have it, and which is the first."""
        return {
            kind: f"{count} of {self.received} candles {kind}; the first: {self._first[kind]}"
            for kind, count in self._counts.items()
        }

    def _index(self, step: int) -> int:
        """Return the index of a step, and extend the bytes to it."""
        if not self._received:
            self._first_step = step
        if step < self._first_step:
            self._received[:0] = bytes(self._first_step - step)
            self._first_step = step
        index = step - self._first_step
        self._received.extend(bytes(max(0, index + 1 - len(self._received))))
        return index

    def _note_position(self, opening: datetime, line: int | None, *, is_repeated: bool) -> None:
        before, line_before = self._previous or (opening, None)
        if is_repeated:
            earlier = place(opening, line_before if before == opening else None)
            self._note(REPEATED, f"{place(opening, line)} after {earlier}")
        elif opening < before:
            self._note(UNORDERED, f"{place(opening, line)} after {place(before, line_before)}")

    def _off_grid(self, opening: datetime) -> str:
        since = f", {opening - self._previous[0]} after the one before" if self._previous else ""
        grid = _GRIDS.get(self._interval, f"every {self._interval.length} from 00:00 UTC on")
        return f"{since}; one {grid} is expected"

    def _note(self, kind: str, first: str) -> None:
        self._counts[kind] += 1
        self._first.setdefault(kind, first)


def place(opening: datetime, line: int | None) -> str:
    """Return the opening of a candle, and its line if it comes from a file: ``2024-05-17 in line 7``."""
    text = opening.isoformat(" ").removesuffix("+00:00").removesuffix(" 00:00:00")
    return text if line is None else f"{text} in line {line}"
