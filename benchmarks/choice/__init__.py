"""How well do learning-rate finders choose? Regret and cost of each, on small real tasks. See docs/choice.md."""
