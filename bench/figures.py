"""What is measured, and the goals.

Peers are measured in turn within one run, several rounds each, and compared by their medians: the ratio of two servers
on one machine at one time means something, their absolute times do not.
"""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tqdm import tqdm

from bench import backtest, load, models
from bench.server import Server, running

THREADS = 8
# The limits of our own server, and what makes Waitress fast: headers and body leave in one piece, and poll() has no
# limit of 1,024 file descriptors as select() has.
PEER_SETTINGS = json.dumps(
    {
        "threads": THREADS,
        "ident": "crypto-predict",
        "send_bytes": 18_000,
        "outbuf_overflow": 16 * 2**20,
        "asyncore_use_poll": True,
        "backlog": 1_024,
        "connection_limit": 1_000,
        "max_request_header_size": 16_384,
        "max_request_body_size": 65_536,
        "log_socket_errors": False,
    }
)
CLIENTS = 8
ROUNDS = 5
REQUESTS = 4000  # a round, to a fast server
NAIVE_REQUESTS = 80  # a round, to the naive server: it answers some thirty a second
SINGLE_REQUESTS = 400
NAIVE_SINGLE_REQUESTS = 40
FORECAST_REQUESTS = 200
COLD_STARTS = 7


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured ratio, what it is made of, and its goal."""

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    goal: float
    at_least: bool  # False: at most

    @property
    def ratio(self) -> float:
        """Ours to the peer's."""
        return self.ours / self.peer

    @property
    def reached(self) -> bool:
        """Whether the ratio meets its goal."""
        return self.ratio >= self.goal if self.at_least else self.ratio <= self.goal


@dataclass(frozen=True, slots=True)
class Peers:
    """How to run each server, and what to ask."""

    model: Path
    naive_model: Path
    questions: Questions
    source: str  # of the history behind both

    def ours(self) -> AbstractContextManager[Server]:
        """This project's server."""
        command = ["api.py", "--model", str(self.model), "--host", "127.0.0.1", "--threads", str(THREADS)]
        return running(command, self.questions.first)

    def naive(self) -> AbstractContextManager[Server]:
        """The tutorial's server."""
        command = ["-m", "bench.naive", "--model", str(self.naive_model), "--waitress", PEER_SETTINGS]
        return running(command, self.questions.first)

    def bare(self) -> AbstractContextManager[Server]:
        """The server that does nothing."""
        return running(["-m", "bench.bare", "--waitress", PEER_SETTINGS], self.questions.first)


class Questions:
    """Requests in random order, reproducibly."""

    def __init__(self, first: int, last: int) -> None:
        self._random = random.Random(0)
        self._first, self._last = first, last
        self.first = f"/bitcoin?date={date.fromordinal(last).isoformat()}"
        start, end = date.fromordinal(last - 364), date.fromordinal(last)
        self.forecast = f"/forecast/BTC-USD?start={start}&end={end}"

    def days(self, count: int) -> list[str]:
        """Closing prices, on days all over the range."""
        days = (self._random.randint(self._first, self._last) for _ in range(count))
        return [f"/bitcoin?date={date.fromordinal(day).isoformat()}" for day in days]

    def instants(self, count: int) -> list[str]:
        """Prices at seconds all over the range, hardly one of them twice."""
        start = datetime.combine(date.fromordinal(self._first), datetime.min.time(), UTC)
        seconds = (self._random.randrange((self._last - self._first) * 86_400) for _ in range(count))
        instants = (start + timedelta(seconds=second) for second in seconds)
        return [f"/bitcoin?date={instant:%Y-%m-%dT%H:%M:%SZ}" for instant in instants]


def measure(source: str, folder: Path) -> list[Figure]:
    """Train both models in `folder` from `source`, then measure everything."""
    peers = _train(source, folder)
    progress = tqdm(_STAGES, bar_format="{desc} |{bar:30}| {n_fmt}/{total_fmt}", disable=None)
    figures = []
    for stage in progress:
        progress.set_description_str(f"measuring {stage.__name__.strip('_')}")
        figures += stage(peers)
    return figures


def _train(source: str, folder: Path) -> Peers:
    model, naive_model = folder / "model.pkl", folder / "naive.pkl"
    models.bake(source, model)
    models.pickle_prophet(source, naive_model)
    return Peers(model, naive_model, Questions(*models.first_and_last_day(model)), source)


def _rates(peers: Peers) -> list[Figure]:
    ask = peers.questions
    with ExitStack() as stack:
        ours, naive, bare = (stack.enter_context(server) for server in (peers.ours(), peers.naive(), peers.bare()))
        rates = in_turn(
            {
                "days": lambda: load.drive(ours.port, ask.days(REQUESTS), CLIENTS).rate,
                "bare": lambda: load.drive(bare.port, ask.days(REQUESTS), CLIENTS).rate,
                "instants": lambda: load.drive(ours.port, ask.instants(REQUESTS), CLIENTS).rate,
                "naive": lambda: load.drive(naive.port, ask.days(NAIVE_REQUESTS), CLIENTS).rate,
            }
        )
    days, instants = "requests a second, 8 clients, dates", "the same, date-times that never repeat"
    return [
        Figure(days, rates["days"], rates["naive"], "naive", "/s", 60, at_least=True),
        Figure(days, rates["days"], rates["bare"], "bare Flask", "/s", 1.0, at_least=True),
        Figure(instants, rates["instants"], rates["naive"], "naive", "/s", 60, at_least=True),
        Figure(instants, rates["instants"], rates["bare"], "bare Flask", "/s", 1.0, at_least=True),
    ]


def _latencies(peers: Peers) -> list[Figure]:
    ask = peers.questions
    with ExitStack() as stack:
        ours, naive = (stack.enter_context(server) for server in (peers.ours(), peers.naive()))
        medians = in_turn(
            {
                "ours": lambda: load.drive(ours.port, ask.days(SINGLE_REQUESTS), 1).median_latency,
                "year": lambda: load.drive(ours.port, [ask.forecast] * FORECAST_REQUESTS, 1).median_latency,
                "naive": lambda: load.drive(naive.port, ask.days(NAIVE_SINGLE_REQUESTS), 1).median_latency,
            }
        )
    milliseconds = {name: 1000 * seconds for name, seconds in medians.items()}
    first = 1000 * statistics.median(_first_year(peers) for _ in range(COLD_STARTS))
    ours_name, year_name = "median latency, 1 client", "/forecast/BTC-USD over 365 days"
    return [
        Figure(ours_name, milliseconds["ours"], milliseconds["naive"], "naive", "ms", 1 / 20, at_least=False),
        Figure(year_name, milliseconds["year"], milliseconds["naive"], "naive, one day", "ms", 1 / 10, at_least=False),
        Figure(
            "the same, first after a start", first, milliseconds["naive"], "naive, one day", "ms", 0.1, at_least=False
        ),
    ]


def _first_year(peers: Peers) -> float:
    """The latency of the first question for a year, right after a server's first answer, in seconds."""
    with peers.ours() as server:
        return load.drive(server.port, [peers.questions.forecast], 1).median_latency


def _cold_starts(peers: Peers) -> list[Figure]:
    def once(peer: Callable[[], AbstractContextManager[Server]]) -> float:
        with peer() as server:
            return 1000 * server.cold_start

    times = in_turn({"ours": lambda: once(peers.ours), "naive": lambda: once(peers.naive)}, rounds=COLD_STARTS)
    return [Figure("cold start to the first 200", times["ours"], times["naive"], "naive", "ms", 0.45, at_least=False)]


def _memory(peers: Peers) -> list[Figure]:
    """The naive server is asked 1,000 times, not 10,000: it would take minutes, and more requests only add to it."""
    ask = peers.questions
    with peers.ours() as server:
        load.drive(server.port, ask.instants(1_000), CLIENTS)
        early = server.resident_memory() / 2**20
        load.drive(server.port, ask.instants(9_000), CLIENTS)
        late = server.resident_memory() / 2**20
    with peers.naive() as server:
        load.drive(server.port, ask.days(1_000), CLIENTS)
        naive = server.resident_memory() / 2**20
    return [
        Figure("resident memory after 10,000 requests", late, naive, "naive", "MiB", 0.4, at_least=False),
        Figure("the same, against after 1,000", late, early, "itself", "MiB", 1.02, at_least=False),
    ]


def _backtests(peers: Peers) -> list[Figure]:
    found = backtest.compare(peers.source)
    name, peer = "backtest of 100 cutoffs", "Prophet's cross_validation"
    speed = Figure(name, found.ours, found.prophets, peer, "s", 1 / 3, at_least=False)
    return [speed, *(figure for days in found.our_errors for figure in _errors(found, days))]


def _errors(found: backtest.Comparison, days: int) -> Iterator[Figure]:
    """How far our forecasts erred at the same cutoffs, and how far Prophet's and persistence did."""
    name, ours = f"error {days} day{'s' if days > 1 else ''} ahead", 100 * found.our_errors[days]
    yield Figure(name, ours, 100 * found.prophets_errors[days], "Prophet out of the box", "%", 1, at_least=False)
    yield Figure(name, ours, 100 * found.persistence_errors[days], "persistence", "%", 1, at_least=False)


_STAGES = (_rates, _latencies, _cold_starts, _memory, _backtests)


def in_turn(measurements: dict[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """The median of each measurement over rounds in which every one has its turn; the first round only warms up."""
    taken: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds + 1):
        for name, measurement in measurements.items():
            taken[name].append(measurement())
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table, which is also the README's."""
    head = ["figure", "ours", "peer", "ratio", "goal", "reached"]
    rows = [
        [
            figure.name,
            f"{figure.ours:,.4g} {figure.unit}",
            f"{figure.peer_name}: {figure.peer:,.4g} {figure.unit}",
            f"{figure.ratio:.3g}",
            f"{'at least' if figure.at_least else 'at most'} {figure.goal:.3g}",
            "yes" if figure.reached else "NO",
        ]
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)
