"""Many trainings of cifar10_full side by side as one batch: what makes Tables 1 to 3 fit into minutes of a GPU."""
