"""docs/extending.md: the adapter on the page is complete and works."""

import re

import numpy as np
import pytest

from pages import ROOT, run

pytestmark = [pytest.mark.xdist_group("extending"), pytest.mark.slow]


@pytest.fixture(scope="module")
def namespace():
    return run("docs/extending.md")


def test_the_adapter_is_short():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL)
    (adapter,) = [block for block in blocks if "(lr.Trainable)" in block]
    assert len(adapter.splitlines()) < 60


def test_range_test_and_tune_find_lrs_that_train(namespace):
    bounds, plan = namespace["bounds"], namespace["plan"]
    assert bounds
    # The curvature of the loss is about 2, so that gradient descent with momentum 0.9 diverges above an LR of about 2.
    assert 0.005 < plan.max_lr < 2
    assert plan.length == 600
    assert namespace["trainable"].evaluate()["r2"] > 0.99


def test_the_trainable_was_restored_before_the_training_run(namespace):
    trainable = namespace["AbacusTrainable"](namespace["Abacus"](8), namespace["batches"])
    namespace["lr"].range_test(trainable, updates=30)
    assert trainable.position == 0
    assert np.array_equal(trainable.model.weights["w"], np.zeros(8))
    assert np.array_equal(trainable.model.slots["velocity"], np.zeros(8))


def test_the_name_of_the_metric_appears_in_the_reasons(namespace):
    assert "r2" in " ".join(namespace["plan"].reasons)


def test_the_recipe_of_the_page_trains_and_differs_by_its_seed(namespace):
    recipe = namespace["recipe"]()
    first, second = (recipe.trainable(seed) for seed in (0, 1))
    assert (recipe.updates, recipe.name) == (600, "abacus")
    assert first.evaluate()["r2"] < 0.1
    assert first.update(0.1) != second.update(0.1)
