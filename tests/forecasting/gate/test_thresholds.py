import pytest

from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.gate.thresholds import GateThresholds


def test_the_environment_overrides_every_threshold() -> None:
    numbers = GateThresholds().as_numbers()
    changed = GateThresholds.from_environ({f"GATE_{name.upper()}": str(value + 1) for name, value in numbers.items()})
    assert changed.as_numbers() == {name: value + 1 for name, value in numbers.items()}
    assert GateThresholds.from_environ({"GATE_STALEST_HOURS": ""}) == GateThresholds()


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("GATE_STALEST_HOURS", "soon", "a number from 0 up"),
        ("GATE_STALEST_HOURS", "nan", "a number from 0 up"),
        ("GATE_MOST_MISSING", "-0.1", "a number from 0 up"),
        ("GATE_WORSE_P", "inf", "a number from 0 up"),
        ("GATE_LONGEST_GAP", "1.5", "a whole number from 0 up"),
        ("GATE_LEAST_COMMON", "x" * 500, "a whole number from 0 up"),
    ],
)
def test_a_faulty_threshold_is_named_with_its_value(variable: str, text: str, expected: str) -> None:
    with pytest.raises(InvalidValue) as error:
        GateThresholds.from_environ({variable: text})
    assert (error.value.name, error.value.value, error.value.expected) == (variable, text, expected)
