"""The register of schedules: each module names its schedules in `__all__`, and everything else is derived from here.

The public names, the vocabulary of `parse`, the JSON form and the documentation follow from these imports. Star imports, and
not lists of names, because type checkers follow them and treat what they import as public.
"""

# ruff: noqa: F403 - every module here states its `__all__`

from learnrate.schedules.custom import *
from learnrate.schedules.cycles import *
from learnrate.schedules.decays import *
from learnrate.schedules.onecycle import *
from learnrate.schedules.ramps import *
from learnrate.schedules.restarts import *
from learnrate.schedules.runs import *
from learnrate.schedules.stairs import *
from learnrate.schedules.switching import *
