"""Exact give-back: what is copied, where the copy lives, how it comes back."""
