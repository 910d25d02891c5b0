"""GitHub's side of the replay server: references, issues and workflows of one repository."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.replay.server import ReplayServer

REPOSITORY = "Owner/crypto-predict"
TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"  # nobody's
BOT = {"login": "github-actions[bot]", "type": "Bot"}
OPENED = "2024-05-18T12:17:00Z"

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass
class Repository:
    """A repository as GitHub keeps it, and what the token may do with it."""

    commits: set[str] = field(default_factory=set)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)  # to what each leads: its type and sha
    annotations: dict[str, Mapping[str, str]] = field(default_factory=dict)  # tag objects by sha, to what each leads
    issues: list[dict[str, Any]] = field(default_factory=list)  # pull requests among them, as GitHub has it
    comments: list[tuple[int, str]] = field(default_factory=list)  # issue and text
    workflows: set[str] = field(default_factory=lambda: {"release.yml"})
    enabled: list[str] = field(default_factory=list)  # workflows, each time
    permissions: set[str] = field(default_factory=lambda: {"contents", "issues", "actions"})
    has_issues: bool = True

    def open(self, number: int, body: str, user: Mapping[str, str] = BOT, **more: Any) -> dict[str, Any]:
        """Open an issue."""
        issue = {"number": number, "body": body, "user": dict(user), "state": "open", "created_at": OPENED, **more}
        self.issues.append(issue)
        return issue

    def texts(self, number: int) -> list[str]:
        """The comments on an issue."""
        return [text for issue, text in self.comments if issue == number]


class GitHubSide:
    """Serves one repository to whoever has the token."""

    def __init__(self, repository: Repository, rows: int = 100) -> None:
        self._repository = repository
        self._rows = rows  # of a page at most
        self._numbers = itertools.count(1000)

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The endpoints that releases use."""
        base = f"/repos/{REPOSITORY}"
        return [
            web.post(f"{base}/git/refs", self._allowed("contents", self._make_reference)),
            web.get(f"{base}/git/ref/tags/{{tag}}", self._allowed("contents", self._reference)),
            web.get(f"{base}/git/tags/{{sha}}", self._allowed("contents", self._annotation)),
            web.get(f"{base}/issues", self._allowed("issues", self._issues)),
            web.post(f"{base}/issues", self._allowed("issues", self._open)),
            web.patch(f"{base}/issues/{{number}}", self._allowed("issues", self._change)),
            web.post(f"{base}/issues/{{number}}/comments", self._allowed("issues", self._comment)),
            web.put(f"{base}/actions/workflows/{{name}}/enable", self._allowed("actions", self._enable)),
        ]

    def unknown(self) -> web.Response:
        """No such endpoint."""
        return _refused(404, "Not Found")

    def _allowed(self, permission: str, handler: Handler) -> Handler:
        async def check_and_answer(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return _refused(401, "Bad credentials")
            if permission not in self._repository.permissions:
                return _refused(403, "Resource not accessible by integration")
            if permission == "issues" and not self._repository.has_issues:
                return _refused(410, "Issues has been disabled in this repository.")
            return await handler(request)

        return check_and_answer

    async def _make_reference(self, request: web.Request) -> web.Response:
        given = await request.json()
        tag = given["ref"].removeprefix("refs/tags/")
        if tag in self._repository.tags:
            return _refused(422, "Reference already exists")
        if given["sha"] not in self._repository.commits:
            return _refused(422, "Object does not exist")
        self._repository.tags[tag] = {"type": "commit", "sha": given["sha"]}
        return web.json_response({"ref": given["ref"], "object": self._repository.tags[tag]}, status=201)

    async def _reference(self, request: web.Request) -> web.Response:
        return _object(self._repository.tags.get(request.match_info["tag"]))

    async def _annotation(self, request: web.Request) -> web.Response:
        return _object(self._repository.annotations.get(request.match_info["sha"]))

    async def _issues(self, request: web.Request) -> web.Response:
        """One page; the next one goes on from a mark, as GitHub's do."""
        wanted = [issue for issue in self._repository.issues if issue["state"] == request.query["state"]]
        rows = min(self._rows, int(request.query["per_page"]))
        begin = int(request.query.get("after", "0"))
        headers = {}
        if begin + rows < len(wanted):
            following = request.url.update_query(after=str(begin + rows))
            headers["Link"] = f'<{request.url}>; rel="first", <{following}>; rel="next"'
        return web.json_response(wanted[begin : begin + rows], headers=headers)

    async def _open(self, request: web.Request) -> web.Response:
        given = await request.json()
        return web.json_response(
            self._repository.open(next(self._numbers), given["body"], title=given["title"]), status=201
        )

    async def _change(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        (issue,) = (issue for issue in self._repository.issues if issue["number"] == number)
        issue.update(await request.json())
        return web.json_response(issue)

    async def _comment(self, request: web.Request) -> web.Response:
        self._repository.comments.append((int(request.match_info["number"]), (await request.json())["body"]))
        return web.json_response({}, status=201)

    async def _enable(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._repository.workflows:
            return _refused(404, "Not Found")
        self._repository.enabled.append(name)
        return web.Response(status=204)


def serving(repository: Repository, rows: int = 100) -> ReplayServer:
    """A server, not started yet, that has the repository."""
    return ReplayServer(GitHubSide(repository, rows))


def environ(server: ReplayServer) -> dict[str, str]:
    """What a workflow's job would find in its environment."""
    return {"GITHUB_API_URL": server.url, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN}


def _object(target: Mapping[str, str] | None) -> web.Response:
    return web.json_response({"object": dict(target)}) if target else _refused(404, "Not Found")


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"message": message, "documentation_url": "https://docs.github.com/rest"}, status=status)
