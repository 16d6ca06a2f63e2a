"""The experiments, a table or figure of a paper each."""
