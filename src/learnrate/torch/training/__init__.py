"""A torch training, one update at a time: the `Trainable` of torch."""
