"""A recipe whose trainings take a while, and go on from checkpoints; for tests that kill processes."""

import hashlib
import os
import random
import time

import learnrate as lr

PAUSE = float(os.environ.get("PAUSE", "0"))


class RandomWalk(lr.Trainable):
    """What it measures depends on every update, and on random numbers of its own."""

    def __init__(self, seed):
        self.random, self.weight, self.updates = random.Random(seed), 1.0, 0

    def update(self, lr):
        time.sleep(PAUSE)
        loss = abs(self.weight) + 0.1
        self.weight += lr * self.random.gauss(-0.1 * self.weight, 1.0)
        self.updates += 1
        return loss

    def save(self):
        return self.random.getstate(), self.weight, self.updates

    def restore(self, state):
        random_state, self.weight, self.updates = state
        self.random.setstate(random_state)

    checkpoint, resume = save, restore

    def evaluate(self):
        return {"nearness": -abs(self.weight), "updates": self.updates}

    def fingerprint(self):
        return hashlib.sha256(repr((self.weight, self.random.getstate())).encode()).hexdigest()[:16]


def recipe():
    return lr.Recipe(RandomWalk, updates=60, name="random walk")
