"""learnrate for Keras 3."""

__all__: list[str] = []
