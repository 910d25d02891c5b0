import asyncio
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from aiohttp import web
from crypto_predict.release.github import GitHub, GitHubRefused, Patience

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.job import Job
from tests.replay import github
from tests.replay.github import REPOSITORY, TOKEN, Repository
from tests.replay.server import (
    Answer,
    Fault,
    Handler,
    ReplayServer,
    answer,
    break_off,
    cut_json,
    refused,
    reset,
    stall,
)

ISSUES = f"/repos/{REPOSITORY}/issues"
OPEN = "/issues?state=open&per_page=100"


class Waiting:
    """Lets no time pass, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Wait for so long."""
        self.seconds.append(seconds)


@pytest.fixture
def repository() -> Repository:
    """What GitHub has."""
    return Repository()


@pytest.fixture
def server(repository: Repository) -> Iterator[ReplayServer]:
    """GitHub, two issues on a page."""
    with github.serving(repository, rows=2) as started:
        yield started


@pytest.fixture
def waiting() -> Waiting:
    """How long was waited."""
    return Waiting()


async def other_protocol(request: web.Request, _: Handler) -> Answer:
    """Answer as no web server does."""
    assert isinstance(request.transport, asyncio.Transport)
    request.transport.write(b"220 mail.example.org ESMTP\r\n\r\n")
    request.transport.close()
    return web.Response()


def client(server: ReplayServer, waiting: Waiting, **patience: float) -> GitHub:
    """A client that waits for nothing."""
    return GitHub(server.url, REPOSITORY, TOKEN, Patience(timeout=patience.get("timeout", 20.0)), waiting)


def test_a_question_says_who_asks_and_which_interface_is_meant(server: ReplayServer, waiting: Waiting) -> None:
    """GitHub refuses whoever does not name himself."""
    assert client(server, waiting).get(OPEN) == []
    (asked,) = server.requests
    assert asked.path == ISSUES
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["user-agent"] == "crypto-predict"
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"] == "2022-11-28"


def test_a_list_is_read_through_all_its_pages(repository: Repository, server: ReplayServer, waiting: Waiting) -> None:
    for number in range(5):
        repository.open(number, "")
    assert [issue["number"] for issue in client(server, waiting).every(OPEN)] == [0, 1, 2, 3, 4]
    assert len(server.requests) == 3


def test_pages_without_end_are_given_up(server: ReplayServer, waiting: Waiting) -> None:
    server.inject(answer(200, "[]", link=f'<{server.url}{ISSUES}>; rel="next"'), times=200)
    with pytest.raises(ReleaseFailed, match="more than 100 pages"):
        list(client(server, waiting).every(OPEN))


def test_a_next_page_at_another_host_is_not_asked_for(
    repository: Repository, server: ReplayServer, waiting: Waiting
) -> None:
    """It would be handed the token."""
    with github.serving(repository) as other:
        server.inject(answer(200, "[]", link=f'<{other.url}{ISSUES}>; rel="next"'))
        with pytest.raises(ReleaseFailed, match="another host"):
            list(client(server, waiting).every(OPEN))
        assert other.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    repository: Repository, server: ReplayServer, waiting: Waiting, status: int
) -> None:
    """It would hand the token to whatever host it names."""
    with github.serving(repository) as other:
        server.inject(answer(status, location=f"{other.url}{ISSUES}"))
        with pytest.raises(GitHubRefused, match=f"answered {status} to GET /repos"):
            client(server, waiting).get(OPEN)
        assert other.requests == []


@pytest.mark.parametrize(
    "fault",
    [
        answer(500),
        answer(502, "<html>Unicorn!</html>", "text/html"),
        answer(503),
        reset,
        break_off,
        cut_json,
        other_protocol,
        refused(429, ""),
    ],
)
def test_a_failure_that_passes_is_not_noticed(
    repository: Repository, server: ReplayServer, waiting: Waiting, fault: Fault
) -> None:
    repository.open(1, "")
    server.inject(fault, times=3)
    assert client(server, waiting).get(OPEN)[0]["number"] == 1
    assert waiting.seconds == [1, 2, 4]


def test_a_server_that_hangs_is_asked_again(server: ReplayServer, waiting: Waiting) -> None:
    server.inject(stall)
    assert client(server, waiting, timeout=0.2).get(OPEN) == []
    assert waiting.seconds == [1]


def test_a_failure_that_stays_is_told_as_it_was(server: ReplayServer, waiting: Waiting) -> None:
    server.inject(refused(503, "down for a while"), times=9)
    with pytest.raises(GitHubRefused, match=rf"^GitHub answered 503 to GET {ISSUES}: down for a while$"):
        client(server, waiting).get(OPEN)
    assert len(server.requests) == 4


def test_nobody_there_is_told(waiting: Waiting) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ReleaseFailed, match=r"did not answer to GET .* \(ConnectionRefusedError\)$"):
        GitHub(f"http://127.0.0.1:{port}", REPOSITORY, TOKEN, sleep=waiting).get(OPEN)
    assert waiting.seconds == [1, 2, 4]


@pytest.mark.parametrize("status", [429, 503, 403])
def test_the_wait_that_github_asks_for_is_kept(server: ReplayServer, waiting: Waiting, status: int) -> None:
    """Also with 403, which is how it tells of its secondary limit."""
    server.inject(refused(status, "You have exceeded a secondary rate limit.", retry_after="37"))
    assert client(server, waiting).get(OPEN) == []
    assert waiting.seconds == [37]


def test_too_long_a_wait_is_not_begun(server: ReplayServer, waiting: Waiting, caplog: pytest.LogCaptureFixture) -> None:
    """A job that sleeps for an hour costs more than it can bring."""
    server.inject(refused(429, "slow down", retry_after="3600"))
    with pytest.raises(GitHubRefused, match="slow down"):
        client(server, waiting).get(OPEN)
    assert waiting.seconds == []
    assert "asks to wait 3600 s" in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_refusal_is_final_and_carries_githubs_message(server: ReplayServer, waiting: Waiting, status: int) -> None:
    body = {"message": "Validation Failed", "errors": [{"message": "no such thing"}, "nor that", {"code": "x"}, 3]}
    server.inject(answer(status, json.dumps(body)))
    with pytest.raises(GitHubRefused) as caught:
        client(server, waiting).get(OPEN)
    assert str(caught.value) == f"GitHub answered {status} to GET {ISSUES}: Validation Failed; no such thing; nor that"
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"message": 3}', '{"errors": 1}', "[" * 100_000])
def test_a_refusal_without_a_message_is_told_by_its_status(server: ReplayServer, waiting: Waiting, body: str) -> None:
    server.inject(answer(404, body))
    with pytest.raises(GitHubRefused, match=r"answered 404 to GET .*: Not Found$"):
        client(server, waiting).get(OPEN)


@pytest.mark.parametrize("body", ["{}", "3", '"text"', "null"])
def test_a_list_that_is_none_is_told(server: ReplayServer, waiting: Waiting, body: str) -> None:
    server.inject(answer(200, body))
    with pytest.raises(ReleaseFailed, match="no list"):
        list(client(server, waiting).every(OPEN))


def test_an_answer_without_end_is_given_up(server: ReplayServer, waiting: Waiting) -> None:
    async def endless(request: web.Request, _: Handler) -> Answer:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 2**20)
            await asyncio.sleep(0)

    server.inject(endless)
    with pytest.raises(ReleaseFailed, match="more than 32 MiB"):
        client(server, waiting).get(OPEN)


def test_the_token_is_in_no_error_and_no_log(
    server: ReplayServer, waiting: Waiting, caplog: pytest.LogCaptureFixture
) -> None:
    """Careless gateways quote what they were sent."""
    server.inject(refused(500, f"refused: Bearer {TOKEN}\n##[debug]"))
    server.inject(refused(400, f"refused: Bearer {TOKEN}\n::warning::x"))
    asking = client(server, waiting)
    with caplog.at_level(logging.DEBUG), pytest.raises(GitHubRefused) as caught:
        asking.get(OPEN)
    told = [str(caught.value), repr(caught.value), caught.value.said, caplog.text, repr(asking)]
    assert not any(TOKEN in text for text in told)
    assert str(caught.value).endswith("refused: Bearer *** ::warning::x")


@pytest.mark.parametrize("token", ["two words", "line\nX-Break: out", "ünïcode", "\x00"])
def test_a_token_that_would_break_out_of_its_header_is_refused_unseen(token: str) -> None:
    job = Job({"GITHUB_TOKEN": token, "GITHUB_REPOSITORY": REPOSITORY})
    with pytest.raises(InvalidValue, match="GITHUB_TOKEN") as caught:
        GitHub.of_job(job)
    assert token not in str(caught.value)


def test_a_line_break_at_the_end_of_a_token_does_no_harm(server: ReplayServer) -> None:
    """Secrets are pasted."""
    assert GitHub.of_job(Job({**github.environ(server), "GITHUB_TOKEN": f"{TOKEN}\n"})).get(OPEN) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", ""),
        ("GITHUB_REPOSITORY", ""),
        ("GITHUB_REPOSITORY", "name"),
        ("GITHUB_REPOSITORY", "owner/name/../../user"),
        ("GITHUB_REPOSITORY", "owner/name?x"),
        ("GITHUB_API_URL", "http://api.example.org"),  # the token would travel in the clear
        ("GITHUB_API_URL", "file:///etc/passwd"),
        ("GITHUB_API_URL", "api.github.com"),
    ],
)
def test_what_the_job_must_tell_is_named_where_it_does_not(name: str, value: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        GitHub.of_job(Job({"GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": REPOSITORY, name: value}))


def test_the_interface_below_a_path_is_found(server: ReplayServer, waiting: Waiting) -> None:
    """As GitHub's own servers at customers have it."""
    server.inject(answer(200, "[]"))
    GitHub(f"{server.url}/api/v3/", REPOSITORY, TOKEN, sleep=waiting).get(OPEN)
    assert server.requests[0].path == f"/api/v3{ISSUES}"


def test_the_real_wait_lets_time_pass(server: ReplayServer) -> None:
    """All other tests wait for nothing: here the command does, as a process, until the server can be asked again."""
    server.inject(refused(429, "slow down", retry_after="1"))
    command = [sys.executable, "-m", "crypto_predict.release", "keepalive", "--workflow", "release.yml"]
    done = subprocess.run(command, env=github.environ(server), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "asking again in 1 s" in done.stderr
    assert done.stdout.split() == ["enabled", "true"]
    assert len(server.requests) == 2
