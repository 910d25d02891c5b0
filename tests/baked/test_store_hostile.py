import copyreg
import json
import math
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked import plain, schema, store, tables
from crypto_predict.baked.evaluation import COMBINED, Evaluator
from crypto_predict.errors import UnusableModel
from tests.baked.test_store import DATA, NAMED, ROOT, enclosed, payload, pickled, sealed
from tests.support.models import make_model, with_models


# Pickles that run a command when Python's own reader loads them. Each creates the file of the given name.
def by_reduce(marker: str, protocol: int) -> bytes:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    return pickle.dumps(Evil(), protocol)


def text(marker: str) -> bytes:
    """The opcode that pushes the command."""
    return f"S'touch {marker}'\n".encode()


def by_stack_global(marker: str) -> bytes:
    return b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + text(marker) + b"\x85R."


def inside_a_model(marker: str) -> bytes:
    """A valid envelope, with a call in place of its payload."""
    return DATA[: DATA.index(b"payloadB") + len(b"payload")] + by_stack_global(marker)[2:-1] + b"u."


def after_a_model(marker: str) -> bytes:
    """A valid envelope, and a call before its end."""
    return DATA[:-1] + by_stack_global(marker)[2:]


HOSTILE: list[Callable[[str], bytes]] = [
    *(lambda marker, protocol=protocol: by_reduce(marker, protocol) for protocol in range(6)),
    *(by_stack_global, inside_a_model, after_a_model),
    lambda marker: b"cposix\nsystem\n(" + text(marker) + b"tR.",  # GLOBAL
    lambda marker: b"(" + text(marker) + b"iposix\nsystem\n.",  # INST
    lambda marker: b"(cposix\nsystem\n" + text(marker) + b"o.",  # OBJ
    # BUILD passes the state to ``__setstate__`` of an object, which is ``os.system``.
    lambda marker: b"\x80\x02cargparse\nNamespace\n)\x81}S'__setstate__'\ncposix\nsystem\nsb" + text(marker) + b"b.",
    lambda marker: b"\x80\x02\x82\xf0" + text(marker) + b"\x85R.",  # an extension code
]


@pytest.fixture
def extension() -> Iterator[None]:
    """An extension code for ``os.system``, as a library could register it."""
    copyreg.add_extension("posix", "system", 0xF0)
    yield
    copyreg.remove_extension("posix", "system", 0xF0)


@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize("make", HOSTILE)
def test_a_hostile_pickle_does_not_run_its_command(make: Callable[[str], bytes], tmp_path: Path) -> None:
    """First show that Python's own ``pickle.load`` runs it."""
    marker, path = tmp_path / "ran", tmp_path / "model.pkl"
    path.write_bytes(make(str(marker)))
    with path.open("rb") as file:
        pickle.load(file)
    assert marker.exists(), "this pickle is harmless, so the test proves nothing"
    marker.unlink()
    with pytest.raises(UnusableModel, match=r"it is not a model of this program|it is truncated or damaged"):
        store.load(path)
    assert not marker.exists()


CONTENT = "its content is not a model: "


def repeated(before: bytes, piece: bytes, after: bytes, size: int = store.MOST_TEXT) -> bytes:
    """A file whose JSON has about this size, much of it the same."""
    return enclosed(before + piece * ((size - len(before) - len(after)) // len(piece)) + after)


def many_keys() -> bytes:
    """As many different texts as keys as fit."""
    keys = ",".join(f'"{number}":0' for number in range(store.MOST_KEYS))
    return enclosed(f"{{{keys}}}".encode())


def table(form: str, numbers: list[int], kind: str = "decimal", lags: tuple[int, ...] = ()) -> list[Any]:
    """A packed table of one column."""
    column = {"kind": kind, "decimals": 0, "lags": lags, "numbers": numbers, "missing": []}
    return ["table", {"form": form, "names": ["m"] if form == "mappings" else [], "columns": [column]}]


def of_tables(packed: list[Any], count: int = 1) -> bytes:
    """A file of equal tables."""
    return enclosed(json.dumps([packed] * count, separators=(",", ":")).encode())


BEGUN = b"[" + b"".join(b"%d," % number**5 for number in range(1, 400))  # that cannot be compressed to nothing
MISSING = "the model: missing ['card', 'forecasts', 'scorecard'], unknown "
BOMBS: dict[str, tuple[bytes, str]] = {
    "a gigabyte of spaces": (
        pickled({"schema": schema.VERSION, "sha256": "0" * 64, "payload": zlib.compress(b" " * 2**30, 9)}),
        f"its payload has more than {store.MOST_TEXT:,} characters",
    ),
    "numbers": (repeated(b"[0", b",0", b"]"), f"it has {store.MOST_TEXT // 2 - 1:,} values, more than"),
    "as many numbers as fit": (
        repeated(b"[1e1", b",1e1", b"]", 4 * store.MOST_VALUES),
        f"{CONTENT}the model: expected a mapping, found list",
    ),
    "mappings": (repeated(b"[{}", b",{}", b"]"), f"it has {store.MOST_TEXT // 3:,} values, more than"),
    "lists": (repeated(b"[", b"[", b""), f"it has {store.MOST_TEXT:,} lists and mappings, more"),
    "as many mappings as fit": (
        repeated(b"[{}", b',{"a":1.5}', b"]", 10 * (store.MOST_GROUPS - 10)),
        f"{CONTENT}the model: expected a mapping, found list",
    ),
    "as many keys as fit": (many_keys(), f"{CONTENT}{MISSING}['"),
    "one text": (repeated(b'"', b"x", b'"'), f"{CONTENT}the model: expected a mapping, found 'xxx"),
    "one text of wide characters": (
        repeated(b'"', "\U0001f4a3".encode(), b'"'),
        f"{CONTENT}the model: expected a mapping, found '",
    ),
    "one number": (repeated(b"", b"1", b""), "its payload is not plain data: Exceeds the limit (4300 digits)"),
    "one number with a point": (repeated(b"1.", b"1", b""), f"{CONTENT}the model: expected a mapping, found 1.1111"),
    "a deep list": (enclosed(b"[" * 190_000 + b"]" * 190_000), "its data is nested too deeply"),
    "a deep mapping": (enclosed(b'{"x":' * 390_000 + b"0" + b"}" * 390_000), "its data is nested too deeply"),
    "no number": (enclosed(BEGUN + b"NaN]"), "its payload is not plain data: "),
    "no end": (enclosed(BEGUN + b"0"), "its payload is not plain data: "),
    "no text": (enclosed(BEGUN + b'"\xff"]'), "its payload is not plain data: "),
    "nothing": (enclosed(b""), "it is truncated or damaged"),
    "as many numbers as fit in tables": (
        of_tables(table("values", [1] * 300_000, lags=(1, 7, 7)), count=6),
        f"{CONTENT}the model: expected a mapping, found list",
    ),
    "as large numbers as fit in tables": (
        of_tables(table("values", [2**62] * 300_000, lags=(1, 7, 7)), count=2),
        f"{CONTENT}the model: expected a mapping, found list",
    ),
    "as many rows as fit": (
        of_tables(table("rows", [1] * 300_000, lags=(1,)), count=2),
        f"{CONTENT}the model: expected a mapping, found list",
    ),
    "as many rows with a member as fit": (
        of_tables(table("mappings", [1] * 174_000, lags=(1,)), count=2),
        f"{CONTENT}the model: expected a mapping, found list",
    ),
    "as many tables as fit": (
        of_tables(table("values", [1]), count=49_000),
        f"{CONTENT}the model: expected a mapping, found list",
    ),
    "more rows": (
        of_tables(table("rows", [1] * 300_000), count=3),
        f"{CONTENT}its tables have more rows and members than a model can have",
    ),
    "days after the calendar": (
        of_tables(table("values", [2**62] * 100_000, "date")),
        f"{CONTENT}a table has days outside of the calendar",
    ),
    "not compressed": (
        pickled({"schema": schema.VERSION, "sha256": "0" * 64, "payload": b"x" * 300}),
        "its payload is truncated or damaged: Error -3 while decompressing",
    ),
}


def changed(**fields: Any) -> bytes:
    """A sealed model with these fields of its forecast."""
    data = payload()
    data["forecasts"]["BTC/USD"] |= fields
    return sealed(data)


def with_losses(count: int, written: Callable[[Any], Any] = lambda data: data) -> bytes:
    """A model with backtest losses, the smallest rows in a model."""
    data = payload()
    losses = [{"cutoff": "2024-01-01", "horizon_days": 1, "error": 0.5, "winkler": 0.5} for _ in range(count)]
    nothing: dict[str, Any] = {"scores": [], "years": [], "prophet": {"scores": [], "words": ""}}
    backtest = {"first_cutoff": "2024-01-01", "last_cutoff": "2024-01-01", "cutoffs": 1, **nothing}
    data["card"]["pairs"]["BTC/USD"]["backtest"] = backtest | {"losses": losses}
    return sealed(written(data))


def with_packages(packages: dict[str, Any]) -> bytes:
    data = payload()
    data["card"]["packages"] = packages
    return sealed(data)


def of_pairs(count: int, **fields: Any) -> bytes:
    """A model of equal pairs."""
    data = payload()
    names = [f"C{number}/USD" for number in range(count)]
    data["forecasts"] = dict.fromkeys(names, data["forecasts"]["BTC/USD"] | fields)
    data["card"]["pairs"] = dict.fromkeys(names, data["card"]["pairs"]["BTC/USD"])
    return sealed(data)


LEVEL = {"start": "2023-01-01", "days": 502, "growth": 0.0, "offset": 1.0, "changepoints": [], "deltas": []}
ERA: dict[str, Any] = {
    "first": "0001-01-01",
    "last": "9998-12-31",
    "trend": LEVEL,
    "anchor": {"at": "9999-01-01T12:00:00Z", "price": 67_010.0},
}
PRICES = ("closes", "highs", "lows")
CENTURY: dict[str, Any] = {"first": "1923-01-01", "trend": LEVEL, **dict.fromkeys(PRICES, [66_900.5] * 37_028)}
WAVES = [{"name": "yearly", "period": 365.25, "coefficients": [0.0] * 202}]
EVALUATED = "its forecast of BTC/USD cannot be evaluated: "


def labelled(text: str) -> dict[str, Any]:
    return {f"p{number}": text for number in range(380)}


# Well-formed files with the right digest. They are refused quickly, or loaded if they are valid.
SEALED: dict[str, tuple[Callable[[], bytes], str]] = {
    "as many losses as fit": (lambda: with_losses(60_000), "loaded"),
    "as many losses as fit in a table": (lambda: with_losses(75_000, tables.packed), "loaded"),
    "as many pairs as fit": (lambda: of_pairs(36), "loaded"),
    "too many pairs": (lambda: of_pairs(37), f"{CONTENT}the model: 37 pairs are more than"),
    "9,997 years": (lambda: changed(**ERA), f"{CONTENT}forecasts['BTC/USD']: 503 closes, not 3651694"),
    "6 pairs of a century": (lambda: of_pairs(6, **CENTURY), "loaded"),
    "7 pairs of a century": (lambda: of_pairs(7, **CENTURY), f"{CONTENT}the model: 261,744 days of all pairs"),
    "prices of nothing": (lambda: changed(scale=-11.7), f"{EVALUATED}its log price may fall to "),
    "prices beyond numbers": (lambda: changed(scale=1e5), f"{EVALUATED}its log price may reach "),
    "slow seasonalities": (lambda: changed(seasonalities=WAVES), f"{EVALUATED}its seasonalities have 202 coefficients"),
    "control characters": (lambda: with_packages(labelled("\x01" * 6_000)), f"{CONTENT}card: p0 "),
    "wide characters": (lambda: with_packages(labelled("\U0001f4a3" * 3_000)), f"{CONTENT}card: p0 "),
    "wrong numbers": (
        lambda: changed(prophet_weights=["x"] * 300_000),
        f"{CONTENT}forecasts['BTC/USD'].prophet_weights[0]: expected a finite number",
    ),
    "unknown members": (
        lambda: changed(**{f"m{number}": None for number in range(240_000)}),
        f"{CONTENT}forecasts['BTC/USD']: missing nothing, unknown ['",
    ),
    "a long name of many": (lambda: with_packages({"n" * 16_000: ["x"] * 300_000}), f"{CONTENT}card.packages['nnn"),
}


LOAD_AND_MEASURE = """
import sys, time
from pathlib import Path
from crypto_predict.baked import store
from crypto_predict.errors import UnusableModel
from tests.support.processes import peak
started = time.process_time()
for _ in range(1_000_000):
    pass
unit = time.process_time() - started
for name in sys.argv[1:]:
    started = time.process_time()
    try:
        store.load(Path(name))
        reason = "loaded"
    except UnusableModel as error:
        reason = error.reason
    print((time.process_time() - started) / unit, peak(), reason)
"""
LONGEST = 100  # times a loop of a million rounds, which takes 20 to 50 ms: 2 s on a slow machine


@pytest.mark.parametrize("files", [BOMBS, SEALED], ids=["bombs", "sealed"])
def test_loading_takes_at_most_2_s_and_200_mb_whatever_the_file(
    files: Mapping[str, tuple[bytes | Callable[[], bytes], str]], tmp_path: Path
) -> None:
    """One after the other, in a separate process. Operators can plan the start of a server with these bounds."""
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, (content, _) in zip(paths, files.values(), strict=True):
        path.write_bytes(content if isinstance(content, bytes) else content())
    environ = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    command = [sys.executable, "-c", LOAD_AND_MEASURE, *map(str, paths)]
    child = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    for (name, (_, expected)), line in zip(files.items(), child.stdout.splitlines(), strict=True):
        duration, peak, message = line.split(maxsplit=2)
        assert message.startswith(expected), name
        assert len(message) < 5_000
        assert float(duration) < LONGEST, name
        assert float(peak) < 200 * 2**20, name


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=50,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values inside plain data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


RIVALLED = with_models(make_model(), "mine")
PLACES = list(places(plain.encode(RIVALLED)))
NUMBERS = (-1, 0, 2**62, -11.7, 1e308, -1e308, 5e-324, 0.0)
WILD: st.SearchStrategy[Any] = st.sampled_from([*NUMBERS, None, True, "", "\x1b[2J", [], {}])


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(PLACES), WILD | PLAIN), min_size=1, max_size=3))
def test_a_changed_model_is_refused_or_can_be_evaluated_in_its_whole_range(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    """With a valid digest. Prices are above 0 and inside their interval."""
    data = plain.encode(RIVALLED)
    for path, value in changes:
        target = data
        with suppress(KeyError, IndexError, TypeError):  # an earlier change may have removed it
            for part in path[:-1]:
                target = target[part]
            target[path[-1]] = value
    try:
        model = store.loads(sealed(data), NAMED)
    except UnusableModel:
        return
    for forecast in model.forecasts.values():
        evaluator = Evaluator(forecast)
        for day in range((forecast.end - forecast.first).days + 1):
            for name in (COMBINED, *forecast.models):
                prediction = evaluator.at(forecast.first + timedelta(days=day), name)
                assert 0 < prediction.low <= prediction.price <= prediction.high < math.inf
