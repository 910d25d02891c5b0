"""The folders of several shards, merged into one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto_predict.baked import index
from crypto_predict.baked.files import locked
from crypto_predict.baked.index import INDEX, Index, IndexedModel, Refusal
from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.training.fleet.release import check_refused, commit, prepare, read_earlier
from crypto_predict.wording import counted

_SHOWN = 10  # pairs in a message


def merge(parts: Sequence[Path], output: Path, most_refused: int) -> Index:
    """Make one folder of those of all shards of a release, and return its index.

    A pair that its shard has refused, and that has no earlier model there, keeps the one that `output` has.

    Raises:
        InvalidValue: The parts are of different releases, a pair is in two of them, or in none: a shard has not ended.
        Refused: More pairs than `most_refused` percent were refused.
        UnusableModel: A part has no index, or a model is not the one of the index.
        OSError: A file cannot be written.
    """
    prepare(output)
    with locked(output / INDEX, "--output"):
        indexes = {part: index.read(part) for part in parts}
        asked = _asked(indexes)
        models, refused, origins = dict[Pair, IndexedModel](), dict[Pair, Refusal](), dict[Pair, Path]()
        for part, of_part in indexes.items():
            models |= of_part.models
            refused |= of_part.refused
            origins |= dict.fromkeys(of_part.models, part)
        earlier = read_earlier(output)
        models |= {pair: earlier[pair] for pair in refused if pair in earlier and pair not in models}
        release = Index(asked, "1/1", dict(sorted(models.items())), dict(sorted(refused.items())))
        check_refused(release, most_refused)
        commit(output, release, origins)
    return release


def _asked(indexes: Mapping[Path, Index]) -> tuple[Pair, ...]:
    """Return the pairs of the whole release, each of which is in one of the parts."""
    (first, asked), *others = [(part, of_part.asked) for part, of_part in indexes.items()]
    for part, others_asked in others:
        if others_asked != asked:
            raise InvalidValue("--merge", str(part), f"a part of the same release as {first}: it has other pairs")
    parts: dict[Pair, Path] = {}
    for part, of_part in indexes.items():
        for pair in sorted({*of_part.models, *of_part.refused}):
            if (other := parts.setdefault(pair, part)) != part:
                raise InvalidValue("--merge", str(part), f"another part than {other}: both have {pair}")
    if missing := [pair for pair in asked if pair not in parts]:
        named = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        shards = ", ".join(of_part.shard for of_part in indexes.values())
        expected = f"every part of the release: {counted(len(missing), 'pair')} of {len(asked):,} are missing ({named})"
        raise InvalidValue("--merge", f"shards {shards}", f"{expected}; train the other shards, too")
    return asked
