"""What learnrate gains and costs inside each framework's own trainer; see `__main__.py`."""
