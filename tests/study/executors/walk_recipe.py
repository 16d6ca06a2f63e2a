"""A recipe for studies in other processes: it uses the random numbers that belong to its whole process, as frameworks do, and
can end its own process in mid-run, once. Tests copy it into a folder of their own and write there what it shall do."""

import hashlib
import json
import os
import random
import time
from pathlib import Path

import learnrate as lr

FOLDER = Path(__file__).parent


def setting(name):
    return json.loads((FOLDER / "settings.json").read_text())[name]


class Walk(lr.Trainable):
    def __init__(self, seed):
        random.seed(seed)
        self.seed, self.weight, self.updates, self.pause = seed, 1.0, 0, setting("pause")
        (FOLDER / f"{os.getpid()}.process").touch()

    def update(self, lr):
        time.sleep(self.pause)
        if self.updates == 30 and self.seed == 1:
            self.end_process_once()
        loss = abs(self.weight) + 0.1
        self.weight += lr * random.gauss(-0.1 * self.weight, 1.0)
        self.updates += 1
        return loss

    def end_process_once(self):
        if setting("signal") is None:
            return
        try:
            (FOLDER / "ended").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), setting("signal"))
        time.sleep(5)

    def save(self):
        return random.getstate(), self.weight, self.updates

    def restore(self, state):
        random_state, self.weight, self.updates = state
        random.setstate(random_state)

    checkpoint, resume = save, restore

    def evaluate(self):
        return {"nearness": -abs(self.weight), "updates": self.updates}

    def fingerprint(self):
        return hashlib.sha256(repr((self.weight, random.getstate())).encode()).hexdigest()[:16]


def recipe():
    return lr.Recipe(Walk, updates=60, name="walk")
