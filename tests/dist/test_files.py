"""The files beside the package: valid, and true."""

from pathlib import Path

import yaml

import learnrate as lr

ROOT = Path(__file__).parents[2]


def test_the_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format requires
    assert citation["version"] == lr.__version__
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert "1506.01186" in paper["url"]


def test_what_reads_text_evaluates_nothing():
    """SECURITY.md says so."""
    for name in ("text", "jsonform"):
        source = (ROOT / "src" / "learnrate" / "schedules" / f"{name}.py").read_text()
        assert "eval(" not in source.replace("literal_eval(", "")
        assert "exec(" not in source
