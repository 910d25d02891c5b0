import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from crypto_predict.baked import index
from crypto_predict.baked.files import locked
from crypto_predict.baked.index import INDEX
from crypto_predict.market import Pair
from crypto_predict.market.collected import Shard
from crypto_predict.training.fleet.progress import FOLDER
from crypto_predict.training.options import read_settings
from tests.support.histories import as_csv, make_history
from tests.support.live import until
from tests.support.serving import ROOT, running
from tests.support.training import TRAINED_AT, in_process

NAMES = ("BTC/USD", "ETH/USD", "LTC/USD", "SOL/USD")
LATER = TRAINED_AT | {"SOURCE_DATE_EPOCH": "1716134247"}
# Little to compute, where a forecast is not the point.
QUICK = ("--days", "120", "--every", "60", "--hours", "0", "--rivals", "", "--no-gate")
SIMULATED = ("--source", "simulated", "--until", "2024-05-01", *QUICK)


def fleet(folder: Path, *options: str, environ: Mapping[str, str] = TRAINED_AT, pairs: Sequence[str] = NAMES) -> int:
    """Train a folder of simulated pairs, and return the exit code."""
    return in_process(
        *(f"--pair={pair}" for pair in pairs), *SIMULATED, f"--output={folder}/", *options, environ=environ
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that one process has trained."""
    folder = tmp_path_factory.mktemp("fleet") / "models"
    assert fleet(folder) == 0
    return folder


def test_a_folder_has_a_file_and_a_ledger_for_each_pair_and_their_index(serial: Path) -> None:
    release = index.read(serial)
    assert [str(pair) for pair in release.models] == list(NAMES)
    assert release.refused == {}
    expected = {name for pair, entry in release.models.items() for name in (entry.file, index.ledger_name(pair))}
    assert {path.name for path in serial.iterdir()} == expected | {INDEX}
    for pair, entry in release.models.items():
        assert index.read_model(serial, pair, entry).card.build == entry.build


def test_workers_give_the_same_files_byte_for_byte(serial: Path, tmp_path: Path) -> None:
    assert fleet(tmp_path, "--workers=2") == 0
    assert contents(tmp_path) == contents(serial)


def test_merged_shards_give_the_same_files_byte_for_byte(serial: Path, tmp_path: Path) -> None:
    """A shard may have no pairs."""
    parts = [tmp_path / str(number) for number in (1, 2, 3)]
    assert [fleet(part, f"--shard={part.name}/3") for part in parts] == [0, 0, 0]
    assert sum(len(index.read(part).models) for part in parts) == len(NAMES)
    merged = tmp_path / "merged"
    assert in_process(*(f"--merge={part}" for part in parts), f"--output={merged}/") == 0
    assert contents(merged) == contents(serial)


def test_a_shard_that_has_not_ended_is_named_by_its_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        assert fleet(tmp_path / str(number), f"--shard={number}/3") == 0
    assert in_process(f"--merge={tmp_path}/1,{tmp_path}/2", f"--output={tmp_path}/models/") == 2
    missing = [name for name in NAMES if Pair.parse(name) in Shard(3, 3)]
    assert f"{len(missing)} pairs of 4 are missing ({', '.join(missing)})" in capsys.readouterr().err
    assert not (tmp_path / "models" / INDEX).exists()


def test_parts_of_different_releases_are_not_merged(
    serial: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet(tmp_path / "other", pairs=NAMES[:1]) == 0
    assert in_process(f"--merge={serial},{tmp_path}/other", f"--output={tmp_path}/models/") == 2
    assert "it has other pairs" in capsys.readouterr().err
    twin = tmp_path / "twin"
    twin.mkdir()
    for name, data in contents(serial).items():
        (twin / name).write_bytes(data)
    assert in_process(f"--merge={serial},{twin}", f"--output={tmp_path}/models/") == 2
    assert "both have BTC/USD" in capsys.readouterr().err


def test_pairs_without_new_candles_are_not_trained_again(serial: Path, tmp_path: Path) -> None:
    """An hour later on the same day there is nothing to learn; on the next day there is, and the ledgers continue."""
    for name, data in contents(serial).items():
        (tmp_path / name).write_bytes(data)
    assert fleet(tmp_path, environ=LATER) == 0
    assert contents(tmp_path) == contents(serial)
    assert fleet(tmp_path, "--until=2024-05-02", environ=LATER) == 0
    for pair, entry in index.read(tmp_path).models.items():
        assert entry.trained_at > index.read(serial).models[pair].trained_at
        ledgers = [(folder / index.ledger_name(pair)).read_bytes() for folder in (serial, tmp_path)]
        assert ledgers[1].startswith(ledgers[0])
        assert len(ledgers[1]) > len(ledgers[0])
    assert len(list(tmp_path.glob("*.pkl"))) == len(NAMES)  # the earlier files are gone


def test_another_setting_trains_pairs_again(serial: Path, tmp_path: Path) -> None:
    for name, data in contents(serial).items():
        (tmp_path / name).write_bytes(data)
    assert fleet(tmp_path, "--seed=1", environ=LATER) == 0
    assert all(entry.build.endswith("20240519155727") for entry in index.read(tmp_path).models.values())


@pytest.fixture
def prices(tmp_path: Path) -> tuple[str, ...]:
    """The arguments to train on files of prices for three pairs, of which one does not exist."""
    for base in ("AAA", "BBB"):
        (tmp_path / f"{base}.csv").write_text(as_csv(make_history(150)))
    names = "--pair=AAA/USD,BBB/USD,NONE/USD"
    return (names, f"--source=file:{tmp_path}/{{base}}.csv", *QUICK, f"--output={tmp_path}/models/")


def test_a_pair_that_is_refused_keeps_its_earlier_model(prices: tuple[str, ...], tmp_path: Path) -> None:
    assert in_process(*prices, "--most-refused=40") == 0
    first = index.read(tmp_path / "models")
    assert ([str(pair) for pair in first.models], [str(pair) for pair in first.refused]) == (
        ["AAA/USD", "BBB/USD"],
        ["NONE/USD"],
    )
    (tmp_path / "AAA.csv").unlink()
    (tmp_path / "BBB.csv").write_text(as_csv(make_history(151)))
    assert in_process(*prices, "--most-refused=70", environ=LATER) == 0
    second = index.read(tmp_path / "models")
    aaa, bbb = Pair("AAA", "USD"), Pair("BBB", "USD")
    assert second.models[aaa] == first.models[aaa]
    assert "AAA.csv" in second.refused[aaa].reasons[0]
    assert second.models[bbb] != first.models[bbb]
    assert list(index.read_model(tmp_path / "models", aaa, second.models[aaa]).forecasts) == [aaa]


def test_too_many_refused_pairs_refuse_the_release(
    prices: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder stays the release before, though two pairs were trained."""
    assert in_process(*prices, "--most-refused=40") == 0
    before = contents(tmp_path / "models")
    (tmp_path / "BBB.csv").write_text(as_csv(make_history(151)))
    assert in_process(*prices, environ=LATER) == 4
    assert "1 of 3 pairs were refused, more than 10 %" in capsys.readouterr().err
    assert contents(tmp_path / "models") == before


def started(folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start the training of the folder with two workers."""
    options = [*(f"--pair={pair}" for pair in NAMES), *SIMULATED, f"--output={folder}/", "--workers=2"]
    return running(str(ROOT / "train.py"), *options, environ=TRAINED_AT, start_new_session=True)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that a training has started, once there are two."""
    children: list[psutil.Process] = []

    def began() -> bool:
        children[:] = psutil.Process(process.pid).children(recursive=True)
        return len(children) >= 2

    until(began)
    return children


def test_a_killed_run_is_continued_with_an_equal_result(serial: Path, tmp_path: Path) -> None:
    """Its workers end with it: they must not write beside the next run."""
    with started(tmp_path) as process:
        workers = workers_of(process)
        until(lambda: any((tmp_path / FOLDER).glob("*-USD.json")))
        process.kill()
        _, alive = psutil.wait_procs(workers, 60)
    assert alive == []
    assert fleet(tmp_path) == 0
    assert contents(tmp_path) == contents(serial)


def test_ctrl_c_leaves_no_process_and_no_release(tmp_path: Path) -> None:
    """A terminal interrupts all processes of the command."""
    with started(tmp_path) as process:
        workers = workers_of(process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        _, alive = psutil.wait_procs(workers, 60)
    assert (process.returncode, alive) == (130, [])
    assert "interrupted; the index was not changed" in errors
    assert not (tmp_path / INDEX).exists()


def test_a_second_training_of_the_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path / INDEX, "--output"):
        assert fleet(tmp_path) == 2
    assert "writes it; wait until that process ends" in capsys.readouterr().err


def test_a_list_names_each_pair_once(tmp_path: Path) -> None:
    """In whichever spelling."""
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("# dollars\nBTC/USD\n\nbtc-usd  # the same\nETH_USD\n")
    settings, _ = read_settings([f"--pair=@{pairs}", "--output=models/"], {})
    assert settings.pairs == (Pair("BTC", "USD"), Pair("ETH", "USD"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [("BTC/USD\nbitcoin\n", "line 2"), ("# none\n", "it has none"), (None, "the file does not exist")],
)
def test_a_list_that_cannot_be_used_is_refused(
    text: str | None, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(SystemExit) as end:
        read_settings([f"--pair=@{tmp_path}/pairs.txt"], {})
    assert end.value.code == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--pair=all"], "used with a model file; name a folder"),
        (["--workers=2"], "used with a model file"),
        (["--shard=1/2"], "used with a model file"),
        (["--merge=parts"], "used with a model file"),
        (["--pair=all:0", "--output=models/"], "a number of pairs from 1"),
        (["--pair=collected", "--output=models/"], "used with a folder of models"),
        (["--repeat=6h", "--output=models/"], "used with a folder of models"),
        (["--interval=1h", "--output=models/"], "--interval"),
    ],
)
def test_settings_that_contradict_the_kind_of_output_are_refused(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        read_settings(arguments, {})
    assert end.value.code == 2
    assert fault in capsys.readouterr().err


def test_an_indexed_job_trains_the_shard_of_its_index() -> None:
    """Kubernetes counts from 0, and does not say how many there are."""
    settings, _ = read_settings(["--output=models/"], {"JOB_COMPLETION_INDEX": "2", "SHARDS": "16"})
    assert settings.shard == Shard(3, 16)
    settings, _ = read_settings(["--output=models/"], {"JOB_COMPLETION_INDEX": "2"})
    assert settings.shard is None


def test_all_pairs_of_an_exchange_need_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_process("--pair=all", "--source=binance", f"--output={tmp_path}/") == 2
    assert "name the pairs with @FILE" in capsys.readouterr().err


def test_the_report_is_json_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_process("--pair=all:1", *SIMULATED, f"--output={tmp_path}/", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["trained"], list(report["index"]["models"])) == (1, ["BTC/USD"])


@pytest.mark.parametrize("change", [{"version": 2}, {"format": "other"}])
def test_an_index_of_another_version_is_replaced_and_a_damaged_one_is_not(
    change: dict[str, object], serial: Path, tmp_path: Path
) -> None:
    for name, data in contents(serial).items():
        (tmp_path / name).write_bytes(data)
    members = json.loads((tmp_path / INDEX).read_bytes()) | change
    (tmp_path / INDEX).write_text(json.dumps(members))
    assert fleet(tmp_path, environ=LATER, pairs=NAMES[:1]) == (0 if "version" in change else 2)


def test_a_folder_with_other_files_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert fleet(tmp_path) == 2
    assert "it has other files" in capsys.readouterr().err
