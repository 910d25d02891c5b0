"""A GitHub Release and its files, which GitHub calls assets."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, gh

MOST = 1_000  # files of a release

_ATTEMPTS = 3  # of an upload, each of which `gh` repeats as well
_FIELDS = "{id, name, size, state, digest}"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of a release, as GitHub describes it."""

    id: int
    name: str
    size: int  # bytes
    state: str  # "uploaded", or "starter" after an upload that broke off
    digest: str | None  # "sha256:...", if GitHub computed it

    @property
    def is_whole(self) -> bool:
        """Whether all of its bytes have arrived."""
        return self.state == "uploaded"

    def may_be(self, size: int, sha256: str) -> bool:
        """Return whether it can be the file with this size and SHA-256."""
        return self.is_whole and self.size == size and self.digest in {None, f"sha256:{sha256}"}


@dataclass
class Release:
    """A release with its files by name. Methods raise `ReleaseFailed` if GitHub refuses, or does not answer."""

    repository: str  # owner/name
    id: int
    body: str
    upload_url: str
    assets: dict[str, Asset] = field(default_factory=dict)

    @classmethod
    def find(cls, repository: str, tag: str) -> "Release | None":
        """Return the release of a tag; None if there is none."""
        try:
            answer = gh("api", f"repos/{repository}/releases/tags/{tag}")
        except ProgramFailed as error:
            if "HTTP 404" in error.complaint:
                return None
            raise
        release = cls._of(repository, json.loads(answer))
        release.look()
        return release

    @classmethod
    def create(cls, repository: str, tag: str, body: str) -> "Release":
        """Make a release without files. It is not marked as the latest one, which is that of the program."""
        return cls._of(
            repository,
            _send("POST", f"repos/{repository}/releases", tag_name=tag, name=tag, body=body, make_latest="false"),
        )

    def upload(self, name: str, path: Path) -> None:
        """Add a file; an upload that breaks off leaves an empty one, which is deleted and sent again."""
        words = ("api", f"{self.upload_url}?name={name}", "--method", "POST", "--input", str(path))
        for _ in range(_ATTEMPTS):
            try:
                asset = _asset(json.loads(gh(*words, "--header", "Content-Type: application/octet-stream")))
            except ReleaseFailed as error:
                failure = error
                self.look()
                if name in self.assets:
                    self.delete(name)
            else:
                if (asset.name, asset.size, asset.is_whole) != (name, path.stat().st_size, True):
                    raise ReleaseFailed(f"GitHub has stored {name} as {asset}; delete that file, and run again")
                self.assets[name] = asset
                return
        raise failure

    def delete(self, name: str) -> None:
        """Delete a file. One that has gone is no error: `gh` may have repeated what GitHub had done."""
        try:
            gh("api", self._path(name), "--method", "DELETE")
        except ProgramFailed as error:
            if "HTTP 404" not in error.complaint:
                raise
        del self.assets[name]

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, in place of the file that has it."""
        if to in self.assets:
            self.delete(to)
        self.assets[to] = _asset(_send("PATCH", self._path(name), name=to))
        del self.assets[name]

    def download(self, name: str, path: Path) -> None:
        """Write a file's bytes to `path`."""
        gh("api", self._path(name), "--header", "Accept: application/octet-stream", into=path)

    def describe(self, body: str) -> None:
        """Change the text of the release, unless it is the same."""
        if body != self.body:
            _send("PATCH", f"repos/{self.repository}/releases/{self.id}", body=body)
            self.body = body

    @classmethod
    def _of(cls, repository: str, answer: dict[str, Any]) -> "Release":
        upload_url = str(answer["upload_url"]).partition("{")[0]
        return cls(repository, int(answer["id"]), str(answer["body"] or "").replace("\r\n", "\n"), upload_url)

    def look(self) -> None:
        """List the files again, whoever has changed them."""
        listing = f"repos/{self.repository}/releases/{self.id}/assets?per_page=100"
        lines = gh("api", listing, "--paginate", "--jq", f".[] | {_FIELDS}").splitlines()
        self.assets = {asset.name: asset for asset in map(_asset, map(json.loads, lines))}

    def _path(self, name: str) -> str:
        return f"repos/{self.repository}/releases/assets/{self.assets[name].id}"


def _asset(answer: dict[str, Any]) -> Asset:
    return Asset(answer["id"], answer["name"], answer["size"], answer["state"], answer.get("digest"))


def _send(method: str, path: str, **fields: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(gh("api", path, "--method", method, "--input", "-", stdin=json.dumps(fields)))
    return answer
