"""One function that writes what was used to any tracker."""

__all__: list[str] = []
