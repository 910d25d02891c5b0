"""The pairs of the folder, and the days that can be asked for.

With `q` those whose names have this text, in upper or lower case.
"""

from datetime import datetime

from crypto_predict.web.folder.catalogue import Catalogue
from crypto_predict.web.folder.endpoint import Folder, FolderOperation, until_change
from crypto_predict.web.http.response import Rendered, render_rows
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model import pairs


def rendered(catalogue: Catalogue) -> Rendered:
    """Return the answer about all pairs."""
    return render_rows(catalogue.ranges)


def answer(folder: Folder, now: datetime, query: str) -> Rendered:
    """Answer for all pairs, or for those with a text."""
    text, catalogue = pairs.searched(query), folder.current
    found = catalogue.once(rendered) if text is None else render_rows(pairs.matching(catalogue.ranges, text))
    return until_change(catalogue, found, now)


OPERATION = FolderOperation(
    rule="/pairs",
    answer=answer,
    text=__doc__,
    tag="forecast",
    place=4,
    parameters=pairs.search_parameter,
    schemas={"PairRange": list[pairs.PairRange]},
    examples=lambda folder: [cut(folder.current.ranges)],
)
