"""Releases and their files on the GitHub of the tests, and what its REST endpoints have in common.

They are as GitHub documents them: a name with other characters is changed, two files cannot have one name, an upload
that breaks off leaves a file in the state ``starter``, lists have pages, and a download is redirected to a host that
accepts no token of GitHub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import hdrs, web

from tests.support.replay.server import Answer
from tests.support.replay.server import Handler as Inner

if TYPE_CHECKING:
    from tests.support.github import Repository

UPLOADS, FILES = "uploads.github.com", "release-assets.githubusercontent.com"
MOST_ASSETS = 1_000

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Refused(Exception):
    """GitHub refuses a request."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        self.response = web.json_response({"message": message, "status": str(status), **more}, status=status)


class Checks(Protocol):
    """Returns a handler behind the checks of host, token and permission."""

    def __call__(self, permission: str, handler: Handler, host: str = ...) -> Handler:
        """Check, and let the handler answer."""
        ...


def routes(base: str, repository: Repository, rest: Checks) -> Iterable[web.AbstractRouteDef]:
    """Return the endpoints of the releases of a repository, which is at `base`."""
    releases = f"{base}/releases"
    stored = Releases(repository, releases)
    assets = f"{releases}/{{release:[0-9]+}}/assets"
    return [
        web.get(f"{releases}/tags/{{tag:.+}}", rest("contents", stored.show)),
        web.post(releases, rest("contents", stored.create)),
        web.patch(f"{releases}/{{release:[0-9]+}}", rest("contents", stored.change)),
        web.get(assets, rest("contents", stored.list_assets)),
        web.post(assets, rest("contents", stored.upload, UPLOADS)),
        web.get(f"{releases}/assets/{{asset}}", rest("contents", stored.download)),
        web.patch(f"{releases}/assets/{{asset}}", rest("contents", stored.rename)),
        web.delete(f"{releases}/assets/{{asset}}", rest("contents", stored.delete)),
        web.get("/github-production-release-asset/{asset}", stored.send),
    ]


class Releases:
    """The releases of a repository."""

    def __init__(self, repository: Repository, base: str) -> None:
        self._repository, self._base = repository, base

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the release of a tag."""
        for release in self._repository.releases:
            if release["tag_name"] == request.match_info["tag"]:
                return web.json_response(release)
        raise Refused(404, "Not Found")

    async def create(self, request: web.Request) -> web.Response:
        """Publish a release. GitHub makes its tag at HEAD if the repository does not have it."""
        given = await body_of(request)
        tag, releases = given["tag_name"], self._repository.releases
        if any(release["tag_name"] == tag for release in releases):
            raise invalid("Release", "already_exists", "tag_name")
        if f"refs/tags/{tag}" not in self._repository.refs():
            self._repository.run("update-ref", f"refs/tags/{tag}", "HEAD^{commit}", "")
        number = 7_000 + len(releases)
        address = f"https://{UPLOADS}{request.path}/{number}/assets{{?name,label}}"
        told = {
            name: given.get(name, default) for name, default in (("name", tag), ("body", ""), ("make_latest", "true"))
        }
        releases.append({"id": number, "tag_name": tag, **told, "upload_url": address, "assets": []})
        return web.json_response(releases[-1], status=201)

    async def change(self, request: web.Request) -> web.Response:
        """Change the text of a release."""
        release, given = self._release(request), await body_of(request)
        if len(given.get("body", "")) > 125_000:
            raise invalid("Release", "custom", "body")
        release.update(given)
        return web.json_response(release)

    async def list_assets(self, request: web.Request) -> web.Response:
        """List the files of a release."""
        return page_of(request, self._release(request)["assets"])

    async def upload(self, request: web.Request) -> web.Response:
        """Add a file, whose length must be announced. Without all of its bytes it stays a `starter`."""
        if request.content_length is None:
            raise Refused(411, "Length Required")
        assets = self._release(request)["assets"]
        asset = self._started(assets, request.query["name"])
        content = await request.content.read()
        return web.json_response(self._filled(asset, content), status=201)

    async def break_off(self, request: web.Request, _: Inner) -> Answer:
        """Lose an upload on the way, with an answer of a gateway: a fault for `ReplayServer.inject`."""
        self._started(self._release(request)["assets"], request.query["name"])
        return web.json_response({"message": "Server Error"}, status=502)

    async def download(self, request: web.Request) -> web.Response:
        """Describe a file, or send to where its bytes are."""
        asset = self._asset(request)
        if "application/octet-stream" not in request.headers.get(hdrs.ACCEPT, ""):
            return web.json_response(asset)
        place = f"https://{FILES}/github-production-release-asset/{asset['id']}?sig=1"
        return web.Response(status=302, headers={hdrs.LOCATION: place})

    async def send(self, request: web.Request) -> web.Response:
        """Send the bytes of a file. The signature of the address is the only authorization, as at Azure."""
        if request.host != FILES or hdrs.AUTHORIZATION in request.headers:
            return web.Response(status=400, text="InvalidAuthenticationInfo")
        content = self._repository.files.get(request.match_info["asset"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    async def rename(self, request: web.Request) -> web.Response:
        """Change the name of a file."""
        asset, given = self._asset(request), await body_of(request)
        others = next(release["assets"] for release in self._repository.releases if asset in release["assets"])
        _check_name([other for other in others if other is not asset], given["name"])
        asset["name"] = given["name"]
        return web.json_response(asset)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a file."""
        asset = self._asset(request)
        for release in self._repository.releases:
            release["assets"] = [other for other in release["assets"] if other is not asset]
        self._repository.files.pop(str(asset["id"]), None)
        return web.Response(status=204)

    def _release(self, request: web.Request) -> dict[str, Any]:
        for release in self._repository.releases:
            if str(release["id"]) == request.match_info["release"]:
                return release
        raise Refused(404, "Not Found")

    def _asset(self, request: web.Request) -> dict[str, Any]:
        for asset in self._assets():
            if str(asset["id"]) == request.match_info["asset"]:
                return asset
        raise Refused(404, "Not Found")

    def _assets(self) -> Iterator[dict[str, Any]]:
        for release in self._repository.releases:
            yield from release["assets"]

    def _started(self, assets: list[dict[str, Any]], name: str) -> dict[str, Any]:
        name = re.sub(r"[^A-Za-z0-9_.-]", ".", name).strip(".")
        _check_name(assets, name)
        if len(assets) >= MOST_ASSETS:
            raise invalid("ReleaseAsset", "custom", "release")
        number = next(self._repository.numbers)
        asset = {"id": number, "name": name, "size": 0, "state": "starter", "digest": None}
        assets.append({**asset, "url": f"https://api.github.com{self._base}/assets/{number}"})
        return assets[-1]

    def _filled(self, asset: dict[str, Any], content: bytes) -> dict[str, Any]:
        self._repository.files[str(asset["id"])] = content
        asset.update(size=len(content), state="uploaded", digest=f"sha256:{sha256(content).hexdigest()}")
        return asset


def _check_name(assets: Iterable[dict[str, Any]], name: str) -> None:
    if any(asset["name"] == name for asset in assets):
        raise invalid("ReleaseAsset", "already_exists", "name")


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON of a request."""
    given: dict[str, Any] = json.loads(await request.content.read())
    return given


def page_of(
    request: web.Request, rows: list[dict[str, Any]], wrap: Callable[[list[dict[str, Any]]], Any] = list
) -> web.Response:
    """Return the page of a list, with the address of the next one in its Link header."""
    size = min(100, int(request.query.get("per_page", "30")))
    number = int(request.query.get("page", "1"))
    headers = {}
    if number * size < len(rows):
        headers["Link"] = f'<{request.url.update_query(page=str(number + 1))}>; rel="next"'
    return web.json_response(wrap(rows[(number - 1) * size : number * size]), headers=headers)


def invalid(resource: str, code: str, name: str) -> Refused:
    """Return the refusal of a value."""
    return Refused(422, "Validation Failed", errors=[{"resource": resource, "code": code, "field": name}])
