"""How numbers are said in messages and reports."""


def counted(count: int, noun: str) -> str:
    """So many of something: ``1 day``, ``2,510 forecasts``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
