"""The next 24 hours over HTTP: rows, prices at an instant, probabilities, and what they say that they are based on."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.market.forecast import HOURS_AHEAD
from tests.support.applications import client
from tests.support.models import BTC, make_model, with_hours

MODEL = with_hours(make_model())
FORECAST = MODEL.forecasts[BTC]
EVALUATOR = Evaluator(FORECAST)
HOURLY, DAILY = client(MODEL), client(make_model())
HOUR = timedelta(hours=1)


def rows(path: str = "/forecast/BTC-USD?interval=1h") -> list[dict[str, Any]]:
    return list(json.loads(HOURLY.get(path).data))


def test_the_rows_are_the_24_hours_after_the_newest_price() -> None:
    answer = rows()
    assert len(answer) == HOURS_AHEAD
    assert (answer[0]["date"], answer[-1]["date"]) == ("2024-05-18T13:00:00Z", "2024-05-19T12:00:00Z")
    for hour, row in enumerate(answer, start=1):
        expected = EVALUATOR.at(FORECAST.anchor.at + hour * HOUR)
        assert (row["prediction"], row["low"], row["high"]) == expected
        assert (row["kind"], row["as_of"]) == ("forecast", "2024-05-18T12:00:00Z")


def test_the_rows_are_a_csv_file_with_quantiles_too() -> None:
    answer = HOURLY.get("/forecast/BTC-USD.csv?interval=1h&quantiles=0.05,0.95")
    table = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert [row["date"] for row in table] == [row["date"] for row in rows()]
    assert all(float(row["quantile_0.05"]) < float(row["low"]) for row in table)


def test_days_are_the_default_and_hours_have_no_start() -> None:
    assert rows("/forecast/BTC-USD?interval=1d") == rows("/forecast/BTC-USD")
    refused = HOURLY.get("/forecast/BTC-USD?interval=1h&start=2024-06-01")
    assert refused.status_code == 400
    assert "interval=1h has the 24 hours after the newest price" in refused.get_data(as_text=True)
    assert "1d or 1h" in HOURLY.get("/forecast/BTC-USD?interval=4h").get_data(as_text=True)


def test_an_instant_is_answered_by_the_hours_while_they_reach_it() -> None:
    """And the close of a day within them, by that of the day before."""
    for moment in ("2024-05-18T15:00Z", "2024-05-18"):
        hourly, daily = (
            json.loads(app.get(f"/forecast/BTC-USD?start={moment[:10]}").data)[0] for app in (HOURLY, DAILY)
        )
        assert hourly["high"] < daily["high"]
        assert HOURLY.get(f"/bitcoin?date={moment}").data != DAILY.get(f"/bitcoin?date={moment}").data
    for moment in ("2024-05-19T12:00Z", "2024-05-20", "2024-06-01"):
        assert HOURLY.get(f"/bitcoin?date={moment}").data == DAILY.get(f"/bitcoin?date={moment}").data


@pytest.mark.parametrize(
    ("moment", "hours", "measured", "words"),
    [
        ("2024-05-18T13:00Z", 1, 1, "held 80.1 % of 3,999 outcomes after 1 hour."),
        ("2024-05-18T21:00Z", 9, 6, "held 80.6 % of 3,994 outcomes after 6 hours; nothing nearer to 9 hours was"),
        ("2024-05-19T12:00Z", 24, 24, "held 82.4 % of 3,976 outcomes after 24 hours."),
        ("2024-05-19T12:01Z", None, None, "Nothing was measured out of sample"),
    ],
)
def test_a_probability_names_the_measured_hours_that_are_nearest(
    moment: str, hours: float | None, measured: int | None, words: str
) -> None:
    answer = json.loads(HOURLY.get(f"/probability/BTC-USD?date={moment}&above=67000").data)
    basis = answer["based_on"]
    assert (basis["horizon_hours"], basis["no_hours"]) == (hours, None)
    assert (basis["calibration"] or {}).get("horizon_hours") == measured
    assert words in answer["words"]


def test_without_hours_an_instant_is_interpolated_and_says_why() -> None:
    near, far, day = (
        json.loads(DAILY.get(f"/probability/BTC-USD?date={moment}&above=67000").data)
        for moment in ("2024-05-18T13:00Z", "2024-05-21T13:00Z", "2024-05-18")
    )
    assert near["based_on"]["no_hours"] == "alpaca has no hourly candles"
    assert "without a forecast of hours: alpaca has no hourly candles." in near["words"]
    assert [far["based_on"]["no_hours"], day["based_on"]["no_hours"]] == [None, None]
    assert len(json.loads(DAILY.get("/forecast/BTC-USD?interval=1h").data)) == HOURS_AHEAD


def test_what_may_be_lost_within_hours_is_of_the_hours() -> None:
    """Also by the end of the day, which they reach."""
    for moment, hours in (("2024-05-18T15:00Z", 3), ("2024-05-18", 12)):
        risk, daily = (json.loads(app.get(f"/risk/BTC-USD?date={moment}").data) for app in (HOURLY, DAILY))
        assert (risk["based_on"]["horizon_hours"], daily["based_on"]["horizon_hours"]) == (hours, None)
        assert risk["value_at_risk"][1]["loss"] < daily["value_at_risk"][1]["loss"]
    asked = json.loads(HOURLY.get(f"/probability/BTC-USD?date={moment}&below={risk['falls'][0]['price']}").data)
    assert risk["falls"][0]["probability"] == pytest.approx(asked["probability"], abs=1e-6)


@pytest.mark.parametrize(
    ("minutes", "hours", "words", "seconds"),
    [
        (59, 0, "outcomes after 6 hours; nothing nearer", 60),
        (
            60,
            1,
            "The newest price is 1 hour old, and the forecast starts there: it is that of 9 hours from then.",
            3_600,
        ),
        (200, 3, "The newest price is 3 hours old, and the forecast starts there: it is that of 9 hours from", 2_400),
    ],
)
def test_a_price_that_is_older_than_an_hour_is_called_so(minutes: int, hours: int, words: str, seconds: int) -> None:
    """Where an instant of the next day is asked for. The answer changes with the hour, and so do its tag and expiry."""
    now = FORECAST.anchor.at + timedelta(minutes=minutes)
    app = client(MODEL, lambda: now)
    fresh = client(MODEL, lambda: FORECAST.anchor.at + timedelta(minutes=11))
    for query in ("probability/BTC-USD?date=2024-05-18T21:00Z&above=67000", "risk/BTC-USD?date=2024-05-18T21:00Z"):
        response = app.get(f"/{query}")
        answer = json.loads(response.data)
        assert answer["based_on"]["newest_price_hours"] == hours
        assert words in answer["words"]
        assert ("old" in answer["words"]) == (hours > 0)
        assert response.headers["Cache-Control"] == f"public, max-age={seconds}"
        assert (response.headers["ETag"] != fresh.get(f"/{query}").headers["ETag"]) == (hours > 0)
    day = json.loads(app.get("/probability/BTC-USD?date=2024-06-01&above=67000").data)
    assert day["based_on"]["newest_price_hours"] is None
    assert "old" not in day["words"]
