"""The experiments, a table or figure of a paper each."""

from benchmarks.papers.experiment import Experiment
from benchmarks.papers.experiments import clr_table_1, headline

EXPERIMENTS: dict[str, Experiment] = {each.EXPERIMENT.name: each.EXPERIMENT for each in (clr_table_1, headline)}
"""By name."""
