"""Recipes: what one is, loading one from a file, and the built-in one."""
