"""Tables and paragraphs of text, at most `WIDTH` columns wide."""

from collections.abc import Sequence
from functools import partial
from textwrap import fill

from crypto_predict.market import Pair

Row = Sequence[str]

WIDTH = 100  # columns

wrapped = partial(fill, width=WIDTH, break_long_words=False, break_on_hyphens=False)


def table(head: Row, rows: Sequence[Row]) -> str:
    """Format columns as wide as their widest cell, those of numbers aligned to the right."""
    columns = []
    for cells in zip(head, *rows, strict=True):
        width = max(map(len, cells))
        numbers = all(cell[0] in "+-<0123456789" for cell in cells[1:])
        aligned = [cell.rjust(width) if numbers else cell.ljust(width) for cell in cells]
        columns.append([aligned[0], "-" * width, *aligned[1:]])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))


def origin(pair: Pair, source: str, traded: Pair) -> str:
    """Format where prices of a pair come from, with the pair that is traded there in its place."""
    return source if traded == pair else f"{source} ({traded})"


def relative(ratio: float | None) -> str:
    """Format a ratio to persistence."""
    if ratio is None:
        return "-"
    if ratio < 100:
        return f"{ratio:.3f}"
    return f"{ratio:.0f}" if ratio < 1e6 else f"{ratio:.0e}"
