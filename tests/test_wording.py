import pytest

from crypto_predict.wording import counted


@pytest.mark.parametrize(("count", "said"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (2510, "2,510 days")])
def test_one_is_singular_and_thousands_have_a_comma(count: int, said: str) -> None:
    assert counted(count, "day") == said
