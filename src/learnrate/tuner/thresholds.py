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
        start_losses: Losses at very small LRs that show the level at the start, however short a range test is.
        noise_losses: Losses of a probe that show the noise, at least.
        finite_losses: Finite losses below which neither the level nor the noise can be estimated.
        same_update_trials: Trials at different LRs that do not all diverge at the same update by chance: then a batch is
            the cause.
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
        whole_fall: Share of a loss above 0 whose fall is no chance, however much the loss differs from batch to batch.
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
        noise_share: The most that measuring the noise scale of the gradient may cost, as a share of the training run.
        trials_in_budget: Number of trials that the budget covers: the search needs three to five, and a probe or a range
            test costs about as much as one.
        trials_of_family: The same for each further family, whose search begins at the LR of the first one.
        price: What a whole training run costs, as a share of what it learns: a run that is longer by a tenth learns about
            half a per cent more. A trial is made if it is expected to save more than its part of that.
        share_of_last: A step of the search is expected to gain 0.7 of what the step before it gained, and no less than
            `least_saving`. Measured on trials of a sixteenth and an eighth of a run on the design half of
            benchmarks/choice: 0.6 to 0.9 where the last step gained 0.03 to 0.4 of the best fall.
        least_saving: See `share_of_last`; measured where the last step gained less than 0.02.
        unknown_saving: Expected saving of a trial beside the best one where there is no trial on the other side.
        share_between: Expected saving of a trial between the best LR and a neighbour, as a share of the neighbour's regret.
        most_between: The largest regret that counts there: beside an LR that diverged, few LRs are worth a trial.
        compared_stride: Doublings below the best LR of a trial that shows, batch by batch, whether the others learned, where
            the noise leaves that open.
        widest_gap: Doublings between the best LR and a neighbour above which a trial between them may pay.
        most_diverged: Trials that may diverge before the search gives up.
        diverged_stride: Doublings from a trial that diverged to the next one, times the number of such trials: they end
            early.
        wide_stride: Doublings between trials where a range test alone shows where to begin.
        near_first: Doublings between the first LR and the best one beyond which the search takes wide steps.
        below_lowest_loss: Doublings below the LR of the lowest loss of a range test at which the trials begin.
        above_slow_probe: Doublings above the LR of a probe at which the trials begin where its loss hardly fell: measured
            on the design half of benchmarks/choice, the best LR is 0 to 5 doublings higher.
        slow_trials: Number of trials that the rest of the budget covers where learning begins late.
        slow_fall: Share of the loss by which the best trial must fall; otherwise learning may not have begun, and longer
            trials are needed.
        same_fall: The same where all trials learned the same: a loss may fall from its start to a plateau.
        contradiction: If the loss fell in the probe by more than this multiple of its fall in trials that learned nothing,
            their LRs are too high.
        uncertain_trials: Number of trials before longer ones, if a range test alone showed where to begin.
        longer_trials: Number of longer trials that the rest of the budget must cover.
        longer_ratio: Length over that of the trials so far below which longer trials show nothing new.
        edge_gap: Difference to the stability edge below which no LR is worth a trial.
        spread: Standard deviation of log2 of the best LR of a run around its estimate ...
        spread_per_doubling: ... and how much it grows with each doubling of the length from trial to run.
        catch_up_after: Doublings of the length up to which an LR below the best costs as much in the run as in a trial.
        catch_up_doublings: Further doublings that halve this cost: a longer run has time to catch up, and more time to
            diverge.
        late_fall: Share of the loss from which a trial has learned enough, although the loss hardly fell in the probe.
        late_catch_up: Share of the best fall that LRs below the best one catch up where learning has just begun, or began
            late: what is fastest there is more often too high for a run.
        edge_drift: Doublings by which LRs that are too high come nearer to the best one, with each doubling of the length:
            an LR that is just stable in a trial destroys the model in a run. 0 to 0.2 choose about equally well on the
            design half of benchmarks/choice, with the smallest worst regret at 0.1.
        loss_weight: Weight of the training loss beside the score: it is a mean over many batches, the same ones in all
            trials, whereas the score is one evaluation.
        edge_slope: Assumed cost of each doubling of the LR above the highest LR that was tried, as a share of the best
            fall.
        low_slope: The same for each halving below the lowest LR that was tried: there is no stability edge on this side.
        slope_width: Halvings and doublings over which these costs are extended.
        level_width: Halvings below the lowest LR that are assumed to cost nothing if it was the best one.
        plateau_slope: Assumed cost of each halving below the best LR for trials that have not left a plateau, as a share of
            the best fall: a longer run leaves it at lower LRs too.
        plateau_share: Share of the best fall below which a trial counts as wholly on the plateau; from twice this share on
            it does not count at all.
        left_plateau: Share of the best fall from which a trial has left a plateau ...
        plateau_stride: ... if a trial at an LR that is lower by no more than this number of doublings is still on it.
        probe_curvature: The LR of a probe counts in the choice: an LR has a regret, beside that of the trials, of 0.04
            times the square of the doublings between them. The best LR of three of four tasks lies within a doubling of the
            probe's.
        probe_most: The most that this regret is: a probe may be wrong, and then the trials decide.
        equal_share: Share of the best fall by which two families do not differ.
        tolerance: Share of the best fall that makes no difference. With the noise alone, the interval around the estimate
            contained the best LR of fewer than half of all runs. The coarse search goes on below an LR that missed no more
            than this: without that rule, on 600 surfaces of tests/tuner/surfaces.py, the lowest LR of all was the best
            trial 119 times, with it and longer steps of the refinement 60 times.
    """

    start_losses: int = 5
    noise_losses: int = 20
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
    whole_fall: float = 0.9
    idle_mean: float = 0.4
    idle_deviation: float = 0.58
    paired_batches: int = 10
    negligible_fall: float = 0.01
    partial_fall: float = 0.04
    plateau_fall: float = 0.12
    certain_fall: float = 10
    spike: float = 12
    large_spike: float = 12

    noise_share: float = 0.035
    trials_in_budget: float = 6.5
    trials_of_family: int = 4
    price: float = 0.1
    share_of_last: float = 0.7
    least_saving: float = 0.005
    unknown_saving: float = 0.3
    share_between: float = 0.25
    most_between: float = 0.2
    compared_stride: float = 3.0
    widest_gap: float = 1.3
    most_diverged: int = 8
    diverged_stride: int = 2
    wide_stride: float = 2.0
    near_first: float = 1.5
    below_lowest_loss: float = 2.0
    above_slow_probe: float = 1.0
    slow_trials: int = 4
    slow_fall: float = 0.1
    same_fall: float = 0.2
    contradiction: float = 2.0
    uncertain_trials: int = 3
    longer_trials: int = 2
    longer_ratio: float = 1.3
    edge_gap: float = 0.2

    spread: float = 0.4
    spread_per_doubling: float = 0.1
    catch_up_after: float = 3
    catch_up_doublings: float = 2
    late_fall: float = 0.5
    late_catch_up: float = 0.1
    edge_drift: float = 0.1
    loss_weight: float = 0.75
    edge_slope: float = 0.3
    low_slope: float = 0.2
    slope_width: float = 3
    level_width: float = 0.5
    plateau_slope: float = 0.1
    plateau_share: float = 0.12
    left_plateau: float = 0.5
    plateau_stride: float = 2.1
    probe_curvature: float = 0.04
    probe_most: float = 0.05
    equal_share: float = 1e-3
    tolerance: float = 0.05


THRESHOLDS = Thresholds()
"""The set that all decisions use."""
