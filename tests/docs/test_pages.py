"""Every block of Python in README.md and docs/*.md runs, page by page, in its order, in an empty folder.

What a page takes for granted, such as a model, stands in a comment that readers do not see:

    <!--- invisible-code-block: python
    model = ...
    --->

A block that cannot run is left out by `<!-- skip: next "the reason" -->` before it.
"""

from pathlib import Path

import pytest

import learnrate as lr
from pages import ROOT, needs_a_process_of_its_own, pages, run, skipped_without_reason

TESTED_ELSEWHERE = {"README.md": "test_readme.py", "docs/extending.md": "test_extending.py"}
"""Pages whose names are looked at after they ran, each in its own file of tests."""


def group_of(page):
    """ "lightning" for docs/with-lightning.md: a framework is imported once, in the worker that runs its other tests."""
    return Path(page).stem.removeprefix("with-")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.xdist_group(group_of(page)))
        for page in pages()
        if page not in TESTED_ELSEWHERE and not needs_a_process_of_its_own(page)
    ],
)
def test_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if needs_a_process_of_its_own(page)])
def test_a_page_that_sets_the_environment_runs_in_a_process_of_its_own(page, commands, tmp_path):
    ended = commands.run(page, folder=tmp_path, script=str(ROOT / "tests" / "support" / "pages.py"))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("page", pages())
def test_a_block_is_left_out_only_for_a_reason(page):
    assert skipped_without_reason(page) == []


def test_the_pages_that_are_tested_elsewhere_are_run_there():
    for page, test in TESTED_ELSEWHERE.items():
        assert page in pages()
        assert f'run("{page}")' in Path(__file__).with_name(test).read_text()
        assert not needs_a_process_of_its_own(page)


def test_a_page_with_a_fault_fails_and_a_block_is_left_out_with_its_reason(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('# A page\n\n```python\nx = 1\n```\n\n<!-- skip: next "needs a GPU" -->\n\n```python\nx = 1 / 0\n```\n')
    assert run(page)["x"] == 1
    assert skipped_without_reason(page) == []
    page.write_text(page.read_text().replace(' "needs a GPU"', ""))
    assert skipped_without_reason(page) == [7]
    page.write_text(page.read_text().replace("<!-- skip: next -->", ""))
    with pytest.raises(ZeroDivisionError) as caught:
        run(page)
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno + 1) == (page, 10)
    page.write_text("```python\nimport learnrate as lr, warnings\nwarnings.warn('x', lr.errors.PastEndWarning)\n```\n")
    with pytest.raises(lr.errors.PastEndWarning):
        run(page)
