"""Models of other people: what they may do, and that none of it reaches the training."""

import os
from datetime import UTC, date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_predict.forecasting.evaluation.harness import issue
from crypto_predict.forecasting.models.contract import ModelFailed, frame
from crypto_predict.forecasting.models.rival import Rival
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import make_history
from tests.support.live import until

POINTS = "def forecast(history, horizons, levels):\n    return [float(history.close.iloc[-1])] * len(horizons)\n"
SECONDS = 100.0  # for an answer, on a machine that is busy with other tests
BRIEF = 3.0  # for one that never comes
NO_ANSWER = f"no answer within {BRIEF:g} seconds"
FLAT = "return np.full((len(horizons), len(levels)), history.close.iloc[-1])"
# What a rival does, and how the reason of its exclusion begins.
HOSTILE = {
    "raises": ("raise RuntimeError('no luck\\nsecond line')", "RuntimeError: no luck"),
    "exits": ("sys.exit('good bye')", "SystemExit: good bye"),
    "ends its process": ("os._exit(7)", "its process ended with exit code 7"),
    "is killed": ("os.kill(os.getpid(), 9)", "its process ended by signal SIGKILL"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "its process ended by signal SIGSEGV"),
    "hangs": ("time.sleep(3600)", NO_ANSWER),
    "spins": ("while True: pass", NO_ANSWER),
    "stops itself": ("os.kill(os.getpid(), 19)", NO_ANSWER),
    "forks and hangs": ("os.fork(); time.sleep(3600)", NO_ANSWER),
    "allocates 10 GB": ("np.ones(10 * 2**30 // 8)", "MemoryError"),
    "recurs": ("forecast(history, horizons, levels)", "RecursionError"),
    "returns strings": ("return [['1.0'] * len(levels)] * len(horizons)", "TypeError: forecast returned <U3"),
    "returns None": ("return None", "TypeError: forecast returned object"),
    "returns NaN": ("return np.full((len(horizons), len(levels)), np.nan)", "its price 1 days ahead is not a number"),
    "returns infinity": ("return [np.inf] * len(horizons)", "its price 1 days ahead is not a number"),
    "returns negative prices": ("return [-1.0] * len(horizons)", "its price 1 days ahead is not a positive price"),
    "returns returns": ("return [1e-3] * len(horizons)", "its price 1 days ahead is 1,000 times off"),
    "returns too few rows": ("return [[1.0] * len(levels)]", "its answer has the shape (1, 7)"),
    "returns crossing quantiles": (
        "return history.close.iloc[-1] * np.array([levels[::-1]] * len(horizons))",
        "its quantiles 1 days ahead cross",
    ),
    "closes everything": ("os.closerange(3, 1000); " + FLAT, "its process ended"),
    "writes into the connection": (
        "os.write(int(sys.argv[1]), b'x' * 1000); " + FLAT,
        "its process does not answer as agreed",
    ),
}
HARMLESS = {
    "prints a megabyte": "print('x' * 2**20); sys.stderr.write('y' * 2**20); " + FLAT,
    "changes its input": "history.iloc[:] = 1e9; return [20_000.0] * len(horizons)",
    "forks a child that answers, too": "pid = os.fork(); pid and os.waitpid(pid, 0); " + FLAT,
    "warns": "import warnings; warnings.warn('careful'); " + FLAT,
}


def written(folder: Path, text: str) -> Path:
    """Return a file with a model."""
    path = folder / "mine.py"
    path.write_text(text)
    return path


def function(body: str) -> str:
    """Return the text of a file whose function has this body."""
    lines = "\n".join(f"    {line.strip()}" for line in body.split("; "))
    return f"import os, sys, time\nimport numpy as np\n\ndef forecast(history, horizons, levels):\n{lines}\n"


def test_a_function_of_points_gets_a_range_of_its_own_errors(tmp_path: Path) -> None:
    history = make_history(500)
    with Rival(written(tmp_path, POINTS), SECONDS) as rival:
        issued = issue(rival, history, (1, 7), 30, 60)
    assert issued.name == "mine"
    assert issued.ahead is not None
    assert issued.ahead.shape == (365, len(LEVELS))
    assert (np.diff(issued.ahead, axis=1) > 0).all()
    assert issued.ahead[0, 3] == pytest.approx(np.log(history.candles.close[-1]))


@pytest.mark.parametrize(("body", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_rival_that_misbehaves_is_excluded_with_one_line(tmp_path: Path, body: str, reason: str) -> None:
    seconds = BRIEF if reason == NO_ANSWER else SECONDS
    with pytest.raises(ModelFailed) as failed, Rival(written(tmp_path, function(body)), seconds) as rival:
        issue(rival, make_history(200), (1, 7), 30, 60)
    assert failed.value.reason.startswith(reason)
    assert len(failed.value.reason.splitlines()) == 1


@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS)
def test_what_a_rival_does_besides_stays_in_its_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], body: str
) -> None:
    history = make_history(200)
    before = history.sha256()
    with Rival(written(tmp_path, function(body)), SECONDS) as rival:
        issued = issue(rival, history, (1, 7), 30, 60)
    assert issued.fits > 2
    assert history.sha256() == before
    assert capfd.readouterr() == ("", "")


def test_what_a_rival_has_begun_ends_with_it(tmp_path: Path) -> None:
    leftover = tmp_path / "leftover"  # the number of a process that the rival has begun
    begin = f"import subprocess; child = subprocess.Popen(['sleep', '3600']); open({str(leftover)!r}, 'w')"
    body = f"{begin}.write(str(child.pid)); {FLAT}"
    with Rival(written(tmp_path, function(body)), SECONDS) as rival:
        rival.fit(frame(make_history(200)))
        rival.forecast([1], LEVELS)
    state = Path(f"/proc/{leftover.read_text()}/stat")
    until(lambda: not state.exists() or state.read_text().split()[2] == "Z", "it has ended")


PEEKING = """
import gc
import pandas as pd

def forecast(history, horizons, levels):
    newest = history.index[-1]
    for thing in gc.get_objects():
        if isinstance(thing, pd.DataFrame) and len(thing) and thing.index[-1] > newest:
            raise RuntimeError("seen: " + str(thing.index[-1]))
    base = history.to_numpy().base
    while base is not None and getattr(base, "base", None) is not None:
        base = base.base
    return [float(history.close.iloc[-1])] * len(horizons)
"""


def test_a_rival_that_peeks_finds_nothing_after_the_cutoff(tmp_path: Path) -> None:
    with Rival(written(tmp_path, PEEKING), SECONDS) as rival:
        issued = issue(rival, make_history(400), (1, 7), 30, 60)
    assert issued.fits == len(issued.cutoffs)


def test_a_rival_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_SECRET_KEY", "secret")
    body = "assert 'ALPACA_SECRET_KEY' not in os.environ; " + FLAT
    with Rival(written(tmp_path, function(body)), SECONDS, {"ALPACA_SECRET_KEY"}) as rival:
        assert issue(rival, make_history(200), (1, 7), 30, 60).fits
    assert os.environ["ALPACA_SECRET_KEY"] == "secret"


CLASS = """
import numpy as np

class Mine:
    name = "slow-one"
    refit_every = 50
    first_cutoff = "2021-12-01"

    def fit(self, history):
        self.history = history

    def forecast(self, horizons, levels):
        close = self.history.close.iloc[-1]
        return np.outer(np.ones(len(horizons)), close * (0.8 + 0.4 * np.array(levels)))
"""


def test_a_class_is_fitted_as_seldom_as_it_says_and_not_before_its_first_cutoff(tmp_path: Path) -> None:
    with Rival(written(tmp_path, CLASS), SECONDS) as rival:
        issued = issue(rival, make_history(700), (1, 7), 1, 60)
    assert (issued.name, issued.fits) == ("slow-one", len(issued.cutoffs))
    assert set(np.diff(issued.cutoffs[:-1])) == {50}
    assert rival.first_cutoff == date(2021, 12, 1)
    assert issued.cutoffs[0] >= (date(2021, 12, 1) - date(2021, 1, 1)).days


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def forecast(history", "SyntaxError: "),
        ("x = 1", "ImportError: mine.py has no function forecast(history, horizons, levels), and 0 classes"),
        (f"name = 'Übermodell'\n{POINTS}", "its name is not one of small letters"),
        (CLASS.replace("50", "-3"), "refit_every is -3"),
        (CLASS.replace("2021-12-01", "soon"), "first_cutoff is soon"),
    ],
)
def test_a_file_that_is_no_model_says_why(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ModelFailed) as failed:
        Rival(written(tmp_path, text), SECONDS)
    assert failed.value.reason.startswith(reason)


def test_a_slow_rival_is_scored_on_what_it_has(tmp_path: Path) -> None:
    with Rival(written(tmp_path, function("time.sleep(0.2); " + FLAT)), SECONDS) as rival:
        issued = issue(rival, make_history(400), (1, 7), 1, 1.0)
    scored = np.isfinite(issued.points[:, 0])
    assert scored[0]
    assert scored[-1]
    assert not scored.all()


def test_the_frame_of_a_history_is_what_the_contract_says() -> None:
    history = make_history(40, missing=frozenset({7}))
    table = frame(history)
    assert list(table.columns) == ["open", "high", "low", "close", "volume"]
    assert table.index[0].tz is UTC
    assert len(table) == 39
    assert pd.Timestamp("2021-01-08", tz="UTC") not in table.index
