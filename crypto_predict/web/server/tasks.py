"""Waitress' task, which calls the WSGI application for one request, adapted to `Connection`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from waitress.task import WSGITask

from crypto_predict.web import refusals
from crypto_predict.web.server.heads import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Channel(Protocol):
    """What a task uses of its connection, in addition to what Waitress' tasks use."""

    @property
    def is_last(self) -> bool:
        """Whether the connection must be closed after this answer."""


class Task(WSGITask):
    """Passes refusals to the application, and closes the connection only if necessary."""

    channel: Channel  # type: ignore[assignment]  # has what a task uses of Waitress' channel
    request: Request  # type: ignore[assignment]  # the stubs declare the type of its error

    def get_environment(self) -> WSGIEnvironment:
        """Return the WSGI environment of the request."""
        environ = super().get_environment()
        del environ["wsgi.file_wrapper"]  # connections take bytes only
        if self.request.refusal is not None:
            environ[refusals.KEY] = self.request.refusal
        return environ

    def build_response_header(self) -> bytes:
        """Return the head of the answer, with ``Connection: close`` if it is the last one."""
        if self.request.refusal is not None or self.channel.is_last:
            self.request.headers["CONNECTION"] = "close"  # as if the client had asked for it
        return super().build_response_header()

    def set_close_on_finish(self) -> None:
        """Close after an answer without a length, unless its status allows no body (304), or if the client asks."""
        if self.has_body or self.version == "1.0" or self.request.headers.get("CONNECTION") == "close":
            super().set_close_on_finish()
