"""The documents of the page, as its scripts read them."""

from __future__ import annotations

from itertools import accumulate
from typing import Any


def with_prices(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a forecast document with prices in place of their differences, as `page/scripts/steps.js` makes it."""
    unit = 10 ** sent["decimals"]

    def prices(steps: list[int | None]) -> list[float | None]:
        sums = accumulate(step or 0 for step in steps)
        return [None if step is None else units / unit for step, units in zip(steps, sums, strict=True)]

    prophet = {name: steps and prices(steps) for name, steps in sent["prophet"].items()}
    by_day = {name: prices(sent[name]) for name in ("closes", "fitted", "prediction")}
    return {**sent, **by_day, "quantiles": [prices(level) for level in sent["quantiles"]], "prophet": prophet}
