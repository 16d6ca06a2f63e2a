"""Makes a study in a process of its own: walk_study.py RECIPE STUDY EXECUTOR [ADDRESS]."""

import sys

import learnrate as lr

ARMS = {"constant": "constant(0.1)", "cosine": "cosine(0.2, 0)"}
OPTIONS = {"seeds": 3, "evaluate_every": 7, "checkpoint_every": 0.1}


def executor_of(name, *address):
    if name.isdigit():
        return int(name)
    if name == "ray":
        return lr.study.executors.Ray(*address)
    return lr.study.executors.Dask(*address)


if __name__ == "__main__":
    recipe, study, *executor = sys.argv[1:]
    try:
        lr.compare(ARMS, recipe, study=study, executor=executor_of(*executor), **OPTIONS)
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except lr.errors.ExecutorError as error:
        sys.exit(f"ExecutorError: {error}")
