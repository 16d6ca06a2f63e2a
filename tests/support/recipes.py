"""Texts of recipe files."""

QUADRATIC = """
import learnrate as lr

class Quadratic(lr.Trainable):
    weight = 1.0
    def update(self, lr):
        loss = self.weight**2
        self.weight -= lr * 2 * self.weight
        return loss
    def save(self):
        return self.weight
    def restore(self, state):
        self.weight = state

class Recipe:
    name, updates = "quadratic", 100
    def trainable(self, seed, *, test=False):
        return Quadratic()

def recipe():
    return Recipe()
"""
"""A recipe of no framework, whose trainable does not say its usual LR."""

NEUTRAL = (
    QUADRATIC[: QUADRATIC.index("class Recipe")]
    + """
def recipe():
    return lr.Recipe(trainable=lambda seed: Quadratic(), updates=100, name="neutral")
"""
)
"""The same as a `learnrate.Recipe`."""
