"""A training with the estimates of its champion: the same model, byte for byte, in less time."""

import base64
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.market import Pair
from tests.forecasting.candidates.test_weekly import ENTRY_BYTES
from tests.support.histories import as_csv, make_history
from tests.support.training import in_process

BTC = Pair("BTC", "USD")
HISTORY = make_history(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a history, `fresh.pkl` trained on all of it, and `champion.pkl` trained a day earlier."""
    path = tmp_path_factory.mktemp("estimates")
    (path / "prices.csv").write_text(as_csv(HISTORY))
    train(path, "champion.pkl", earlier=1)
    train(path, "fresh.pkl")
    return path


def train(folder: Path, output: str, *arguments: str, earlier: int = 0) -> bytes:
    """Train up to some days before the last one, and return the bytes of the model."""
    until = HISTORY.candles[-1].open_time.date() - timedelta(days=earlier)
    source = ("--source", f"file:{folder / 'prices.csv'}", "--pair", str(BTC), "--until", str(until), "--every", "10")
    assert in_process(*source, "--output", str(folder / output), *arguments) == 0
    return (folder / output).read_bytes()


def test_a_retrain_gives_the_same_bytes_with_and_without_reuse(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        retrained = train(folder, "retrained.pkl", "--champion", str(folder / "champion.pkl"))
    assert retrained == (folder / "fresh.pkl").read_bytes()
    count = len(store.load(folder / "fresh.pkl").estimates[BTC])
    carried = re.search(rf"(\d+) of {count} weekly estimates are those of --champion", caplog.text)
    assert carried is not None
    assert int(carried[1]) > 0.7 * count > 10  # cutoffs that are days apart fall into other weeks


@pytest.mark.parametrize("settings", [("--days", "200"), ("--every", "5", "--horizons", "2,3")])
def test_other_settings_give_the_same_bytes_with_and_without_reuse(folder: Path, settings: tuple[str, ...]) -> None:
    with_reuse = train(folder, "with.pkl", "--champion", str(folder / "champion.pkl"), *settings)
    assert with_reuse == train(folder, "without.pkl", *settings)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _: ("not base64",), "'not base64' is not base64"),
        (lambda texts: ("AAAA", *texts), f"'AAAA' is not base64 of {ENTRY_BYTES} bytes"),
        (lambda texts: tuple(f"{text[:40]}{text[40:].swapcase()}" for text in texts), "all are made anew"),
        (lambda _: (base64.b64encode(bytes(ENTRY_BYTES)).decode(),), "0 of "),
        (lambda _: (), "0 of "),
    ],
    ids=["not base64", "truncated", "other numbers", "other closes", "absent"],
)
def test_a_champion_with_broken_estimates_only_costs_time(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[tuple[str, ...]], tuple[str, ...]], reason: str
) -> None:
    """They are checked, as whoever makes a model may write anything there."""
    champion = store.load(folder / "champion.pkl")
    store.save(replace(champion, estimates={BTC: damage(champion.estimates[BTC])}), folder / "broken.pkl")
    with caplog.at_level(logging.INFO):
        retrained = train(folder, "retrained.pkl", "--champion", str(folder / "broken.pkl"))
    assert retrained == (folder / "fresh.pkl").read_bytes()
    assert reason in caplog.text
    assert "0 of " in caplog.text
