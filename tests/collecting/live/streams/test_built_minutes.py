"""How far the candles built from Poloniex's stream are those of the exchange, for real minutes and for own-made ones.

There is no public record of all trades behind real minutes, so trades are made that give exactly their candles: the
open first, the close last, between them the high, the low and others, at random times, often several in one second or
at one time. Messages have one or several of them, in nearly the order of their times, and some come twice.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from crypto_predict.collecting.live.streams.ticks import TickCandles
from crypto_predict.market import Candle, Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import BuiltCandle
from crypto_predict.market.events import Heartbeat, TickReceived
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.poloniex.stream import PoloniexFeed
from tests.support.clocks import MovedClock
from tests.support.minutes import candles as own_minutes
from tests.support.minutes import real_minutes
from tests.support.replay import streams
from tests.support.replay.motion import Motion, Trade
from tests.support.replay.poloniex import PoloniexInMotion, trade_values
from tests.support.replay.server import ReplayServer

BTC = Pair("BTC", "USDT")
MINUTES = SeriesKey("poloniex", BTC, Interval.MINUTE_1)
REAL = 446  # as many as in the measurement that showed the fault
UNIT = 1e-8  # of sizes
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
RESTING = Clock(datetime(2024, 5, 17, tzinfo=UTC), 1e-6)  # of a market that sends nothing by itself


def trades_of(minutes: Iterable[Candle]) -> list[Trade]:
    """Return 4 to 40 trades of each minute, ascending, that give its prices and volume."""
    chance, trades = Random(24), list[Trade]()
    for minute in minutes:
        number = chance.randint(4, 40)
        prices = [round(chance.uniform(minute.low, minute.high), 8) for _ in range(number)]
        places = chance.sample(range(1, number - 1), 2)
        prices[0], prices[places[0]], prices[places[1]], prices[-1] = minute[1:5]
        times = sorted(chance.choices(range(60_000), k=number))
        times = [times[place - 1] if place and chance.random() < 0.1 else time for place, time in enumerate(times)]
        units = round(minute.volume / UNIT)
        cuts = [0, *sorted(chance.randint(0, units) for _ in range(number - 1)), units]
        for place, (time, price) in enumerate(zip(times, prices, strict=True)):
            size = round((cuts[place + 1] - cuts[place]) * UNIT, 8)
            trades.append(Trade(minute.open_time + time * MILLISECOND, price, size, chance.random() < 0.5))
    return trades


def frames(trades: Sequence[Trade]) -> Iterator[str]:
    """Yield the messages of these trades. Each has up to five, some are sent twice, and some out of order."""
    chance, values = (
        Random(7),
        [{**trade_values("BTC_USDT", trade), "id": str(number)} for number, trade in enumerate(trades)],
    )
    for place in range(len(values) - 1):
        if chance.random() < 0.1 and trades[place + 1].time - trades[place].time < SECOND:
            values[place], values[place + 1] = values[place + 1], values[place]
    while values:
        some = chance.randint(1, 5)
        for _ in range(1 + (chance.random() < 0.05)):
            yield json.dumps({"channel": "trades", "data": values[:some]})
        del values[:some]


def received(sent: Iterable[str]) -> list[TickReceived]:
    """Return the ticks of these messages, which go through the client over a websocket."""

    async def take(server: ReplayServer, exchange: PoloniexInMotion) -> list[TickReceived]:
        settings, ticks = Settings("", f"{server.url.replace('http', 'ws')}/ws/public"), []
        bursts = [streams.burst(frame) for frame in sent]
        async with asyncio.timeout(60):
            async for event in PoloniexFeed(settings, Clock(), most_waiting=10**6).events([BTC]):
                if isinstance(event, TickReceived):
                    ticks.append(event)
                elif isinstance(event, Heartbeat) and bursts:
                    await asyncio.to_thread(exchange.streams.apply, streams.together(*bursts, streams.closed()))
                    bursts = []
        return ticks

    exchange = PoloniexInMotion(Motion(RESTING, [BTC]))
    with ReplayServer(exchange) as server:
        return asyncio.run(take(server, exchange))


def built_of(minutes: Sequence[Candle]) -> list[BuiltCandle]:
    """Return the candles that are built of the trades of these minutes as they come over the stream."""
    trades, clock = trades_of(minutes), MovedClock(minutes[0].open_time - timedelta(minutes=1))
    candles, built = TickCandles("poloniex", clock), dict[datetime, BuiltCandle]()
    candles.connected([BTC], clock.now())

    def close() -> None:
        """Take what is complete, as the collector does once a second: before and after each tick."""
        built.update({candle.open_time: candle for candle in candles.close().get(MINUTES, ())})

    for tick in received(frames(trades)):
        clock.move_to(tick.time + 9 * MILLISECOND)
        close()
        candles.add(tick)
        close()
    clock.move_to(minutes[-1].open_time + timedelta(minutes=2))
    close()
    assert not any(candle.partial or candle.late for candle in built.values())
    assert sum(candle.ticks for candle in built.values()) == len(trades)
    return list(built.values())


@pytest.mark.parametrize("kind", ["own-made", "real"])
def test_built_candles_are_those_of_the_exchange_in_every_value(kind: str) -> None:
    """Whatever the order and the number of the messages is. A third of the own-made minutes is without a trade."""
    own_made = [candle for number, candle in enumerate(own_minutes(0, 90)) if number % 3]
    minutes = own_made if kind == "own-made" else real_minutes(1)[:REAL]
    built = [
        (candle.open_time, candle.open, candle.high, candle.low, candle.close, candle.volume)
        for candle in built_of(minutes)
    ]
    assert built == [(*minute[:5], round(minute.volume, 8)) for minute in minutes]
