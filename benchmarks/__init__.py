"""Benchmarks. The first lines of each file say what it measures and how."""
