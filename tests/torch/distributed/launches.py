"""The scenarios of the distributed tests, and their two launches under torchrun, which run in the background."""

import json
from pathlib import Path

from background import Program
from forking_torchrun import command

WORKER = Path(__file__).with_name("worker_process.py")

WITHOUT_FAULT = (
    "ddp",
    "ddp accumulated",
    "fsdp",
    "evaluated",
    "slow",
    "scaler",
    "interrupted",
    "interrupted callback",
    "interrupted stop rule",
    "time limit",
)
GROUP_SURVIVES = ("other arguments", "evaluate on the first", "bad argument", "nan", "other metrics")
EXPECTED = {
    "other arguments": (None, ("lrs", "same", "process")),
    "evaluate on the first": (None, ("evaluate must be the same in every process",)),
    "bad argument": (1, ("rank 1", "ArgumentTypeError", "stop")),
    "nan": (1, ("rank 1", "loss", "nan")),
    "other metrics": (None, ("metrics", "same", "process")),
    "raising forward": (1, ("rank 1", "ZeroDivisionError", "a bug in the model")),
    "raising forward on the first": (0, ("rank 0", "ZeroDivisionError", "a bug in the model")),
    "raising loss": (1, ("rank 1", "ZeroDivisionError", "a bug in the loss")),
    "raising loader": (1, ("rank 1", "OSError", "a broken file")),
    "exhausted": (1, ("rank 1", "ExhaustedError", "batches", 8)),
    "empty": (1, ("rank 1", "DataError", "batches", "at least one")),
    "abandoned": (1, ("rank 1", "OSError", "a broken file")),
    "interrupting loss": (1, ("rank 1", "KeyboardInterrupt")),
    "loss without the model": (1, ("rank 0 waits", "rank 1", "did not take part", "loss", "backward")),
}
TUNED = ("tune", "tune in seconds")
STEERED = ("steered", "steered by a scheduler", "steered parts")
GUARDED = ("guard", "guard of parts")
PROBED = ("probe", "probe of SGD", "probe of parts")
REFUSED = {
    "probe with other arguments": "updates must be the same in every process",
    "tune with other arguments": "budget must be the same in every process",
    "tune of another family": "family must be the same in every process",
    "tune beside range_test": "every process must call the same function",
    "tune with a bad argument": "together must be True, False or None",
}

# By number of processes: what runs together in one process group, and what runs in a group of its own because it breaks
# the group. Four processes on two cores are slow: they run one scenario of each kind.
GROUP_BREAKS = [name for name in EXPECTED if name not in (*GROUP_SURVIVES, "raising forward")]
SCENARIOS = {
    2: (
        (*GUARDED, *TUNED, *PROBED, *STEERED, *REFUSED, *WITHOUT_FAULT, *GROUP_SURVIVES, "raising forward"),
        (*GROUP_BREAKS, "tune interrupted", "tune fails", "dies"),
    ),
    4: (
        ("tune", "ddp", "fsdp", "evaluated", "interrupted", "other arguments", "nan", "raising forward"),
        ("raising loader", "tune interrupted", "tune fails", "dies"),
    ),
}


def programs(background, sizes):
    """A launch for each of these numbers of processes."""
    return [Program(name(processes), *launch(background.folder_of(name(processes)), processes)) for processes in sizes]


def name(processes):
    return f"ranks-{processes}"


def launch(folder, processes):
    """Command and environment of a launch of all scenarios of this number of processes, which write to a folder."""
    together, others = SCENARIOS[processes]
    separated = [word for scenario in others for word in ("--", scenario)]
    return command(WORKER, folder, *together, *separated, processes=processes)


def outcomes(background, processes):
    """The outcomes of all scenarios of this number of processes, by rank."""
    printed, folder = background.ended(name(processes)), background.folder_of(name(processes))
    names = [scenario for group in SCENARIOS[processes] for scenario in group]
    return {scenario: [outcome(folder, scenario, rank, printed) for rank in range(processes)] for scenario in names}


def outcome(folder, scenario, rank, printed):
    path = folder / f"{scenario}.{rank}.json"
    if path.exists():
        return json.loads(path.read_text())
    return {"error": f"rank {rank} ended without an outcome: {printed[-3000:]}", "seconds": 0.0, "given back": False}
