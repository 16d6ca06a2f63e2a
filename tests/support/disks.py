"""A disk without room for another file."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(room=0):
    """A time in which no file of this process may become larger than `room` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
