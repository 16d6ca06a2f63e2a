"""The rules of other libraries as controllers: equal to the real ones, call by call."""

import math
import warnings

import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as limited
from hypothesis import strategies as st

import learnrate as lr
from driven_rules import assert_equal, calls, changes, few, lrs, ours
from learnrate.control import Control, Observation, plateau
from learnrate.control.controller import as_json, restored
from learnrate.control.peers import greedy, keras_plateau, optax_plateau, timm_plateau, torch_plateau
from learnrate.errors import ArgumentError, ArgumentTypeError, NotMeasuredWarning
from parity_peers import timm_scheduler

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("parity")]

factors = st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.3])
floors = st.sampled_from([0.0, 0.01, 1e-4, 1.0, 0.0625, 0.05])
smallest = st.sampled_from([0.0, 1e-8, 1e-3, 0.05])
thresholds = st.sampled_from([0.0, 1e-4, 0.1, 0.5, 1.0, 2.0])
modes = st.sampled_from(["min", "max"])


def sgd(start):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=start)


def stepped(optimizer, step, sequence):
    after = []
    for number, value in enumerate(sequence):
        step(number, value)
        after.append(optimizer.param_groups[0]["lr"])
    return after


TORCH = st.fixed_dictionaries(
    {
        "mode": modes,
        "factor": factors,
        "patience": few,
        "threshold": thresholds,
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": few,
        "min_lr": floors,
        "eps": smallest,
    }
)


@limited(max_examples=60)
@given(settings=TORCH, start=lrs, sequence=calls)
@example(settings={"threshold": 1.0, "patience": 0}, start=0.1, sequence=[1.0, 2.0, 3.0])
@example(settings={"eps": 0.0, "min_lr": 0.01, "patience": 0, "factor": 0.3}, start=0.1, sequence=[1.0] * 9)
def test_torch(settings, start, sequence):
    optimizer = sgd(start)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    theirs = stepped(optimizer, lambda _, value: scheduler.step(value), sequence)
    assert_equal(torch_plateau(**settings), start, sequence, theirs)


GREEDY = st.fixed_dictionaries(
    {
        "mode": modes,
        "factor": factors,
        "patience": st.integers(0, 2),
        "threshold": thresholds,
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": few,
        "warmup": few,
        "min_lr": st.sampled_from([0.0, 1e-3, 0.05]),
        "max_lr": st.sampled_from([0.2, 1.0, 10.0]),
        "eps": smallest,
        "smooth": st.booleans(),
        "window_size": st.integers(1, 5),
        "reset_start": few,
    }
)


@limited(max_examples=60)
@given(settings=GREEDY, start=lrs, sequence=calls)
@example(settings={"patience": 0, "reset_start": 2, "min_lr": 0.05, "cooldown": 1}, start=0.06, sequence=[1.0] * 20)
def test_greedy(settings, start, sequence):
    from transformers.optimization import GreedyLR

    optimizer = sgd(start)
    scheduler = GreedyLR(optimizer, **settings)
    theirs = stepped(optimizer, lambda _, value: scheduler.step(value), sequence)
    assert_equal(greedy(**settings), start, sequence, theirs)


TIMM = st.fixed_dictionaries(
    {
        "decay_rate": factors,
        "patience_t": few,
        "threshold": thresholds,
        "cooldown_t": few,
        "warmup_t": few,
        "warmup_lr_init": st.sampled_from([0.0, 1e-5, 0.05]),
        "lr_min": floors,
        "mode": modes,
        "noise_range_t": st.sampled_from([None, None, 0, 3, (1, 4), [2, 30]]),
        "noise_type": st.sampled_from(["normal", "uniform"]),
        "noise_pct": st.sampled_from([0.67, 0.1]),
        "noise_std": st.sampled_from([1.0, 0.3]),
        "noise_seed": st.sampled_from([None, 0, 7, 2**31 - 1]),
    }
)


@limited(max_examples=60)
@given(settings=TIMM, start=lrs, sequence=calls)
def test_timm(settings, start, sequence):
    optimizer = sgd(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is deprecated
        scheduler = timm_scheduler().PlateauLRScheduler(optimizer, **settings)
    theirs = stepped(optimizer, lambda number, value: scheduler.step(number + 1, value), sequence)
    # Before the first call timm has the start of its warm-up, and a controller nothing to react to.
    assert_equal(timm_plateau(**settings), start, sequence, theirs, first=start if theirs[0] == start else 0.0)


@pytest.fixture(scope="module")
def keras_model():
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    yield model
    keras.config.set_floatx(before)


KERAS = st.fixed_dictionaries(
    {
        "factor": factors,
        "patience": few,
        "mode": modes,
        "min_delta": st.sampled_from([0.0, 1e-4, 0.1, 0.5]),
        "cooldown": few,
        "min_lr": floors,
    }
)


def in_keras(model, settings, start, sequence, monitor="val_loss"):
    import keras

    callback = keras.callbacks.ReduceLROnPlateau(monitor=monitor, **settings)
    callback.set_model(model)
    model.optimizer.learning_rate = start
    callback.on_train_begin()
    after = []
    for epoch, value in enumerate(sequence):
        callback.on_epoch_end(epoch, {monitor: value})
        after.append(float(model.optimizer.learning_rate))
    return after


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # from Keras
@limited(max_examples=60)
@given(settings=KERAS, start=lrs, sequence=calls)
@example(settings={"patience": 0, "min_lr": 0.1 * (1 - 1e-9)}, start=0.1, sequence=[1.0] * 5)
@example(settings={"patience": 0}, start=0.1, sequence=[math.nan, 1.0, 0.5])
def test_keras(keras_model, settings, start, sequence):
    theirs = in_keras(keras_model, settings, start, sequence)
    assert_equal(keras_plateau(**settings), start, sequence, theirs)


@given(bound=st.floats(0, 1e30), shift=st.integers(-300, 300))
def test_keras_compares_with_its_floor_in_single_precision(bound, shift):
    import numpy as np

    from learnrate.control.peers.keras_plateau import above_in_single

    number = float(np.float64(bound) * (1 + shift * 2.0**-26))
    assert (number > above_in_single(bound)) == (np.float32(number) > np.float32(bound))
    middle = above_in_single(bound)
    assert (middle > above_in_single(bound)) == bool(np.float32(middle) > np.float32(bound))
    after = math.nextafter(middle, math.inf)
    assert np.float32(after) > np.float32(bound)


OPTAX = st.fixed_dictionaries(
    {
        "patience": few,
        "cooldown": few,
        "accumulation_size": st.integers(1, 3),
        "min_scale": st.sampled_from([0.0, 0.01, 0.3, 1.5]),
    }
)
TOLERANCES = st.sampled_from([(0.5, 0.1, 0.0), (0.1, 1e-4, 0.0), (0.9, 0.0, 0.1), (0.9, 1.0, 0.0)])
LONGEST = 40
_runs = {}


def in_optax(factor, rtol, atol, settings, sequence, dtypes=("float64",)):
    """The factors of the real one; compiled once for each set of tolerances."""
    import jax
    import optax

    with jax.enable_x64(True):
        params = [jax.numpy.ones((), dtype) for dtype in dtypes]
        key = (factor, rtol, atol, dtypes)
        if key not in _runs:

            def run(values, settings):
                rule = optax.contrib.reduce_on_plateau(factor=factor, rtol=rtol, atol=atol, **settings)

                def step(state, value):
                    _, state = rule.update(params, state, value=value)
                    return state, state.scale

                # The state of optax changes its type where the floor is an array, so it is cast beforehand.
                return jax.lax.scan(step, rule.init(params), values)[1]

            _runs[key] = jax.jit(run)
        padded = [*sequence, *[0.0] * (LONGEST - len(sequence))]
        arrays = {name: jax.numpy.asarray(value) for name, value in settings.items()}
        arrays["min_scale"] = arrays["min_scale"].astype("float64")
        return _runs[key](jax.numpy.asarray(padded, "float64"), arrays)[: len(sequence)].tolist()


@limited(max_examples=60)
@given(tolerances=TOLERANCES, settings=OPTAX, start=lrs, sequence=calls)
def test_optax(tolerances, settings, start, sequence):
    factor, rtol, atol = tolerances
    theirs = [start * scale for scale in in_optax(factor, rtol, atol, settings, sequence)]
    assert_equal(optax_plateau(factor=factor, rtol=rtol, atol=atol, **settings), start, sequence, theirs)


RULES = [
    torch_plateau(patience=1, cooldown=2, factor=0.5, min_lr=0.02, monitor="loss"),
    keras_plateau(patience=2, factor=0.5, min_lr=0.02, monitor="loss"),
    timm_plateau(patience_t=1, decay_rate=0.5, warmup_t=3, warmup_lr_init=0.01, mode="min", monitor="loss"),
    optax_plateau(patience=1, factor=0.5, accumulation_size=2, min_scale=0.2),
    greedy(patience=1, factor=0.5, min_lr=0.02, smooth=True, window_size=3, reset_start=2),
]
LOSSES = [3.0, 2.0, 1.5, 1.0, 1.1, 1.2, math.nan, 1.4, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1, 0.3, 0.3, 0.4, 0.5, 0.3, 0.3, 0.4]


def by_name(rule):
    return type(rule).__name__


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_they_run_inside_of_jit(rule):
    import jax

    with jax.enable_x64(True):

        def step(carry, value):
            state, number = carry
            observation = Observation(number, 0.1 * state[0], loss=value, xp=jax.numpy)
            after, action = rule.update(state[1], observation)
            after = jax.tree.map(lambda new, old: jax.numpy.asarray(new, old.dtype), after, state[1])
            return ((jax.numpy.asarray(action.factor, "float64"), after), number + 1), action.factor

        start = jax.tree.map(jax.numpy.asarray, rule.init())
        carry = ((jax.numpy.asarray(1.0), start), jax.numpy.asarray(0))
        _, scanned = jax.jit(lambda carry: jax.lax.scan(step, carry, jax.numpy.asarray(LOSSES)))(carry)
    expected = [after / 0.1 for after in ours(rule, 0.1, LOSSES)]
    assert scanned.tolist() == pytest.approx(expected, rel=1e-12)
    assert len(changes(expected)) > 2


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_run_that_is_resumed_goes_on_as_the_run_through(rule):
    state = rule.init()
    for number, loss in enumerate(LOSSES[:9]):
        state, action = rule.update(state, Observation(number, 0.1, loss=loss))
        state = restored(rule, as_json(state))
    factor, after = action.factor, []
    through = ours(rule, 0.1, LOSSES)
    state, lr_now = rule.init(), 0.1
    for number, loss in enumerate(LOSSES):
        state, action = rule.update(restored(rule, as_json(state)), Observation(number, lr_now, loss=loss))
        lr_now = 0.1 * action.factor
        after.append(lr_now)
    assert after == through
    assert factor > 0


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_control_with_one_has_the_lrs_of_the_rule_and_reasons(rule):
    control = Control([lr.constant(0.1)], rule)
    used = []
    for number, loss in enumerate(LOSSES):
        used.append(control.schedules[0](number))
        control.observe(Observation(number, used[-1], loss=loss))
        control.settle(number + 1)
    assert used[1:] == pytest.approx(ours(rule, 0.1, LOSSES)[:-1], rel=1e-12)
    assert control.events
    assert all(event.who == by_name(rule) and len(event.reason) > 10 for event in control.events)
    assert [control.schedules[0](n) for n in range(len(used))] == used


@pytest.mark.parametrize(
    "rule",
    [torch_plateau(patience=0, factor=0.5, min_lr=0.01), keras_plateau(patience=1, factor=0.5, min_lr=0.01)],
    ids=by_name,
)
def test_the_floor_is_about_the_lr_at_the_cut(rule):
    schedule = lr.linear(0.1, 0.0, 100)
    control = Control([schedule], rule)
    for number in range(100):
        control.observe(Observation(number, control.schedules[0](number), loss=1.0))
        control.settle(number + 1)
        if number in (10, 40, 60, 80, 95):
            before = control.schedules[0](number)
            control.observe(Observation(number, before, metrics={"val_loss": 1.0}))
            control.settle(number + 1)
            after = control.factor * schedule(number)
            assert after == pytest.approx(before if number == 10 or before <= 0.01 else max(0.5 * before, 0.01))
    assert control.schedules[0](99) < 0.01, "the schedule may lead below the floor"
    assert [event.update for event in control.events] == [41, 61]


def test_an_evaluation_after_the_update_of_the_last_action_does_not_cut_below_the_floor():
    rule = torch_plateau(patience=0, factor=0.5, min_lr=0.04)
    state = rule.init()
    for value in (1.0, 1.0, 1.0, 1.0):  # four evaluations after the same update, which had an LR of 0.1
        state, action = rule.update(state, Observation(7, 0.1, metrics={"score": value}))
    assert 0.1 * action.factor == pytest.approx(0.04)


def test_what_is_monitored():
    evaluation = {"metrics": {"accuracy": 0.5, "f1": 0.1}}
    first, named, loss = torch_plateau(), torch_plateau(monitor="f1"), torch_plateau(monitor="loss")
    assert first.update(first.init(), Observation(3, 0.1, **evaluation))[0].best == 0.5
    assert named.update(named.init(), Observation(3, 0.1, **evaluation))[0].best == 0.1
    assert loss.update(loss.init(), Observation(3, 0.1, **evaluation))[0] == loss.init()
    assert first.update(first.init(), Observation(3, 0.1, loss=2.0))[0] == first.init()
    misspelt = torch_plateau(monitor="acuracy")
    with pytest.warns(NotMeasuredWarning, match=r"acuracy"):
        state, action = misspelt.update(misspelt.init(), Observation(3, 0.1, **evaluation))
    assert (state, action.factor) == (misspelt.init(), 1.0)


def test_a_rule_without_a_floor_never_reaches_0():
    rule = optax_plateau(patience=1, factor=1e-9)
    after = ours(rule, 1.0, [1.0] * 60)
    assert min(after) == 1e-30


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: torch_plateau(factor=1.0), "factor"),
        (lambda: torch_plateau(factor=0), "factor"),
        (lambda: torch_plateau(mode="lowest"), "mode"),
        (lambda: torch_plateau(patience=-1), "patience"),
        (lambda: torch_plateau(eps=math.nan), "eps"),
        (lambda: torch_plateau(threshold_mode="relative"), "threshold_mode"),
        (lambda: torch_plateau(monitor=""), "monitor"),
        (lambda: keras_plateau("accuracy"), "mode"),
        (lambda: keras_plateau(mode="up"), "mode"),
        (lambda: optax_plateau(rtol=0.0), "rtol"),
        (lambda: optax_plateau(rtol=1.5), "rtol"),
        (lambda: optax_plateau(accumulation_size=0), "accumulation_size"),
        (lambda: greedy(min_lr=1.0, max_lr=0.5), "min_lr"),
        (lambda: greedy(window_size=0), "window_size"),
        (lambda: timm_plateau(noise_range_t=(1, 2, 3)), "noise_range_t"),
        (lambda: timm_plateau(noise_pct=1.0), "noise_pct"),
    ],
)
def test_settings_out_of_range(build, words):
    with pytest.raises(ArgumentError, match=words):
        build()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: torch_plateau(min_lr=[0.1, 0.01]), "min_lr"),
        (lambda: torch_plateau(patience=1.5), "patience"),
        (lambda: torch_plateau(monitor=3), "monitor"),
        (lambda: greedy(smooth=1), "smooth"),
        (lambda: timm_plateau(noise_seed="x"), "noise_seed"),
    ],
)
def test_settings_of_the_wrong_type(build, words):
    with pytest.raises(ArgumentTypeError, match=words):
        build()


def test_noise_inside_of_jit_is_refused():
    import jax

    rule = timm_plateau(noise_range_t=0, monitor="loss")
    with pytest.raises(ArgumentError, match="noise_range_t"):
        rule.update(rule.init(), Observation(0, 0.1, loss=1.0, xp=jax.numpy))


@pytest.mark.parametrize("rule", [plateau.torch, plateau.keras, plateau.timm, plateau.optax, greedy])
def test_a_rule_needs_the_loss_if_it_monitors_it(rule):
    mode = {"mode": "max"} if rule is plateau.keras else {}
    assert rule(monitor="loss").needs_loss
    assert not rule(monitor="accuracy", **mode).needs_loss
