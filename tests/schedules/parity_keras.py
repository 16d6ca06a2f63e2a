"""The schedulers of Keras, and the learnrate expressions with the same values."""

from hypothesis import strategies as st

from parity_rows import Row, exponent, factor, length, lr, share

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
        note="The new value applies from update b + 1 (t > b), in optax from b.",
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
        note="Theirs is not a repetition: each time the whole ramp is stretched by another decay_steps. Two rounds are shown.",
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
        note="decay_steps does not include the warm-up; in optax it does.",
    ),
    Row(
        "CosineDecayRestarts(initial, first_decay_steps, t_mul=1.0, m_mul=m_mul, alpha=alpha)",
        'warm_restarts(initial, first_decay_steps, alpha * initial, decay=m_mul, decays="amplitude")',
        {"initial": lr, "first_decay_steps": length, "m_mul": factor, "alpha": share},
        note="Theirs divides floats to find the restart. In float32, the default, restarts of a long run come at other updates.",
    ),
    Row(
        "CosineDecayRestarts(initial, first_decay_steps, t_mul=2.0, m_mul=m_mul, alpha=alpha)",
        'warm_restarts(initial, first_decay_steps, alpha * initial, growth=2, decay=m_mul, decays="amplitude")',
        {"initial": lr, "first_decay_steps": st.sampled_from([1, 2, 4, 8, 16]), "m_mul": factor, "alpha": share},
        note="Theirs computes the restart with a floating-point logarithm, which can be wrong by an update at exact powers.",
    ),
]
