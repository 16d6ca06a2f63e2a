"""Completion in a real bash, installed as a user installs it; and what a misspelt command is told."""

import os
import shutil
import subprocess
import sys

import pytest

from command_line import ENVIRONMENT
from facts import tells

COMPLETE = """
learnrate --install-completion > installed
source "$HOME/.bash_completions/learnrate.sh"
complete -p learnrate

completed() {
    COMP_WORDS=(learnrate "$@") COMP_CWORD=$#
    _learnrate_completion learnrate
    echo "${COMPREPLY[@]}"
}

completed ra
completed range-test --hi
completed show 'one_'
completed show 'warmup(0.1,500)>>cosi'
completed compare --schedule 'short=cosi'
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_schedules(tmp_path):
    command = tmp_path / "learnrate"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m learnrate "$@"\n')
    command.chmod(0o755)
    environment = {**ENVIRONMENT, "HOME": str(tmp_path), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "--norc"], input=COMPLETE, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""
    registered, *completed = ended.stdout.splitlines()
    assert registered.endswith("learnrate")
    assert completed == ["range-test", "--high", "one_cycle one_minus_sqrt", "warmup(0.1,500)>>cosine", "short=cosine"]
    assert "learnrate.sh" in (tmp_path / ".bashrc").read_text()


@pytest.mark.parametrize(("word", "meant"), [("shw", "show"), ("rangetest", "range-test"), ("tunes", "tune")])
def test_a_misspelt_command_is_one_line_with_the_nearest_one(commands, tmp_path, word, meant):
    ended = commands.run(word, folder=tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert tells(line, "error", word, "did you mean", meant)
