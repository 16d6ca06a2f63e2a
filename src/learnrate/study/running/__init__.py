"""What a worker does: it loads a recipe, makes a training, and returns its record."""
