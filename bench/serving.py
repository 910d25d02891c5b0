"""This server, the tutorial's and bare Flask under load: rates, latencies, cold starts and memory."""

import json
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tqdm import tqdm

from bench import models
from bench.figures import Figure, in_turn
from bench.load import Server, drive, running
from bench.visits import first_visit

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
REQUESTS, NAIVE_REQUESTS = 4000, 80  # a round; the naive server answers some thirty a second
SINGLE_REQUESTS, NAIVE_SINGLE_REQUESTS, FORECAST_REQUESTS = 400, 40, 200  # the same with one client
COLD_STARTS = 7
GZIP = "Accept-Encoding: gzip"
PAGE_KB, VISIT_KB = 40, 130  # that the page itself, and everything that a first visit loads, may have

Start = Callable[[str], AbstractContextManager[Server]]  # of "ours", "naive" or "bare"


class Questions:
    """Requests in random order, the same in every run, for days from `first` to `last` (ordinals)."""

    def __init__(self, first: int, last: int) -> None:
        self._random = random.Random(0)
        self._first, self._last = first, last
        end = date.fromordinal(last)
        self.first = f"/bitcoin?date={end}"
        self.year = f"/forecast/BTC-USD?start={end - timedelta(days=364)}&end={end}"

    def days(self, count: int) -> list[str]:
        """Ask for closing prices, on days all over the range."""
        days = (self._random.randint(self._first, self._last) for _ in range(count))
        return [f"/bitcoin?date={date.fromordinal(day)}" for day in days]

    def instants(self, count: int) -> list[str]:
        """Ask for prices at seconds all over the range, hardly one of them twice."""
        start = datetime.combine(date.fromordinal(self._first), datetime.min.time(), UTC)
        seconds = (self._random.randrange((self._last - self._first) * 86_400) for _ in range(count))
        return [f"/bitcoin?date={start + timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}" for second in seconds]


def measure(source: str, folder: Path) -> list[Figure]:
    """Train both models in `folder` from `source`, then measure the servers."""
    model, naive_model = folder / "model.pkl", folder / "naive.pkl"
    ask = Questions(*models.bake(source, model))
    models.pickle_prophet(source, naive_model)
    commands = {
        "ours": ["api.py", "--model", str(model), "--host", "127.0.0.1", "--threads", str(THREADS)],
        "naive": ["-m", "bench.naive", "--model", str(naive_model), "--waitress", PEER_SETTINGS],
        "bare": ["-m", "bench.bare", "--waitress", PEER_SETTINGS],
    }
    stages = tqdm(
        (_rates, _page, _latencies, _cold_starts, _memory), bar_format="{desc} |{bar:30}| {n_fmt}/{total_fmt}"
    )
    return [figure for stage in stages for figure in stage(lambda peer: running(commands[peer], ask.first), ask)]


def _rates(start: Start, ask: Questions) -> Iterator[Figure]:
    with start("ours") as ours, start("naive") as naive, start("bare") as bare:
        rates = in_turn(
            {
                "days": lambda: drive(ours.port, ask.days(REQUESTS), CLIENTS).rate,
                "bare": lambda: drive(bare.port, ask.days(REQUESTS), CLIENTS).rate,
                "instants": lambda: drive(ours.port, ask.instants(REQUESTS), CLIENTS).rate,
                "naive": lambda: drive(naive.port, ask.days(NAIVE_REQUESTS), CLIENTS).rate,
            },
            ROUNDS,
        )
    names = {"days": "requests a second, 8 clients, dates", "instants": "the same, date-times that never repeat"}
    for key, name in names.items():
        yield Figure(name, rates[key], rates["naive"], "naive", "/s", 60, at_least=True)
        yield Figure(name, rates[key], rates["bare"], "bare Flask", "/s", 1, at_least=True)


def _page(start: Start, ask: Questions) -> Iterator[Figure]:
    """Ask for the page as browsers do, who accept compressed answers."""
    with start("ours") as ours, start("bare") as bare:
        rates = in_turn(
            {
                "page": lambda: drive(ours.port, ["/"] * REQUESTS, CLIENTS, GZIP).rate,
                "bare": lambda: drive(bare.port, ask.days(REQUESTS), CLIENTS, GZIP).rate,
            },
            ROUNDS,
        )
        transferred = {path: size / 1000 for path, size in first_visit(ours.port).items()}
    yield Figure("the page, 8 clients", rates["page"], rates["bare"], "bare Flask", "/s", 0.8, at_least=True)
    yield Figure("the page itself, compressed", transferred["/"], PAGE_KB, "limit", "kB", 1)
    yield Figure("its first visit in all", sum(transferred.values()), VISIT_KB, "limit", "kB", 1)


def _latencies(start: Start, ask: Questions) -> Iterator[Figure]:
    def milliseconds(server: Server, paths: list[str]) -> float:
        return 1000 * drive(server.port, paths, 1).median_latency

    def first_year() -> float:
        with start("ours") as server:  # right after its first answer
            return milliseconds(server, [ask.year])

    with start("ours") as ours, start("naive") as naive:
        times = in_turn(
            {
                "ours": lambda: milliseconds(ours, ask.days(SINGLE_REQUESTS)),
                "year": lambda: milliseconds(ours, [ask.year] * FORECAST_REQUESTS),
                "naive": lambda: milliseconds(naive, ask.days(NAIVE_SINGLE_REQUESTS)),
            },
            ROUNDS,
        )
    first = statistics.median(first_year() for _ in range(COLD_STARTS))
    yield Figure("median latency, 1 client", times["ours"], times["naive"], "naive", "ms", 1 / 20)
    yield Figure("/forecast/BTC-USD over 365 days", times["year"], times["naive"], "naive, one day", "ms", 1 / 10)
    yield Figure("the same, first after a start", first, times["naive"], "naive, one day", "ms", 1 / 10)


def _cold_starts(start: Start, _: Questions) -> Iterator[Figure]:
    def milliseconds(peer: str) -> float:
        with start(peer) as server:
            return 1000 * server.cold_start

    times = in_turn({"ours": lambda: milliseconds("ours"), "naive": lambda: milliseconds("naive")}, COLD_STARTS)
    yield Figure("cold start to the first 200", times["ours"], times["naive"], "naive", "ms", 0.45)


def _memory(start: Start, ask: Questions) -> Iterator[Figure]:
    """Ask the naive server 1,000 times, not 10,000: that would take minutes, and can only add to its memory."""
    with start("ours") as ours, start("naive") as naive:
        drive(ours.port, ask.instants(1_000), CLIENTS)
        early = ours.resident_memory() / 2**20
        drive(ours.port, ask.instants(9_000), CLIENTS)
        late = ours.resident_memory() / 2**20
        drive(naive.port, ask.days(1_000), CLIENTS)
        peer = naive.resident_memory() / 2**20
    yield Figure("resident memory after 10,000 requests", late, peer, "naive", "MiB", 0.4)
    yield Figure("the same, against after 1,000", late, early, "itself", "MiB", 1.02)
