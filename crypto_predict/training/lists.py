"""The pairs of ``--pair all``, ``all:200`` and ``@FILE``."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from crypto_predict.baked.files import opened
from crypto_predict.baked.index import MOST_PAIRS
from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.market.collected import ACTIVE
from crypto_predict.sources.catalog import SIMULATED
from crypto_predict.sources.simulated import simulated_pairs
from crypto_predict.sources.stored import STORE, CollectedMarket
from crypto_predict.wording import counted

ALL, LIST = "all", "@"
LISTED_BY = (SIMULATED, STORE)  # sources that list their pairs
MOST_BYTES = 2**20  # of a list

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EveryPair:
    """All pairs of a source, or the first `most` of its list."""

    most: int | None = None

    @classmethod
    def parse(cls, text: str) -> "EveryPair | None":
        """Read ``all`` or ``all:200``; None if the text is neither."""
        match = re.fullmatch(rf"{ALL}(?::([0-9]{{1,6}}))?", text.strip().lower())
        if match is None:
            return None
        most = int(match[1]) if match[1] else None
        if most is not None and not 1 <= most <= MOST_PAIRS:
            raise InvalidValue("pair", text, f"all: and a number of pairs from 1 to {MOST_PAIRS:,}")
        return cls(most)

    def of(self, sources: Sequence[str], open_database: Callable[[], CollectedMarket]) -> tuple[Pair, ...]:
        """Return the pairs that the first of `sources` lists.

        Raises:
            InvalidValue: It does not list its pairs, or has none.
            DatabaseError: The database cannot be read.
        """
        text = ALL if self.most is None else f"{ALL}:{self.most}"
        if sources[0] == SIMULATED:
            return simulated_pairs(self.most)
        if sources[0] != STORE:
            expected = f"a list that {sources[0]} offers; only {' and '.join(LISTED_BY)} do: name the pairs with @FILE"
            raise InvalidValue("--pair", text, expected)
        active = (series.series.pair for series in open_database().collected() if series.state == ACTIVE)
        pairs = tuple(islice(dict.fromkeys(active), self.most))
        if not pairs:
            raise InvalidValue("--pair", text, "a pair at least: nothing is collected in --database")
        return pairs


def read_list(text: str) -> tuple[Pair, ...]:
    """Read the pairs of ``@FILE``: one a line; blank lines and what follows a ``#`` are left out.

    A pair that is there twice, perhaps in two spellings, counts once, and the log says so.
    """
    path = Path(text.removeprefix(LIST))

    def unusable(reason: str) -> InvalidValue:
        return InvalidValue("pair", text, f"a list of pairs that can be read: {reason}")

    with opened(path, "list of pairs", MOST_BYTES, "write a pair a line into it", unusable) as file:
        data = file.read(MOST_BYTES + 1)
    lines = data.decode("utf-8", "replace").splitlines()
    texts = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, start=1)]
    pairs: list[Pair] = []
    for number, name in texts:
        try:
            pairs += [Pair.parse(name)] if name else []
        except InvalidValue as error:
            expected = f"{error.expected}, in line {number} of {path}"
            raise InvalidValue("pair", name, expected) from error
    if not pairs:
        raise InvalidValue("pair", text, "a list with a pair a line: it has none")
    different = tuple(dict.fromkeys(pairs))
    if repeated := len(pairs) - len(different):
        again = next(pair for place, pair in enumerate(pairs) if pair in pairs[:place])
        _log.warning("%s: %s repeated, such as %s; each is trained once", path, counted(repeated, "line"), again)
    return different
