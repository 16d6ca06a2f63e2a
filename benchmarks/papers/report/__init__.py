"""docs/papers.md and its pictures, made from the records in benchmarks/results/papers/: no number is written by hand."""
