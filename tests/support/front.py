"""A server in front of another one, as a network that fails: it forwards every request unless a fault applies.

``ReplayServer(Front(served.url))`` is the address for a browser, and has the faults.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import ClientSession, web
from yarl import URL

# Of one connection, not of the message (RFC 9110, section 7.6.1).
_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade"}


class Front:
    """Forwards every request to the server at `url`, whose answers pass unchanged."""

    def __init__(self, url: str) -> None:
        self._url = url

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return one route for every address."""
        return [web.route("*", "/{path:.*}", self._forward)]

    def unknown(self) -> web.Response:
        """Return an answer to a request that has no route; there is none."""
        return web.Response(status=404)

    async def _forward(self, request: web.Request) -> web.Response:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        target = URL(self._url + request.raw_path, encoded=True)
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, target, headers=headers, data=await request.read(), allow_redirects=False
            ) as answer,
        ):
            result = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
            return web.Response(status=answer.status, headers=result, body=await answer.read())
