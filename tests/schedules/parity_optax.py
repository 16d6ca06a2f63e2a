"""The schedulers of optax, and the learnrate expressions with the same values."""

from hypothesis import strategies as st

from parity_rows import Row, exponent, factor, length, lr, share

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
        note="The new value applies from update b (t >= b), in Keras from b + 1.",
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
        note="The peak is rounded down to a whole update; `one_cycle(peak, T, pct_start, div, final)` does not round it.",
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
        note="decay_steps includes the warm-up; in Keras it does not.",
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
