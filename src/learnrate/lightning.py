"""learnrate for Lightning."""

__all__: list[str] = []
