"""The schedulers of Transformers, and the learnrate expressions with the same values."""

from hypothesis import strategies as st

from parity_rows import Row, exponent, length, lr

_RUN = {"lr": lr, "w": st.integers(1, 20), "N": st.integers(21, 90)}

TRANSFORMERS = [
    Row('get_scheduler("constant", optimizer)', "constant(lr)", {"lr": lr}),
    Row(
        'get_scheduler("constant_with_warmup", optimizer, w)',
        "warmup(lr, w, start=0)",
        {"lr": lr, "w": length},
        note="The first update of theirs is wasted, with an LR of 0; `warmup(lr, w)` starts at lr / (w + 1).",
    ),
    Row(
        'get_scheduler("linear", optimizer, w, N)', "warmup(lr, w, start=0) >> linear(lr, 0, N - w)", _RUN, updates="N + 10"
    ),
    Row(
        'get_scheduler("cosine", optimizer, w, N)',
        "warmup(lr, w, start=0) >> cosine(lr, 0, N - w)",
        _RUN,
        updates="N",
        note="Theirs rises again after the end; ours keeps its end value.",
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
        note="In a run of w + c T updates. Theirs computes the position in the cycle from a product of floats, which for other "
        "lengths makes some restarts an update late.",
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
        note="Theirs is one update early: the peak is at w - 1, the end at N - 1.",
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
