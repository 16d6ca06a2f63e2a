"""Amounts with their units, in words."""


def plural(number: int, what: str) -> str:
    """A number of things.

    Example:
        >>> plural(1, "seed"), plural(25_000, "update")
        ('1 seed', '25,000 updates')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time in its largest units.

    Example:
        >>> duration(1.234), duration(600), duration(7500)
        ('1.23 s', '10 min', '2 h 5 min')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60} min"
