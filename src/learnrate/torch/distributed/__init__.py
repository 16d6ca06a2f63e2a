"""Many processes: one decision, and an error that names the rank."""
