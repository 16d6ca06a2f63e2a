"""How well do learning-rate finders choose? The regret and the cost of each on small real tasks. See docs/choice.md."""
