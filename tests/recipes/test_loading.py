"""Loading recipes: files as users write them, with all that may be wrong in them."""

import sys

import pytest

from facts import facts
from learnrate.errors import RecipeError
from learnrate.recipes.loading import BUILT_IN, load
from recipes import QUADRATIC

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


def test_a_recipe_is_loaded_from_its_file(tmp_path):
    recipe = load(written(tmp_path, GOOD.format(more="updates=77,")))
    assert (recipe.name, recipe.updates, recipe.evaluate) == ("", 77, None)
    assert load(written(tmp_path, GOOD.format(more="name='other',"))).name == "other"
    assert load(BUILT_IN).updates == 240


def test_a_recipe_can_import_modules_of_its_folder(tmp_path):
    written(tmp_path, "UPDATES = 55\n", "neighbour_of_recipe.py")
    text = "import neighbour_of_recipe\n" + GOOD.format(more="updates=neighbour_of_recipe.UPDATES,")
    assert load(written(tmp_path, text)).updates == 55


@pytest.mark.parametrize("name", ["random.py", "torch.py", "learnrate.py", "statistics.py", "two words.py", "zwölf.py"])
def test_a_recipe_file_may_have_any_name(tmp_path, name):
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
        ("import learnrate as lr\ndef recipe():\n    return lr.torch.Recipe\n", ("recipe()", "Recipe", "type")),
        (GOOD.format(more="clip_nrm=1.0,"), ("clip_nrm", "clip_norm")),
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
        (GOOD.format(more="metric='loss',"), ("metric", "'loss'", "higher")),
        (GOOD.format(more="").replace("torch.nn.Linear(1, 1)", "torch.nn.Linear(1)"), ("model", "mine.py, line 8")),
        ("import sys\nsys.exit(0)\n", ("mine.py, line 2", "sys.exit(0)", "SystemExit")),
    ],
)
def test_an_error_is_one_line_that_names_the_users_own_line(tmp_path, text, words):
    with pytest.raises(RecipeError, match=facts(*words)) as caught:
        load(written(tmp_path, text)).trainable(0)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(RecipeError, match=facts("none.py")):
        load(tmp_path / "none.py")
    with pytest.raises(RecipeError, match="folder"):
        load(tmp_path)
    with pytest.raises(RecipeError, match=facts(".py", "recipe.txt")):
        load(written(tmp_path, GOOD, "recipe.txt"))


def test_a_recipe_may_be_of_any_framework(tmp_path):
    assert load(written(tmp_path, QUADRATIC)).trainable(0).update(0.1) == 1.0
    with pytest.raises(RecipeError, match=facts("recipe()", "without updates")):
        load(written(tmp_path, QUADRATIC.replace("name, updates =", "name, length =")))
