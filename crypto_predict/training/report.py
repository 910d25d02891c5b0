"""The report of a training run: a summary or all tables for a person, at most `WIDTH` columns wide, or JSON."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import fill

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.models import Estimate, ModelScore, PairwiseScore
from crypto_predict.baked.schema import Backtest, Card, Confidence, HourScore, PairCard, Verdict, verdict
from crypto_predict.baked.touches import TouchScore
from crypto_predict.forecasting.minutes.backtest import MinuteBacktest
from crypto_predict.market import Gap, Pair, price_decimals
from crypto_predict.wording import counted, days_listed, listed

Row = Mapping[str, str]  # the cells by the heads of their columns
Tested = dict[Pair, Backtest]

WIDTH = 100  # columns
BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} steps, {elapsed}"  # of the progress

_SUMMARY_ROWS, _SUMMARY_PAIRS = 8, 3  # forecasts and origins in the summary: what follows it stays in sight
_YEAR_HORIZONS = 4  # that fit beside each other
_NO_CENTS, _TOO_LONG, _MOST_DECIMALS = 1e6, 1e10, 10  # limits from which a price is shortened
_SCORE_FOOT = (
    "out of sample, beside persistence (the price stays what it is); off by: mean absolute error of the price; error: "
    "relative to persistence's, below 1 is better; p: of an error that differs from persistence's by chance; Prophet, "
    "inside: error of Prophet alone, and outcomes in its own 80 % interval"
)
_SPREAD_FOOT = (
    "how far the price may move, beside persistence with a Gaussian distribution of the past year's volatility; CRPS "
    "of the whole distribution and Winkler score of the 80 % interval: relative to persistence's, below 1 is better; "
    "in 50, 80 and 90 %: outcomes in these intervals; PIT p: of outcomes spread over the distribution as unevenly by "
    "chance; \N{PLUS-MINUS SIGN}: 95 % confidence"
)
_HOUR_FOOT = (
    "hours, out of sample in the second half of theirs, beside persistence with a Gaussian band of the volatility of "
    "the last 30 days; / 24 h: Winkler score relative to that with the volatility of the last 24 hours"
)
_TOUCH_FOOT = (
    "prices 2 to 30 %, for hours 0.2 to 5 %, above and below the last one that are touched on the way: mean "
    "probability said, and the share that came; Brier score (0 is best), beside twice the probability of a close "
    "beyond the price; stays for: between two of them, as far below as above; <10, <20: the share in % that came of "
    "what was said to be below 10 %, and from there below 20 %"
)
_MODELS_FOOT = (
    "out of sample; combined is ours; error, CRPS and Winkler score: relative to persistence's, below 1 is better; the "
    "best CRPS first. Each model has its own cutoffs here; the comparisons below are at common ones"
)
_SIMULATED = "!!! SIMULATED PRICES: no exchange was used, the market is invented. Never trade or publish on it !!!"


wrapped = partial(fill, width=WIDTH, break_long_words=False, break_on_hyphens=False)


def as_json(card: Card, output: Path, seconds: Mapping[Pair, float]) -> str:
    """Format one JSON object: the file written, the seconds each pair took, and the whole model card."""
    rounded = {str(pair): round(value, 3) for pair, value in seconds.items()}
    return json.dumps({"output": str(output), "seconds": rounded, "card": plain.encode(card)}, indent=2)


def as_summary(card: Card, output: Path, seconds: Mapping[Pair, float]) -> str:
    """Format at most 25 lines: what was trained on, the forecasts, how reliable they were, and the file written."""
    rows = [row for pair, facts in card.pairs.items() for row in _forecast_rows(pair, facts)]
    if len(rows) > _SUMMARY_ROWS:  # of each pair the first horizon
        rows = [_forecast_rows(pair, facts)[0] for pair, facts in list(card.pairs.items())[:_SUMMARY_ROWS]]
    parts = [
        *(
            wrapped(
                f"{pair}: {counted(facts.candles, 'day')} of {origin(pair, facts.source, facts.traded)}, "
                f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d}, trained in {seconds[pair]:.1f} s; "
                f"newest price {_price(facts.anchor.price, facts)}"
            )
            for pair, facts in list(card.pairs.items())[:_SUMMARY_PAIRS]
        ),
        table(rows),
        wrapped(_reliability(card)),
        *(
            wrapped(f"{pair}: {line}")
            for pair, facts in list(card.pairs.items())[:_SUMMARY_PAIRS]
            for line in (*_ranking(facts), *_default(facts))
        ),
        f"wrote {output}, {counted(len(card.pairs), 'pair')}, version {card.build}; --verbose prints all tables",
    ]
    if not card.gate.passed:
        parts.insert(-1, wrapped(f"refused by the gate (lifted by --no-gate): {card.gate.reasons[0]}"))
    return "\n".join([_SIMULATED, *parts] if card.simulated else parts)


def _reliability(card: Card) -> str:
    """Return one sentence: what the shortest horizon of the first pair with a backtest has shown."""
    for pair, facts in card.pairs.items():
        if facts.backtest and facts.backtest.scores:
            score = facts.backtest.scores[0]
            return (
                f"{counted(score.forecasts, 'test')} of {pair} in the past, {counted(score.horizon_days, 'day')} "
                f"ahead: in {score.coverage:.0%} the price was between low and high ({card.coverage:.0%} is right); "
                f"forecast: {verdict(score.relative_mae, score.p_value).value}"
            )
    return "not tested in the past: the history is too short"


def as_text(card: Card, output: Path, seconds: Mapping[Pair, float]) -> str:
    """Format tables: the histories, the forecasts, and how such forecasts did out of sample."""
    pairs = _by_value({str(pair): origin(pair, facts.source, facts.traded) for pair, facts in card.pairs.items()})
    parts = [
        table(
            [
                {"pair": str(pair), "first day": f"{facts.first:%Y-%m-%d}", "last day": f"{facts.last:%Y-%m-%d}"}
                | completeness(facts.candles, facts.gaps)
                | {"took": f"{seconds[pair]:.1f} s", "last close": _price(facts.last_close, facts)}
                for pair, facts in card.pairs.items()
            ]
        ),
        wrapped("source: " + "; ".join(f"{source} for {listed(names)}" for source, names in pairs.items())),
        *(wrapped(f"{pair}: {line}") for pair, facts in card.pairs.items() for line in _source_lines(facts)),
        table([row for pair, facts in card.pairs.items() for row in _forecast_rows(pair, facts)]),
        wrapped(f"low and high: the central {card.coverage:.0%} interval; change: from the last close"),
        "\n".join(
            wrapped(
                f"{pair} starts at the newest price, {_price(facts.anchor.price, facts)} at "
                f"{facts.anchor.at:%Y-%m-%d %H:%M} UTC"
            )
            for pair, facts in card.pairs.items()
        ),
        *_backtest_parts(card),
        *_hour_parts(card),
    ]
    if not card.gate.passed:
        lifted = "" if card.gate.enforced else " (lifted by --no-gate)"
        reasons = (wrapped(reason, initial_indent="  ", subsequent_indent="    ") for reason in card.gate.reasons)
        parts.append("\n".join([f"the gate{lifted}:", *reasons]))
    parts.append(f"wrote {output}: version {card.build}")
    return "\n\n".join([_SIMULATED, *parts, _SIMULATED] if card.simulated else parts)


def _source_lines(facts: PairCard) -> Iterator[str]:
    """Yield why other sources were not used, and what another exchange has as the last close."""
    if facts.passed_over:
        yield f"not used: {'; '.join(facts.passed_over)}"
    if (check := facts.cross_check) is not None:
        price = _price(check.close, facts)
        yield f"the last close is {price} ({check.traded}) at {check.source}, {check.difference:+.2%} apart"


def completeness(candles: int, gaps: Sequence[Gap]) -> dict[str, str]:
    """Return the cells of the candles that a history has, and of those that it lacks."""
    missing = sum(gap.missing for gap in gaps)
    return {"candles": f"{candles:,}", "gaps": f"{len(gaps):,}", "missing": f"{missing:,}"}


def _forecast_rows(pair: Pair, facts: PairCard) -> list[Row]:
    return [
        {
            "pair": str(pair),
            "in": counted(standing.horizon_days, "day"),
            "on": str(standing.day),
            "forecast": _price(standing.prediction, facts),
            "low": _price(standing.low, facts),
            "high": _price(standing.high, facts),
            "change": f"{standing.prediction / facts.last_close - 1:+z.1%}",
        }
        for standing in facts.forecast
    ]


def _backtest_parts(card: Card) -> Iterator[str]:
    tested = {pair: facts.backtest for pair, facts in card.pairs.items() if facts.backtest and facts.backtest.scores}
    for pair in card.pairs:
        if pair not in tested:
            yield f"{pair} is not scored: the history is too short for a backtest"
    if tested:
        yield table([row for pair, backtest in tested.items() for row in _score_rows(pair, backtest)])
        yield wrapped(_SCORE_FOOT)
        yield table([row for pair, backtest in tested.items() for row in _spread_rows(pair, backtest)])
        yield wrapped(_SPREAD_FOOT)
        yield "\n".join(map(wrapped, _verdicts(tested)))
    touches = [(pair, score) for pair, facts in card.pairs.items() for score in facts.touches]
    if touches:
        corridors = [(pair, score) for pair, facts in card.pairs.items() for score in facts.corridors]
        yield table([_touch_row(pair, score, "touched in") for pair, score in touches])
        yield table([_touch_row(pair, score, "stays for") for pair, score in corridors])
        yield table([_tenths_row(pair, score) for pair, score in touches])
        yield wrapped(_TOUCH_FOOT)
    for pair, facts in card.pairs.items():
        yield from _model_parts(pair, facts)
    for pair, backtest in tested.items():
        yield from _year_parts(pair, backtest)


def _hour_parts(card: Card) -> Iterator[str]:
    rows = [
        intraday_row(pair, score.horizon_hours, "hour", score)
        for pair, facts in card.pairs.items()
        for score in facts.hours
    ]
    if rows:
        yield table(rows)
        yield wrapped(_HOUR_FOOT)
    for pair, facts in card.pairs.items():
        if facts.no_hours:
            yield wrapped(f"{pair} has no forecast of hours: {facts.no_hours}")


def intraday_row(pair: Pair, horizon: int, unit: str, score: HourScore | MinuteBacktest) -> Row:
    """Return the cells of the scores of minutes or hours."""
    last_day = {"/ 24 h": relative(score.relative_winkler_day)} if isinstance(score, HourScore) else {}
    return {
        "pair": str(pair),
        "ahead": counted(horizon, unit),
        "forecasts": f"{score.forecasts:,}",
        "off by": f"{score.mape:.3%}",
        "error": relative(score.relative_mae),
        "Winkler": relative(score.relative_winkler),
        **last_day,
        "CRPS": relative(score.relative_crps),
        "in 50 %": share(score.coverage_50),
        "in 80 %": share(score.coverage),
        "in 90 %": share(score.coverage_90),
    }


def share(value: float | None) -> str:
    """Return a share of outcomes in per cent."""
    return "-" if value is None else f"{value:.1%}"


def _score_rows(pair: Pair, backtest: Backtest) -> Iterator[Row]:
    prophet = {score.horizon_days: score for score in backtest.prophet.scores} if backtest.prophet else {}
    for score in backtest.scores:
        alone = prophet.get(score.horizon_days)
        yield {
            "pair": str(pair),
            "ahead": counted(score.horizon_days, "day"),
            "forecasts": f"{score.forecasts:,}",
            "off by": f"{score.mape:.1%}" if score.mape < 10 else f"{score.mape:.0e}",
            "error": relative(score.relative_mae),
            "p": _p_value(score.p_value),
            "Prophet": relative(alone.relative_mae if alone else None),
            "inside": f"{alone.coverage:.1%}" if alone else "-",
        }


def _spread_rows(pair: Pair, backtest: Backtest) -> Iterator[Row]:
    for score in backtest.scores:
        inside, reach = f"{score.coverage:.1%}", score.confidence.get("coverage")
        yield {
            "pair": str(pair),
            "ahead": counted(score.horizon_days, "day"),
            "CRPS": _within(relative(score.relative_crps), score.confidence.get("relative_crps")),
            "Winkler": _within(relative(score.relative_winkler), score.confidence.get("relative_winkler")),
            "in 50 %": f"{score.coverage_50:.1%}",
            "in 80 %": inside if reach is None else f"{inside} \N{PLUS-MINUS SIGN}{50 * (reach.high - reach.low):.1f}",
            "in 90 %": f"{score.coverage_90:.1%}",
            "PIT p": _p_value(score.pit_p_value),
        }


def _touch_row(pair: Pair, score: TouchScore, column: str) -> Row:
    return {
        "pair": str(pair),
        column: counted(*score.horizon),
        "questions": f"{score.questions:,}",
        "said": f"{score.said:.1%}",
        "came": f"{score.came:.1%}",
        "Brier": f"{score.brier:.4f}",
        "twice a close": f"{score.brier_reflection:.4f}",
    }


def _tenths_row(pair: Pair, score: TouchScore) -> Row:
    cells = {
        f"<{10 * place}": f"{100 * tenth.came:.0f}" if tenth.questions else "-"
        for place, tenth in enumerate(score.tenths, start=1)
    }
    return {"pair": str(pair), "in": counted(*score.horizon), **cells}


def _within(figure: str, confidence: Confidence | None) -> str:
    """Append half the width of the confidence interval."""
    if confidence is None:
        return figure
    return f"{figure} \N{PLUS-MINUS SIGN}{relative((confidence.high - confidence.low) / 2)}"


def _verdicts(tested: Tested) -> Iterator[str]:
    """Yield each verdict once, with its pairs and horizons."""
    verdicts: dict[Verdict, dict[Pair, list[int]]] = {}
    for pair, backtest in tested.items():
        for score in backtest.scores:
            by_pair = verdicts.setdefault(verdict(score.relative_mae, score.p_value), {})
            by_pair.setdefault(pair, []).append(score.horizon_days)
    for kind, by_pair in verdicts.items():
        pairs = _by_value({str(pair): days_listed(horizons) for pair, horizons in by_pair.items()})
        yield f"forecast of {'; '.join(f'{listed(names)} at {days}' for days, names in pairs.items())}: {kind.value}"


def _ranking(facts: PairCard) -> Iterator[str]:
    """Yield one sentence: the models by their CRPS over the shortest horizon, if there are several."""
    scores = [(report.name, report.scores[0]) for report in facts.models if report.scores]
    if len(scores) > 1:
        ahead = min(score.horizon_days for _, score in scores)
        ranked = _ranked([(name, score) for name, score in scores if score.horizon_days == ahead])
        names = listed([f"{name} {_figure(score.relative_crps)}" for name, score in ranked])
        yield f"CRPS of the models {counted(ahead, 'day')} ahead beside persistence's, the best first: {names}"


def _ranked(scores: Sequence[tuple[str, ModelScore]]) -> list[tuple[str, ModelScore]]:
    """Return the scores of models at one horizon, the best CRPS first."""
    return sorted(scores, key=lambda each: math.inf if (crps := each[1].relative_crps) is None else crps.value)


def _default(facts: PairCard) -> Iterator[str]:
    """Yield each model that is left out, and which one answers by default if it is not ours, or not the wanted one."""
    yield from (f"{report.name} is left out: {report.left_out}" for report in facts.models if report.left_out)
    if facts.not_served is not None:
        yield f"the default is {facts.served}: {facts.not_served}"
    elif facts.served != COMBINED:
        yield f"the default is {facts.served}"


def _model_parts(pair: Pair, facts: PairCard) -> Iterator[str]:
    """Yield the table of all models of a pair, who is better than whom, and what is left out."""
    by_horizon: dict[int, list[tuple[str, ModelScore]]] = {}
    for report in facts.models:
        for score in report.scores:
            by_horizon.setdefault(score.horizon_days, []).append((report.name, score))
    if len(facts.models) > 1 and by_horizon:
        yield f"the models of {pair}"
        yield table([row for _, scores in sorted(by_horizon.items()) for row in map(_model_row, _ranked(scores))])
        yield wrapped(_MODELS_FOOT)
    if lines := [*_comparisons(facts.pairwise), *_default(facts)]:
        yield "\n".join(wrapped(line, subsequent_indent="  ") for line in lines)


def _model_row(scored: tuple[str, ModelScore]) -> Row:
    name, score = scored
    return {
        "ahead": counted(score.horizon_days, "day"),
        "model": name,
        "forecasts": f"{score.forecasts:,}",
        "error": _figure(score.relative_mae),
        "CRPS": _figure(score.relative_crps, reach=True),
        "Winkler": _figure(score.relative_winkler, reach=True),
        "in 50 %": f"{score.coverage_50.value:.1%}",
        "in 80 %": f"{score.coverage_80.value:.1%}",
        "in 90 %": f"{score.coverage_90.value:.1%}",
    }


def _figure(estimate: Estimate | None, *, reach: bool = False) -> str:
    """Format a figure relative to persistence's, with half the width of its confidence interval if `reach`."""
    if estimate is None:
        return "-"
    if not reach or estimate.low is None or estimate.high is None:
        return relative(estimate.value)
    return _within(relative(estimate.value), Confidence(estimate.low, estimate.high))


def _comparisons(pairwise: Sequence[PairwiseScore]) -> Iterator[str]:
    """Yield who is better than whom, a sentence for each better model, and where nobody can say."""
    better: dict[str, dict[str, list[int]]] = {}
    same: dict[str, list[int]] = {}
    few: dict[str, list[int]] = {}
    for score in pairwise:
        ratio, names = score.relative_crps, (score.model, score.other)
        match verdict(None if ratio is None else ratio.value, score.p_value):
            case Verdict.BETTER | Verdict.WORSE as kind:
                winner, loser = names if kind is Verdict.BETTER else names[::-1]
                better.setdefault(winner, {}).setdefault(loser, []).append(score.horizon_days)
            case Verdict.UNKNOWN:
                few.setdefault(" and ".join(names), []).append(score.horizon_days)
            case _:
                same.setdefault(" or ".join(names), []).append(score.horizon_days)
    for winner, losers in better.items():
        yield f"{winner} is better than {_with_days(losers)}"
    if same:
        yield f"nobody can say which is better: {_with_days(same)}"
    if few:
        yield f"too few forecasts to compare {_with_days(few)}"


def _with_days(horizons: Mapping[str, Sequence[int]]) -> str:
    return "; ".join(f"{names} at {days_listed(sorted(days))}" for names, days in horizons.items())


def _by_value(values: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the keys of each value, in order."""
    keys: dict[str, list[str]] = {}
    for key, value in values.items():
        keys.setdefault(value, []).append(key)
    return keys


def _year_parts(pair: Pair, backtest: Backtest) -> Iterator[str]:
    """Yield a title, and as many tables with a row for each year of cutoffs as the horizons need."""
    yield f"{pair} by year of the cutoff: error, in 80 % and Winkler score, as above"
    cells = {
        (score.year, score.horizon_days): (
            f"{relative(score.relative_mae)}  {score.coverage:4.0%}  {relative(score.relative_winkler)}"
        )
        for score in backtest.years
    }
    years = sorted({year for year, _ in cells})
    horizons = [score.horizon_days for score in backtest.scores]
    for start in range(0, len(horizons), _YEAR_HORIZONS):
        few = {horizon: counted(horizon, "day") for horizon in horizons[start : start + _YEAR_HORIZONS]}
        yield table(
            [
                {"year": str(year)} | {head: cells.get((year, horizon), "-") for horizon, head in few.items()}
                for year in years
            ]
        )


def table(rows: Sequence[Row]) -> str:
    """Format columns as wide as their widest cell, those of numbers aligned to the right; all rows have the same."""
    columns = []
    for cells in zip(rows[0], *(row.values() for row in rows), strict=True):
        width = max(map(len, cells))
        numbers = all(cell[0] in "+-<0123456789" for cell in cells[1:])
        aligned = [cell.rjust(width) if numbers else cell.ljust(width) for cell in cells]
        columns.append([aligned[0], "-" * width, *aligned[1:]])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))


def origin(pair: Pair, source: str, traded: Pair) -> str:
    """Format where prices of a pair come from, with the pair that is traded there in its place."""
    return source if traded == pair else f"{source} ({traded})"


def relative(ratio: float | None) -> str:
    """Format a ratio to persistence."""
    if ratio is None:
        return "-"
    if ratio < 100:
        return f"{ratio:.3f}"
    return f"{ratio:.0f}" if ratio < 1e6 else f"{ratio:.0e}"


def _p_value(p: float | None) -> str:
    if p is None:
        return "-"
    return f"{p:.2f}" if p >= 0.01 else "<0.01"


def _price(price: float, facts: PairCard) -> str:
    """Format a price with the decimals of its pair, without cents from a million, and in five digits if too long."""
    decimals = price_decimals(facts.last_close)
    if decimals > _MOST_DECIMALS or price >= _TOO_LONG:
        return f"{price:.5g}"
    return f"{price:,.{0 if facts.last_close >= _NO_CENTS else decimals}f}"
