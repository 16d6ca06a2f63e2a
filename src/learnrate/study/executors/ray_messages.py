"""The way of messages from the workers of a Ray cluster to its driver."""

import time
from typing import Any

from learnrate.study.running.run import Message

FETCH_EVERY = 0.5
"""Seconds between two calls that fetch messages."""


class Messages:
    """The way of messages from workers to this process: an actor that keeps them until they are fetched.

    An actor that is lost with its node is started again elsewhere; the messages that it had are lost.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._actor = ray.remote(_Box).options(num_cpus=0, max_restarts=-1).remote()
        self.report = _Report(self._actor)
        self._fetching: Any = None
        self._fetched_at = 0.0

    def close(self) -> None:
        """End the actor, where the cluster goes on."""
        self._ray.kill(self._actor)

    def fetch(self) -> list[Message]:
        """What has arrived. It does not wait for the actor."""
        if self._fetching is None:
            if time.monotonic() - self._fetched_at < FETCH_EVERY:
                return []
            self._fetching = self._actor.fetch.remote()
            self._fetched_at = time.monotonic()
        if not self._ray.wait([self._fetching], timeout=0)[0]:
            return []
        fetching, self._fetching = self._fetching, None
        try:
            messages: list[Message] = self._ray.get(fetching)
        except self._ray.exceptions.RayError:  # the actor is being started again, or cannot be
            return []
        return messages


class _Box:
    """The actor."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def add(self, message: Message) -> None:
        self._messages.append(message)

    def fetch(self) -> list[Message]:
        messages, self._messages = self._messages, []
        return messages


class _Report:
    """Sends messages from a worker. It waits for nothing."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __call__(self, message: Message) -> None:
        self._actor.add.remote(message)
