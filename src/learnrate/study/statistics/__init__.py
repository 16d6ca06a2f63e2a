"""Statistics of comparisons: differences of arms and how sure they are, and updates to a target. Pure, on NumPy."""
