"""What chooses learning rates: one file a kind of method."""
