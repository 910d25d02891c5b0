"""How numbers are said in messages and reports."""

from datetime import timedelta


def counted(count: int, noun: str) -> str:
    """So many of something: ``1 day``, ``2,510 forecasts``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(span: timedelta) -> str:
    """A length of time in the largest unit of which there are two or more, rounded down: ``148 days``, ``24 hours``."""
    seconds = max(span // timedelta(seconds=1), 0)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return counted(seconds // length, unit)
    return counted(seconds, "second")
