"""learnrate for the Trainer of Transformers."""

__all__: list[str] = []
