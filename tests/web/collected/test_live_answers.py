"""The answers of the model from newer prices: live minutes and hours of a real database."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.test import Client, TestResponse

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.live import HOURS_HOLD, MINUTES_HOLD, newest
from crypto_predict.baked.schema import HORIZON_DAYS
from crypto_predict.market import Interval, SeriesKey
from crypto_predict.market.collected import ForecastStep
from crypto_predict.market.forecast import HourForecast, MinuteForecast
from crypto_predict.store import WritableDatabase, open_reader, open_writer
from crypto_predict.web.app import Service, create_app
from tests.support.applications import client, service_of
from tests.support.live import until
from tests.support.live_forecasts import hours_of, minutes_of
from tests.support.models import BTC, ETH, make_model, with_hours
from tests.support.serving import serving_model

MODEL = with_hours(make_model(BTC, ETH))
BAKED = MODEL.forecasts[BTC]
START = BAKED.anchor.at  # noon of 2024-05-18
MINUTE, HOUR, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=7)
SERIES = SeriesKey("alpaca", BTC, Interval.MINUTE_1)
AT = START + 2 * HOUR + 7 * MINUTE  # the newest close
HOURS, MINUTES = hours_of(START + 2 * HOUR, 70_000.0, 0.01), minutes_of(AT, 70_500.0, 0.004)
ADDRESSES = (  # of a time within minutes, hours and days
    *(f"/bitcoin?date={moment}" for moment in ("2024-05-18T14:15Z", "2024-05-18T20:00Z", "2024-05-18", "2024-06-01")),
    "/forecast/BTC-USD?interval=1h",
    "/forecast/BTC-USD",
    "/risk/BTC-USD?date=2024-05-18T20:00Z",
    "/probability/BTC-USD?date=2024-05-18T14:20Z&touches=70600",
)


class Served:
    """The application with a database, at a time that a test moves."""

    def __init__(self, url: str) -> None:
        self.now = AT + timedelta(seconds=10)
        self.service: Service = service_of(MODEL, lambda: self.now, None, (partial(open_reader, url), None))
        self.client = Client(create_app(self.service, None))

    def look(self) -> None:
        """Read the database as the thread of a server does now and then."""
        assert self.service.live is not None
        self.service.live.look()

    def get(self, address: str, **headers: str) -> TestResponse:
        """Answer a request."""
        return self.client.get(address, headers=headers)

    def ask(self, address: str) -> dict[str, Any]:
        """Return an answer that is an object."""
        response = self.get(address)
        assert response.status_code == 200, response.data
        return dict(json.loads(response.data))

    def bodies(self) -> list[bytes]:
        """Return the answers at all addresses."""
        return [self.get(address).data for address in ADDRESSES]


@pytest.fixture
def writer(own_url: str) -> Iterator[WritableDatabase]:
    """A database in which real minutes of the model's source are collected, without forecasts so far."""
    with open_writer(own_url) as writer:
        writer.follow(SERIES, simulated=False)
        yield writer


@pytest.fixture
def served(writer: WritableDatabase, own_url: str) -> Served:
    assert writer.collected()
    return Served(own_url)


def store(
    writer: WritableDatabase,
    hours: HourForecast | None = HOURS,
    minutes: MinuteForecast | None = MINUTES,
    series: SeriesKey = SERIES,
) -> None:
    if hours is not None:
        writer.write_hour_forecast(series, hours, WEEK)
    if minutes is not None:
        writer.write_forecasts({series: [ForecastStep(minutes, minutes.cutoff, ())]}, WEEK)


@pytest.fixture
def filled(writer: WritableDatabase) -> None:
    """In that database are the forecasts `HOURS` and `MINUTES`."""
    store(writer)


@pytest.fixture(scope="module")
def alone() -> Callable[[datetime], list[bytes]]:
    """What the model answers without a database, at a time."""
    return lambda now: [client(MODEL, lambda: now).get(address).data for address in ADDRESSES]


def test_every_answer_starts_at_the_newest_price(writer: WritableDatabase, served: Served) -> None:
    """Each is that of the evaluator from the same forecasts; the rows of hours are those of whole hours."""
    store(writer)
    served.look()
    evaluator = Evaluator(BAKED, newest(BAKED, HOURS, MINUTES, served.now))
    for minutes in (3, 15, 40, 300, 1_500):
        moment = AT + minutes * MINUTE
        answer = served.ask(f"/bitcoin?date={moment:%Y-%m-%dT%H:%MZ}")
        prices = (answer["prediction"], answer["prediction low"], answer["prediction_high"])
        assert prices == pytest.approx(evaluator.at(moment), abs=0.02)
    rows = json.loads(served.get("/forecast/BTC-USD?interval=1h").data)
    assert (rows[0]["date"], rows[-1]["date"], len(rows)) == ("2024-05-18T15:00:00Z", "2024-05-19T14:00:00Z", 24)
    assert {(row["kind"], row["as_of"]) for row in rows} == {("forecast", "2024-05-18T14:07:00Z")}
    risk = served.ask("/risk/BTC-USD?date=2024-05-18T20:00Z")
    assert (risk["newest_price"], risk["as_of"]) == (70_500, "2024-05-18T14:07:00Z")
    passed = served.ask("/probability/BTC-USD?date=2024-05-18T14:00Z&above=60000")
    assert (passed["kind"], passed["as_of"]) == ("fitted", "2024-05-18T14:07:00Z")


@pytest.mark.parametrize(
    ("moment", "clock", "cutoff"),
    [
        ("2024-05-18T14:22Z", "minutes", "2024-05-18T14:07:00Z"),
        ("2024-05-18T14:23Z", "hours", "2024-05-18T14:00:00Z"),
        ("2024-05-19T14:07Z", "hours", "2024-05-18T14:00:00Z"),
        ("2024-05-19T14:08Z", "days", "2024-05-18T00:00:00Z"),
    ],
)
@pytest.mark.usefixtures("filled")
def test_an_answer_says_which_clock_answered_and_from_which_cutoff(
    moment: str, clock: str, cutoff: str, served: Served
) -> None:
    served.look()
    for address in (f"/probability/BTC-USD?date={moment}&above=70000", f"/risk/BTC-USD?date={moment}"):
        answer = served.ask(address)
        basis = answer["based_on"]
        assert (basis["clock"], basis["cutoff"], basis["live"]) == (clock, cutoff, clock != "days")
        assert basis["newest_price_hours"] in {0, None}
        said = f"It is answered by a live forecast of {clock}, made at {cutoff}."
        assert (said in answer["words"]) == (clock != "days")


def test_no_request_reads_the_database(writer: WritableDatabase, served: Served, own_url: str) -> None:
    """After a look it may be away: what was read answers for as long as it is fresh."""
    store(writer)
    served.look()
    before = served.bodies()
    if "://" not in own_url:
        Path(own_url).rename(f"{own_url}.away")
        served.look()
    else:
        store(writer, None, minutes_of(AT + MINUTE, 90_000.0, 0.004))
    assert served.bodies() == before


def test_answers_change_with_a_forecast_and_so_does_their_tag(writer: WritableDatabase, served: Served) -> None:
    """A cache may keep one until the next minute is stored."""
    store(writer)
    served.look()
    for address in ADDRESSES:
        served.now = AT + timedelta(seconds=10)
        first = served.get(address)
        assert first.headers["Cache-Control"] == "public, max-age=52"
        assert first.headers["Last-Modified"] == "Sat, 18 May 2024 14:07:00 GMT"
        tag = {"If-None-Match": first.headers["ETag"]}
        assert served.get(address, **tag).status_code == 304
        served.now = AT + timedelta(seconds=70)
        assert served.get(address).headers["Cache-Control"] == "public, max-age=0"
    store(writer, None, minutes_of(AT + MINUTE, 70_900.0, 0.004))
    served.look()
    for address in ADDRESSES:
        later = served.get(address, **tag)
        assert (later.status_code, later.headers["Cache-Control"]) == (200, "public, max-age=52")
        assert later.headers["ETag"] != first.headers["ETag"]


def test_the_present_day_expires_at_midnight_too(writer: WritableDatabase, served: Served) -> None:
    """`/bitcoin` without a date is about the day of the request."""
    at = datetime.combine(START.date(), datetime.min.time(), START.tzinfo) + 24 * HOUR - MINUTE
    store(writer, hours_of(at - 59 * MINUTE, 70_000.0, 0.01), minutes_of(at, 70_500.0, 0.004))
    served.now = at + timedelta(seconds=20)
    served.look()
    answer = served.get("/bitcoin")
    assert answer.headers["Cache-Control"] == "public, max-age=40"
    assert answer.headers["ETag"].endswith('-20240518"')


def test_a_collector_that_does_not_run_leaves_the_model_alone(
    writer: WritableDatabase, served: Served, alone: Callable[[datetime], list[bytes]]
) -> None:
    """First without minutes, two hours after the hours without them, too; the thread need not look for that."""
    store(writer)
    served.look()
    with_minutes = served.bodies()
    served.now = AT + MINUTES_HOLD + timedelta(seconds=1)
    assert served.bodies() == alone(served.now), "nobody has looked since"
    served.look()
    assert served.ask("/probability/BTC-USD?date=2024-05-18T14:15Z&above=7e4")["based_on"]["clock"] == "hours"
    assert served.bodies() != with_minutes
    served.now = HOURS.cutoff + HOURS_HOLD + timedelta(seconds=1)
    assert served.bodies() == alone(served.now)
    served.look()
    assert served.bodies() == alone(served.now)


def test_forecasts_of_another_market_are_not_used(
    writer: WritableDatabase, served: Served, alone: Callable[[datetime], list[bytes]]
) -> None:
    """Of another source, of what the model does not trade, or invented ones: prices are never mixed."""
    others = (
        replace(SERIES, source="binance"),
        replace(SERIES, pair=replace(BTC, quote="USDT")),
    )
    for series in others:
        writer.follow(series, simulated=False)
        store(writer, series=series)
    served.look()
    assert served.bodies() == alone(served.now)


def test_invented_forecasts_do_not_move_a_model_of_real_prices(
    own_url: str, alone: Callable[[datetime], list[bytes]]
) -> None:
    with open_writer(own_url) as writer:
        writer.follow(SERIES, simulated=True)
        store(writer)
    served = Served(own_url)
    served.look()
    assert served.bodies() == alone(served.now)


def test_pairs_without_live_forecasts_and_answers_about_the_model_stay_as_they_are(
    writer: WritableDatabase, served: Served
) -> None:
    addresses = ("/forecast/ETH-USD", "/probability/ETH-USD?date=2024-06-01&above=1", "/pairs", "/model", "/models")
    before = [served.get(address) for address in addresses]
    store(writer)
    served.look()
    for old, new in zip(before, map(served.get, addresses), strict=True):
        assert (old.data, old.headers["ETag"]) == (new.data, new.headers["ETag"])


def test_days_that_have_passed_since_the_training_are_known(writer: WritableDatabase, served: Served) -> None:
    """A model that was not trained for three days still answers from the newest price, up to its last day."""
    at = START + 3 * 24 * HOUR + 7 * MINUTE
    store(writer, hours_of(at - 7 * MINUTE, 90_000.0, 0.01), minutes_of(at, 90_100.0, 0.004))
    served.now = at + timedelta(seconds=5)
    served.look()
    passed, present = (served.get(f"/forecast/BTC-USD?start={day}").json for day in ("2024-05-20", "2024-05-21"))
    assert passed is not None
    assert present is not None
    assert [row["kind"] for row in passed[:2]] == ["fitted", "forecast"]
    assert present[0]["as_of"] == "2024-05-21T12:07:00Z"
    assert 89_000 < present[0]["prediction"] < 91_000
    last = BAKED.last + timedelta(days=HORIZON_DAYS)
    assert served.get(f"/bitcoin?date={last}").status_code == 200
    touched = served.get("/probability/BTC-USD?date=2024-05-20&touches=70000")
    assert touched.status_code == 400
    assert "its candle is newer than the model" in touched.get_data(as_text=True)


def test_a_server_looks_by_itself(tmp_path: Path) -> None:
    """And takes up what is stored meanwhile."""
    url, now = str(tmp_path / "market.db"), datetime.now(UTC)
    model = with_hours(make_model(trained_at=now, last=(now - 24 * HOUR).date()))
    with open_writer(url) as writer, serving_model(model, tmp_path, DATABASE_URL=url) as served:
        writer.follow(SERIES, simulated=False)
        store(writer, hours_of(now - 5 * MINUTE, 70_000.0, 0.01), None)
        address = f"{served.url}/probability/BTC-USD?date={now + 2 * HOUR:%Y-%m-%dT%H:%MZ}&above=70000"
        until(lambda: requests.get(address, timeout=30).json()["based_on"]["live"], "a live forecast answers")
