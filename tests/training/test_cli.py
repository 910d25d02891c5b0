import contextlib
import errno
import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest

from crypto_predict.baked import plain, store
from crypto_predict.baked.schema import MOST_PAIRS
from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.evaluation.replay import splits
from crypto_predict.market import Pair
from crypto_predict.training.options import read_settings
from crypto_predict.training.outputs import check_room
from tests.support.histories import as_csv, make_history, wandering
from tests.support.processes import Finished, forked_training, run_measured
from tests.support.serving import ROOT
from tests.support.training import QUICK, TRAINED_AT, in_process, price_file

BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")


@pytest.fixture
def prices(tmp_path: Path) -> tuple[str, ...]:
    """The arguments to train on 200 days, quickly."""
    return (*price_file(tmp_path, 200), *QUICK)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """One run of two pairs in the simulated market, with all outputs."""
    folder = tmp_path_factory.mktemp("simulated")
    run = forked_training(
        *("--pair", "BTC/USD", "--pair", "ETH/USD", "--source", "simulated", "--until", "2025-06-30"),
        *("--days", "400", "--every", "40", "--hours", "61d"),
        *("--output", str(folder / "model.pkl"), "--prophet-json", str(folder / "{base}.json")),
        *("--picture", str(folder / "{base}-{quote}.svg"), "--verbose"),
        environ=TRAINED_AT,
    )
    return run, folder


def test_a_run_reports_span_candles_gaps_seconds_and_forecast_and_ends_with_0(simulated: tuple[Finished, Path]) -> None:
    run, folder = simulated
    assert run.code == 0, run.errors
    model = store.load(folder / "model.pkl")
    assert list(model.forecasts) == [BTC, ETH]
    assert (model.forecasts[BTC].last, model.card.pairs[BTC].candles) == (date(2025, 6, 30), 400)
    rows = [line.split() for line in run.output.splitlines()]
    history = next(row for row in rows if row[:1] == ["BTC/USD"])
    assert history[1:6] == ["2024-05-27", "2025-06-30", "400", "0", "0"]
    assert float(history[6]) > 0
    assert "source: simulated for BTC/USD and ETH/USD" in run.output
    days = [row[3] for row in rows if row[:1] == ["ETH/USD"] and row[-1].endswith("%") and row[3].startswith("2025-")]
    assert days == ["2025-07-01", "2025-07-07", "2025-07-30", "2025-09-28"]
    standing = model.card.pairs[ETH].forecast[0]
    assert f"{standing.prediction:,.2f}" in run.output


def test_without_verbose_the_report_is_a_summary_of_a_few_lines(
    prices: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address of the server, which follows in `make run`, stays in sight."""
    assert in_process(*prices, "--output", str(tmp_path / "model.pkl"), "--no-gate") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 15
    assert lines[0].startswith("BTC/USD: 200 days of")
    assert [line.split()[1:3] for line in lines if line.startswith("BTC/USD  ")] == [
        [number, unit] for number, unit in (("1", "day"), ("7", "days"), ("30", "days"), ("90", "days"))
    ]
    assert "between low and high" in " ".join(lines)
    assert lines[-1].endswith("--verbose prints all tables")


def test_simulated_prices_are_marked_everywhere(simulated: tuple[Finished, Path]) -> None:
    """In the log, in the report, in the card and in the picture."""
    run, folder = simulated
    assert "SIMULATED" in run.errors.upper()
    assert "SIMULATED PRICES" in run.output
    card = store.load(folder / "model.pkl").card
    assert card.simulated
    assert card.pairs[BTC].simulated
    for pair in ("BTC-USD", "ETH-USD"):
        assert "forecast from 30 June 2025: SIMULATED PRICES" in (folder / f"{pair}.svg").read_text()


def test_the_card_describes_the_origin_of_the_model(simulated: tuple[Finished, Path]) -> None:
    _, folder = simulated
    card = store.load(folder / "model.pkl").card
    assert card.trained_at == datetime(2024, 5, 18, 12, 10, 47, tzinfo=UTC)
    assert card.build == f"{card.version}-20240518121047"
    assert (folder / "BTC.json").exists()
    assert card.python == ".".join(map(str, sys.version_info[:3]))
    assert set(card.packages) >= {"prophet", "numpy", "pandas", "arch"}
    assert [standing.horizon_days for standing in card.pairs[BTC].forecast] == [1, 7, 30, 90]
    assert len(card.pairs[BTC].history_sha256) == 64
    assert (card.gate.passed, card.gate.enforced, card.gate.reasons) == (True, True, ())
    assert card.gate.thresholds["most_coverage"] == 0.9


def test_the_same_input_gives_the_same_files_byte_for_byte(prices: tuple[str, ...], tmp_path: Path) -> None:
    """In two processes with different hash seeds."""
    written = []
    for name in ("1", "2"):
        folder = tmp_path / name
        folder.mkdir()
        files = [f"--output={folder}/model.pkl", f"--picture={folder}/it.svg", f"--backtest={folder}/backtest.csv"]
        run = run_measured([sys.executable, "train.py", *prices, *files], {**TRAINED_AT, "PYTHONHASHSEED": name})
        assert run.code == 0, run.errors
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    assert written[0].keys() == {"model.pkl", "model.ledger.jsonl", "it.svg", "backtest.csv"}


def test_the_progress_bar_ends_at_its_total(tmp_path: Path) -> None:
    """On a real terminal, with two pairs, one of which has no cutoffs."""
    for name, days in (("BTC", 200), ("ETH", 60)):
        (tmp_path / f"{name}.csv").write_text(as_csv(make_history(days)))
    files = ["--source", f"file:{tmp_path}/{{base}}.csv", "--output", str(tmp_path / "model.pkl"), "--no-gate"]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    rivals = ["--rivals", f"garch,{ROOT / 'rivals' / 'example.py'},{tmp_path / 'absent.py'}", "--rival-every", "50"]
    arguments = ["--pair", "BTC/USD,ETH/USD", "--days", "150", *files, *QUICK, *rivals]
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read_terminal, ours)
        run = forked_training(*arguments, environ={}, before=partial(write_errors_to, os.ttyname(theirs)))
        os.close(theirs)
        shown = reading.result()
    assert run.code == 0, shown
    counts = re.findall(r"(\d+)/(\d+) steps", shown)
    # Two histories; a cutoff every 25 of the last 100 days, both ends included, of ours and garch, and every 50 of each
    # file. That one of them fails does not stop the bar.
    assert counts[-1] == ("18", "18")
    assert all(int(done) <= int(total) for done, total in counts)


def write_errors_to(terminal: str) -> None:
    """Let the standard error of this process be a terminal."""
    os.dup2(os.open(terminal, os.O_WRONLY | os.O_NOCTTY), 2)


def read_terminal(descriptor: int) -> str:
    """Return everything written to a terminal until its other side closes."""
    parts = []
    with contextlib.suppress(OSError):  # on Linux, the sign that the other side has closed
        while part := os.read(descriptor, 4096):
            parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode()


def _scaled(factor: float, day: int) -> float:
    return factor * wandering(day)


def test_the_report_fits_a_hundred_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With long names, very high and low prices, and more horizons than fit side by side."""
    names = ("ABCDEFGHIJ/KLMNOPQRST", "BTC/USD", "SHIB/USD", "1234567890/ABCDEFGHIJ")
    for name, scale in zip(names, (1e9, 1.0, 1e-9, 1e6), strict=True):
        history = make_history(500, partial(_scaled, scale))
        (tmp_path / f"{name.partition('/')[0]}.csv").write_text(as_csv(history))
    files = ("--source", f"file:{tmp_path}/{{base}}.csv", "--output", str(tmp_path / "model.pkl"))
    horizons = ("--horizons", "1,2,3,5,7,14,30,60,90,180")
    assert in_process("--pair", ",".join(names), *files, *horizons, "--no-gate", "--every", "40", "--verbose") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 100
    # The points and the distributions of each pair.
    assert [row[0] for row in map(str.split, lines) if row[1:3] == ["180", "days"]] == [*names, *names]
    assert sum("it is persistence" in line for line in lines) <= 1
    assert "days before" in next(line for line in lines if "stale: " in line)


def test_every_option_can_come_from_the_environment(
    prices: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {
        "PAIR": "ETH/USD",
        "SOURCE": prices[1],
        "DAYS": "140",
        "UNTIL": "2021-06-30",
        "OUTPUT": str(tmp_path / "from-environment.pkl"),
        "PROPHET_JSON": str(tmp_path / "prophet.json"),
        "PICTURE": str(tmp_path / "picture.png"),
        "BACKTEST": str(tmp_path / "backtest.csv"),
        "HORIZONS": "5,2",
        "EVERY": "30",
        "SEED": "7",
        "NO_GATE": "1",
        "JSON": "1",
        "MODEL_VERSION": "9.8.7",
        "GIT_REVISION": "abc",
        "GATE_LEAST_COVERAGE": "0.25",
    }
    earlier, _ = read_settings([], {"LEDGER": "old.jsonl", "CHAMPION": "old.pkl"})
    assert (earlier.ledger, earlier.champion) == (Path("old.jsonl"), Path("old.pkl"))
    assert in_process(environ=environ) == 0
    card = store.load(tmp_path / "from-environment.pkl").card
    assert (card.days, card.seed, card.version, card.git_revision) == (140, 7, "9.8.7", "abc")
    assert (card.gate.enforced, card.gate.thresholds["least_coverage"]) == (False, 0.25)
    assert (card.pairs[ETH].candles, card.pairs[ETH].warm_up) == (140, 41)
    assert card.pairs[ETH].history_sha256 == make_history(181).sha256()
    assert card.pairs[ETH].last == datetime(2021, 6, 30, tzinfo=UTC)
    assert (backtest := card.pairs[ETH].backtest) is not None
    assert [score.horizon_days for score in backtest.scores] == [2, 5]
    assert backtest.prophet is not None
    assert [score.horizon_days for score in backtest.prophet.scores] == [2, 5]
    assert backtest.prophet.words.startswith("Prophet alone: error ")
    assert (backtest.last_cutoff - backtest.first_cutoff).days == 30 * (backtest.cutoffs - 1) > 0
    report = json.loads(capsys.readouterr().out)
    assert report["output"] == environ["OUTPUT"]
    assert report["seconds"]["ETH/USD"] > 0
    assert report["card"] == plain.encode(card)
    assert (tmp_path / "prophet.json").exists()
    assert (tmp_path / "backtest.csv").exists()
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_backtest_has_at_least_a_hundred_cutoffs_by_default() -> None:
    """At every horizon, on a history of the default length; fewer would only show chance."""
    settings, _ = read_settings([], {})
    cutoffs = list(splits(settings.days, settings.every))
    assert settings.horizons == (1, 7, 30, 90)
    assert all(sum(cutoff + horizon < settings.days for cutoff in cutoffs) >= 100 for horizon in settings.horizons)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--source", "mtgox"], "mtgox"),
        (["--days", "7"], "'7' is not a whole number from 30"),
        (["--seed", "-1"], "'-1'"),
        (["--horizons", "1,0"], "'0' is not a whole number from 1 to 365"),
        (["--horizons", "1,366"], "'366'"),
        (["--every", "0"], "'0'"),
        (["--output", ""], "--output: '' is not the path of a file"),
        ([], "environment variable DAYS: 'soon'"),
        (["--days", "60"], "MODEL_VERSION: '1.0 beta'"),
    ],
)
def test_a_bad_argument_is_named_and_ends_with_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tests/test_settings.py` has the spellings of numbers, days and labels."""
    with pytest.raises(SystemExit) as end:
        read_settings(arguments, {"DAYS": "soon", "MODEL_VERSION": "1.0 beta"})
    assert end.value.code == 2
    assert named in capsys.readouterr().err


INPUT, OUTPUT = "different from the files that are written", "different from the other outputs"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--output=nowhere/model.pkl"], "--output: 'nowhere/model.pkl' is not a file in a folder that exists"),
        (["--output=."], "--output"),
        (["--output=/"], "--output"),
        (["--output=/dev/null"], "--output: '/dev/null' is not a regular file"),
        (["--output=" + "x" * 300], "File name too long"),
        (["--output=" + "x" * 250], "File name too long"),  # of the temporary file
        (["--picture=forecast.bmp"], "--picture: 'forecast.bmp'"),
        (["--backtest=nowhere/backtest.csv"], "--backtest: 'nowhere/backtest.csv'"),
        (["--pair=BTC/USD,ETH/USD", "--prophet-json=p.json"], "{base}-{quote}"),
        (["--output=pipe"], "--output: 'pipe' is not a regular file"),
        (["--backtest=pipe"], "--backtest: 'pipe' is not a regular file"),
        (["--output=prices.csv"], f"--source file:prices.csv: 'prices.csv' is not {INPUT}"),
        (["--backtest=prices.csv"], f"--source file:prices.csv: 'prices.csv' is not {INPUT}"),
        (["--picture=model.svg", "--output=model.svg"], f"--picture: 'model.svg' is not {OUTPUT}"),
        (["--backtest=model.ledger.jsonl"], f"--backtest: 'model.ledger.jsonl' is not {OUTPUT}"),
        (["--backtest=old.jsonl", "--ledger=old.jsonl"], f"--ledger: 'old.jsonl' is not {INPUT}"),
        (["--output=old.jsonl", "--ledger=old.jsonl"], f"--ledger: 'old.jsonl' is not {INPUT}"),
        (["--backtest=old.pkl", "--champion=old.pkl"], f"--champion: 'old.pkl' is not {INPUT}"),
    ],
)
def test_an_output_that_cannot_be_written_or_is_an_input_is_refused_before_the_training(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A typing error must not destroy a price history or a ledger."""
    monkeypatch.chdir(tmp_path)
    inputs = {"prices.csv": as_csv(make_history(60)), "old.jsonl": "irreplaceable", "old.pkl": "a champion"}
    for name, content in inputs.items():
        Path(name).write_text(content)
    os.mkfifo("pipe")
    assert in_process("--pair=BTC/USD", "--source=file:prices.csv", *arguments) == 2
    assert named in capsys.readouterr().err
    assert {name: Path(name).read_text() for name in inputs} == inputs


def test_a_link_that_leads_to_no_path_is_refused_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe by its descriptor, like /dev/stdout, and a loop, for which the error of Python depends on the version."""
    reader, writer = os.pipe()
    try:
        assert in_process("--source", "simulated", "--backtest", f"/dev/fd/{writer}") == 2
    finally:
        os.close(reader)
        os.close(writer)
    assert f"--backtest: '/dev/fd/{writer}' is not a regular file" in capsys.readouterr().err
    for link, target in (("a.pkl", "b.pkl"), ("b.pkl", "a.pkl")):
        (tmp_path / link).symlink_to(tmp_path / target)
    assert in_process("--source", "simulated", "--output", str(tmp_path / "a.pkl")) == 2
    error = capsys.readouterr().err
    assert error.startswith("train.py: error: --output: ")
    assert error.endswith(" is not a regular file\n"), "the path may be too long to be shown in full"
    loop = str(tmp_path / "a.pkl")
    fine = ("--source", "simulated", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*fine, "--champion", loop) == 2
    assert in_process(*fine, "--ledger", loop) == 4
    errors = capsys.readouterr().err.splitlines()
    assert [line.rpartition(": ")[2] for line in errors] == [os.strerror(errno.ELOOP)] * 2


def test_more_than_a_model_can_hold_is_refused_before_the_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too many pairs, horizons, and days of all pairs: seven pairs of a hundred years."""
    output = ("--output", str(tmp_path / "model.pkl"), "--no-gate")
    market = ("--source", "simulated", "--until", "2024-05-16", "--hours", "0", *output)
    pairs = ",".join(f"C{number}/USD" for number in range(MOST_PAIRS + 1))
    assert in_process(*market, "--pair", pairs) == 2
    assert f"--pair: '{MOST_PAIRS + 1} pairs' is not few enough for one model ({MOST_PAIRS})" in capsys.readouterr().err
    many = ("--pair", "A/USD,B/USD,C/USD", "--horizons", ",".join(map(str, range(1, 366))))
    assert in_process(*market, *many) == 2
    assert "--horizons: '365 horizons of 3 pairs' is not few enough" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    settings, _ = read_settings(["--days", "36500"], {})
    with pytest.raises(InvalidValue, match="--days: 36500 is not few enough for these pairs: 258,055 days of all"):
        check_room({Pair(f"A{number}", "USD"): 36_500 for number in range(7)}, settings)


def test_an_empty_text_means_no_other_models() -> None:
    assert read_settings(["--rivals", ""], {})[0].rivals == ()


def test_all_pairs_that_a_server_holds_fit_into_one_model_with_the_models_of_the_default() -> None:
    most = {Pair(f"A{number}", "USD"): 2_190 for number in range(MOST_PAIRS)}
    settings, _ = read_settings([], {})
    check_room(most, settings)
    settings, _ = read_settings(["--rivals", ",".join(f"m{number}.py" for number in range(12))], {})
    with pytest.raises(InvalidValue, match=r"choose fewer horizons, pairs \(--pair\) or other models \(--rivals\)"):
        check_room(most, settings)


@pytest.mark.parametrize("later", [600, 10**10])
def test_a_training_time_after_now_is_refused(later: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No later release could continue its ledger."""
    files = ("--source", "simulated", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, environ={"SOURCE_DATE_EPOCH": str(int(time.time()) + later)}) == 2
    assert "SOURCE_DATE_EPOCH: " in (errors := capsys.readouterr().err)
    assert " is not before now, " in errors
    assert list(tmp_path.iterdir()) == []


def test_an_output_name_may_be_invalid_utf8(tmp_path: Path) -> None:
    """File systems allow such names; only the report escapes them."""
    output = os.fsdecode(os.fsencode(tmp_path) + b"/mod\xe4l.pkl")
    run = forked_training(*price_file(tmp_path, 60), "--no-gate", "--output", output, environ={})
    if run.code == 2:
        assert run.errors.count("\n") == 1, "refused in one line"
    else:
        assert run.code == 0, run.errors
        assert Path(output).exists()


@pytest.mark.parametrize("wild", [1e20, 1e300])
def test_prices_outside_the_range_of_forecasts_end_with_3(
    wild: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a model could be fitted but not evaluated."""
    history = make_history(100, lambda day: wild if day % 2 else 1.0)
    (tmp_path / "wild.csv").write_text(as_csv(history))
    files = ("--pair", "BTC/USD", "--source", f"file:{tmp_path / 'wild.csv'}", "--output", str(tmp_path / "model.pkl"))
    assert in_process(*files, "--no-gate") == 3
    assert "exceeds every number" in capsys.readouterr().err
    assert not (tmp_path / "model.pkl").exists()


def test_a_closed_standard_output_is_one_line_and_ends_with_1(prices: tuple[str, ...], tmp_path: Path) -> None:
    """The model has been written, but not the report."""
    command = [sys.executable, "train.py", *prices, "--output", str(tmp_path / "model.pkl")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=100) == 1
    assert errors.splitlines()[-1] == "train.py: error: the model was written, but not this report: Broken pipe"
    assert store.load(tmp_path / "model.pkl").forecasts[BTC].last_close > 0


def test_help_does_not_import_the_forecasting_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        in_process("--help")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert "exit codes:" in shown
    imported = (
        "import sys, train\ntry: train.main(['--help'], {})\nexcept SystemExit: sys.exit('prophet' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", imported], capture_output=True, check=False, timeout=60).returncode == 0
    )
