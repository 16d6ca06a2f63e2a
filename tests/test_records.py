"""Damaged files: every damage ends in one class of error, which names the file and the field."""

import json
import math
import os

import numpy as np
import pytest

import learnrate as lr
from facts import facts, tells
from learnrate import records
from learnrate.errors import ArgumentTypeError, OutputError
from trainables import Quadratic

LRS = np.geomspace(1e-6, 1.0, 20)
NESTED = json.loads("[" * 900 + "]" * 900)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The records of a curve, a merged curve and a plan, as `save` writes them."""
    folder = tmp_path_factory.mktemp("records")
    curve = lr.Curve(LRS, np.linspace(2, 1, 20), {"accuracy": LRS}, ("a note",), 30, seeds=(1,), skipped=(2,))
    results = {"curve": curve, "merged": lr.Curve.merge([curve, curve]), "plan": lr.tune(Quadratic(), updates=300)}
    for name, result in results.items():
        result.save(folder / f"{name}.json")
    return {name: (type(result), (folder / f"{name}.json").read_text()) for name, result in results.items()}


def set_at(tree, keys, value):
    *before, last = keys
    for key in before:
        tree = tree[key]
    tree[last] = value


# From the file, and where it is damaged, to the value there, and to the names that the message must have.
DAMAGE = {
    "no mapping of metrics": ("curve", ["metrics"], [], ("metrics",)),
    "a metric of text": ("curve", ["metrics", "accuracy"], "0.1", ("metrics", "accuracy")),
    "an update beyond 64 bits": ("curve", ["updates", 3], 10**30, ("updates",)),
    "updates that fall": ("curve", ["updates", 3], 1, ("updates",)),
    "half an update": ("curve", ["updates", 3], 2.5, ("updates",)),
    "a loss beyond floats": ("curve", ["losses", 3], 10**400, ("losses[3]",)),
    "an LR beyond single precision": ("curve", ["lrs", 19], 1e308, ("lrs", "1e30", 1e308)),
    "a loss of a word": ("curve", ["losses", 3], "low", ("losses[3]", "'low'")),
    "a loss of nothing": ("curve", ["losses", 3], None, ("losses[3]", None)),
    "a loss that is true": ("curve", ["losses", 3], True, ("losses[3]", True)),
    "losses in a text": ("curve", ["losses"], "1234", ("losses",)),
    "an LR that is not a number": ("curve", ["lrs", 3], math.nan, ("lrs",)),
    "a note of NaN": ("curve", ["notes", 0], math.nan, ("notes[0]", "nan")),
    "an epoch of 0": ("curve", ["updates_per_epoch"], 0, ("updates_per_epoch", 1, 0)),
    "an unknown end": ("curve", ["ended"], "swapped", ("ended", "swapped")),
    "a seed of a half": ("curve", ["seeds", 0], 0.5, ("seeds[0]", 0.5)),
    "a skipped update of text": ("curve", ["skipped", 0], "2", ("skipped[0]", "'2'")),
    "a sweep of nothing": ("merged", ["sweeps", 1], None, ("sweeps[1]", None)),
    "a sweep with a fault": ("merged", ["sweeps", 1, "losses", 3], [], ("sweeps[1]", "losses[3]")),
    "a sweep of another length": ("merged", ["sweeps", 1, "lrs"], [0.1], ("sweeps[1]", "lrs")),
    "values that are nested": ("curve", ["losses", 3], NESTED, ("losses[3]",)),
    "a version that is true": ("curve", ["version"], True, ("version", True)),
    "a version that is a float": ("curve", ["version"], 1.0, ("version", 1.0)),
    "a plan of no updates": ("plan", ["updates"], 0, ("updates", 0)),
    "a plan of more updates than fit": ("plan", ["spent"], 10**400, ("spent",)),
    "a peak that is not a number": ("plan", ["max_lr"], math.nan, ("max_lr", "nan")),
    "an interval in the wrong order": ("plan", ["interval"], [2.0, 1.0], ("interval",)),
    "an interval of one end": ("plan", ["interval"], [2.0], ("interval",)),
    "a schedule of an unknown length": ("plan", ["schedule"], "wsd(0.1)", ("schedule",)),
    "a schedule that is none": ("plan", ["schedule"], "cosine(", ("schedule",)),
    "no trials": ("plan", ["trials"], [], ("trials",)),
    "a trial with a fault": ("plan", ["trials", 1, "max_lr"], -1, ("trials[1]", "max_lr", -1)),
    "a trial of NaN": ("plan", ["trials", 1, "loss"], "nan", ("trials[1]", "loss", "nan")),
    "a curve with a fault": ("plan", ["curve", "losses", 3], "x", ("curve", "losses[3]")),
    "reasons that are no texts": ("plan", ["reasons", "choice", 0], 3, ("reasons", "choice[0]")),
    "an optimizer that is not known": ("plan", ["optimizer"], "lion", ("optimizer", "'lion'")),
    "a noise scale that is infinite": ("plan", ["noise_scale"], "inf", ("noise_scale", "inf")),
    "bounds with a fault": ("plan", ["bounds"], {"base_lr": 1}, ("bounds", "max_lr")),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_refused_with_the_file_and_the_field(files, tmp_path, case):
    name, keys, value, parts = DAMAGE[case]
    kind, text = files[name]
    record = json.loads(text)
    set_at(record, keys, value)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(record))
    with pytest.raises(OutputError, match=facts("damaged.json", *parts)) as raised:
        kind.load(path)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("name", ["curve", "merged", "plan"])
def test_a_field_that_is_missing_is_named(files, tmp_path, name):
    kind, text = files[name]
    for field in json.loads(text):
        if field in ("cost", "probe", "optimizer", "batch", "updates_per_epoch", "noise_scale"):
            continue  # the cost follows from two others; older plans have none of the rest
        record = json.loads(text)
        del record[field]
        (tmp_path / "damaged.json").write_text(json.dumps(record))
        with pytest.raises(OutputError, match=facts("damaged.json", field)):
            kind.load(tmp_path / "damaged.json")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000, b'{"learnrate": ' + b"9" * 4000 + b"}"])
def test_what_is_no_record_is_refused(tmp_path, content):
    (tmp_path / "other.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"other\.json") as raised:
        lr.Curve.load(tmp_path / "other.json")
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("path", [None, 3, b"curve.json", ["curve.json"]])
def test_what_is_no_path_is_refused(path):
    for call in (
        lr.Curve(LRS, LRS).save,
        lr.Curve(LRS, LRS).to_csv,
        lr.Curve(LRS, LRS).to_html,
        lr.Curve.load,
        lr.Plan.load,
    ):
        with pytest.raises(ArgumentTypeError, match=facts("path")):
            call(path)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    for call in (lr.Curve(LRS, LRS).save, lr.Curve.load):
        with pytest.raises((OutputError, ValueError)) as raised:
            call(tmp_path / name)
        assert str(raised.value).encode()
        assert len(str(raised.value)) < 1500


def test_a_name_that_is_not_utf_8_can_be_written_and_read(tmp_path):
    path = tmp_path / b"caf\xe9.json".decode("utf-8", "surrogateescape")
    curve = lr.Curve(LRS, LRS, {"caf\udce9": LRS}, ("caf\udce9",))
    curve.save(path)
    assert lr.Curve.load(path) == curve
    curve.to_csv(tmp_path / "table.csv")
    path.write_text("{}")
    with pytest.raises(OutputError) as raised:
        lr.Curve.load(path)
    assert tells(str(raised.value).encode().decode(), "caf", "curve")


def test_a_file_is_written_through_a_link(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "folder" / "curve.json")
    (tmp_path / "folder").mkdir()
    for curve in (lr.Curve(LRS, LRS), lr.Curve(LRS, 2 * LRS)):  # the file does not exist, and it does
        curve.save(tmp_path / "link.json")
        assert (tmp_path / "link.json").is_symlink()
        assert lr.Curve.load(tmp_path / "folder" / "curve.json") == curve
    assert len(list(tmp_path.rglob("*"))) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    curve = lr.Curve(LRS, LRS)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        curve.to_csv(tmp_path / "pipe")
        assert os.read(reader, 10_000).startswith(b"sweep,update,lr,loss")
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_an_interval_without_an_upper_end_survives(tmp_path, files):
    record = json.loads(files["plan"][1])
    record["interval"] = [0.1, "inf"]
    (tmp_path / "open.json").write_text(json.dumps(record))
    plan = lr.Plan.load(tmp_path / "open.json")
    plan.save(tmp_path / "again.json")
    assert lr.Plan.load(tmp_path / "again.json") == plan
    assert plan.interval == (0.1, math.inf)


@pytest.mark.parametrize("value", [0.1, -0.0, 5e-324, math.inf, -math.inf])
def test_floats_survive_json(value):
    assert records.decode_float("x", json.loads(json.dumps(records.encode_float(value)))) == value
