"""A training of a study whose process is killed, and which goes on from its checkpoint in a new one."""

import math

import learnrate as lr
from learnrate.study.running.checkpoint import CheckpointFile
from learnrate.study.running.training import train


class Killed(BaseException):
    """The process ends here."""


def killed_and_gone_on(new_trainable, stop, path, updates, control):
    """Train with seed 1, end after an update without a word, and train again with a new trainable.

    Args:
        new_trainable: Creates what is trained, as each process does.
        stop: Number of updates of the first process.
        path: Of the checkpoint, which is written before every update.
        updates: Length of the training.
        control: Its controllers.

    Returns:
        The training, the number of updates of both processes together, and the class of the trainable.
    """
    rates = []
    for last in (stop, math.inf):
        trainable = new_trainable()

        def update(rate, trainable=trainable, last=last):
            rates.append(rate)
            if len(rates) == last:
                raise Killed
            return type(trainable).update(trainable, rate)

        trainable.update = update
        file = CheckpointFile(path, "identity", every=1e-9)
        try:
            training = train(trainable, lr.constant(0.02), 1, updates, control=control, evaluate_every=20, checkpoint=file)
        except Killed:
            continue
    return training, len(rates), type(trainable)
