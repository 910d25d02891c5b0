"""The release, and when its newest model was trained."""

from datetime import datetime

from crypto_predict.baked.index import excerpt
from crypto_predict.web.folder.catalogue import Catalogue
from crypto_predict.web.folder.endpoint import Folder, FolderOperation
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.model.version import Version


def rendered(catalogue: Catalogue) -> Rendered:
    """Return the body with its headers but those of caches."""
    version = excerpt(Version, catalogue.newest)
    return render(version, simulated=version.simulated)


def answer(folder: Folder, now: datetime, query: str) -> Rendered:
    """Return the answer, which caches revalidate at each request."""
    parameters(query)
    catalogue = folder.current
    version = catalogue.once(rendered)
    return Rendered(version.body, [*version.headers, *catalogue.validity.revalidated(now)])


OPERATION = FolderOperation(
    rule="/version",
    answer=answer,
    text=__doc__,
    place=3,
    schemas={"Version": Version},
    examples=lambda folder: [rendered(folder.current)],
)
