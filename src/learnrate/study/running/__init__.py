"""What a worker does: gets a recipe, makes a training, and tells what it measured."""
