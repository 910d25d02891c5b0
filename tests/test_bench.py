import json
import math
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest

from bench import losses, probabilities, touches
from bench.figures import Figure, table
from bench.load import drive, running
from bench.probabilities import MOVES, Asked, asked, grouped
from bench.serving import Questions
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.market.forecast import LEVELS

BARE = ["-m", "bench.bare", "--waitress", json.dumps({"threads": 2})]


def test_every_request_is_sent_once_as_browsers_do_and_timed() -> None:
    """A client that lost or repeated requests would measure something else. Errors are fast, so they end it."""
    with running(BARE, "/bitcoin") as server:
        measured = drive(server.port, [f"/bitcoin?date={i}" for i in range(50)], 4, "Accept-Encoding: gzip", "X: 1")
        with pytest.raises(RuntimeError, match="400"):
            drive(server.port, ["/bitcoin"], 1, "not a header")
        with pytest.raises(RuntimeError, match="404"):
            drive(server.port, ["/bitcoin", "/nothing-here"], clients=1)
        assert server.resident_memory() > 10 * 2**20
        assert server.cold_start > 0
    assert len(measured.latencies) == 50
    assert min(measured.latencies) <= measured.median_latency <= max(measured.latencies) <= measured.seconds
    assert measured.rate == 50 / measured.seconds


def test_a_server_that_does_not_start_ends_the_measurement() -> None:
    with pytest.raises(RuntimeError, match="no 200"), running(["-c", "raise SystemExit(1)"], "/"):
        pass


def test_a_goal_is_a_minimum_or_a_maximum() -> None:
    rate = Figure("rate", ours=120, peer=2, peer_name="naive", unit="/s", goal=60, at_least=True)
    memory = Figure("memory", ours=50, peer=100, peer_name="naive", unit="MiB", goal=0.4, at_least=False)
    assert (rate.ratio, rate.reached) == (60, True)
    assert (memory.ratio, memory.reached) == (0.5, False)
    rows = table([rate, memory]).splitlines()
    assert [cell.strip() for cell in rows[2].split("|")[4:7]] == ["60", "at least 60", "yes"]
    assert [cell.strip() for cell in rows[3].split("|")[4:7]] == ["0.5", "at most 0.4", "NO"]


def test_questions_vary_over_the_range_and_are_the_same_in_every_run() -> None:
    first, last = 738_000, 739_000
    assert Questions(first, last).days(500) == Questions(first, last).days(500)
    assert len(set(Questions(first, last).days(500))) > 300
    assert len(set(Questions(first, last).instants(500))) > 498


def test_probabilities_are_grouped_with_the_share_that_came_about() -> None:
    """Of a hundred answers of 30 %, thirty that come about are calibrated."""
    answers = [Asked(0.3, n < 30) for n in range(100)] + [Asked(0.999, happened=True), Asked(1.0, happened=True)]
    (low, share, count), high = grouped(answers)
    assert (low, share) == pytest.approx((0.3, 0.3))
    assert count == 100
    assert high == (fmean([0.999, 1.0]), 1.0, 2)


def test_probabilities_at_round_prices_are_scored_for_each_horizon(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a simulated market, whose forecasts of one day are as many different days as cutoffs."""
    probabilities.main(["--until", "2024-06-30"])
    lines = capsys.readouterr().out.partition("round prices: ")[2].splitlines()[1:]
    assert [line.split()[0] for line in lines[::2]] == ["1", "7", "30", "90"]
    questions, days = (int(number.replace(",", "")) for number in lines[0].split()[1:3])
    assert 4 * days < questions < 9 * days
    assert all("Estimate(value=" in line for line in lines[1::2])


def test_losses_are_counted_with_the_mean_beyond_the_value_at_risk() -> None:
    """Two of a hundred outcomes halve the price: more than 1 in 100 is too many, and less than 5 is too few."""
    last, actual = np.full(100, math.log(100.0)), np.full(100, math.log(100.0))
    actual[:2] = math.log(50.0)
    quantiles = last[:, None] + np.linspace(-0.1, 0.1, len(LEVELS))
    found = list(losses.losses(Forecasts(1, np.arange(100), actual, last, last, quantiles, last)))
    rare, usual = losses.summed(found)
    assert (rare[:2], usual[:2]) == ((0.01, 0.02), (0.05, 0.02))
    assert [rare[3], usual[3]] == pytest.approx([0.5, 0.5])
    assert 0.1 < usual[2] < rare[2] < 0.5
    assert rare[4] == usual[4] == 100


def test_touches_of_several_pairs_are_scored_together(capsys: pytest.CaptureFixture[str]) -> None:
    touches.main(["--pair", "BTC/USD,ETH/USD", "--second-half", "--until", "2024-06-30"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ahead")[0] for line in lines if "ahead" in line] == [
        f"{asked}, {days}" for asked in ("touches", "corridors") for days in ("1 day", "7 days", "30 days")
    ]
    btc, eth, both = (int(line.split()[1].replace(",", "")) for line in lines[2:5])
    assert (lines[4].split()[0], both) == ("all", btc + eth)
    assert sum(int(line.split()[-1].replace(",", "")) for line in lines[5:15]) == both


def test_every_forecast_is_asked_for_every_move() -> None:
    """A price that does not move is above every lower limit, and below every higher one."""
    still, spread = np.full(3, math.log(100)), np.linspace(-0.1, 0.1, len(LEVELS))
    forecasts = Forecasts(1, np.arange(3), still, still, still, still[:, None] + spread, still)
    answers = list(asked(forecasts))
    assert [answer.happened for answer in answers] == [move < 0 for move in MOVES] * 3
    assert all(a.probability > b.probability for a, b in pairwise(answers[: len(MOVES)]))
