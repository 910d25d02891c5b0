"""One request and its answer, as Waitress puts them together for a WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from waitress.task import WSGITask

from crypto_predict.web import refusals
from crypto_predict.web.heads import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Channel(Protocol):
    """What a task asks its connection for, beside what Waitress' tasks ask for."""

    @property
    def is_last(self) -> bool:
        """Whether the connection is to be closed after this answer."""


class Task(WSGITask):
    """Waitress' own, but it answers refusals, and closes a connection only where it must."""

    channel: Channel  # type: ignore[assignment]  # ours offers what a task uses of Waitress'
    request: Request  # type: ignore[assignment]  # the stubs take the request for its error

    def get_environment(self) -> WSGIEnvironment:
        """The environment of the request, as PEP 3333 says."""
        environ = super().get_environment()
        del environ["wsgi.file_wrapper"]  # connections take bytes only
        if self.request.refusal is not None:
            environ[refusals.KEY] = self.request.refusal
        return environ

    def build_response_header(self) -> bytes:
        """The head of the answer. The last one on its connection says so."""
        if self.request.refusal is not None or self.channel.is_last:
            self.request.headers["CONNECTION"] = "close"  # as if the client had asked for it
        return super().build_response_header()

    def set_close_on_finish(self) -> None:
        """Close after the answer: where it has no length and is not empty by its status (304), and where asked to."""
        if self.has_body or self.version == "1.0" or self.request.headers.get("CONNECTION") == "close":
            super().set_close_on_finish()
