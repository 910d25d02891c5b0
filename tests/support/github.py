"""GitHub on loopback, at its real addresses: REST at https://api.github.com, git at https://github.com.

Programs are not patched. With the environment of `GitHub.environ()` they use a proxy, which connects to its hosts only,
and trust the certificate of this server.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fnmatch
import json
import os
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import certifi
import trustme
from aiohttp import hdrs, web

from tests.support import github_releases, repositories
from tests.support.github_releases import Refused, body_of, invalid, page_of
from tests.support.replay.server import ReplayServer

REPOSITORY = "Owner/crypto-predict"
TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"  # valid nowhere else
BOT = {"login": "github-actions[bot]", "type": "Bot"}
API, GIT = "api.github.com", "github.com"
HOSTS = (API, GIT, github_releases.UPLOADS, github_releases.FILES)
# Short names of predicate types, as the endpoint of attestations takes them.
PREDICATES = {"provenance": "https://slsa.dev/provenance/*", "sbom": "https://spdx.dev/Document*"}

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass
class Repository:
    """What GitHub stores about one repository. Tests read and change it."""

    git: Path  # bare repository; pushes arrive here
    private: bool = False
    has_issues: bool = True
    has_pages: bool = False
    # The rights of TOKEN: "read" or "write"; no right without an entry.
    permissions: dict[str, str] = field(
        default_factory=lambda: {"contents": "write", "issues": "write", "attestations": "write"}
    )
    issues: list[dict[str, Any]] = field(default_factory=list)  # oldest first, pull requests included
    comments: list[tuple[int, str]] = field(default_factory=list)  # issue number and text
    releases: list[dict[str, Any]] = field(default_factory=list)  # oldest first
    files: dict[str, bytes] = field(default_factory=dict)  # of releases, by the number of the asset
    attestations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # bundles by "sha256:..."
    numbers: Iterator[int] = field(default_factory=lambda: count(1))  # of assets: none is used again
    refused: dict[str, str] = field(default_factory=dict)  # pattern of refs to the message that refuses their update

    def open(self, title: str, body: str = "", user: Mapping[str, str] = BOT) -> dict[str, Any]:
        """Open an issue and return it."""
        number = 1 + max((issue["number"] for issue in self.issues), default=0)
        issue = {"number": number, "title": title, "body": body, "user": dict(user), "state": "open"}
        self.issues.append({**issue, "created_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
        return self.issues[-1]

    def texts(self, number: int) -> list[str]:
        """Return the comments on an issue."""
        return [text for issue, text in self.comments if issue == number]

    def attest(self, bundle: dict[str, Any], digest: str | None = None) -> None:
        """Store an attestation under the digest of its subject, or under another one."""
        subject = _statement(bundle)["subject"][0]["digest"]
        self.attestations.setdefault(digest or f"sha256:{subject['sha256']}", []).append(bundle)

    def refs(self) -> dict[str, str]:
        """Return the object that every ref names: ``{"refs/heads/main": "0123..."}``."""
        lines = self.run("for-each-ref", "--format", "%(refname) %(objectname)").splitlines()
        return dict(line.split() for line in lines)

    def run(self, *words: str) -> str:
        """Return the output of a git command in the bare repository."""
        return repositories.Repository(self.git).git(*words)


class GitHub(ReplayServer):
    """A context manager with the endpoints of GitHub that releases use, for one repository.

    It makes the bare repository and the certificates in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*HOSTS).configure_cert(tls)
        self.repository = Repository(folder / "crypto-predict.git")
        super().__init__(self, tls)
        _make_bare(self.repository.git)
        self._bundle = folder / "certificates.pem"
        system = ssl.get_default_verify_paths().cafile or certifi.where()  # not every system has one file of them
        self._bundle.write_bytes(Path(system).read_bytes() + authority.cert_pem.bytes())
        self._proxy: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # of the proxy, by their tasks

    def environ(self) -> dict[str, str]:
        """Return the variables that make gh, git, pip and Python use this server; add the token yourself."""
        assert self._proxy is not None
        address = f"http://127.0.0.1:{self._proxy.sockets[0].getsockname()[1]}"
        proxies = {"https_proxy": address, "http_proxy": address, "no_proxy": "127.0.0.1,localhost"}
        certificates = ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
        return {
            **proxies,
            **{name.upper(): value for name, value in proxies.items()},
            **dict.fromkeys(certificates, str(self._bundle)),
        }

    async def _start(self) -> str:
        url = await super()._start()
        self._proxy = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return url

    async def _stop(self) -> None:
        assert self._proxy is not None
        self._proxy.close()
        for client in self._clients.values():
            client.close()
        await asyncio.gather(*self._clients)
        await super()._stop()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        task.add_done_callback(self._clients.pop)
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            method, target, *_ = (await reader.readuntil(b"\r\n\r\n")).decode().split()
            if method != "CONNECT" or target not in {f"{host}:443" for host in HOSTS}:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            inner, outer = await asyncio.open_connection("127.0.0.1", int(self.url.rpartition(":")[2]))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.closing(outer):
                await asyncio.gather(_pump(reader, outer), _pump(inner, writer))

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """REST, and git over HTTP."""
        base = f"/repos/{REPOSITORY}"
        issues, attestations = f"{base}/issues", f"{base}/attestations"
        services = r"{service:info/refs|git-upload-pack|git-receive-pack}"
        return [
            web.get(base, self.rest("metadata", self._describe)),
            web.get(issues, self.rest("issues", self._list_issues)),
            web.post(issues, self.rest("issues", self._open_issue)),
            web.patch(f"{issues}/{{number}}", self.rest("issues", self._change_issue)),
            web.post(f"{issues}/{{number}}/comments", self.rest("issues", self._comment)),
            web.get(f"{base}/contents/{{path:.+}}", self.rest("contents", self._show_file)),
            *github_releases.routes(base, self.repository, self.rest),
            web.get(f"{attestations}/{{digest}}", self.rest("attestations", self._list_attestations)),
            web.post(attestations, self.rest("attestations", self._attest)),
            web.get(f"/{REPOSITORY}.git/{services}", self._serve_git),
            web.post(f"/{REPOSITORY}.git/{services}", self._serve_git),
        ]

    def unknown(self) -> web.Response:
        """Answer that the endpoint does not exist."""
        return Refused(404, "Not Found").response

    def rest(self, permission: str, handler: Handler, host: str = API) -> Handler:
        """Return the handler behind the checks of host, token and permission."""

        async def check_and_answer(request: web.Request) -> web.Response:
            try:
                if request.host != host:
                    raise Refused(404, "Not Found")
                if request.headers.get(hdrs.AUTHORIZATION) not in (f"token {TOKEN}", f"Bearer {TOKEN}"):
                    raise Refused(401, "Bad credentials")
                if not self._permits(permission, write=request.method != hdrs.METH_GET):
                    raise Refused(403, "Resource not accessible by integration")
                return await handler(request)
            except Refused as refusal:
                return refusal.response

        return check_and_answer

    def _permits(self, permission: str, *, write: bool) -> bool:
        granted = {"metadata": "read", **self.repository.permissions}.get(permission)
        return granted == "write" or (granted == "read" and not write)

    async def _describe(self, _: web.Request) -> web.Response:
        names = ("private", "has_issues", "has_pages")
        return web.json_response({name: getattr(self.repository, name) for name in names})

    async def _list_issues(self, request: web.Request) -> web.Response:
        """List the newest first. GitHub lists pull requests too, even if issues are switched off."""
        state, has_issues = request.query.get("state", "open"), self.repository.has_issues
        shown = [issue for issue in self.repository.issues if has_issues or "pull_request" in issue]
        return page_of(request, [issue for issue in reversed(shown) if state in (issue["state"], "all")])

    async def _open_issue(self, request: web.Request) -> web.Response:
        given = await body_of(request)
        self._check_issues()
        if not given.get("title"):
            raise invalid("Issue", "missing_field", "title")
        return web.json_response(self.repository.open(given["title"], given.get("body", "")), status=201)

    async def _change_issue(self, request: web.Request) -> web.Response:
        issue = self._issue(request)
        issue.update(await body_of(request))
        return web.json_response(issue)

    async def _comment(self, request: web.Request) -> web.Response:
        number, text = self._issue(request)["number"], (await body_of(request))["body"]
        self.repository.comments.append((number, text))
        return web.json_response({"id": len(self.repository.comments), "body": text, "user": BOT}, status=201)

    def _check_issues(self) -> None:
        if not self.repository.has_issues:
            raise Refused(410, "Issues has been disabled in this repository.")

    def _issue(self, request: web.Request) -> dict[str, Any]:
        self._check_issues()
        for issue in self.repository.issues:
            if str(issue["number"]) == request.match_info["number"]:
                return issue
        raise Refused(404, "Not Found")

    async def _show_file(self, request: web.Request) -> web.Response:
        """Show a file of a branch as it is, which is the raw media type; the others are not here."""
        assert "raw" in request.headers[hdrs.ACCEPT]
        path = f"{request.query['ref']}:{request.match_info['path']}"
        try:
            content = await asyncio.to_thread(self.repository.run, "show", path)
        except subprocess.CalledProcessError:
            raise Refused(404, "Not Found") from None
        return web.Response(text=content, content_type="application/vnd.github.raw+json", charset="utf-8")

    async def _list_attestations(self, request: web.Request) -> web.Response:
        """List attestations. GitHub answers 404 without any, as `gh attestation verify` shows."""
        wanted = request.query.get("predicate_type", "*")
        pattern = PREDICATES.get(wanted, wanted)
        result = [
            {"repository_id": 1, "bundle_url": "", "initiator": "user", "bundle": bundle}
            for bundle in self.repository.attestations.get(request.match_info["digest"], ())
            if fnmatch.fnmatchcase(_statement(bundle)["predicateType"], pattern)
        ]
        return page_of(request, result, lambda rows: {"attestations": rows}) if result else self.unknown()

    async def _attest(self, request: web.Request) -> web.Response:
        if self.repository.private:
            raise Refused(403, "Feature not available for user-owned private repositories.")
        self.repository.attest((await body_of(request))["bundle"])
        return web.json_response({"id": sum(map(len, self.repository.attestations.values()))}, status=201)

    async def _serve_git(self, request: web.Request) -> web.Response:
        """Check that the caller may do this, and let git answer."""
        if request.host != GIT:
            return self.unknown()
        pushes = "git-receive-pack" in (request.match_info["service"], request.query.get("service"))
        given = request.headers.get(hdrs.AUTHORIZATION)
        anonymous = given is None and not pushes and not self.repository.private
        if not anonymous and not _is_token(given):
            asks = {hdrs.WWW_AUTHENTICATE: 'Basic realm="GitHub"'}
            return web.Response(status=401, text="Invalid username or token.", headers=asks)
        if not anonymous and not self._permits("contents", write=pushes):
            return web.Response(status=403, text=f"Permission to {REPOSITORY}.git denied to {BOT['login']}.")
        return await asyncio.to_thread(_run_backend, self.repository, request, await request.content.read())


def _make_bare(folder: Path) -> None:
    """Make the bare repository, with a hook that refuses the refs in `Repository.refused`."""
    folder.mkdir(exist_ok=True)  # one that was copied is continued
    repositories.Repository(folder).git("init", "--quiet", "--bare", "--initial-branch", "main")
    hook = folder / "hooks" / "update"
    hook.write_text(
        "#!/bin/sh\n"
        "while IFS='\t' read -r pattern message; do\n"
        '    case "$1" in $pattern) echo "$message" >&2; exit 1 ;; esac\n'
        "done <<END\n"
        "$REFUSED\n"
        "END\n"
    )
    hook.chmod(0o755)


def _run_backend(repository: Repository, request: web.Request, body: bytes) -> web.Response:
    """Run `git http-backend` as a web server runs a CGI program."""
    environ = {
        "PATH": os.environ["PATH"],
        **repositories.OWN_SETTINGS,
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "PATH_TRANSLATED": f"{repository.git}/{request.match_info['service']}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.content_type,
        "REMOTE_USER": BOT["login"],  # allows pushes; the token was checked before
        "REFUSED": "\n".join(f"{pattern}\t{message}" for pattern, message in repository.refused.items()),
    }
    done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=True, env=environ)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, body=content, headers=headers)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


def _is_token(authorization: str | None) -> bool:
    """Return whether this is basic authentication with the token, for any user."""
    scheme, _, credentials = (authorization or "").partition(" ")
    with contextlib.suppress(ValueError):
        return scheme.lower() == "basic" and base64.b64decode(credentials).decode().partition(":")[2] == TOKEN
    return False


def _statement(bundle: dict[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return statement
