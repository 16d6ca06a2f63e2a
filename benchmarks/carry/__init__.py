"""How the best LR changes with batch, width, depth and length, on small real tasks."""
