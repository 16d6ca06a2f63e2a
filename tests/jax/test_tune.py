"""lr.jax.tune, tuned and Recipe: plans, what a Training knows of its optimizer, and trials as one batch."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

import learnrate as lr  # noqa: E402
from facts import facts, tells  # noqa: E402
from learnrate.errors import (  # noqa: E402
    AlreadyDrivenError,
    ArgumentError,
    ArgumentTypeError,
    RecipeError,
)
from learnrate.traits import LR_DRIFT  # noqa: E402

pytestmark = pytest.mark.xdist_group("jax")

INPUTS = np.random.default_rng(0).standard_normal((8, 16, 4)).astype(np.float32)
BATCHES = [(x, np.tanh(x.sum(1, keepdims=True))) for x in INPUTS]
PARAMS = {"w": jnp.asarray(np.random.default_rng(1).standard_normal((4, 8)) / 2, jnp.float32), "v": jnp.zeros((8, 1))}


def loss(params, batch):
    return ((jnp.tanh(batch[0] @ params["w"]) @ params["v"] - batch[1]) ** 2).mean()


def training(optimizer=optax.adam, **changes):
    return lr.jax.Training(**{"params": PARAMS, "optimizer": optimizer, "batches": BATCHES, "loss": loss, **changes})


@pytest.mark.slow
@pytest.mark.shows("jax", "tune in place")
def test_tuning_chooses_a_schedule_and_changes_nothing():
    before = jax.tree.map(np.array, PARAMS)
    texts = []
    schedule = lr.jax.tuned(
        *(PARAMS, optax.adam, BATCHES, loss),
        updates=300,
        before=1e-3,
        evaluate=lambda params: -float(loss(params, BATCHES[0])),
        report=texts.append,
    )
    assert schedule.length == 300
    assert 1e-3 < max(schedule(np.arange(300))) < 1
    assert tells(texts[0], "0.001", "in place of", f"{max(schedule(np.arange(300))):.2g}", "updates")
    jax.tree.map(np.testing.assert_array_equal, PARAMS, before)
    plan = lr.jax.tune(PARAMS, optax.adam, BATCHES, loss, updates=300)
    assert plan.cost <= 1
    carried = plan.carry(batch=64)
    assert carried.lr > plan.max_lr
    assert plan.noise_scale is not None
    assert tells(str(plan.reasons), "one by one", "hardly be faster")


@pytest.mark.slow
def test_without_an_answer_the_run_goes_on_with_what_it_had():
    def flat(params, batch):
        return 0.0 * loss(params, batch) + batch[0].mean()

    texts = []
    arguments = (PARAMS, optax.sgd, BATCHES, flat)
    before = lr.cosine(0.1, 0.0, 100)
    assert lr.jax.tuned(*arguments, updates=100, before=before, report=texts.append) == before
    assert tells(texts[0], "no answer", repr(before), "0.1")


@pytest.mark.parametrize(
    ("optimizer", "error", "named"),
    [
        (optax.adam(lr.constant(0.1)), ArgumentTypeError, ("inject_hyperparams", "optax.adam")),
        (optax.inject_hyperparams(optax.adam)(learning_rate=lr.constant(0.1)), AlreadyDrivenError, ("schedule", "number")),
        (lambda rate: optax.adam(0.1), AlreadyDrivenError, ("depend on the LR",)),
        (lambda rate: optax.adam(lr.constant(0.1)), AlreadyDrivenError, ("schedule of its own",)),
        (
            lambda rate: optax.chain(optax.sgd(rate), optax.scale_by_schedule(lr.linear(1.0, 0.0, 100))),
            AlreadyDrivenError,
            ("schedule of its own", "multiply"),
        ),
    ],
    ids=["a schedule", "injected schedule", "an LR of its own", "another schedule", "a factor"],
)
@pytest.mark.shows("jax", "two owners")
def test_an_optimizer_that_something_else_drives_is_refused(optimizer, error, named):
    with pytest.raises(error, match=facts(*named)):
        lr.jax.tune(PARAMS, optimizer, BATCHES, loss, updates=200)


def test_a_part_with_a_schedule_of_its_own_keeps_it():
    def build(rate):
        return optax.partition(
            {"ours": optax.sgd(rate), "theirs": optax.sgd(lr.constant(0.25))}, {"w": "ours", "v": "theirs"}
        )

    owned, start = training(build), PARAMS["v"]
    owned.update(0.0)
    np.testing.assert_array_equal(owned.params["w"], PARAMS["w"])
    assert float(jnp.abs(owned.params["v"] - start).max()) > 0


KINDS = {
    "adam": (optax.adam, "adam", False),
    "adamw": (lambda r: optax.adamw(r, b2=0.95, weight_decay=0.1), "adam", False),
    "clipped adam": (lambda r: optax.chain(optax.clip_by_global_norm(0.1), optax.adam(r)), "adam", False),
    "injected": (optax.inject_hyperparams(optax.adam)(learning_rate=0.1), "adam", False),
    "accumulated": (lambda r: optax.MultiSteps(optax.adam(r), 3), "adam", False),
    "checked": (lambda r: optax.apply_if_finite(optax.adam(r), 3), "adam", False),
    "sgd": (lambda r: optax.sgd(r, momentum=0.9), "sgd", True),
    "clipped sgd": (lambda r: optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(r)), None, False),
    "adamax": (optax.adamax, None, False),
    "nadam": (optax.nadam, None, False),
    "yogi": (optax.yogi, None, False),
    "lion": (optax.lion, None, False),
    "rmsprop": (optax.rmsprop, None, False),
    "adagrad": (optax.adagrad, None, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_traits_of_an_optimizer(name):
    optimizer, kind, unbounded = KINDS[name]
    traits = training(optimizer).traits
    assert (traits.kind, traits.unbounded_steps) == (kind, unbounded)
    assert traits.lr_drift == (LR_DRIFT + 0.5 if name == "adagrad" else LR_DRIFT)


@pytest.mark.shows("jax", "accumulation")
@pytest.mark.slow
def test_an_update_takes_as_many_batches_as_the_optimizer_accumulates():
    accumulated = training(lambda rate: optax.MultiSteps(optax.sgd(rate), 4))
    value = float(accumulated.update(0.5))
    assert value == pytest.approx(np.mean([float(loss(PARAMS, batch)) for batch in BATCHES[:4]]), rel=1e-5)
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *BATCHES[:4])
    whole = training(optax.sgd, batches=[joined])
    whole.update(0.5)
    np.testing.assert_allclose(accumulated.params["v"], whole.params["v"], rtol=1e-4)
    assert (accumulated.batch_size(), accumulated.updates_per_epoch()) == (64, 2)
    curve = lr.range_test(accumulated, low=1e-3, high=1.0, updates=12)
    assert len(curve) == 12
    assert accumulated.stream.drawn == 0


@pytest.mark.shows("jax", "skipped updates")
@pytest.mark.slow
def test_a_skipped_update_is_made_again_with_the_next_batch():
    spoiled = [BATCHES[0], (BATCHES[1][0] * np.nan, BATCHES[1][1]), *BATCHES[2:]]
    checked = training(lambda rate: optax.apply_if_finite(optax.adam(rate), 3), batches=spoiled)
    curve = lr.range_test(checked, low=1e-4, high=1e-2, updates=12)
    assert np.isfinite(curve.losses).all()
    assert curve.skipped == (1, 8)


@pytest.mark.slow
def test_the_noise_scale_is_that_of_the_formula():
    measured = training(lambda r: optax.sgd(r), batches=BATCHES[:4])
    start = measured.save()
    gradients = [
        jax.grad(loss)(PARAMS, jax.tree.map(lambda leaf, rows=rows: leaf[rows], batch))["v"].ravel()
        for batch in BATCHES[:4]
        for rows in (slice(0, 8), slice(8, 16))
    ]
    # The gradient of w is 0 as long as v is.
    noise = 8 * float(jnp.stack(gradients).var(0, ddof=1).sum())
    total = sum(gradients)
    signal = float(total @ total - sum(g @ g for g in gradients)) / (8 * 7)
    assert measured.noise_scale(4) == pytest.approx(noise / signal, rel=1e-4)
    jax.tree.map(np.testing.assert_array_equal, measured.params, start[0])
    assert training(batches=[(np.ones((1, 4)), np.ones((1, 1)))]).noise_scale() is None


@pytest.mark.slow
def test_trials_as_one_batch_are_the_trials_one_by_one():
    def optimizer(rate):
        return optax.MultiSteps(optax.adam(rate), 2)

    def noisy(params, batch, key):
        kept = jax.random.bernoulli(key, 0.8, batch[0].shape)
        return {"loss": loss(params, (batch[0] * kept, batch[1])), "kept": kept.mean()}

    def evaluate(params):
        return -float(loss(params, BATCHES[0]))

    batched = training(optimizer, loss=noisy, key=jax.random.key(1), evaluate=evaluate, together=True, metric="fit")
    start, lrs = batched.save(), [1e-3, 1e-2, 0.1]
    expected = []
    for rate in lrs:
        batched.restore(start)
        expected.append([batched.read([batched.update(rate)])[0] for _ in range(6)])
        expected[-1].append(batched.evaluate())
    batched.restore(start)
    ensemble = batched.ensemble(3)
    rows = [ensemble.update([1e-3, None if update > 2 else 1e-2, 0.1]) for update in range(6)]
    scores = ensemble.evaluate()
    for update in range(6):
        for member in (0, 2):
            assert rows[update][member] == pytest.approx(expected[member][update], rel=1e-3)
    assert rows[2][1] == pytest.approx(expected[1][2], rel=1e-3)
    assert rows[3][1] == {}
    assert scores[1] is None
    assert scores[2] == pytest.approx(expected[2][-1], rel=1e-3)
    jax.tree.map(np.testing.assert_array_equal, batched.params, PARAMS)


@pytest.mark.slow
def test_a_plan_says_whether_its_trials_were_one_batch():
    arguments = (PARAMS, optax.adam, BATCHES, loss)
    plan = lr.jax.tune(*arguments, updates=60, together=True)
    assert "one by one" not in str(plan.reasons)
    assert "one batch" in str(plan.reasons)


def test_what_cannot_be_one_batch_says_why():
    def alone(value):
        shape = jax.ShapeDtypeStruct((), "float32")
        return jax.pure_callback(np.asarray, shape, jax.lax.stop_gradient(value))

    for changes, reason in (
        ({"together": False}, "together=False"),
        ({}, "hardly be faster"),
        ({"optimizer": lambda r: optax.apply_if_finite(optax.sgd(r), 3), "together": True}, "apply_if_finite"),
        ({"loss": lambda p, b: alone(loss(p, b)) + loss(p, b), "together": True}, "vmap"),
    ):
        batched = training(**{"optimizer": optax.sgd, **changes})
        with pytest.raises(lr.trainable.NotBatchableError, match=facts(reason)):
            batched.ensemble(2).update([0.1, 0.1])
    batched.update(0.1)


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"before": "0.1"}, ArgumentTypeError, ("before",)),
        ({"before": -1.0}, ArgumentError, ("before", -1.0)),
        ({"batches": iter(BATCHES)}, ArgumentTypeError, ("batches", "iterated again")),
        (
            {"optimizer": lambda r: optax.MultiSteps(optax.sgd(r), 2, should_skip_update_fn=optax.skip_not_finite)},
            ArgumentError,
            ("MultiSteps", "should_skip_update_fn", "apply_if_finite"),
        ),
        ({"batches": [("text", 1.0)]}, ArgumentTypeError, ("batches", "text", "numbers")),
        ({"key": 3}, ArgumentTypeError, ("key", "jax.random.key")),
        ({"together": "yes"}, ArgumentTypeError, ("together",)),
        ({"require": 1}, ArgumentTypeError, ("require",)),
        ({"report": 1}, ArgumentTypeError, ("report",)),
        ({"updates": 0}, ArgumentError, ("updates",)),
        ({"family": "cosin"}, ArgumentError, ("family", "cosin")),
    ],
)
def test_what_cannot_be_tuned_is_refused(changes, error, named):
    arguments = {"params": PARAMS, "optimizer": optax.sgd, "batches": BATCHES, "loss": loss, "updates": 100, "before": 0.1}
    with pytest.raises(error, match=facts(*named)):
        lr.jax.tuned(**arguments | changes)


def recipe(**changes):
    return lr.jax.Recipe(
        **{
            "params": lambda key: {"w": jax.random.normal(key, (4, 8)), "v": jnp.zeros((8, 1))},
            "optimizer": optax.adam,
            "batches": lambda seed: BATCHES[seed % 8 :] + BATCHES[: seed % 8],
            "loss": loss,
            "evaluate": lambda params: 1.0,
            "test": lambda params: {"accuracy": 2.0},
            "lr": 1e-3,
            "updates": 60,
            **changes,
        }
    )


@pytest.mark.slow
def test_a_recipe_builds_trainings_from_seeds():
    first, second, again = (recipe().trainable(seed) for seed in (0, 2**32 - 1, 0))
    np.testing.assert_array_equal(first.params["w"], again.params["w"])
    assert float(jnp.abs(first.params["w"] - second.params["w"]).max()) > 0.1
    assert (first.current_lr(), first.evaluate()) == (1e-3, {"accuracy": 1.0})
    assert recipe().trainable(0, test=True).evaluate() == {"accuracy": 2.0}
    with_key = recipe(with_key=True, loss=lambda p, b, key: loss(p, b) + jax.random.uniform(key))
    values = [float(with_key.trainable(seed).update(0.0)) for seed in (0, 1)]
    assert values[0] != values[1]


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"params": PARAMS}, ArgumentTypeError, ("params", "function")),
        ({"updates": 0}, ArgumentError, ("updates",)),
        ({"metric": "loss"}, ArgumentError, ("metric", "higher")),
        ({"lr": -1}, ArgumentError, ("lr", -1)),
        ({"with_key": "no"}, ArgumentTypeError, ("with_key",)),
        ({"params": lambda key: 1 / 0}, RecipeError, ("Recipe.params", "ZeroDivisionError")),
        ({"batches": lambda: []}, RecipeError, ("Recipe.batches(seed)", "1 was given")),
        ({"batches": lambda seed: iter(BATCHES)}, ArgumentTypeError, ("batches",)),
    ],
)
def test_a_recipe_that_cannot_be_built_is_refused(changes, error, named):
    with pytest.raises(error, match=facts(*named)):
        recipe(**changes).trainable(0)


@pytest.mark.slow
def test_the_command_line_tunes_a_recipe_of_jax(tmp_path):
    (tmp_path / "recipe.py").write_text(
        textwrap.dedent(
            """
            import jax.numpy as jnp, numpy as np, optax
            import learnrate as lr

            x = np.random.default_rng(0).standard_normal((8, 16, 4)).astype("float32")

            def recipe():
                return lr.jax.Recipe(
                    params=lambda key: jnp.zeros(4),
                    optimizer=optax.adam,
                    batches=lambda seed: list(x),
                    loss=lambda w, batch: ((batch @ w - batch.sum(1)) ** 2).mean(),
                    updates=120,
                    lr=1e-3,
                )
            """
        )
    )
    command = [sys.executable, "-m", "learnrate", "tune", "recipe.py", "--no-train", "--out", "out", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plan"]["max_lr"] > 1e-3
