"""Standard streams: a reader that has ended does not end a run."""

import io
import os
import sys
from contextlib import contextmanager

import pytest
from rich.console import Console

from learnrate.cli.streams import prepare_streams


@contextmanager
def closed_pipe(buffered=True):
    """A stream whose reader has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    with io.FileIO(writer, "w") as file:
        yield io.TextIOWrapper(io.BufferedWriter(file) if buffered else file, encoding="ascii")


@pytest.mark.parametrize("buffered", [True, False])
def test_what_nobody_reads_is_discarded(monkeypatch, buffered):
    with closed_pipe(buffered) as out, closed_pipe(buffered) as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        prepare_streams()
        for stream in (sys.stdout, sys.stderr):
            console = Console(file=stream)
            for _ in range(3):
                print("é" * 100_000, file=stream, flush=True)
                console.print("a report")
            assert stream.encoding == "ascii"


def test_what_is_read_arrives(monkeypatch):
    reader, writer = os.pipe()
    with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", stream)
        prepare_streams()
        print("é", flush=True)
        assert os.read(reader, 100) == "é\n".encode()
    os.close(reader)


def test_a_stream_that_is_no_file_is_kept(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    prepare_streams()
    print("a report")
    assert stream.getvalue() == "a report\n"
