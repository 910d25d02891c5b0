"""The page of the release: what the dataset has, and how it is read."""

from collections.abc import Sequence

from crypto_predict.dataset.manifest import Manifest, Series
from crypto_predict.market.downtime import OutageReport
from crypto_predict.release.dataset.published import PENDING, REGISTER, TAG
from crypto_predict.release.job import code, table

_LISTED = 10  # silences
_SERIES = 500  # rows of the table, of which GitHub takes 125,000 characters
_HEAD = ("source", "pair", "candles of", "months", "rows", "candles", "missing", "to (UTC)")
_ALIGNED = "<<<<>>><"
_DUCKDB = "duckdb -c \"select source, pair, count(close) from 'market/**/*.parquet' group by all\""


def notes(described: Manifest, silences: Sequence[OutageReport], repository: str) -> str:
    """Return the page in Markdown: the same for the same dataset."""
    shown = [series for series in described.described() if series.files]
    about = (
        "Candles of exchanges, one Parquet file for each source, pair, interval and month. Every opening has a row, "
        "and a candle that is missing has its verdict. The file `manifest.json` has the SHA-256 of each file. A "
        f"workflow [adds the day](https://github.com/{repository}/blob/main/docs/dataset.md) and replaces what an "
        "exchange has revised."
    )
    parts = [
        about,
        table(_HEAD, [_row(series) for series in shown[:_SERIES]], _ALIGNED),
    ]
    if len(shown) > _SERIES:
        parts.append(f"And {len(shown) - _SERIES:,} series more, which the manifest lists.")
    parts += ["## Silences", _silences(silences), "## Reading it", _reading(repository)]
    return "\n\n".join(parts) + "\n"


def _row(series: Series) -> list[str]:
    first, last = series.files[0], series.files[-1]
    rows, candles = (sum(getattr(entry, name) for entry in series.files) for name in ("rows", "candles"))
    months = f"{first.start:%Y-%m} to {last.start:%Y-%m}"
    source = f"{code(series.source)}, **simulated prices**" if series.simulated else code(series.source)
    counts = [f"{number:,}" for number in (rows, candles, rows - candles)]
    return [source, code(str(series.pair)), series.interval, months, *counts, f"{last.end:%Y-%m-%d %H:%M}"]


def _silences(events: Sequence[OutageReport]) -> str:
    lines = [
        f"- {event.start:%Y-%m-%d %H:%M}, {event.seconds // 60:,} minutes: {code(event.source)} had {event.reason}"
        for event in events[:_LISTED]
    ]
    text = f"Spans of five minutes or more in which a source had no candle of any pair; `{REGISTER}` has all of them."
    return "\n".join([text, "", *(lines or ["- none"])])


def _reading(repository: str) -> str:
    return f"""\
```bash
gh release download {TAG} --repo {repository} --dir market
cd market && for file in *_*.parquet; do
  IFS=_ read -r source pair interval month <<< "$file"
  mkdir -p "source=$source/pair=$pair/interval=$interval"
  mv "$file" "source=$source/pair=$pair/interval=$interval/$month"
done
cd .. && {_DUCKDB}
```

A file whose name ends with `{PENDING}` is of a run that has not ended: leave it out."""
