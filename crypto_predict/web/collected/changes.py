"""``POST /pairs`` and ``DELETE /pairs/{pair}``: an administrator changes what is collected."""

import json
from datetime import datetime
from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import UnsupportedMediaType

from crypto_predict.errors import InvalidValue, shortened
from crypto_predict.http_server.parser import BUSY
from crypto_predict.market import FIRST_DAY, FIRST_EXPECTED, Pair
from crypto_predict.web.collected import administration, endpoint, series, states
from crypto_predict.web.collected.administration import Administration
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.database import Overloaded
from crypto_predict.web.collected.endpoint import DatabaseOperation, Sample, read_instant
from crypto_predict.web.http.operation import BAD_PARAMETER, Failure
from crypto_predict.web.http.problems import BadParameter, Problem
from crypto_predict.web.http.queries import parameters, repeated
from crypto_predict.web.http.response import JSON, Rendered, render, render_rows
from crypto_predict.web.http.schemas import MOMENT, PAIR_TEXT, TEXT, or_null, parameter, record, ref

BODY_BYTES = 4_096  # a body is shorter
MEMBERS = ("pair", "source", "since")  # of a body
_BODY = (
    'expected an object such as {"pair": "SOL/USD", "source": "binance", "since": "2024-06-01"}, '
    "of which the last two members are optional"
)
_OFF = "pairs cannot be changed here: the server has no token in ADMIN_TOKEN, or not the packages of collect.py"
_NOT_JSON = f"the body must be JSON: send Content-Type: {JSON}"
_BODY_SCHEMA = record({"pair": {**TEXT, "pattern": PAIR_TEXT}, "source": or_null(TEXT), "since": or_null(MOMENT)})


def add_pair(call: Call) -> Rendered:
    """Collect a pair; the status says whether it was collected already. Errors are also those of `_permitted`."""
    registry = _permitted(call)
    parameters(call.query)
    if call.request.mimetype != JSON:
        raise UnsupportedMediaType(_NOT_JSON)
    call.request.max_content_length = BODY_BYTES - 1
    new = new_pair(call.request.get_data(), call.now)
    before = {collected.series for collected in call.active()}
    collected = registry.add(*new)
    rendered = render(series.state(collected, call.now), simulated=collected.simulated)
    return _changed(rendered, HTTPStatus.OK if collected.series in before else HTTPStatus.CREATED)


def remove_pair(call: Call, pair: str) -> Rendered:
    """Stop collecting a pair. Errors are also those of `_permitted`."""
    registry = _permitted(call)
    named = Pair.parse(pair)
    try:
        removed = registry.remove(named, parameters(call.query, ("source",)).get("source"))
    except InvalidValue as error:
        raise series.NotCollected(error.name, str(error.value), call.active()) from error
    return _changed(render_rows([series.state(collected, call.now) for collected in removed]))


def _permitted(call: Call) -> Administration:
    """Return what changes pairs; if it cannot be used, or the client does not have the token, raise a `Problem`."""
    if call.administration is None:
        raise Problem(403, _OFF)
    if call.request.environ.get(BUSY):
        raise Overloaded
    call.administration.check(call.request.headers.get("Authorization"), call.request.remote_addr)
    return call.administration


def _changed(rendered: Rendered, status: HTTPStatus = HTTPStatus.OK) -> Rendered:
    return Rendered(rendered.body, [*rendered.headers, ("Cache-Control", "no-store")], status=status)


def new_pair(body: bytes, now: datetime) -> tuple[Pair, str | None, datetime | None]:
    """Parse the body of ``POST /pairs``: a JSON object. An optional member may be null, and `since` is in the past."""
    members = _members(body)
    for name in members:
        if name not in MEMBERS:
            raise BadParameter(shortened(name), f"{shortened(name)!r} is not a member of the body: {_BODY}")
    if "pair" not in members:
        raise BadParameter("pair", f"pair is missing in the body: {_BODY}")
    texts: dict[str, str] = {}
    for name, value in members.items():
        if not isinstance(value, str | None) or (value is None and name == "pair"):
            raise InvalidValue(name, value, "text")
        if value is not None:
            texts[name] = value
    since = read_instant("since", texts["since"]) if "since" in texts else None
    if since is not None and since.date() < FIRST_DAY:
        raise InvalidValue("since", texts["since"], FIRST_EXPECTED)
    if since is not None and since > now:
        raise InvalidValue("since", texts["since"], "a time in the past")
    return Pair.parse(texts["pair"]), texts.get("source"), since


def _members(body: bytes) -> dict[str, object]:
    """Return the members of a JSON object; if it is not one, or a member is repeated, raise a `Problem`."""

    def unique(members: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(members)) < len(members):
            name = shortened(repeated(members))
            raise BadParameter(name, f"{name!r} is given more than once")
        return dict(members)

    try:
        value = json.loads(body.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # a hostile body is nested too deeply, or holds an endless number
        raise Problem(400, f"the body is not JSON in UTF-8: {_BODY}") from error
    if not isinstance(value, dict):
        raise Problem(400, f"the body is not a JSON object: {_BODY}")
    return value


_GUESSED = "Too many wrong tokens have come; `Retry-After` says when one is looked at again."
_ANY_SOURCE = "By default the pair is no longer collected from any source."
_CANNOT_CHANGE = "The exchange or the database cannot be asked now; `Retry-After` says when to try again."
_FAILURES = (
    BAD_PARAMETER,
    Failure("Unauthorized", "The token is missing or wrong.", administration.unauthorized(is_wrong=True)),
    Failure("AdministrationOff", "This server does not change what is collected.", Problem(403, _OFF)),
    Failure("TooManyGuesses", _GUESSED, administration.too_many_guesses(42)),
    Failure("CannotChange", _CANNOT_CHANGE, administration.exchange_unavailable("binance: no answer within 10 s")),
)
_UNTRADED = administration.not_traded(Pair("XYZ", "USD"), ["binance: it does not have XYZ/USD"])
_BODY_FAILURES = (
    Failure("BodyTooLong", "The body is too long.", Problem(413, "the body of this request is too long")),
    Failure("UnsupportedBody", "The body is not announced as JSON.", Problem(415, _NOT_JSON)),
    Failure("NotTraded", "No source has the pair, or not `source`.", _UNTRADED),
)


_SECURITY: dict[str, Any] = {"security": [{"administrator": []}]}


def _new_pair(sample: Sample) -> dict[str, Any]:
    values = (str(sample.series.pair), sample.series.source, f"{sample.day:%Y-%m-%d}")
    body = {"schema": ref("schemas", "NewPair"), "example": dict(zip(MEMBERS, values, strict=True))}
    return _SECURITY | {"requestBody": {"required": True, "content": {JSON: body}}}


ADD = DatabaseOperation(
    method="POST",
    rule="/pairs",
    name="addPair",
    answer=add_pair,
    body_bytes=BODY_BYTES,
    text="""Collect a pair

The pair is collected from the first source that has it, or from `source`, which is asked before anything is changed.
Some exchanges trade another currency in its place: then the answer names that pair. Its minutes are collected from
`since` on, or from 90 days ago on; the collector begins within a minute.
""",
    place=9,
    schemas={"OneSeries": series.SeriesState, "NewPair": _BODY_SCHEMA | {"required": ["pair"]}},
    examples=lambda sample: [sample.states[0]],
    validated=False,
    successes={"200": "It was collected already.", "201": "It is collected now."},
    failures=lambda _: [*_FAILURES, *_BODY_FAILURES],
    more=_new_pair,
)
REMOVE = DatabaseOperation(
    method="DELETE",
    rule="/pairs/<path:pair>",
    name="removePair",
    answer=remove_pair,
    text="Stop collecting a pair\n\nIts candles stay. `POST /pairs` goes on with it, and fills what is missing.",
    place=10,
    parameters=lambda sample: [
        *sample.parameters("pair"),
        parameter("source", _ANY_SOURCE, TEXT, sample.series.source),
    ],
    schemas={"SeriesState": states.SCHEMA},
    examples=lambda sample: [sample.states],
    validated=False,
    successes={"200": "The series that are no longer collected."},
    failures=lambda sample: [*_FAILURES, endpoint.not_collected(sample)],
    more=lambda _: _SECURITY,
)
