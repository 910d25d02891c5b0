"""Unusual command lines and environments: one line with the fault and what to type, and never a traceback."""

import ast
import contextlib
import io
import os
import shlex
import shutil
import socket
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import api
from crypto_predict import prerequisites
from crypto_predict.baked import store
from crypto_predict.collecting import options as collecting_options
from crypto_predict.command_line import with_secrets
from crypto_predict.sources.catalog import EXCHANGES
from crypto_predict.training import options
from tests.support.models import make_model
from tests.support.processes import Finished, run_measured
from tests.support.serving import ROOT

COMMANDS: dict[str, Callable[[list[str], Mapping[str, str]], object]] = {
    "train.py": options.read_settings,
    "api.py": api.read_settings,
    "collect.py": collecting_options.read_settings,
}
NAMES = {
    "train.py": "pair source database days interval until seed output prophet-json picture backtest horizons every "
    "ledger champion",
    "api.py": "model database host port threads stale-after cache-for log-level site-url",
    "collect.py": "pair source interval since until shard keep metrics-port metrics-host",
}
VARIABLES = {
    "train.py": "MODEL_VERSION GIT_REVISION SOURCE_DATE_EPOCH SOURCE_SECONDS SOURCE_CANDLES NO_GATE JSON "
    "GATE_STALEST_HOURS GATE_LONGEST_GAP",
    "api.py": "CHECK_ADDRESS COLLECT",
    "collect.py": "DATABASE_URL JSON SOURCE_SECONDS SOURCE_CANDLES",
}
OPTIONS = [(program, f"--{name}") for program, names in NAMES.items() for name in names.split()]
ENVIRONMENT = [
    *((program, name.lstrip("-").replace("-", "_").upper()) for program, name in OPTIONS),
    *((program, name) for program, names in VARIABLES.items() for name in names.split()),
]
# Pasted text, leftovers of shell quoting, and typing errors.
ODD = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=10).map(os.fsdecode),
    st.sampled_from(
        ["", " ", ",", ",,", "BTC/USD,", "file:", "-", "--", "-1", "1e9", "0x10", "nan", "inf", "{base}", "%s"]
    ),
    st.sampled_from(["\n", "a\nb", "\u2028", "\x7f", "9" * 5_000, "x" * 100_000, "\u0661", "\U0001d7d9", "~", "."]),
).filter(lambda text: "\0" not in text)  # which neither can hold


def outcome(program: str, arguments: list[str], environ: Mapping[str, str]) -> tuple[object, str]:
    """Return the exit code, or None if the settings were read, and the standard error."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            COMMANDS[program](arguments, environ)
        except SystemExit as end:
            return end.code, errors.getvalue()
    return None, errors.getvalue()


@given(place=st.sampled_from(OPTIONS + ENVIRONMENT), text=ODD, words=st.lists(ODD, max_size=3))
def test_every_command_line_is_accepted_or_refused_in_one_line(
    place: tuple[str, str], text: str, words: list[str]
) -> None:
    program, name = place
    code, errors = outcome(program, words, {})
    assert (code, errors) == (None, "") or (code == 2 and len(errors.splitlines()) == 1)
    given_as = ([f"{name}={text}"], {}) if name.startswith("--") else ([], {name: text})
    code, errors = outcome(program, *given_as)
    if code is None:
        assert errors == ""
        return
    assert code == 2
    assert errors.startswith(f"{program}: error: ")
    assert errors.endswith("\n")
    assert len(errors.splitlines()) == 1
    assert len(errors) < 600
    assert name in errors or "the pair of" in errors


SOURCES = f"one of {', '.join(EXCHANGES)}, store, simulated, file:PATH"
MISTAKES: list[tuple[str, str, dict[str, str], str]] = [  # of single commands; tests/test_settings.py has the others
    ("train.py", "", {"SOURCE": ","}, f"environment variable SOURCE: '' is not {SOURCES}"),
    ("train.py", "--source 'file:a\nb.csv'", {}, "--source: 'file:a\\nb.csv' is not one line"),
    ("train.py", "", {"MODEL_VERSION": "1.0\udce4"}, "MODEL_VERSION: '1.0\\udce4' is not a label such as 1.2.3"),
    ("train.py", "", {"SOURCE_SECONDS": "x"}, "SOURCE_SECONDS: 'x' is not a whole number from 1 to 86400"),
    ("train.py", "--source file:", {}, f"--source: 'file:' is not {SOURCES}"),
    (
        *("train.py", "--source file:SOL.csv", {}),
        "'file:SOL.csv' is not named; type: python train.py --source file:SOL.csv --pair SOL/USD (or set PAIR)",
    ),
    (
        *("train.py", "--source 'alpaca,file:my data/btcusdt_1d.csv.gz' --days 90", {}),
        "type: python train.py --source 'alpaca,file:my data/btcusdt_1d.csv.gz' --days 90 --pair BTC/USDT",
    ),
    ("train.py", "", {"SOURCE": "file:{quote}.csv"}, "the pair of 'file:{quote}.csv' is not named"),
    ("collect.py", "--source file:a.csv", {}, "simulated; files are not collected"),
    (
        *("api.py", "", {"ADMIN_TOKEN": "hunter2"}),
        "ADMIN_TOKEN: '***' is not a token of at least 16 characters, such as the output of `openssl rand -hex 32`",
    ),
]


@pytest.mark.parametrize(("program", "line", "environ", "expected"), MISTAKES)
def test_a_mistake_is_reported_in_one_line_with_its_value_and_what_to_do(
    program: str, line: str, environ: dict[str, str], expected: str
) -> None:
    code, errors = outcome(program, shlex.split(line), environ)
    assert code == 2
    assert errors.startswith(f"{program}: error: ")
    assert expected in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("text", ["file:{base}.csv", "alpaca", "simulated", "simulated,file:data/{base}-{quote}.csv"])
def test_a_source_of_any_pair_needs_no_pair(text: str) -> None:
    settings, _ = options.read_settings(["--source", text], {})
    assert settings.pairs == (options.DEFAULT_PAIR,)


def test_empty_variables_count_as_unset(tmp_path: Path) -> None:
    """Compose files, workflows and Makefiles pass unset variables as empty ones; libraries read some of them too."""
    names = [name for program, name in ENVIRONMENT if program == "train.py"]
    empty = dict.fromkeys([*names, "ALPACA_DATA_URL", "ALPACA_API_KEY"], "")
    empty["SOURCE_DATE_EPOCH"] = " "  # a blank one too; NumPy reads it as well
    arguments = ["--source", "simulated", "--output", str(tmp_path / "model.pkl"), "--days", "200", "--every", "50"]
    run = run_measured([sys.executable, "train.py", *arguments, "--picture", str(tmp_path / "it.svg")], empty)
    assert run.code == 0, run.errors
    age = datetime.now(UTC) - store.load(tmp_path / "model.pkl").card.trained_at
    assert timedelta(0) <= age < timedelta(minutes=10)


@pytest.mark.parametrize("program", list(COMMANDS))
def test_help_that_cannot_be_written_ends_with_one_line(program: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, program, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False
        )
    assert done.returncode == 1
    assert done.stderr == f"{program}: error: cannot write the help: No space left on device\n"


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter of this version without any package."""
    venv.create(folder := tmp_path_factory.mktemp("bare"))
    return str(folder / "bin" / "python")


@pytest.mark.parametrize(("program", "lock"), [("train.py", "train"), ("api.py", "api"), ("collect.py", "live")])
def test_outside_the_virtual_environment_one_line_says_what_to_type(program: str, lock: str, bare_python: str) -> None:
    """It is the most frequent first mistake."""
    run = run_measured([bare_python, program], {})
    assert (run.code, run.output) == (1, "")
    (line,) = run.errors.splitlines()
    assert line.startswith(f"{program}: error: {bare_python} does not have the package ")
    assert f".venv/bin/python {program}" in line or "make run" in line
    assert f"requirements-{lock}.txt" in line


def test_a_missing_package_that_is_imported_late_is_reported_in_one_line(tmp_path: Path) -> None:
    """For example, if only the packages for serving are installed."""
    shutil.copytree(Path(click.__file__).parent, tmp_path / "click")
    arguments = ["train.py", "--source", "simulated", "--output", str(tmp_path / "model.pkl")]
    run = run_measured([sys.executable, "-S", *arguments], {"PYTHONPATH": str(tmp_path)})
    assert (run.code, run.output) == (1, "")
    (line,) = run.errors.splitlines()
    assert line.startswith(f"train.py: error: {sys.executable} does not have the package ")


OLD_PYTHON = """
import runpy, sys
sys.version, sys.version_info = "3.10.13 (main)", (3, 10, 13, "final", 0)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("program", list(COMMANDS))
def test_a_python_that_is_too_old_is_reported_in_one_line(program: str) -> None:
    """This Python pretends to be old."""
    run = run_measured([sys.executable, "-c", OLD_PYTHON, program], {"PYTHONPATH": str(ROOT)})
    assert run.code == 1
    (line,) = run.errors.splitlines()
    assert line.startswith(f"{program}: error: this is Python 3.10.13, 3.11 or newer is needed; type ")


@pytest.mark.parametrize(
    "name", ["train.py", "api.py", "collect.py", "crypto_predict/__init__.py", "crypto_predict/prerequisites.py"]
)
def test_an_old_python_can_parse_the_modules_that_report_it(name: str) -> None:
    """Otherwise it would report a syntax error."""
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))
    assert f'requires-python = ">={".".join(map(str, prerequisites.OLDEST))}"' in (ROOT / "pyproject.toml").read_text()


def test_a_secret_can_be_in_a_file_instead(tmp_path: Path) -> None:
    """Containers mount secrets as files: a variable is visible to whoever may inspect the container."""
    (tmp_path / "token").write_text("sixteen of these\n")
    environ = {"ADMIN_TOKEN_FILE": str(tmp_path / "token"), "PORT": "0"}
    assert with_secrets("api.py", environ) == {"ADMIN_TOKEN": "sixteen of these", "PORT": "0"}


@pytest.mark.parametrize(
    ("content", "other", "fault"),
    [
        (None, "", "No such file or directory"),
        (b"", "", "is empty"),
        (b"\xff\xfe", "", "not UTF-8 text"),
        (b"x" * 5_000, "", "longer than 4,096 characters"),
        (b"first-secret", "second-secret", "PGPASSWORD is set as well; set one of the two"),
    ],
)
def test_a_file_without_a_secret_ends_a_command_with_2_and_one_line(
    content: bytes | None, other: str, fault: str, tmp_path: Path
) -> None:
    """Without the line, somebody would look for the reason of a refused password."""
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    environ = {"PGPASSWORD": other, "PGPASSWORD_FILE": str(tmp_path / "password")}
    run = run_measured([sys.executable, "collect.py", "--status"], environ)
    assert run.code == 2
    (line,) = run.errors.splitlines()
    assert line.startswith("collect.py: error: environment variable PGPASSWORD_FILE: ")
    assert fault in line
    assert "first-secret" not in line


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Finished]:
    """`make` in a copy of this folder's Makefile and programs, where everything is installed already."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed here")
    locks = [f"requirements-{name}.txt" for name in ("api", "train", "live")]
    for name in ("Makefile", "train.py", "api.py", *locks):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "crypto_predict").symlink_to(ROOT / "crypto_predict")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / "run.stamp").touch()

    def run(*words: str, **environ: str) -> Finished:
        return run_measured(["make", "--directory", str(tmp_path), *words], environ)

    return run


def test_make_run_finds_a_taken_port_before_it_trains(make: Callable[..., Finished], tmp_path: Path) -> None:
    """Otherwise minutes of training would be lost."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = make("run", PORT=str(taken.getsockname()[1]), SOURCE="simulated", HOST="")
    assert run.code == 2  # make's own code
    assert "Address already in use; stop what listens there, or choose another port, as in PORT=8001" in run.errors
    assert not (tmp_path / "model.pkl").exists()
    assert "SIMULATED" not in run.errors


@pytest.mark.parametrize("environ", [{"DATABASE_URL": "data/market.db"}, {"SOURCE": "store,alpaca"}, {"COLLECT": "1"}])
def test_make_installs_the_packages_for_databases_where_one_is_used(
    environ: dict[str, str], make: Callable[..., Finished]
) -> None:
    """Nobody who only wants a forecast waits for them."""
    assert "requirements-live.txt" not in make("--dry-run", "run").output
    assert "requirements-live.txt" in make("--dry-run", "run", **environ).output


@pytest.mark.parametrize("target", ["run", "serve"])
def test_make_takes_host_and_port_from_the_environment(
    target: str, make: Callable[..., Finished], tmp_path: Path
) -> None:
    """`make serve` serves the existing model, without training, and reports a missing one."""
    missing = make("serve", PORT="0")
    assert (missing.code, "no usable model in model.pkl: the file does not exist; train one" in missing.errors) == (
        2,
        True,
    )
    store.save(make_model(), tmp_path / "model.pkl")
    before = (tmp_path / "model.pkl").read_bytes()
    run = make(target, HOST="nowhere.invalid", PORT="8001")
    assert "cannot listen at nowhere.invalid port 8001: the address does not exist" in run.errors
    assert (tmp_path / "model.pkl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "environ", "hours"),
    [
        ((), {}, 6),
        ((), {"RETRAIN_EVERY": "3h"}, 3),
        (("--retrain-every", "3h"), {}, 3),
        (("--retrain-every", "3h"), {"CACHE_FOR": "2h"}, 2),
        (("--cache-for", "2h"), {"RETRAIN_EVERY": "3h"}, 2),
    ],
)
def test_the_former_name_of_an_option_works_unless_the_new_one_is_given(
    arguments: tuple[str, ...], environ: dict[str, str], hours: int
) -> None:
    """Whoever has it in a script or a unit of systemd need not change that."""
    assert api.read_settings(arguments, environ)[0].cache_for == timedelta(hours=hours)
