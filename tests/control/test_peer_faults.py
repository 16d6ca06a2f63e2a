"""The faults of other libraries' rules that docs/plateau-peers.md names, each shown on the real one."""

import inspect
import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from parity_peers import timm_scheduler

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("parity")]

Plateau = torch.optim.lr_scheduler.ReduceLROnPlateau


def sgd(start=0.1):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=start)


def in_torch(losses, start=0.1, **settings):
    """The LR after each call."""
    optimizer = sgd(start)
    scheduler = Plateau(optimizer, **settings)
    after = []
    for loss in losses:
        scheduler.step(loss)
        after.append(optimizer.param_groups[0]["lr"])
    return after


def in_greedy(losses, start, **settings):
    from transformers.optimization import GreedyLR

    optimizer = sgd(start)
    scheduler = GreedyLR(optimizer, **settings)
    after = []
    for loss in losses:
        scheduler.step(loss)
        after.append(optimizer.param_groups[0]["lr"])
    return after


def in_optax(losses, dtypes=("float32",), **settings):
    """The factor after each call."""
    import jax
    import optax

    params = [jax.numpy.ones((), dtype) for dtype in dtypes]
    rule = optax.contrib.reduce_on_plateau(**settings)

    def step(state, loss):
        _, state = rule.update(params, state, value=loss)
        return state, state.scale

    return jax.lax.scan(step, rule.init(params), jax.numpy.asarray(losses))[1].astype("float32").tolist()


@pytest.fixture
def in_keras():
    import keras

    def run(losses, learning_rate=0.1, **settings):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.SGD(learning_rate), loss="mse")
        callback = keras.callbacks.ReduceLROnPlateau(**settings)
        callback.set_model(model)
        callback.on_train_begin()
        after = []
        for epoch, loss in enumerate(losses):
            callback.on_epoch_end(epoch, {"val_loss": loss})
            after.append(float(model.optimizer.learning_rate))
        return after

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # from Keras
        yield run


def noisy_fall(updates=1000):
    """A loss that falls steadily from 2 to 1, with the noise of batches."""
    return np.linspace(2, 1, updates) + 0.3 * np.random.default_rng(0).standard_normal(updates)


def cuts(series):
    return sum(after < before for before, after in pairwise(series))


def test_torch_never_sees_a_plateau_below_0():
    assert cuts(in_torch([1.0] * 100)) > 5
    assert cuts(in_torch([-1.0] * 100)) == 0
    optimizer = sgd()
    scheduler = Plateau(optimizer)
    for loss in (-1.0, -0.99995, -0.9999):  # it gets worse, and each is the best
        scheduler.step(loss)
        assert scheduler.best == loss


def test_best_ever_cuts_during_a_noisy_steady_fall(in_keras):
    assert cuts(in_torch(noisy_fall(), factor=0.5, eps=0)) == 84
    assert cuts(in_keras(noisy_fall(300), factor=0.5, patience=10)) >= 5
    assert cuts(in_optax(noisy_fall(300), factor=0.5)) >= 5


def test_values_that_are_not_finite_stay(in_keras):
    better = [2.0 - 0.01 * n for n in range(60)]
    assert cuts(in_torch(better)) == cuts(in_keras(better)) == 0
    assert cuts(in_torch([-math.inf, *better])) > 0
    assert cuts(in_keras([math.nan, *better])) > 0, "NaN in the first epoch is the best value for ever"
    assert in_torch([math.nan] * 100)[-1] < 1e-6, "a run that has diverged is trained on with a lower LR"


def test_torch_with_another_scheduler():
    optimizer = sgd()
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        torch.optim.lr_scheduler.SequentialLR(
            optimizer, [torch.optim.lr_scheduler.ConstantLR(optimizer), Plateau(optimizer)], milestones=[5]
        )
    optimizer = sgd()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # optimizer.step() is not called
        warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / 10))
        plateau = Plateau(optimizer, patience=0)
        lrs = []
        for _ in range(12):
            plateau.step(1.0)
            cut = optimizer.param_groups[0]["lr"]
            warm_up.step()
            lrs.append((cut, optimizer.param_groups[0]["lr"]))
    assert lrs[1][0] < 0.003, "it cuts during the warm-up"
    assert lrs[-1] == (pytest.approx(0.01), pytest.approx(0.1)), "and the other scheduler takes each cut back"


def test_torch_passes_small_cuts_over_silently():
    assert in_torch([1.0] * 100, start=1e-8) == [1e-8] * 100


def test_torch_loads_the_old_settings_over_the_new_ones():
    saved = Plateau(sgd(), patience=10, factor=0.1).state_dict()
    scheduler = Plateau(sgd(), patience=2, factor=0.5)
    scheduler.load_state_dict(saved)
    assert (scheduler.patience, scheduler.factor) == (10, 0.1)


def test_the_same_settings_count_differently(in_keras):
    settings = {"patience": 2, "cooldown": 2, "factor": 0.5}
    series = {
        "torch": in_torch([1.0] * 20, **settings),
        "Keras": in_keras([1.0] * 20, **settings),
        "optax": in_optax([1.0] * 20, **settings),
    }
    at = {name: [n for n in range(1, 20) if values[n] < values[n - 1]][:3] for name, values in series.items()}
    assert at == {"torch": [3, 8, 13], "Keras": [2, 5, 8], "optax": [2, 6, 10]}


def test_keras_does_not_see_small_differences(in_keras):
    falling = [1000 - 1e-6 * n for n in range(40)]
    assert cuts(in_keras(falling, min_delta=0.0)) > 0
    assert cuts(in_torch(falling, threshold=0.0)) == 0


def test_keras_forgets_at_each_fit(in_keras):
    import keras

    callback = keras.callbacks.ReduceLROnPlateau()
    callback.best, callback.wait, callback.cooldown_counter = 0.5, 9, 3
    callback.on_train_begin()
    assert (callback.best, callback.wait, callback.cooldown_counter) == (None, 0, 0)
    assert not hasattr(callback, "state_dict")


def test_keras_with_a_schedule(in_keras):
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        in_keras([1.0] * 20, learning_rate=schedule)


def test_keras_takes_a_misspelt_mode(in_keras):
    with pytest.warns(UserWarning, match="fallback"):
        in_keras([1.0], mode="maximum")


def test_timm_saves_only_the_best_value():
    def new():
        optimizer = sgd()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return optimizer, timm_scheduler().PlateauLRScheduler(optimizer, mode="min", patience_t=5)

    optimizer, through = new()
    for epoch in range(1, 6):
        through.step(epoch, 1.0)
    other, resumed = new()
    resumed.load_state_dict(through.state_dict())
    for epoch in range(6, 9):
        through.step(epoch, 1.0)
        resumed.step(epoch, 1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    assert other.param_groups[0]["lr"] == 0.1


def test_timm_says_itself_that_it_will_go():
    with pytest.warns(FutureWarning, match="deprecated"):
        timm_scheduler().PlateauLRScheduler(sgd())


def test_optax_with_a_patience_of_0_cuts_when_the_loss_improves():
    assert in_optax([3.0, 2.0, 1.0], patience=0, factor=0.5) == [0.5, 0.25, 0.125]
    assert in_optax([3.0, 3.0, 3.0], patience=0, factor=0.5)[1:] == [0.5, 0.5]


def test_optax_keeps_its_factor_in_the_lowest_precision_of_the_parameters():
    (after,) = set(in_optax([1.0, 1.0], dtypes=("float32", "bfloat16"), patience=1)[1:])
    assert after != pytest.approx(0.1, rel=5e-4)
    assert after == pytest.approx(0.1, rel=5e-3)


def test_optax_knows_neither_a_maximum_nor_a_rise():
    import optax

    assert not {"mode", "max", "maximize"} & set(inspect.signature(optax.contrib.reduce_on_plateau).parameters)


def test_greedy_never_lowers_the_usual_lr_of_adam_and_raises_it_without_measure():
    rising, falling = [1.0 + n for n in range(300)], [300.0 - n for n in range(300)]
    assert in_greedy(rising, 2e-5)[-1] == 2e-5, "its default floor of 1e-3 is above"
    assert in_greedy(falling, 2e-5)[-1] > 3 * 2e-5
    assert in_greedy([3000.0 - n for n in range(2600)], 2e-5)[-1] == 1.0


@pytest.mark.parametrize("smooth", [False, True])
def test_greedy_falls_to_its_floor_during_a_noisy_steady_fall(smooth):
    assert min(in_greedy(noisy_fall(2000), 0.1, smooth=smooth)) == 0.001


def test_greedy_with_smoothing_takes_one_nan_for_ever():
    falling = [3.0 - 0.01 * n for n in range(200)]
    assert in_greedy(falling, 0.1, smooth=True)[-1] > 0.1
    assert in_greedy([*falling[:20], math.nan, *falling[20:]], 0.1, smooth=True)[-1] < 0.1


def test_greedy_compares_with_the_best_loss_and_not_with_the_one_before():
    """The paper: if the loss falls from one update to the next, the LR rises."""
    falls_again = [1.0, 5.0, 4.0, 3.0, 2.0, 1.5]
    assert in_greedy(falls_again, 0.1, patience=0)[-1] < 0.1
