import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto_predict.baked import index, store
from crypto_predict.baked.index import INDEX, Index, IndexedModel, IndexedRecord, IndexedScore, Refusal
from crypto_predict.baked.schema import Backtest, LiveRecord, Score
from crypto_predict.errors import OtherSchema, UnusableModel
from crypto_predict.market import Pair
from tests.support.models import BTC, blank, make_model

ETH, SOL = Pair("ETH", "USD"), Pair("SOL", "USD")
AT = datetime(2025, 7, 1, tzinfo=UTC)
REFUSED = Refusal(AT, ("SOL/USD: alpaca: its last candle is 9 days old",))


def written(folder: Path, *pairs: Pair, shard: str = "1/1") -> Index:
    """Write a model of each pair, and their index, in which Solana is refused and keeps no file."""
    models: dict[Pair, IndexedModel] = {}
    for pair in pairs:
        model = make_model(pair)
        entry = index.describe(pair, model, data := store.dumps(model), "5" * 64)
        (folder / entry.file).write_bytes(data)
        models[pair] = entry
    whole = Index(asked=(*pairs, SOL), shard=shard, models=models, refused={SOL: REFUSED})
    index.write(whole, folder)
    return whole


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    whole = written(tmp_path, BTC, ETH)
    assert index.read(tmp_path) == whole
    assert index.read_model(tmp_path, ETH, whole.models[ETH]) == make_model(ETH)


def test_an_entry_has_what_lists_answer(tmp_path: Path) -> None:
    """A server answers its lists without opening a model file."""
    entry, model = written(tmp_path, BTC).models[BTC], make_model(BTC)
    forecast = model.forecasts[BTC]
    assert (entry.first_day, entry.last_candle, entry.last_day) == (forecast.first, forecast.last, forecast.end)
    assert (entry.version, entry.build, entry.anchor_at) == (model.card.version, model.card.build, forecast.anchor.at)
    assert (entry.git_revision, entry.traded, entry.record) == (model.card.git_revision, BTC, None)


def test_an_entry_has_the_live_record_of_its_kind_of_prices() -> None:
    """Of simulated prices where those of the model are, as the scorecard of a file keeps them apart."""
    record = blank(LiveRecord, since=AT, releases=3, due=30, days=12, pending=60, relative_mae=0.98, coverage=0.8)
    model = make_model(BTC, simulated=True)
    scorecard = replace(model.scorecard, simulated={BTC: record})
    entry = index.describe(BTC, replace(model, scorecard=scorecard), b"model", "5" * 64)
    assert entry.record == IndexedRecord(AT, 3, 30, 12, 60, relative_mae=0.98, coverage=0.8)


def test_an_entry_has_the_scores_against_persistence() -> None:
    score = blank(Score, horizon_days=7, forecasts=90, relative_mae=0.99, coverage=0.8, words="no better")
    model = make_model(BTC)
    card = replace(model.card.pairs[BTC], backtest=blank(Backtest, scores=(score,)))
    model = replace(model, card=replace(model.card, pairs={BTC: card}))
    assert index.describe(BTC, model, b"model", "5" * 64).scores == (
        IndexedScore(
            7, 90, relative_mae=0.99, relative_crps=None, relative_winkler=None, coverage=0.8, words="no better"
        ),
    )


def test_a_file_never_changes_under_its_name(tmp_path: Path) -> None:
    """So a release commits with its index, and a server with the index before still finds its files."""
    first = written(tmp_path, BTC).models[BTC]
    newer = make_model(BTC, trained_at=AT)
    assert index.describe(BTC, newer, store.dumps(newer), "5" * 64).file != first.file


@pytest.mark.parametrize("of_other", [b"", None])
def test_a_file_that_was_exchanged_is_refused(tmp_path: Path, of_other: bytes | None) -> None:
    whole = written(tmp_path, BTC, ETH)
    other = (tmp_path / whole.models[ETH].file).read_bytes() if of_other is None else of_other
    (tmp_path / whole.models[BTC].file).write_bytes(other)
    with pytest.raises(UnusableModel, match=r"BTC-USD.*(not the file that index.json names)"):
        index.read_model(tmp_path, BTC, whole.models[BTC])


def test_a_model_of_another_pair_is_refused_even_if_the_index_names_it(tmp_path: Path) -> None:
    """Whoever exchanges two files may exchange their digests, too; the card has its pair."""
    whole = written(tmp_path, BTC, ETH)
    data = (tmp_path / whole.models[ETH].file).read_bytes()
    digest = whole.models[ETH].sha256
    entry = replace(whole.models[ETH], file=index.file_name(BTC, digest))
    (tmp_path / entry.file).write_bytes(data)
    index.write(replace(whole, models={**whole.models, BTC: entry}), tmp_path)
    with pytest.raises(UnusableModel, match="it is of ETH/USD, not of BTC/USD alone"):
        index.read_model(tmp_path, BTC, index.read(tmp_path).models[BTC])


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the index as plain data."""
    members = json.loads((folder / INDEX).read_bytes())
    change(members)
    (folder / INDEX).write_text(json.dumps(members))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda members: members["models"]["BTC/USD"].update(file="../secret.pkl"), "'../secret.pkl', not BTC-USD."),
        (lambda members: members["models"]["BTC/USD"].update(file="/etc/passwd"), "'/etc/passwd', not BTC-USD."),
        (lambda members: members["models"]["BTC/USD"].update(sha256="0" * 63), "64 hexadecimal digits"),
        (lambda members: members["models"]["BTC/USD"].update(bytes=2**40), "not those of a model"),
        (lambda members: members["models"].update({"../X": {}}), "a pair such as BTC/USD"),
        (lambda members: members["models"].update({"btc/usd": members["models"]["BTC/USD"]}), "different ones"),
        (lambda members: members["models"].pop("BTC/USD"), "BTC/USD has no model and was not refused"),
        (lambda members: members["asked"].remove("BTC/USD"), "BTC/USD was not asked for"),
        (lambda members: members["asked"].reverse(), "do not ascend"),
        (lambda members: members.update(asked=[], models={}, refused={}), "0 pairs"),
        (lambda members: members.update(shard="3/2"), "'3/2' is not a part"),
        (lambda members: members["refused"]["SOL/USD"].update(reasons=["\x1b[2J"]), "not printable"),
        (lambda members: members["refused"]["SOL/USD"].update(reasons=[]), "0 reasons"),
        (lambda members: members.update(more=1), "unknown"),
        (lambda members: members.update(format="crypto-predict dataset"), "not the index of a folder of models"),
    ],
)
def test_a_hostile_index_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], fault: str) -> None:
    """A name in it must not lead out of the folder, nor may its lists contradict one another."""
    written(tmp_path, BTC)
    edited(tmp_path, change)
    with pytest.raises(UnusableModel) as raised:
        index.read(tmp_path)
    assert fault in str(raised.value)


def test_an_index_of_another_version_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    written(tmp_path, BTC)
    edited(tmp_path, lambda members: members.update(version=2))
    with pytest.raises(OtherSchema, match="version 2, this program reads 1: train again"):
        index.read(tmp_path)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"[" * 4_000_001, b"1" * 5_000])
def test_what_is_not_an_index_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / INDEX).write_bytes(data)
    with pytest.raises(UnusableModel):
        index.read(tmp_path)


def test_a_folder_without_an_index_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match=r"train\.py --pair all --output"):
        index.read(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.data())
def test_a_damaged_index_is_refused_or_means_the_same_files(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, BTC)
    content = bytearray((tmp_path / INDEX).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / INDEX).write_bytes(content)
    try:
        read = index.read(tmp_path)
    except UnusableModel:
        return
    assert all(entry.file == index.file_name(pair, entry.sha256) for pair, entry in read.models.items())
    assert whole.models.keys() == read.models.keys()
