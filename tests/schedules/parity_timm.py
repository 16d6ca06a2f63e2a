"""The schedulers of timm, and the learnrate expressions with the same values."""

from hypothesis import strategies as st

from parity_rows import Row, ascending, exponent, factor, length, lr

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
        note="Theirs computes the restart with a floating-point logarithm, which can be wrong by an update at exact powers.",
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
        note="Without `warmup_prefix` the warm-up replaces the start of the curve, so the LR jumps at its end.",
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
        note="Theirs steps one update before the milestone; torch steps at the milestone.",
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
        note='The published curve does not reach its ends exactly; without ends="published" ours does.',
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
        note="An exponential decay, stretched to meet both ends.",
    ),
    Row(
        'WSDLRScheduler(optimizer, t_initial, decay_t, stable_fn="rsqrt", decay_fn="linear", warmup_t=w)',
        "linear(0, lr, w) >> inverse_sqrt(lr, timescale=w) * (constant(1, t_initial - decay_t) >> linear(1, 0, decay_t))",
        {"lr": lr, "t_initial": st.integers(20, 60), "decay_t": st.integers(1, 19), "w": length},
    ),
]
