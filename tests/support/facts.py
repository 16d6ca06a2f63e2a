"""Facts that a message must contain, whatever its sentences: names, numbers and key words, in any order."""

import re


def facts(*parts):
    """A regular expression for `re.search` and `pytest.raises(match=...)` that requires every part, in any case and order.

    A number must stand alone: 0 does not match in 0.5, and 5 does not match in 15.

    Example:
        >>> message = "budget must be above 0, received -1.5: give a share of a training"
        >>> bool(re.search(facts("budget", -1.5), message)), bool(re.search(facts("budget", 1), message))
        (True, False)
    """
    return r"(?is)\A" + "".join(f"(?=.*{_alone(str(part))})" for part in parts)


def tells(message, *parts):
    """Whether a message contains every part.

    Example:
        >>> tells("base_lr is 0.02", "base_lr", 0.02), tells("base_lr is 0.025", "base_lr", 0.02)
        (True, False)
    """
    return re.search(facts(*parts), message) is not None


def _alone(text):
    before = r"(?<![\w.-])" if re.match(r"[\w.-]", text) else ""
    after = r"(?!\w|[.]\d)" if re.search(r"\d\Z", text) else ""
    return (before if re.match(r"-?[.]?\d", text) else "") + re.escape(text) + after
