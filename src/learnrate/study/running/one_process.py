"""A comparison is made by one process at a time, and not by all processes of a launcher at once."""

import os
import sys

from learnrate.errors import ArgumentError


def require_one_process() -> None:
    """Refuse a comparison inside of `torchrun` and the like.

    Each of its processes would begin the same study, and a recipe that sees the launcher's environment would wait in one of
    them for the others, which are making other trainings.

    Raises:
        ArgumentError: if there are several processes.
    """
    size = os.environ.get("WORLD_SIZE", "").strip()
    many = int(size) if size.isdecimal() else 1
    # Without the import there is no process group.
    torch_distributed = sys.modules.get("torch.distributed")
    if torch_distributed is not None and torch_distributed.is_available() and torch_distributed.is_initialized():
        many = max(many, torch_distributed.get_world_size())
    if many > 1:
        raise ArgumentError(
            f"compare must be called in one process, received {many} of a launcher such as torchrun (WORLD_SIZE): start it "
            "without the launcher; executor= makes trainings side by side, and several processes may share the work of one "
            "study"
        )
