"""One training that a trainer makes by its own loop."""

from typing import Any

from learnrate.recipes.recipe import TrainerRecipe
from learnrate.schedules import Horizon, Schedule
from learnrate.study.running.checkpoint import CheckpointFile
from learnrate.study.running.course_listener import CourseListener
from learnrate.study.running.trainer_checkpoints import FolderCheckpoints, folder_of_run
from learnrate.study.running.training import Progress, Training
from learnrate.trainer_runs import Ended, TrainerRun
from learnrate.user_code import own_line


def of_run(schedule: Schedule, updates: int) -> Schedule:
    """The schedule with its lengths in updates, for a training whose epoch length only its trainer knows.

    Raises:
        ArgumentError: if a length is in epochs.
    """
    return schedule if schedule.is_resolved else schedule.resolve(Horizon(updates=updates))


def train_by_trainer(
    recipe: TrainerRecipe,
    schedule: Schedule,
    seed: int,
    updates: int,
    progress: Progress | None = None,
    *,
    control: Any = None,
    checkpoint: CheckpointFile | None = None,
) -> Training:
    """Let the trainer of a recipe make one training.

    Args:
        recipe: The recipe.
        schedule: LR of each update.
        seed: The seed.
        updates: Length in updates.
        progress: Called after every update.
        control: Controllers.
        checkpoint: The file that an interrupted training goes on from.

    Returns:
        The record of the training.

    Raises:
        LearnrateError: see `fit` of the recipe.
        KeyboardInterrupt: at Ctrl-C.
    """
    listener = CourseListener(updates, progress)
    with folder_of_run(checkpoint, listener) as (path, checkpoints):
        ended = _fit(recipe, schedule, TrainerRun(seed, updates, path), listener, control, checkpoints)
    course = listener.course
    notes = ended.notes if checkpoint is None else (*checkpoint.notes, *ended.notes)
    if course.updates < updates:
        notes = (*notes, f"ended after {course.updates} of {updates} updates")
    return course.record(seed, ended.schedule, ended.fingerprint, notes)


def _fit(
    recipe: TrainerRecipe,
    schedule: Schedule,
    run: TrainerRun,
    listener: CourseListener,
    control: Any,
    checkpoints: FolderCheckpoints | None,
) -> Ended:
    """Make the training; from its start, if the trainer fails before the first update that follows its last checkpoint."""
    updates = listener.course.updates
    try:
        return recipe.fit(schedule, run, listener, control, checkpoints)
    except Exception as error:
        if checkpoints is None or checkpoints.last is None or listener.course.updates > updates:
            raise
        checkpoints.start_again(f"its trainer could not go on from its checkpoint: {own_line(error)}")
    return recipe.fit(schedule, run, listener, control, checkpoints)
