"""Folders of models made by hand."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from crypto_predict.baked import index, store
from crypto_predict.baked.index import Index, IndexedModel, Refusal
from crypto_predict.market import Pair
from tests.support.models import TRAINED_AT, make_model

NOBODY: Mapping[Pair, Refusal] = {}


def write_folder(
    folder: Path, *pairs: Pair, trained_at: datetime = TRAINED_AT, refused: Mapping[Pair, Refusal] = NOBODY
) -> Index:
    """Write a model of each pair, as trained then, and their index last; remove the files that it does not name."""
    models: dict[Pair, IndexedModel] = {}
    for pair in sorted(pairs):
        model = make_model(pair, trained_at=trained_at)
        models[pair] = index.describe(pair, model, data := store.dumps(model), "5" * 64)
        (folder / models[pair].file).write_bytes(data)
    asked = tuple(sorted({*pairs, *refused}))
    whole = Index(asked=asked, shard="1/1", models=models, refused=dict(sorted(refused.items())))
    index.write(whole, folder)
    for path in {*folder.glob("*.pkl")} - {folder / entry.file for entry in models.values()}:
        path.unlink()
    return whole
