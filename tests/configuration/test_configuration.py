"""A schedule in the configuration of other libraries, beyond what docs/configuration.md runs: round trips, copies, faults."""

import argparse
import copy
import json
import pickle
import subprocess
import sys

import jsonargparse
import pydantic
import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

import learnrate as lr
from command_line import ENVIRONMENT
from facts import facts, tells
from learnrate.schedules import from_json

SCHEDULE = lr.warmup(0.1, "5%") >> lr.cosine(0.1, 0.0)
CHAIN = repr(SCHEDULE)
BAD = {
    "cosin(1, 0, 5)": ("column 1", "cosine"),
    "warmup(-1, 5)": ("max_lr", "above 0", -1),
    "3": ("schedule",),
    "": ("schedule",),
}

pytestmark = pytest.mark.xdist_group("configuration")


class Settings(pydantic.BaseModel):
    schedule: lr.Schedule
    decay: lr.cosine = lr.cosine(1.0, 0.0, 5)
    others: dict[str, list[lr.Schedule]] = {}


@pytest.mark.parametrize("value", [SCHEDULE, CHAIN, SCHEDULE.to_json()])
def test_pydantic_reads_a_schedule_its_text_and_its_json(value):
    settings = Settings(schedule=value, others={"momentum": [value]})
    assert settings.schedule == settings.others["momentum"][0] == SCHEDULE
    assert settings.model_dump()["schedule"] == CHAIN
    assert Settings(**settings.model_dump()) == settings
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert json.loads(settings.model_dump_json())["schedule"] == CHAIN
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings


def test_pydantic_describes_it_as_a_text_and_other_types_use_it_too():
    assert Settings.model_json_schema()["properties"]["schedule"]["type"] == "string"
    adapter = pydantic.TypeAdapter(lr.Schedule | None)
    assert adapter.validate_python(CHAIN) == SCHEDULE
    assert adapter.validate_python(None) is None


@pytest.mark.parametrize(("text", "words"), [*BAD.items(), ("{}", ("JSON",))])
def test_pydantic_names_the_field_and_the_fault(text, words):
    for read in (lambda: Settings(schedule=text), lambda: Settings.model_validate_json(json.dumps({"schedule": text}))):
        with pytest.raises(pydantic.ValidationError, match=facts("schedule", *words)):
            read()


@pytest.mark.parametrize("value", [3, None, lr.Schedule, ["constant(1)"]])
def test_pydantic_refuses_what_is_no_text(value):
    with pytest.raises(pydantic.ValidationError, match=facts("schedule", type(value).__name__)):
        Settings(schedule=value)


def test_pydantic_refuses_another_kind_of_schedule():
    with pytest.raises(pydantic.ValidationError, match=facts("decay", "cosine", "constant")):
        Settings(schedule=CHAIN, decay="constant(1)")


def test_the_hook_does_not_import_pydantic():
    code = (
        "import sys, learnrate as lr; lr.parse('constant(1)'); print([name for name in sys.modules if 'pydantic' in name])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert ended.stdout.strip() == "[]"


@pytest.fixture
def resolver():
    OmegaConf.register_new_resolver("lr", lr.parse, replace=True)
    yield
    OmegaConf.clear_resolver("lr")


def test_omegaconf_copies_pickles_and_prints_the_text_that_a_resolver_reads(resolver):
    config = OmegaConf.create({"peak": 0.1, "schedule": "${lr:\"warmup(${peak}, '5%') >> cosine(${peak}, 0)\"}"})
    for copied in (
        config,
        copy.deepcopy(config),
        pickle.loads(pickle.dumps(config)),
        OmegaConf.create(OmegaConf.to_yaml(config)),
    ):
        assert copied.schedule == SCHEDULE
    assert OmegaConf.to_container(config, resolve=True)["schedule"] == SCHEDULE
    assert OmegaConf.merge(config, {"peak": 0.2}).schedule.resolve(100).max == 0.2


@pytest.mark.parametrize(("text", "words"), [case for case in BAD.items() if case[0]])
def test_omegaconf_and_hydra_name_the_fault(resolver, text, words):
    with pytest.raises(InterpolationResolutionError, match=facts("schedule", *words)):
        _ = OmegaConf.create({"schedule": f"${{lr:'{text}'}}"}).schedule
    with pytest.raises(InstantiationException, match=facts("learnrate", *words)):
        instantiate({"_target_": "learnrate.parse", "text": text})


def test_hydra_builds_what_json_holds_and_nested_schedules():
    nested = {"_target_": "learnrate.warmup", "max_lr": 0.1, "length": 5}
    config = OmegaConf.create({"model": {"schedule": nested, "layers": 2, "_target_": "builtins.dict"}})
    assert instantiate(config).model["schedule"] == lr.warmup(0.1, 5)
    by_json = instantiate({"_target_": "learnrate.schedules.from_json", "text": SCHEDULE.to_json()})
    assert by_json == from_json(SCHEDULE.to_json()) == SCHEDULE


@pytest.mark.shows("torch", "config text")
def test_a_configuration_drives_a_torch_optimizer(resolver):
    config = OmegaConf.create(
        {"updates": 20, "schedule": CHAIN, "scheduler": {"_target_": "learnrate.torch.Scheduler", "_partial_": True}}
    )
    schedule = lr.parse(config.schedule).resolve(config.updates)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = instantiate(config.scheduler)(optimizer, schedule)
    used = []
    for _ in range(config.updates):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert used == [schedule(n) for n in range(20)]
    assert max(used) == 0.1


HYDRA = """
import hydra
import learnrate as lr

@hydra.main(config_path=".", config_name="config", version_base=None)
def main(config):
    print(repr(lr.parse(config.schedule)))

main()
"""


@pytest.mark.slow
def test_a_text_survives_the_command_line_of_hydra(tmp_path):
    (tmp_path / "train.py").write_text(HYDRA)
    (tmp_path / "config.yaml").write_text("schedule: constant(0.001)\n")
    script = f"""{sys.executable} train.py 'schedule="warmup(0.1, 500) >> cosine(0.1, 0, 9500)"'"""
    ended = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert lr.parse(ended.stdout.strip()) == lr.warmup(0.1, 500) >> lr.cosine(0.1, 0, 9500)


def train(schedule: lr.Schedule | None = None, batch: int = 32):
    return schedule


@pytest.fixture
def parser(monkeypatch):
    handlers = jsonargparse.typing.registered_type_handlers
    monkeypatch.setattr(jsonargparse.typing, "registered_type_handlers", dict(handlers))
    monkeypatch.delitem(jsonargparse.typing.registered_type_handlers, lr.Schedule, raising=False)

    def new(registered):
        if registered:
            jsonargparse.typing.register_type(
                lr.Schedule,
                serializer=repr,
                deserializer=lambda value: value if isinstance(value, lr.Schedule) else lr.parse(value),
                deserializer_exceptions=(lr.errors.LearnrateError,),
                type_check=lambda value, kind: isinstance(value, kind),
            )
        parser = jsonargparse.ArgumentParser(exit_on_error=False)
        parser.add_function_arguments(train)
        return parser

    return new


def test_jsonargparse_reads_and_dumps_the_text(parser):
    registered = parser(registered=True)
    config = registered.parse_args(["--schedule", CHAIN])
    assert registered.instantiate(config).schedule == SCHEDULE
    assert registered.parse_string(registered.dump(config)) == config
    assert registered.parse_args([]).schedule is None


@pytest.mark.parametrize(("text", "words"), BAD.items())
def test_jsonargparse_names_the_option_and_the_fault(parser, text, words):
    with pytest.raises(argparse.ArgumentError, match=facts("schedule", *words)):
        parser(registered=True).parse_args([f"--schedule={text}"])


def test_jsonargparse_without_the_registration_builds_from_class_path(parser):
    unregistered = parser(registered=False)
    config = {"schedule": {"class_path": "learnrate.cosine", "init_args": {"start": 0.1, "end": 0.0, "length": 100}}}
    assert unregistered.instantiate(unregistered.parse_object(config)).schedule == lr.cosine(0.1, 0.0, 100)


def test_argparse_shows_the_message_if_it_is_raised_as_its_own(capsys):
    def schedule_of(text):
        try:
            return lr.parse(text)
        except lr.errors.ParseError as error:
            raise argparse.ArgumentTypeError(error) from None

    parser = argparse.ArgumentParser()
    parser.add_argument("--schedule", type=schedule_of)
    parser.add_argument("--plain", type=lr.parse)
    with pytest.raises(SystemExit):
        parser.parse_args(["--schedule", "cosin(1, 0, 5)"])
    assert tells(capsys.readouterr().err, "--schedule", "cosin", "cosine", "column 1")
    with pytest.raises(SystemExit):
        parser.parse_args(["--plain", "cosin(1, 0, 5)"])
    assert "did you mean" not in capsys.readouterr().err, "then the page need not show the function"
