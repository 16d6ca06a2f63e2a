"""What equals what: a call of another library, and the learnrate expression that gives the same value at every update.

The rows are data: `test_parity.py` evaluates both sides over whole runs, with settings drawn by Hypothesis; `docs/make.py`
prints them as the page "Coming from other libraries". Both sides are texts over the same named settings, so that the page
shows the very expressions that are tested.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st


@dataclass(frozen=True)
class Row:
    """One equality.

    Attributes:
        theirs: Their call, over the names in `settings`.
        ours: The learnrate expression, over the same names.
        settings: How each name is drawn.
        updates: How far both are compared, over the same names: the whole run, its end, and what lies past it where the
            other library says something there.
        where: A condition on the settings.
        note: What one should know: where they are wrong, ambiguous or merely different.
        momentum: Whether it is the momentum that is compared.
    """

    theirs: str
    ours: str
    settings: dict[str, st.SearchStrategy] = field(default_factory=dict)
    updates: str = "100"
    where: str = "True"
    note: str = ""
    momentum: bool = False


lr = st.floats(1e-5, 1.0)
share = st.floats(0.0, 0.9)
factor = st.floats(0.1, 0.95)
near_one = st.floats(0.9, 0.999)
length = st.integers(1, 40)
long = st.integers(10, 60)
exponent = st.floats(0.5, 3.0)


@st.composite
def ascending(draw):
    """Two or three milestones."""
    return sorted(draw(st.sets(st.integers(1, 60), min_size=2, max_size=3)))


@st.composite
def function_of_n(draw):
    """A function such as users hand to LambdaLR: it takes a number."""
    k = draw(st.integers(1, 50))
    return draw(st.sampled_from([lambda n: 1 / (1 + n / k), lambda n: 0.5 if n < k else 0.1, lambda n: 0.95 ** (n // k)]))


TORCH = [
    Row("LambdaLR(optimizer, f)", "function(f) * lr", {"lr": lr, "f": function_of_n()}),
    Row(
        "MultiplicativeLR(optimizer, lambda n: gamma)",
        "exponential_decay(lr, gamma)",
        {"lr": lr, "gamma": near_one},
        note="For a factor that changes, write the product as a function of n: `function(f)`.",
    ),
    Row(
        "StepLR(optimizer, step_size, gamma)",
        "step_decay(lr, gamma, every=step_size)",
        {"lr": lr, "step_size": length, "gamma": factor},
    ),
    Row(
        "MultiStepLR(optimizer, milestones, gamma)",
        "multistep(lr, gamma, milestones)",
        {"lr": lr, "milestones": ascending(), "gamma": factor},
    ),
    Row(
        "ConstantLR(optimizer, factor, total_iters)",
        "constant(lr * factor, total_iters) >> constant(lr)",
        {"lr": lr, "factor": factor, "total_iters": length},
    ),
    Row(
        "LinearLR(optimizer, start_factor, end_factor, total_iters)",
        "linear(lr * start_factor, lr * end_factor, total_iters)",
        {"lr": lr, "start_factor": factor, "end_factor": st.floats(0.1, 1.0), "total_iters": length},
    ),
    Row("ExponentialLR(optimizer, gamma)", "exponential_decay(lr, gamma)", {"lr": lr, "gamma": near_one}),
    Row(
        "PolynomialLR(optimizer, total_iters, power)",
        "polynomial(lr, 0, total_iters, power)",
        {"lr": lr, "total_iters": length, "power": exponent},
    ),
    Row(
        "CosineAnnealingLR(optimizer, T_max, eta_min)",
        "cosine(lr, eta_min, T_max)",
        {"lr": lr, "T_max": length, "eta_min": st.floats(0, 1e-6)},
        updates="T_max",
        note="Theirs rises again past T_max, ours holds its end value.",
    ),
    Row(
        "CosineAnnealingLR(optimizer, T_max, eta_min)",
        "(cosine(lr, eta_min, T_max) >> cosine(eta_min, lr, T_max)).repeat()",
        {"lr": lr, "T_max": st.integers(2, 40), "eta_min": st.floats(0, 1e-6)},
        note="The same with what theirs does past T_max.",
    ),
    Row(
        "CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min)",
        "warm_restarts(lr, T_0, eta_min, growth=T_mult)",
        {"lr": lr, "T_0": st.integers(1, 20), "T_mult": st.integers(1, 4), "eta_min": st.floats(0, 1e-6)},
        updates="200",
        note="`step(epoch)` of theirs finds the restart by a floating-point logarithm, which is wrong at exact powers.",
    ),
    Row(
        "CyclicLR(optimizer, base_lr, max_lr, step_size_up, cycle_momentum=False)",
        "triangular(base_lr, max_lr, step_size_up)",
        {"base_lr": share, "max_lr": lr, "step_size_up": length},
        where="base_lr < 0.9 * max_lr",
    ),
    Row(
        'CyclicLR(optimizer, base_lr, max_lr, step_size_up, mode="triangular2", cycle_momentum=False)',
        "triangular2(base_lr, max_lr, step_size_up)",
        {"base_lr": share, "max_lr": lr, "step_size_up": length},
        where="base_lr < 0.9 * max_lr",
    ),
    Row(
        'CyclicLR(optimizer, base_lr, max_lr, step_size_up, mode="exp_range", gamma=gamma, cycle_momentum=False)',
        "exp_range(base_lr, max_lr, step_size_up, gamma)",
        {"base_lr": share, "max_lr": lr, "step_size_up": length, "gamma": near_one},
        where="base_lr < 0.9 * max_lr",
    ),
    Row(
        "CyclicLR(optimizer, base_lr, max_lr, step_size_up, step_size_down, cycle_momentum=False)",
        "cyclical(base_lr, max_lr, step_size_up, step_size_down)",
        {"base_lr": share, "max_lr": lr, "step_size_up": length, "step_size_down": length},
        where="base_lr < 0.9 * max_lr",
    ),
    Row(
        "CyclicLR(optimizer, base_lr, max_lr, step_size_up, scale_fn=lambda cycle: gamma ** (cycle - 1), cycle_momentum=False)",
        'cyclical(base_lr, max_lr, step_size_up, envelope="gamma per cycle", gamma=gamma)',
        {"base_lr": share, "max_lr": lr, "step_size_up": length, "gamma": factor},
        where="base_lr < 0.9 * max_lr",
    ),
    Row(
        "CyclicLR(optimizer, base_lr, max_lr, step_size_up, base_momentum=low, max_momentum=high)",
        "triangular(base_lr, max_lr, step_size_up).mirrored(low, high)",
        {"base_lr": share, "max_lr": lr, "step_size_up": length, "low": st.floats(0.1, 0.5), "high": st.floats(0.6, 0.99)},
        where="base_lr < 0.9 * max_lr",
        momentum=True,
        note="The momentum: give it as `attach(optimizer, lr=..., momentum=...)`.",
    ),
    Row(
        "OneCycleLR(optimizer, max_lr, total_steps, pct_start=pct_start, anneal_strategy=strategy, div_factor=div, "
        "final_div_factor=final, cycle_momentum=False)",
        "one_cycle.torch(max_lr, total_steps, pct_start, strategy, div, final)",
        {
            "max_lr": lr,
            "total_steps": st.integers(10, 80),
            "pct_start": st.floats(0.2, 0.8),
            "strategy": st.sampled_from(["cos", "linear"]),
            "div": st.floats(1, 50),
            "final": st.floats(1, 1e5),
        },
        updates="total_steps - 1",
        note="Theirs reaches its end one update early, at total_steps - 1, divides by zero where a phase has no update, and "
        "raises past the end. `one_cycle(max_lr, length)` has none of this.",
    ),
    Row(
        "OneCycleLR(optimizer, max_lr, total_steps, pct_start=pct_start, three_phase=True, cycle_momentum=False)",
        "one_cycle.torch(max_lr, total_steps, pct_start, three_phase=True)",
        {"max_lr": lr, "total_steps": st.integers(20, 80), "pct_start": st.floats(0.1, 0.45)},
        updates="total_steps - 1",
    ),
    Row(
        "OneCycleLR(optimizer, max_lr, total_steps, base_momentum=low, max_momentum=high)",
        "one_cycle.torch(max_lr, total_steps, final_div_factor=1).mirrored(low, high)",
        {"max_lr": lr, "total_steps": st.integers(10, 80), "low": st.floats(0.1, 0.5), "high": st.floats(0.6, 0.99)},
        updates="total_steps - 1",
        momentum=True,
        note="The momentum, which at the end is back where it began.",
    ),
    Row(
        "SequentialLR(optimizer, [LinearLR(optimizer, 0.1, 1.0, w), CosineAnnealingLR(optimizer, T)], milestones=[w])",
        "linear(lr * 0.1, lr, w) >> cosine(lr, 0, T)",
        {"lr": lr, "w": length, "T": length},
        updates="w + T",
    ),
    Row(
        "ChainedScheduler([ConstantLR(optimizer, 0.1, k), ExponentialLR(optimizer, gamma)])",
        "(constant(0.1, k) >> constant(1)) * exponential_decay(lr, gamma)",
        {"lr": lr, "k": length, "gamma": near_one},
    ),
]

OPTAX = [
    Row("constant_schedule(value)", "constant(value)", {"value": lr}),
    Row(
        "linear_schedule(init_value, end_value, transition_steps, transition_begin)",
        "linear(init_value, end_value, transition_steps).shift(transition_begin)",
        {"init_value": lr, "end_value": share, "transition_steps": length, "transition_begin": st.integers(0, 20)},
    ),
    Row(
        "polynomial_schedule(init_value, end_value, power, transition_steps, transition_begin)",
        "polynomial(init_value, end_value, transition_steps, power).shift(transition_begin)",
        {
            "init_value": lr,
            "end_value": share,
            "power": exponent,
            "transition_steps": length,
            "transition_begin": st.integers(0, 20),
        },
    ),
    Row(
        "exponential_decay(init_value, transition_steps, decay_rate, transition_begin)",
        "exponential_decay(init_value, decay_rate, every=transition_steps).shift(transition_begin)",
        {"init_value": lr, "transition_steps": length, "decay_rate": factor, "transition_begin": st.integers(0, 20)},
    ),
    Row(
        "exponential_decay(init_value, transition_steps, decay_rate, staircase=True, end_value=end_value)",
        "exponential_decay(init_value, decay_rate, every=transition_steps).staircase(transition_steps).clip(low=end_value)",
        {"init_value": lr, "transition_steps": length, "decay_rate": factor, "end_value": st.floats(1e-6, 1e-3)},
    ),
    Row(
        "cosine_decay_schedule(init_value, decay_steps, alpha, exponent)",
        "cosine(init_value, alpha * init_value, decay_steps, power=exponent)",
        {"init_value": lr, "decay_steps": length, "alpha": share, "exponent": exponent},
    ),
    Row(
        "piecewise_constant_schedule(init_value, {b: s, c: t})",
        "piecewise_constant((init_value, init_value * s, init_value * s * t), milestones=(b, c))",
        {"init_value": lr, "b": st.integers(1, 30), "c": st.integers(31, 60), "s": factor, "t": st.floats(0.1, 2.0)},
        note="The new value holds from update b on (t >= b); Keras' from b + 1.",
    ),
    Row(
        'piecewise_interpolate_schedule("linear", init_value, {b: s, c: t})',
        "linear(init_value, init_value * s, b) >> linear(init_value * s, init_value * s * t, c - b)",
        {"init_value": lr, "b": st.integers(1, 30), "c": st.integers(31, 60), "s": factor, "t": st.floats(0.1, 2.0)},
    ),
    Row(
        'piecewise_interpolate_schedule("cosine", init_value, {b: s, c: t})',
        "cosine(init_value, init_value * s, b) >> cosine(init_value * s, init_value * s * t, c - b)",
        {"init_value": lr, "b": st.integers(1, 30), "c": st.integers(31, 60), "s": factor, "t": st.floats(0.1, 2.0)},
    ),
    Row(
        "linear_onecycle_schedule(T, peak, pct_start, pct_final, div, final)",
        "linear(peak / div, peak, int(pct_start * T)) >> linear(peak, peak / div, int(pct_final * T) - int(pct_start * T)) "
        ">> linear(peak / div, peak / div / final, T - int(pct_final * T))",
        {
            "T": st.integers(10, 80),
            "peak": lr,
            "pct_start": st.floats(0.1, 0.5),
            "pct_final": st.floats(0.6, 0.9),
            "div": st.floats(1, 50),
            "final": st.floats(1, 1e4),
        },
        where="int(pct_start * T) < int(pct_final * T) < T",
    ),
    Row(
        "cosine_onecycle_schedule(T, peak, pct_start, div, final)",
        "cosine(peak / div, peak, int(pct_start * T)) >> cosine(peak, peak / (div * final), T - int(pct_start * T))",
        {
            "T": st.integers(10, 80),
            "peak": lr,
            "pct_start": st.floats(0.1, 0.9),
            "div": st.floats(1, 50),
            "final": st.floats(1, 1e4),
        },
        note="The peak is rounded down to a whole update; `one_cycle(peak, T, pct_start, div, final)` has it where it falls.",
    ),
    Row(
        "warmup_constant_schedule(init_value, peak_value, warmup_steps)",
        "linear(init_value, peak_value, warmup_steps)",
        {"init_value": share, "peak_value": lr, "warmup_steps": length},
    ),
    Row(
        "warmup_cosine_decay_schedule(init_value, peak_value, warmup_steps, decay_steps, end_value, exponent)",
        "linear(init_value, peak_value, warmup_steps) >> cosine(peak_value, end_value, decay_steps - warmup_steps, power=exponent)",
        {
            "init_value": share,
            "peak_value": lr,
            "warmup_steps": st.integers(1, 20),
            "decay_steps": st.integers(21, 80),
            "end_value": st.floats(0, 1e-6),
            "exponent": exponent,
        },
        note="decay_steps includes the warm-up; Keras' does not.",
    ),
    Row(
        "warmup_exponential_decay_schedule(init_value, peak_value, warmup_steps, transition_steps, decay_rate)",
        "linear(init_value, peak_value, warmup_steps) >> exponential_decay(peak_value, decay_rate, every=transition_steps)",
        {"init_value": share, "peak_value": lr, "warmup_steps": length, "transition_steps": length, "decay_rate": factor},
    ),
    Row(
        "sgdr_schedule([dict(init_value=a, peak_value=b, warmup_steps=w, decay_steps=T), "
        "dict(init_value=a, peak_value=c, warmup_steps=w, decay_steps=2 * T)])",
        "linear(a, b, w) >> cosine(b, 0, T - w) >> linear(a, c, w) >> cosine(c, 0, 2 * T - w)",
        {"a": share, "b": lr, "c": lr, "w": st.integers(1, 9), "T": st.integers(10, 40)},
        note="Each decay_steps includes its warm-up.",
    ),
    Row(
        "join_schedules([linear_schedule(a, b, k), cosine_decay_schedule(b, T)], boundaries=[k])",
        "linear(a, b, k) >> cosine(b, 0, T)",
        {"a": share, "b": lr, "k": length, "T": length},
    ),
]

KERAS = [
    Row(
        "ExponentialDecay(initial, decay_steps, decay_rate)",
        "exponential_decay(initial, decay_rate, every=decay_steps)",
        {"initial": lr, "decay_steps": length, "decay_rate": factor},
    ),
    Row(
        "ExponentialDecay(initial, decay_steps, decay_rate, staircase=True)",
        "exponential_decay(initial, decay_rate, every=decay_steps).staircase(decay_steps)",
        {"initial": lr, "decay_steps": length, "decay_rate": factor},
    ),
    Row(
        "InverseTimeDecay(initial, decay_steps, decay_rate)",
        "inverse_time(initial, decay_rate / decay_steps)",
        {"initial": lr, "decay_steps": length, "decay_rate": st.floats(0.01, 5)},
    ),
    Row(
        "InverseTimeDecay(initial, decay_steps, decay_rate, staircase=True)",
        "inverse_time(initial, decay_rate / decay_steps).staircase(decay_steps)",
        {"initial": lr, "decay_steps": length, "decay_rate": st.floats(0.01, 5)},
    ),
    Row(
        "PiecewiseConstantDecay([b, c], [u, v, w])",
        "piecewise_constant((u, v, w), milestones=(b + 1, c + 1))",
        {"b": st.integers(1, 30), "c": st.integers(31, 60), "u": lr, "v": lr, "w": lr},
        note="The new value holds from update b + 1 on (t > b); optax' from b.",
    ),
    Row(
        "PolynomialDecay(initial, decay_steps, end, power)",
        "polynomial(initial, end, decay_steps, power)",
        {"initial": lr, "decay_steps": length, "end": share, "power": exponent},
    ),
    Row(
        "PolynomialDecay(initial, T, end, power, cycle=True)",
        "polynomial(initial, end, T, power) >> constant(end, 1) >> polynomial(initial, end, 2 * T, power).shift(-T - 1) >> constant(end)",
        {"initial": lr, "T": length, "end": share, "power": exponent},
        updates="2 * T",
        where="T > 1",
        note="Theirs is not a repetition: each time the whole ramp is stretched to end one decay_steps later. Two rounds are shown.",
    ),
    Row(
        "CosineDecay(initial, decay_steps, alpha)",
        "cosine(initial, alpha * initial, decay_steps)",
        {"initial": lr, "decay_steps": length, "alpha": share},
    ),
    Row(
        "CosineDecay(initial, decay_steps, alpha, warmup_target=target, warmup_steps=w)",
        "linear(initial, target, w) >> cosine(target, alpha * target, decay_steps)",
        {"initial": share, "decay_steps": length, "alpha": share, "target": lr, "w": length},
        note="decay_steps does not include the warm-up; optax' does.",
    ),
    Row(
        "CosineDecayRestarts(initial, first_decay_steps, t_mul=1.0, m_mul=m_mul, alpha=alpha)",
        'warm_restarts(initial, first_decay_steps, alpha * initial, decay=m_mul, decays="amplitude")',
        {"initial": lr, "first_decay_steps": length, "m_mul": factor, "alpha": share},
        note="Theirs finds the restart by dividing floats: in float32, its default, it comes at other updates in a long run.",
    ),
    Row(
        "CosineDecayRestarts(initial, first_decay_steps, t_mul=2.0, m_mul=m_mul, alpha=alpha)",
        'warm_restarts(initial, first_decay_steps, alpha * initial, growth=2, decay=m_mul, decays="amplitude")',
        {"initial": lr, "first_decay_steps": st.sampled_from([1, 2, 4, 8, 16]), "m_mul": factor, "alpha": share},
        note="Theirs finds the restart by a floating-point logarithm, which may miss it by an update at exact powers.",
    ),
]

_WARMUP = "warmup_t=w, warmup_lr_init=start"
_WSD = {
    "lr": lr,
    "t_initial": st.integers(20, 60),
    "decay_t": st.integers(1, 19),
    "lr_min": st.floats(0, 1e-6),
    "w": length,
    "start": st.floats(0, 1e-5),
}

TIMM = [
    Row(
        "CosineLRScheduler(optimizer, t_initial, lr_min)",
        "cosine(lr, lr_min, t_initial)",
        {"lr": lr, "t_initial": st.integers(2, 60), "lr_min": st.floats(0, 1e-6)},
    ),
    Row(
        "CosineLRScheduler(optimizer, t_initial, lr_min, cycle_mul=2.0, cycle_decay=decay, cycle_limit=3)",
        "warm_restarts(lr, t_initial, lr_min, growth=2, decay=decay, cycles=3)",
        {"lr": lr, "t_initial": st.sampled_from([2, 4, 8, 16]), "lr_min": st.floats(0, 1e-8), "decay": st.floats(0.5, 1.0)},
        note="Theirs finds the restart by a floating-point logarithm, which may miss it by an update at exact powers.",
    ),
    Row(
        "CosineLRScheduler(optimizer, t_initial, lr_min, k_decay=k)",
        "cosine(lr, lr_min, t_initial, k=k)",
        {"lr": lr, "t_initial": st.integers(2, 60), "lr_min": st.floats(0, 1e-6), "k": exponent},
    ),
    Row(
        f"CosineLRScheduler(optimizer, t_initial, lr_min, {_WARMUP})",
        "linear(start, lr, w) >> cosine(lr, lr_min, t_initial).shift(-w)",
        {
            "lr": lr,
            "t_initial": st.integers(30, 60),
            "lr_min": st.floats(0, 1e-6),
            "w": st.integers(1, 20),
            "start": st.floats(0, 1e-5),
        },
        note="Without `warmup_prefix` the warm-up lies over the beginning of the curve, which jumps to where it then is.",
    ),
    Row(
        f"CosineLRScheduler(optimizer, t_initial, lr_min, {_WARMUP}, warmup_prefix=True)",
        "linear(start, lr, w) >> cosine(lr, lr_min, t_initial)",
        {"lr": lr, "t_initial": st.integers(2, 60), "lr_min": st.floats(0, 1e-6), "w": length, "start": st.floats(0, 1e-5)},
    ),
    Row(
        f"StepLRScheduler(optimizer, decay_t, decay_rate, {_WARMUP})",
        "linear(start, lr, w) >> step_decay(lr, decay_rate, every=decay_t)",
        {"lr": lr, "decay_t": length, "decay_rate": factor, "w": length, "start": st.floats(0, 1e-5)},
    ),
    Row(
        "MultiStepLRScheduler(optimizer, milestones, decay_rate)",
        "multistep(lr, decay_rate, [m - 1 for m in milestones])",
        {"lr": lr, "milestones": ascending(), "decay_rate": factor},
        where="milestones[0] > 1",
        note="Theirs steps one update before the milestone, torch's at it.",
    ),
    Row(
        "PolyLRScheduler(optimizer, t_initial, power, lr_min, k_decay=k)",
        "polynomial(lr, lr_min, t_initial, power, k)",
        {"lr": lr, "t_initial": st.integers(2, 60), "power": exponent, "lr_min": st.floats(0, 1e-6), "k": exponent},
    ),
    Row(
        "PolyLRScheduler(optimizer, T, power, cycle_mul=2.0, cycle_decay=decay, cycle_limit=2)",
        "polynomial(lr, 0, T, power).repeat(2, length_growth=2, value_decay=decay)",
        {"lr": lr, "T": st.sampled_from([2, 4, 8, 16]), "power": exponent, "decay": st.floats(0.5, 1.0)},
    ),
    Row(
        f"TanhLRScheduler(optimizer, t_initial, lb, ub, lr_min, {_WARMUP}, warmup_prefix=True)",
        'linear(start, lr, w) >> tanh(lr, lr_min, t_initial, lb, ub, ends="published") >> constant(lr_min)',
        {
            "lr": lr,
            "t_initial": st.integers(2, 60),
            "lb": st.floats(-8, -1),
            "ub": st.floats(0, 5),
            "lr_min": st.floats(0, 1e-6),
            "w": length,
            "start": st.floats(0, 1e-5),
        },
        note='The published curve does not quite meet its ends; without ends="published" ours does.',
    ),
    Row(
        f"WSDLRScheduler(optimizer, t_initial, decay_t, lr_min, {_WARMUP})",
        "linear(start, lr, w) >> constant(lr, t_initial - decay_t) >> one_minus_sqrt(lr, lr_min, decay_t)",
        _WSD,
    ),
    Row(
        f'WSDLRScheduler(optimizer, t_initial, decay_t, lr_min, decay_fn="linear", {_WARMUP})',
        "linear(start, lr, w) >> constant(lr, t_initial - decay_t) >> linear(lr, lr_min, decay_t)",
        _WSD,
    ),
    Row(
        f'WSDLRScheduler(optimizer, t_initial, decay_t, lr_min, decay_fn="cosine", {_WARMUP})',
        "linear(start, lr, w) >> constant(lr, t_initial - decay_t) >> cosine(lr, lr_min, decay_t)",
        _WSD,
    ),
    Row(
        f'WSDLRScheduler(optimizer, t_initial, decay_t, lr_min, decay_fn="power", decay_power=k, {_WARMUP})',
        "linear(start, lr, w) >> constant(lr, t_initial - decay_t) >> polynomial(lr, lr_min, decay_t, k=k)",
        {**_WSD, "k": exponent},
    ),
    Row(
        f'WSDLRScheduler(optimizer, t_initial, decay_t, lr_min, decay_fn="exp", decay_ratio=r, {_WARMUP})',
        "linear(start, lr, w) >> constant(lr, t_initial - decay_t) "
        ">> exponential(1, r, decay_t).mirrored(0, 1).mirrored(lr_min, lr)",
        {**_WSD, "r": st.floats(0.01, 0.9)},
        note="An exponential fall, stretched to meet both ends.",
    ),
    Row(
        'WSDLRScheduler(optimizer, t_initial, decay_t, stable_fn="rsqrt", decay_fn="linear", warmup_t=w)',
        "linear(0, lr, w) >> inverse_sqrt(lr, timescale=w) * (constant(1, t_initial - decay_t) >> linear(1, 0, decay_t))",
        {"lr": lr, "t_initial": st.integers(20, 60), "decay_t": st.integers(1, 19), "w": length},
    ),
]

_RUN = {"lr": lr, "w": st.integers(1, 20), "N": st.integers(21, 90)}

TRANSFORMERS = [
    Row('get_scheduler("constant", optimizer)', "constant(lr)", {"lr": lr}),
    Row(
        'get_scheduler("constant_with_warmup", optimizer, w)',
        "warmup(lr, w, start=0)",
        {"lr": lr, "w": length},
        note="The first update of theirs has an LR of 0 and is wasted; `warmup(lr, w)` starts at lr / (w + 1).",
    ),
    Row(
        'get_scheduler("linear", optimizer, w, N)', "warmup(lr, w, start=0) >> linear(lr, 0, N - w)", _RUN, updates="N + 10"
    ),
    Row(
        'get_scheduler("cosine", optimizer, w, N)',
        "warmup(lr, w, start=0) >> cosine(lr, 0, N - w)",
        _RUN,
        updates="N",
        note="Theirs rises again past the end, ours holds its end value.",
    ),
    Row(
        'get_scheduler("cosine", optimizer, w, w + 2 * c * T, scheduler_specific_kwargs={"num_cycles": c})',
        "warmup(lr, w, start=0) >> (cosine(lr, 0, T) >> cosine(0, lr, T)).repeat()",
        {"lr": lr, "w": length, "T": st.integers(2, 20), "c": st.sampled_from([0.5, 1.0, 1.5])},
        updates="w + 2 * c * T + 10",
        note="With num_cycles=c, in a run of w + 2 c T updates.",
    ),
    Row(
        'get_scheduler("cosine_with_restarts", optimizer, w, w + c * T, scheduler_specific_kwargs={"num_cycles": c})',
        "warmup(lr, w, start=0) >> warm_restarts(lr, period=T, cycles=c)",
        {"lr": lr, "w": length, "T": st.sampled_from([2, 4, 8, 16]), "c": st.sampled_from([1, 2, 4])},
        updates="w + c * T + 10",
        note="In a run of w + c T updates. Theirs takes the place in the cycle from a product of floats, which for other "
        "lengths puts some restarts an update late.",
    ),
    Row(
        'get_scheduler("polynomial", optimizer, w, N, scheduler_specific_kwargs={"lr_end": end, "power": power})',
        "warmup(lr, w, start=0) >> polynomial(lr, end, N - w, power)",
        {**_RUN, "end": st.floats(1e-9, 1e-6), "power": exponent},
        updates="N + 10",
    ),
    Row(
        'get_scheduler("inverse_sqrt", optimizer, w)',
        "warmup(lr, w, start=0) >> inverse_sqrt(lr, timescale=w)",
        {"lr": lr, "w": length},
    ),
    Row(
        'get_scheduler("cosine_with_min_lr", optimizer, w, N, scheduler_specific_kwargs={"min_lr": low})',
        "warmup(lr, w, start=0) >> cosine(lr, low, N - w)",
        {**_RUN, "low": st.floats(0, 1e-6)},
        updates="N",
    ),
    Row(
        'get_scheduler("cosine_warmup_with_min_lr", optimizer, w, N, scheduler_specific_kwargs={"min_lr": low})',
        "linear(lr / w, lr, w - 1) >> cosine(lr, low, N - w)",
        {**_RUN, "low": st.floats(0, 1e-6)},
        where="w > 1",
        updates="N - 1",
        note="Theirs runs one update ahead of itself: the peak at w - 1, the end at N - 1.",
    ),
    Row(
        'get_scheduler("warmup_stable_decay", optimizer, w, scheduler_specific_kwargs={"num_stable_steps": s, '
        '"num_decay_steps": d, "decay_type": shape, "min_lr_ratio": r})',
        "linear(r * lr, lr, w) >> constant(lr, s) >> {'linear': linear, 'cosine': cosine, '1-sqrt': one_minus_sqrt}[shape](lr, r * lr, d)",
        {
            "lr": lr,
            "w": length,
            "s": length,
            "d": length,
            "shape": st.sampled_from(["linear", "cosine", "1-sqrt"]),
            "r": st.floats(0, 0.5),
        },
        updates="w + s + d + 10",
        note="`wsd(lr, N)` has the usual shares of the run.",
    ),
    Row(
        'get_scheduler("warmup_stable_decay", optimizer, w, scheduler_specific_kwargs={"num_stable_steps": s, '
        '"num_decay_steps": d, "warmup_type": "cosine"})',
        'warmup(lr, w, start=0, shape="cosine") >> constant(lr, s) >> cosine(lr, 0, d)',
        {"lr": lr, "w": length, "s": length, "d": length},
        updates="w + s + d + 10",
    ),
    Row(
        'get_scheduler("warmup_stable_decay", optimizer, w, scheduler_specific_kwargs={"num_stable_steps": s, '
        '"num_decay_steps": d, "warmup_type": "1-sqrt"})',
        "polynomial(0, lr, w, power=0.5) >> constant(lr, s) >> cosine(lr, 0, d)",
        {"lr": lr, "w": length, "s": length, "d": length},
        updates="w + s + d + 10",
    ),
]

TABLE = {"torch": TORCH, "optax": OPTAX, "Keras": KERAS, "timm": TIMM, "Transformers": TRANSFORMERS}

REACTING = {
    "torch": {"ReduceLROnPlateau"},
    "timm": {"PlateauLRScheduler"},
    "Transformers": {"reduce_lr_on_plateau", "greedy"},
}
"""What reacts to the loss: no function of the update count, so not in the table."""

DOCUMENTED = {
    "fastai": {
        "fit_one_cycle(epochs, max_lr)  # fastai 1": "one_cycle.fastai_v1(max_lr, length)",
        "fit_one_cycle(n_epoch, lr_max)  # fastai 2": "one_cycle.fastai_v2(lr_max, length)",
        "SchedLin(start, end), SchedCos(start, end)": "linear(start, end, length), cosine(start, end, length)",
        "SchedExp(start, end)": "exponential(start, end, length)",
        "combine_scheds([0.3, 0.7], [a, b])": "a >> b",
    },
    "Caffe": {
        'lr_policy: "fixed"': "constant(base_lr)",
        'lr_policy: "step"': "step_decay(base_lr, gamma, every=stepsize)",
        'lr_policy: "exp"': "exponential_decay(base_lr, gamma)",
        'lr_policy: "inv"': "inverse_time(base_lr, gamma, power)",
        'lr_policy: "multistep"': "multistep(base_lr, gamma, stepvalue)",
        'lr_policy: "poly"': "polynomial(base_lr, 0, max_iter, power)",
        'lr_policy: "sigmoid"': "sigmoid_decay(base_lr, -gamma, midpoint=stepsize)",
    },
}
"""Libraries that the tests do not install: their formulas stand in `test_schedules_golden.py`."""
