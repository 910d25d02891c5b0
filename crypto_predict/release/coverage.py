"""One issue if the 80 % range of published forecasts no longer holds 80 % of the prices, by more than chance explains.

The training has tested each horizon over its newest year (`forecasting.live_days`). A release looks every six hours,
but a day adds one outcome, and a year of them changes slowly: in simulated random walks of five years, looked at each
day at five horizons, 2 of 400 ever had a p value below `OUTSIDE`.

An issue names the pairs that left the range of chance in the same release. It is their episode, which ends once the
coverage of all of them is well within chance again: until then no other issue names them, whoever closes this one.
"""

import json
import re
from collections.abc import Mapping, Sequence

from crypto_predict.baked import plain
from crypto_predict.baked.schema import COVERAGE, CoverageTest, Scorecard
from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.issues import Issues, run_of
from crypto_predict.release.job import Environ, add_summary, table, warn
from crypto_predict.release.programs import gh
from crypto_predict.release.record import BRANCH, SCORECARD
from crypto_predict.wording import days_listed

TITLE = "The 80 % range of the published forecasts does not hold"
LEAST_DAYS = 100  # different target days of a horizon; fewer are not judged
OUTSIDE = 0.001  # p value of one horizon below which its coverage has left what chance allows
WITHIN = 0.05  # p value above which those of all horizons must be for an episode to end

_MARKER = re.compile(r"<!-- crypto-predict live coverage: ([A-Z0-9/ ]+|ended) -->")  # the pairs of the episode
_ENDED = "ended"
_OFF = "Issues are switched off, so none says this"
_HEAD = ("pair", "ahead", "held of 100", "95 % interval", "different days", "since", "p value")


def coverage(build: str, environ: Environ) -> None:
    """Open or close the issue about a coverage that chance does not explain. Reads the scorecard of the public record.

    A failure of this command is a warning: the release is done.
    """
    try:
        issues = Issues.of(environ)
        scorecard = _scorecard(issues.repository)
        found = outside(scorecard)
        if issues.are_on():
            _tell(issues, found, doubtful(scorecard), run_of(build, environ))
        elif found:
            add_summary(environ, f"> [!WARNING]\n> {TITLE}: {', '.join(found)}. {_OFF}.")
    except (ReleaseFailed, plain.Undecodable, ValueError) as error:
        warn(environ, f"the coverage of the published forecasts could not be judged: {error}")


def outside(scorecard: Scorecard) -> dict[str, list[CoverageTest]]:
    """Return the tests of the pairs of which one horizon or more has left what chance allows, by the pair."""
    tests = _tests(scorecard)
    return {pair: rows for pair, rows in tests.items() if any(_p_value(row) < OUTSIDE for row in rows)}


def doubtful(scorecard: Scorecard) -> set[str]:
    """Return the pairs whose coverage is not well within chance; of one without enough days nothing is known."""
    return {pair for pair, rows in _tests(scorecard).items() if any(_p_value(row) <= WITHIN for row in rows)}


def _tests(scorecard: Scorecard) -> dict[str, list[CoverageTest]]:
    """Return the tests of real prices that are judged."""
    return {
        str(pair): [test for test in record.lately if test.days >= LEAST_DAYS and test.p_value is not None]
        for pair, record in scorecard.pairs.items()
    }


def _p_value(test: CoverageTest) -> float:
    return 1.0 if test.p_value is None else test.p_value


def _scorecard(repository: str) -> Scorecard:
    """Return the scorecard that the job `record` of this run has committed."""
    path = f"repos/{repository}/contents/{SCORECARD}?ref={BRANCH}"
    text = gh("api", path, "--header", "Accept: application/vnd.github.raw+json")
    return plain.decode(Scorecard, json.loads(text), "the scorecard")


def _tell(issues: Issues, found: Mapping[str, Sequence[CoverageTest]], doubted: set[str], run: str) -> None:
    known = set[str]()
    for issue in issues.ours(_MARKER, "all"):
        if issue.marked == _ENDED:
            continue
        if doubted.isdisjoint(pairs := set(issue.marked.split())):
            if issue.is_open:
                issues.close(issue, f"By this {run} the coverage is within what chance allows again.")
            issues.change(issue, _MARKER.sub(_marker(_ENDED), issue.body))
        else:
            known |= pairs
    if new := {pair: tests for pair, tests in found.items() if pair not in known}:
        issues.open(TITLE, _body(new, run))


def _body(found: Mapping[str, Sequence[CoverageTest]], run: str) -> str:
    rows = [(pair, *_row(test)) for pair, tests in found.items() for test in tests]
    return (
        f"The {100 * COVERAGE:.0f} % range of the published forecasts should hold {100 * COVERAGE:.0f} of 100 prices. "
        f"Over the newest year it held another share, by more than chance explains (a p value below {OUTSIDE:g} at one "
        f"horizon or more). Found by this {run}.\n\n"
        f"{table(_HEAD, rows, '<<>>>>>')}\n\n"
        "A range that holds less promises too much; one that holds more says less than it could. The record on the "
        "page has the coverage by month. Releases go on. This is said once, and the issue is closed when the coverage "
        "is well within chance again.\n\n"
        f"{_marker(' '.join(sorted(found)))}\n"
    )


def _row(test: CoverageTest) -> tuple[str, ...]:
    low, high = test.coverage.low, test.coverage.high
    interval = "-" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f}"
    p_value = f"{test.p_value:.2g}" if test.p_value else "0"
    ahead, held = days_listed([test.horizon_days]), f"{100 * test.coverage.value:.0f}"
    return ahead, held, interval, f"{test.days:,}", str(test.since), p_value


def _marker(text: str) -> str:
    return f"<!-- crypto-predict live coverage: {text} -->"
