"""How a comparison is shown: pages, figures, tables, and what trackers get."""
