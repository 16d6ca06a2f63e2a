"""The tasks: one file each, so that a record's source hash is that of its task alone."""
