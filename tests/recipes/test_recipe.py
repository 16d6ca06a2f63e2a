"""`learnrate.Recipe`: a recipe of no framework."""

import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import ArgumentError, ArgumentTypeError, RecipeError
from learnrate.recipes.loading import load
from learnrate.recipes.recipe import AnyRecipe
from recipes import NEUTRAL


class Line(lr.Trainable):
    def __init__(self, seed, test=None):
        self.seed, self.test = seed, test

    def update(self, lr):
        return 1.0

    def save(self):
        return None

    def restore(self, state):
        pass


def test_a_function_of_a_seed_is_called_for_each_training():
    recipe = lr.Recipe(trainable=lambda seed: Line(seed), updates=7, name="line")
    assert isinstance(recipe, AnyRecipe)
    assert (recipe.updates, recipe.name) == (7, "line")
    first, second = recipe.trainable(3), recipe.trainable(4, test=True)
    assert (first.seed, second.seed) == (3, 4)
    assert lr.Recipe(Line).updates == lr.torch.Recipe(*[lambda *_: None] * 4).updates


def test_a_function_with_a_parameter_test_is_told_which_evaluation_is_meant():
    recipe = lr.Recipe(trainable=Line)
    assert [recipe.trainable(0).test, recipe.trainable(0, test=True).test] == [False, True]
    assert lr.Recipe(lambda test: Line(test)).trainable(5, test=True).seed == 5  # the seed, under another name


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: lr.Recipe(Line(0)), ArgumentTypeError, ("Recipe.trainable", "lambda seed")),
        (lambda: lr.Recipe(Line, updates=0), ArgumentError, ("Recipe.updates", 1, 0)),
        (lambda: lr.Recipe(Line, name=3), ArgumentTypeError, ("Recipe.name", 3)),
        (lambda: lr.Recipe(Line).trainable(-1), ArgumentError, ("seed", 0, -1)),
        (lambda: lr.Recipe(Line).trainable(0, test=1), ArgumentTypeError, ("test", 1)),
        (lambda: lr.Recipe(lambda seed: 3).trainable(0), ArgumentTypeError, ("Recipe.trainable", 3, "update")),
        (lambda: lr.Recipe(lambda seed: Line).trainable(0), ArgumentTypeError, ("Recipe.trainable", "Line()")),
        (lambda: lr.Recipe(lambda seed: 1 / 0).trainable(0), RecipeError, ("Recipe.trainable", "ZeroDivisionError")),
        (lambda: lr.Recipe(lambda: Line(0)).trainable(0), RecipeError, ("Recipe.trainable", "positional argument")),
    ],
)
def test_a_fault_is_named(make, error, words):
    with pytest.raises(error, match=facts(*words)):
        make()


def test_a_file_may_return_it_and_what_is_nearly_one_is_told_the_remedy(tmp_path):
    path = tmp_path / "neutral.py"
    path.write_text(NEUTRAL)
    assert load(path).trainable(0).update(0.1) == 1.0
    path.write_text(
        NEUTRAL.replace('lr.Recipe(trainable=lambda seed: Quadratic(), updates=100, name="neutral")', "Quadratic()")
    )
    with pytest.raises(RecipeError, match=facts("neutral.py", "learnrate.Recipe(trainable=lambda seed: ...")):
        load(path)
    path.write_text(
        NEUTRAL.replace('lr.Recipe(trainable=lambda seed: Quadratic(), updates=100, name="neutral")', "Quadratic")
    )
    with pytest.raises(RecipeError, match=facts("neutral.py", "class", "Quadratic")):
        load(path)
    path.write_text(
        NEUTRAL.replace(
            'lr.Recipe(trainable=lambda seed: Quadratic(), updates=100, name="neutral")', "lambda seed: Quadratic()"
        )
    )
    with pytest.raises(RecipeError, match=facts("neutral.py", "learnrate.Recipe(trainable=the function")):
        load(path)
