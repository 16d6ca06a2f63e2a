"""Schedules drive an optimizer: what adapters for torch-based frameworks build on.

`Scheduler` and `attach` are the public front. For an adapter: `claim`, `release`, `require_undriven` and `drivers_paused`
keep the register of who drives which hyper-parameter, also inside wrapped optimizers; `SweptGroups` writes one LR into the
groups of a sweep; `replaced` names a scheduler that is replaced; `write` and `unshare` write into a single group.
"""

from learnrate.torch.driving.attachment import Attachment, attach
from learnrate.torch.driving.registry import STEP_MARK, claim, drivers_paused, release, require_undriven
from learnrate.torch.driving.replaced import replaced
from learnrate.torch.driving.scheduler import Scheduler
from learnrate.torch.driving.selection import Only, SweptGroups
from learnrate.torch.driving.writing import Group, unshare, write

__all__ = [
    "STEP_MARK",
    "Attachment",
    "Group",
    "Only",
    "Scheduler",
    "SweptGroups",
    "attach",
    "claim",
    "drivers_paused",
    "release",
    "replaced",
    "require_undriven",
    "unshare",
    "write",
]
