"""Numbers in words, for messages and reports, and lengths of time as they are written in options."""

import re
from collections.abc import Sequence
from datetime import timedelta

from crypto_predict.errors import InvalidValue

_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_LONGEST = 5_000 * 365 * 86_400  # seconds: an instant that is so much later is still one
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}  # seconds


def counted(count: int, noun: str) -> str:
    """Format a count: ``1 day``, ``2,510 forecasts``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(items: Sequence[str]) -> str:
    """Format a list: ``1``, ``1 and 7``, ``1, 7 and 30``."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def days_listed(days: Sequence[int]) -> str:
    """Format horizons: ``1 day``, ``1 and 7 days``."""
    return f"{listed([str(day) for day in days])} day{'' if list(days) == [1] else 's'}"


def lasted(hours: float) -> str:
    """Format a length of time: ``47 hours``, ``2 days``, ``2.5 days``, ``147 days``."""
    if hours < 48:
        return f"{hours:.3g} hour{'' if f'{hours:.3g}' == '1' else 's'}"
    days = hours / 24
    return f"{days:,.0f} days" if days >= 10 else f"{float(f'{days:.1f}'):g} days"


def as_line(text: str, longest: int = 1_000) -> str:
    """Return a text from outside as a line of printable characters, cut after the `longest`."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text[:longest]).split())


def read_duration(text: str, name: str = "duration") -> timedelta:
    """Read ``90s``, ``15m``, ``24h``, ``2d`` or a bare number of seconds, the value of the option `name`."""
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST:
        raise InvalidValue(name, text, "a positive time such as 90s, 15m, 24h or 2d, of at most 5000 years")
    return timedelta(seconds=seconds)


def duration(span: timedelta) -> str:
    """Format a length of time: whole seconds or minutes below two hours, then as `lasted`."""
    seconds = max(span // timedelta(seconds=1), 0)
    if seconds < 120:
        return counted(seconds, "second")
    return counted(seconds // 60, "minute") if seconds < 7_200 else lasted(seconds // 3_600)
