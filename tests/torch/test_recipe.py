"""Recipes: loading a user's file, building from seeds, training."""

import math
import sys

import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate.errors import RecipeError
from learnrate.torch.recipe import load, train
from learnrate.user_code import own_line

GOOD = """
import torch
import learnrate as lr

def recipe():
    x = torch.linspace(-1, 1, 64).unsqueeze(1)
    return lr.torch.Recipe(
        model=lambda: torch.nn.Linear(1, 1),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01),
        batches=lambda: list(zip(x.split(8), (3 * x).split(8))),
        loss=torch.nn.MSELoss(),
        {more}
    )
"""


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.startswith("learnrate_recipe_")]:
        del sys.modules[name]


def written(tmp_path, text, name="mine.py"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_loads_and_is_named_after_its_file(tmp_path):
    recipe = load(written(tmp_path, GOOD.format(more="updates=77,")))
    assert (recipe.name, recipe.updates, recipe.evaluate) == ("mine", 77, None)
    assert load(written(tmp_path, GOOD.format(more="name='other',"))).name == "other"


def test_imports_its_neighbours(tmp_path):
    written(tmp_path, "UPDATES = 55\n", "neighbour_of_recipe.py")
    text = "import neighbour_of_recipe\n" + GOOD.format(more="updates=neighbour_of_recipe.UPDATES,")
    assert load(written(tmp_path, text)).updates == 55


@pytest.mark.parametrize("name", ["random.py", "torch.py", "learnrate.py", "statistics.py", "two words.py", "zwölf.py"])
def test_may_have_any_name(tmp_path, name):
    torch_before, random_before = sys.modules["torch"], sys.modules["random"]
    assert load(written(tmp_path, GOOD.format(more=""), name)).updates == 1000
    assert sys.modules["torch"] is torch_before
    assert sys.modules["random"] is random_before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", ("mine.py", "recipe()")),
        ("recipe = 3\n", ("mine.py", "recipe()")),
        ("def recipe():\n    return 3\n", ("recipe()", "Recipe", 3, "int")),
        ("def recipe():\n    pass\n", ("recipe()", "Recipe", None)),
        ("import math\nimport no_such_module\n", ("mine.py, line 2", "import no_such_module", "ModuleNotFoundError")),
        ("def recipe():\n    import no_such_module\n", ("recipe()", "mine.py, line 2", "import no_such_module")),
        ("def recipe(:\n", ("mine.py, line 1", "def recipe(:", "SyntaxError")),
        ("1 / 0\n", ("mine.py, line 1", "1 / 0", "ZeroDivisionError")),
        ("def recipe(size):\n    pass\n", ("recipe()", "'size'")),
        (GOOD.format(more="updates=0,"), ("updates", 1, 0)),
        (GOOD.format(more="evaluate=0.5,"), ("evaluate", "function", 0.5)),
        (GOOD.format(more="").replace("lambda: torch.nn", "torch.nn"), ("model", "function", "Linear", "lambda")),
        (GOOD.format(more="colour='red',"), ("'colour'",)),
        (GOOD.format(more="name=3,"), ("name", "str", 3)),
        (GOOD.format(more="metric='mean',"), ("metric", "mean", "lr", "schedule")),
        (GOOD.format(more="").replace("torch.nn.Linear(1, 1)", "torch.nn.Linear(1)"), ("model", "mine.py, line 8")),
        ("import sys\nsys.exit(0)\n", ("mine.py, line 2", "sys.exit(0)", "SystemExit")),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_the_users_own(tmp_path, text, words):
    with pytest.raises(RecipeError, match=facts(*words)) as caught:
        load(written(tmp_path, text)).build(0)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(RecipeError, match=facts("none.py")):
        load(tmp_path / "none.py")
    with pytest.raises(RecipeError, match="folder"):
        load(tmp_path)
    with pytest.raises(RecipeError, match=facts(".py", "recipe.txt")):
        load(written(tmp_path, GOOD, "recipe.txt"))


def test_builds_the_same_from_the_same_seed(tmp_path):
    recipe = load(written(tmp_path, GOOD.format(more="")))
    (first, *_), (second, *_), (third, *_) = recipe.build(0), recipe.build(0), recipe.build(1)
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, third.weight)


def test_training_follows_from_the_seed(tmp_path):
    recipe = load(written(tmp_path, GOOD.format(more="evaluate=lambda model: float(model.weight),")))
    schedule = lr.linear(0.5, 0.0, 40)
    first, again, other = (train(recipe, schedule, seed, 40) for seed in (0, 0, 1))
    assert first == again != other
    assert len(first.losses) == 40
    assert first.checkpoints == tuple(range(2, 41, 2))
    assert first.score == first.scores[-1] == pytest.approx(3.0, abs=0.5)


def test_training_without_an_evaluation_is_scored_by_its_loss(tmp_path):
    recipe = load(written(tmp_path, GOOD.format(more="")))
    done = train(recipe, lr.constant(0.1), 0, 20)
    assert recipe.scores_are() == "loss"
    assert done.score == pytest.approx(sum(done.losses[-4:]) / 4)
    assert done.scores == ()


def test_a_training_that_diverges_ends_early_and_says_so(tmp_path):
    recipe = load(written(tmp_path, GOOD.format(more="evaluate=lambda model: float(model.weight),")))
    done = train(recipe, lr.constant(1e30), 0, 50)
    assert len(done.losses) < 50
    assert not math.isfinite(done.losses[-1])
    assert done.checkpoints[-1] == len(done.losses)


def test_the_held_out_test_is_not_what_chooses(tmp_path):
    recipe = load(written(tmp_path, GOOD.format(more="evaluate=lambda model: 1.0, test=lambda model: 2.0,")))
    assert train(recipe, lr.constant(0.1), 0, 20).score == 2.0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one\n  two\tthree"), "ValueError: one two three"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 388 + " ..."),
    ],
)
def test_an_error_is_told_in_one_line_of_bounded_length(error, expected):
    assert own_line(error) == expected
