"""The schedulers of torch, and the learnrate expressions with the same values."""

from hypothesis import strategies as st

from parity_rows import Row, ascending, exponent, factor, function_of_n, length, lr, near_one, share

TORCH = [
    Row("LambdaLR(optimizer, f)", "function(f) * lr", {"lr": lr, "f": function_of_n()}),
    Row(
        "MultiplicativeLR(optimizer, lambda n: gamma)",
        "exponential_decay(lr, gamma)",
        {"lr": lr, "gamma": near_one},
        note="If the factor changes, write the product as a function of n: `function(f)`.",
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
        note="Theirs rises again after T_max; ours keeps its end value.",
    ),
    Row(
        "CosineAnnealingLR(optimizer, T_max, eta_min)",
        "(cosine(lr, eta_min, T_max) >> cosine(eta_min, lr, T_max)).repeat()",
        {"lr": lr, "T_max": st.integers(2, 40), "eta_min": st.floats(0, 1e-6)},
        note="The same, including what theirs does after T_max.",
    ),
    Row(
        "CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min)",
        "warm_restarts(lr, T_0, eta_min, growth=T_mult)",
        {"lr": lr, "T_0": st.integers(1, 20), "T_mult": st.integers(1, 4), "eta_min": st.floats(0, 1e-6)},
        updates="200",
        note="`step(epoch)` computes the restart with a floating-point logarithm, which is wrong at exact powers.",
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
        note="Theirs reaches its end one update early, at total_steps - 1, divides by zero if a phase has no update, and "
        "raises after the end. `one_cycle(max_lr, length)` does none of this.",
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
        note="The momentum, which returns to its first value at the end.",
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
