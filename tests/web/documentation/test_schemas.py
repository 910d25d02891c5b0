from datetime import date, datetime

import pytest
from hypothesis import given, settings
from openapi_schema_validator import OAS31Validator

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Card, Model, PairCard
from crypto_predict.market import Gap, Pair
from crypto_predict.web.http.schemas import schema_of
from tests.support import strategies
from tests.support.models import make_model


@given(strategies.models())
@settings(max_examples=20)
def test_a_whole_model_fits_its_schema(model: Model) -> None:
    """Every type that a model file holds can be described: forecasts, card and scorecard, whatever is in them."""
    assert list(OAS31Validator(schema_of(Model)).iter_errors(plain.encode(model))) == []


def test_a_wrong_card_does_not_fit_the_schema() -> None:
    """A schema that accepts everything describes nothing."""
    card = plain.encode(make_model().card)
    for spoilt in (card | {"days": "many"}, card | {"more": 1}, {k: v for k, v in card.items() if k != "days"}):
        assert not OAS31Validator(schema_of(Card)).is_valid(spoilt)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (tuple[float, ...], {"type": "array", "items": {"type": "number"}}),
        (dict[Pair, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (date, {"type": "string", "format": "date"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (None.__class__, {"type": "null"}),
    ],
)
def test_each_kind_of_value_has_its_schema(kind: object, schema: dict[str, object]) -> None:
    assert schema_of(kind) == schema


def test_an_unknown_type_has_no_schema() -> None:
    """A field of a new type must not produce a wrong document. A dataclass in another one has its schema."""
    assert schema_of(PairCard)["properties"]["gaps"]["items"] == schema_of(Gap)
    with pytest.raises(TypeError, match="set"):
        schema_of(set[int])
