"""Methods that choose learning rates: one file for each kind."""
