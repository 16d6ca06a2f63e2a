"""learnrate for Accelerate."""

__all__: list[str] = []
