"""What the training of a folder of models prints."""

import json
from collections.abc import Iterator
from pathlib import Path

from crypto_predict.baked import plain
from crypto_predict.baked.index import Index
from crypto_predict.market.collected import Shard
from crypto_predict.training.report import wrapped
from crypto_predict.wording import counted

_SHOWN = 10  # refused pairs


def as_json(release: Index, output: Path, trained: int | None = None) -> str:
    """Format one JSON object: the folder written, the number of pairs trained (null: merged), and the whole index."""
    return json.dumps({"output": str(output), "trained": trained, "index": plain.encode(release)}, indent=2)


def as_text(release: Index, output: Path, trained: int | None = None) -> str:
    """Format some lines: how many pairs have a model, of which so many were `trained`, and why others were refused."""
    return "\n".join(map(wrapped, _lines(release, output, trained)))


def _lines(release: Index, output: Path, trained: int | None) -> Iterator[str]:
    kept = sum(pair in release.models for pair in release.refused)
    part = "" if release.shard == str(Shard()) else f", shard {release.shard} of {counted(len(release.asked), 'pair')}"
    simulated = any(entry.simulated for entry in release.models.values())
    news = ""
    if trained is not None:
        news = f"; {trained:,} trained, {len(release.models) - trained - kept:,} without new candles"
    refused = f"; {len(release.refused):,} refused, of which {kept:,} keep an earlier model" if release.refused else ""
    yield f"{output}/: {counted(len(release.models), 'model')}{part}{news}{refused}"
    for pair, refusal in list(release.refused.items())[:_SHOWN]:
        yield f"  {pair}: {refusal.reasons[0]}"
    if (more := len(release.refused) - _SHOWN) > 0:
        yield f"  ... and {more:,} more, in {output}/index.json"
    if simulated:
        yield "!!! SIMULATED PRICES: the market is invented. Never trade or publish on it !!!"
