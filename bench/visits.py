"""What a browser transfers when it opens the page for the first time."""

import http.client
import re

DOCUMENTS = (".json", "/record.json", "/releases.json")  # of a pair, after its slug

_FILE = re.compile(r'(?:src|href)="\./(page/built/[^"]+\.(?:js|css|svg))"')  # as the page of the first pair names it
_SLUG = re.compile(r'data-slug="([A-Z0-9-]+)"')


def first_visit(port: int) -> dict[str, int]:
    """Return the compressed bytes of each answer, head and body, by path: the page, its files and its documents.

    Raises:
        RuntimeError: An answer was not 200.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def transferred(path: str) -> int:
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return len(str(answer.headers)) + len(body)

    connection.request("GET", "/")
    text = connection.getresponse().read().decode()
    [slug] = _SLUG.findall(text)
    paths = ["/", *(f"/{file}" for file in _FILE.findall(text)), *(f"/page/{slug}{ending}" for ending in DOCUMENTS)]
    sizes = {path: transferred(path) for path in paths}
    connection.close()
    return sizes
