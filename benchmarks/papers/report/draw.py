"""What the pictures show."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.papers.report.claims import FAILS, HOLDS, Claim, Verdict
from benchmarks.papers.report.figure_3 import Tested
from benchmarks.papers.report.headline import GOAL, PAPER, Contender, Headline
from benchmarks.papers.report.results import Measured
from learnrate.figures import BLUE, GREEN, GREY, ORANGE, new_figure, style
from learnrate.study import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PINK = "#2B2F36", "#CC79A7"
COLOURS = (GREY, ORANGE, BLUE, GREEN, PINK)

BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
"""The box behind a text that lies on a line."""

VERDICTS = {HOLDS: BLUE, FAILS: ORANGE}


def curves(measured: Measured, names: Sequence[str], until: float | None = None) -> "Figure":
    """Accuracy against updates: a thin line for each seed, a thick one for their mean, a diamond for the paper's figure."""
    from benchmarks.papers.report.results import entries

    figure, (ax,) = new_figure(8, 4.4)
    arms = [arm for name in names if (arm := measured.arm(name)) is not None]
    rows = entries(measured)
    lowest = []
    for arm, colour in zip(arms, COLOURS, strict=False):
        lowest.append(_curve(ax, arm, colour, until))
        paper = rows[arm.name].row.paper_accuracy
        if paper is not None and (until is None or arm.updates <= until):
            ax.plot(arm.updates, paper, "D", color=colour, markersize=7, markeredgecolor="white", zorder=4, clip_on=False)
            lowest.append(paper)
    right = until or max(arm.updates for arm in arms)
    ax.set_xlim(0, right * 1.02)
    scores = [score for arm in arms for training in arm.trainings for score in training.scores]
    papers = [rows[arm.name].row.paper_accuracy or 0.0 for arm in arms]
    low, high = min(lowest), max([*scores, *papers])
    ax.set_ylim(low - 0.12 * (high - low) - 0.5, high + 0.06 * (high - low) + 0.5)
    ax.set(xlabel="update", ylabel="accuracy on test images, %")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    diamonds = "; a diamond: the paper" if any(papers) else ""
    ax.set_title(f"{measured.title}: {_seeds(arms)}{diamonds}", loc="left", fontsize=10)
    ax.legend(loc="lower right", frameon=False, fontsize=9)
    style(ax)
    return figure


def _seeds(arms: Sequence[Outcome]) -> str:
    numbers = sorted({len(arm.trainings) for arm in arms})
    if numbers == [1]:
        return "1 seed"
    number = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"mean of {number} seeds, and each of them"


def _curve(ax: "Axes", arm: Outcome, colour: str, until: float | None) -> float:
    """One arm; returns the lowest accuracy after the first fifth, where the axis may begin."""
    measured = [dict(zip(training.checkpoints, training.scores, strict=True)) for training in arm.trainings]
    for scores in measured if len(measured) > 1 else ():
        ax.plot(list(scores), list(scores.values()), color=colour, linewidth=0.7, alpha=0.4, zorder=2)
    common = sorted(set.intersection(*map(set, measured)))
    mean = [float(np.mean([scores[count] for scores in measured])) for count in common]
    end = min(until or arm.updates, arm.updates)
    shown = [(count, value) for count, value in zip(common, mean, strict=True) if count <= end] or [(common[0], mean[0])]
    last = f"{arm.name}: {shown[-1][1]:.1f}"
    ax.plot(*zip(*shown, strict=True), color=colour, linewidth=2.2, zorder=3, label=last)
    return min((value for count, value in shown if count >= end / 5), default=shown[-1][1])


def headline(shown: Headline) -> "Figure":
    """Updates to the accuracy of fixed: a bar for each schedule, as far as its training went where it does not reach it."""
    order = sorted(shown.contenders, key=lambda contender: (contender.own, contender.median, contender.arm.updates))
    figure, (ax,) = new_figure(8.4, 1.5 + 0.42 * (len(order) + 1))
    whole = shown.reference.updates
    ax.barh(0, whole, color=GREY, height=0.62)
    ax.text(whole, 0, " 1", va="center", fontsize=10, fontweight="bold")
    for place, contender in enumerate(order, 1):
        _bar(ax, place, contender, whole)
    ax.set_yticks(range(len(order) + 1), ["fixed", *(contender.arm.name for contender in order)])
    for label, contender in zip(ax.get_yticklabels()[1:], order, strict=True):
        label.set(color=GREEN if contender.own else INK, fontweight="bold" if contender.own else "normal")
    ax.invert_yaxis()
    ax.set_xlim(0, whole * 1.12)
    for times, name, colour in ((PAPER, "paper's triangular2", BLUE), (GOAL, "goal", GREEN)):
        ax.axvline(whole / times, color=colour, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
        ax.text(whole / times, -0.62, f" {name}: {times:g} times fewer", color=colour, fontsize=8.5, va="bottom")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel(f"updates to {shown.target:.2f} %, the accuracy of fixed at its end (median over seeds)")
    ax.set_title(f"How many times fewer updates: {shown.title}\n", loc="left", fontsize=12)
    style(ax)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return figure


def _bar(ax: "Axes", place: int, contender: Contender, whole: int) -> None:
    colour = GREEN if contender.own else BLUE if contender.arm.name == "triangular2" else GREY
    if math.isfinite(contender.median):
        ax.barh(place, contender.median, color=colour, height=0.62)
        text = f" {whole / contender.median:.1f} times fewer"
        ax.text(contender.median, place, text, va="center", fontsize=10, fontweight="bold", color=INK, bbox=BEHIND)
        return
    length = contender.arm.updates
    ax.barh(place, length, facecolor="none", edgecolor=colour, height=0.62, linewidth=1.2, hatch="///", alpha=0.5)
    ax.text(length, place, f" not reached ({contender.arm.mean:.1f})", va="center", fontsize=9, color=INK, bbox=BEHIND)


def claims(rows: Sequence[tuple[Claim, tuple[Measured, Verdict]]]) -> "Figure":
    """Each claim: the paper's difference as a diamond, ours as a dot with its interval."""
    figure, (ax,) = new_figure(9.6, 1.2 + 0.36 * len(rows))
    ends = []
    for place, (claim, (_, verdict)) in enumerate(rows):
        colour = VERDICTS.get(verdict.word, GREY)
        compared = verdict.compared
        if math.isfinite(compared.mean):
            low, high = compared.interval
            if math.isfinite(low):
                ax.plot([low, high], [place, place], color=colour, linewidth=2.4, solid_capstyle="butt", zorder=2)
            ax.plot(compared.mean, place, "o", color=colour, markersize=7, markeredgecolor="white", zorder=3)
            ends.append(compared.mean)
        if claim.paper is not None:
            ax.plot(claim.paper, place, "D", markerfacecolor="none", markeredgecolor=INK, markersize=7, zorder=4)
            ends.append(claim.paper)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    reach = max([2.0, *map(abs, ends)]) * 1.25
    ax.set_xlim(-reach, reach)
    ax.set_yticks(range(len(rows)), [f"{claim.text} ({measured.title})" for claim, (measured, _) in rows], fontsize=8)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("points; dot with 95 % interval: ours, diamond: the paper's")
    title = "Claims of the papers: blue holds, orange does not, grey is open"
    ax.set_title(title, loc="right", fontsize=11)
    style(ax)
    ax.tick_params(axis="y", length=0)
    return figure


def figure_3(tested: Tested) -> "Figure":
    """Accuracy against the LR, a line for each seed, with the bounds that the paper reads off."""
    figure, (ax,) = new_figure(7, 3.8)
    for test in tested.tests:
        ax.plot(test["lrs"], test["accuracies"], color=BLUE, linewidth=1.6, alpha=0.8)
    for bound, name in ((0.001, "base_lr"), (0.006, "max_lr")):
        ax.axvline(bound, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)))
        ax.text(bound, ax.get_ylim()[0], f" {name} of the paper", color=ORANGE, fontsize=8.5, va="bottom")
    ax.set(xlabel="learning rate", ylabel="accuracy on test images, %")
    ax.set_title(f"LR range test by accuracy, scale {tested.scale:g}, {len(tested.tests)} seeds", loc="left", fontsize=10)
    style(ax)
    return figure
