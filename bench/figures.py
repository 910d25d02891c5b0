"""A measured ratio with its goal, and the table of them.

Peers are measured in turn within one run, several rounds each, and compared by their medians: the ratio of two servers
on one machine at one time means something, their absolute times do not.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured ratio, its parts, and its goal."""

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    goal: float
    at_least: bool = False  # False: at most

    @property
    def ratio(self) -> float:
        """Ours to the peer's."""
        return self.ours / self.peer

    @property
    def reached(self) -> bool:
        """Whether the ratio meets its goal."""
        return self.ratio >= self.goal if self.at_least else self.ratio <= self.goal


def in_turn(measurements: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median of each measurement over rounds in which each has its turn; the first round only warms up."""
    taken = [{name: measure() for name, measure in measurements.items()} for _ in range(rounds + 1)]
    return {name: statistics.median(one[name] for one in taken[1:]) for name in measurements}


def table(figures: Sequence[Figure]) -> str:
    """Format the figures as a Markdown table, as in the documentation."""
    head = ["figure", "ours", "peer", "ratio", "goal", "reached"]
    rows = [
        [
            figure.name,
            f"{figure.ours:,.4g} {figure.unit}",
            f"{figure.peer_name}: {figure.peer:,.4g} {figure.unit}",
            f"{figure.ratio:.4g}",
            f"{'at least' if figure.at_least else 'at most'} {figure.goal:.3g}",
            "yes" if figure.reached else "NO",
        ]
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)
