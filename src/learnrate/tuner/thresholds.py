"""The thresholds of the tuner: one documented set that all its decisions use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Numbers that decide, and cannot be derived.

    They were chosen on the tasks of benchmarks/choice and on thirty harder ones that are not part of it (networks of 9 to 12
    plain layers, AdaGrad, targets in dollars, fine-tuning on tiny batches); docs/choice.md reports how well they choose.

    "The noise" is the standard deviation of the loss from batch to batch, "the fall" the decrease of the loss from its level
    at the start; shares of the loss are shares of that level, and differences of LRs are differences of log2.

    Attributes:
        start_losses: Losses of a range test that show the level at the start, however short the range test is.
        finite_losses: Finite losses below which neither the level nor the noise can be estimated.
        same_update_trials: Trials at different LRs that do not all diverge at the same update by chance: then a batch is the
            cause.
        shortest_trial: Updates of a trial: a shorter one shows noise.
        longest_trial: Length of a trial as a share of the training run: a longer one costs more than it can gain.
        final_part: A trial is judged by the last 1 / 5 of its losses, where the LR falls to its end.
        divergence_from: Updates before which a finite loss is never a divergence. The first half of a trial is not judged
            either: high LRs often raise the loss far above the start before the model learns.
        divergence_window: Losses whose median is compared with the limit of divergence: single spikes do not count.
        divergence_noise: Least height of that limit above the start, in multiples of the noise.
        divergence_rise: The same as a share of the loss.
        standard_errors: Standard errors by which a difference exceeds chance: the best of several trials is selected.
        scored_standard_errors: The same where the score of every trial agrees.
        learned_standard_errors: Standard errors by which a fall exceeds chance.
        idle_mean: Mean, in multiples of the noise, by which the loss of a model that learns nothing lies below the start,
            because losses above the start count as the start: 1 / sqrt(2 pi), rounded.
        idle_deviation: The standard deviation of that, sqrt(1 / 2 - 1 / (2 pi)), rounded.
        paired_batches: Losses on the same batches from which two trials can be compared batch by batch.
        negligible_fall: Share of the loss that even a stuck network learns: a part of the class frequencies.
        partial_fall: Share of the loss above what stuck networks learned of the class frequencies.
        plateau_fall: Share of the loss up to which many models have learned the class frequencies and nothing else. The LR
            that is fastest there says nothing about the rest of the training.
        certain_fall: Multiples of the noise by which the loss of no stuck network fell.
        spike: Multiples of the noise by which the loss rises in a spike.
        large_spike: Multiples of the loss by which it rises in a spike that makes higher LRs unsafe, where steps are not
            bounded.
        coarse_share: Length of a coarse trial as a share of the budget: the coarse search then costs a tenth to a fifth.
        coarse_updates: Updates of a coarse trial where that is more than its share of the budget ...
        coarse_trials: ... and the budget covers this number of such trials.
        coarse_stride: Difference between two LRs of the coarse search, a factor of four.
        most_coarse: Most coarse trials: a factor of a million in all.
        refinement_trials: Trials of the refinement that the budget must cover for each family: one on either side of the
            estimate, and two more where the best LR is not between them. At most twice this number is run.
        refinement_ratio: Length of a refinement trial over that of a coarse trial below which it shows nothing new.
        edge_gap: Difference to the stability edge below which no LR is worth a trial.
        largest_log2: Largest absolute log2 of an LR: a larger LR would overflow a float.
        spread: Standard deviation of log2 of the best LR of a run around its estimate ...
        spread_per_doubling: ... and how much it grows with each doubling of the length from trial to run.
        catch_up_after: Doublings of the length up to which an LR below the best costs as much in the run as in a trial.
        catch_up_doublings: Further doublings that halve this cost: a longer run has time to catch up, and more time to
            diverge.
        loss_weight: Weight of the training loss beside the score: it is a mean over many batches, the same ones in all
            trials, whereas the score is one evaluation.
        edge_slope: Assumed cost of each doubling of the LR above the highest LR that was tried, as a share of the best fall.
        low_slope: The same for each halving below the lowest LR that was tried: there is no stability edge on this side.
        slope_width: Halvings and doublings over which these costs are extended.
        level_width: Halvings below the lowest LR that are assumed to cost nothing if it was the best one.
        plateau_slope: Assumed cost of each halving below the best LR for trials that have not left a plateau, as a share of
            the best fall: a longer run leaves it at lower LRs too.
        plateau_share: Share of the best fall below which a trial counts as wholly on the plateau; from twice this share on
            it does not count at all.
        tolerance: Share of the best fall that makes no difference. With the noise alone, the interval around the estimate
            contained the best LR of fewer than half of all runs. The coarse search goes on below an LR that missed no more
            than this: without that rule, on 600 surfaces of tests/tuner/surfaces.py, the lowest LR of all was the best trial
            119 times, with it and longer steps of the refinement 60 times.
    """

    start_losses: int = 5
    finite_losses: int = 3
    same_update_trials: int = 3

    shortest_trial: int = 10
    longest_trial: float = 0.5
    final_part: int = 5
    divergence_from: int = 10
    divergence_window: int = 5
    divergence_noise: float = 6
    divergence_rise: float = 0.5

    standard_errors: int = 4
    scored_standard_errors: int = 3
    learned_standard_errors: float = 2.5
    idle_mean: float = 0.4
    idle_deviation: float = 0.58
    paired_batches: int = 10
    negligible_fall: float = 0.01
    partial_fall: float = 0.04
    plateau_fall: float = 0.12
    certain_fall: float = 10
    spike: float = 12
    large_spike: float = 12

    coarse_share: float = 0.05
    coarse_updates: int = 25
    coarse_trials: int = 12
    coarse_stride: int = 2
    most_coarse: int = 10
    refinement_trials: int = 4
    refinement_ratio: float = 0.9
    edge_gap: float = 0.2
    largest_log2: float = 1000

    spread: float = 0.4
    spread_per_doubling: float = 0.1
    catch_up_after: float = 3
    catch_up_doublings: float = 2
    loss_weight: float = 0.75
    edge_slope: float = 0.3
    low_slope: float = 0.2
    slope_width: float = 3
    level_width: float = 0.5
    plateau_slope: float = 0.1
    plateau_share: float = 0.12
    tolerance: float = 0.05


THRESHOLDS = Thresholds()
"""The set that all decisions use."""
