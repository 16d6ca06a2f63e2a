"""learnrate for Keras on its torch and JAX backends: a process for each runs scenarios.py, and these tests judge its facts."""

from importlib.util import find_spec

import numpy as np
import pytest

from facts import facts, tells

# One worker starts both processes, once: see conftest.py.
pytestmark = [
    pytest.mark.xdist_group("keras"),
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("keras"), reason="no Keras"),
]


def close(values, expected):
    """Differences of weights in single precision, which fall to about -2, are exact to some 1e-7."""
    return values == pytest.approx(expected, abs=5e-7)


@pytest.mark.shows("keras", "schedule")
def test_each_update_uses_the_value_of_the_schedule(outcome, backend):
    shown = outcome("schedule")
    assert close(shown["compiled"], shown["expected"])
    assert close(shown["eager"], shown["expected"])
    assert shown["own call"] == pytest.approx(shown["expected"][3])
    if backend == "jax":  # torch has no steps_per_execution
        assert close(shown["blocks"], np.reshape(shown["expected"], (6, 4)).sum(1).tolist())


def test_torch_compiler_takes_the_schedule_without_a_warning(both_backends):
    shown = both_backends["torch"]["torch_compiler"]
    assert any(shown["traced"])
    assert close(shown["used"], [0, 0.02])  # the value of batch 1 would be 0.04
    assert shown["warnings"] == []


@pytest.mark.shows("keras", "config text")
def test_a_schedule_comes_from_text(outcome):
    assert outcome("schedule")["text"] is True
    assert close(outcome("follow")["text"], [0.02, 0.04, 0.06, 0.08])


@pytest.mark.parametrize(
    ("fact", "parts"),
    [
        ("unresolved", ("UnresolvedError", "5%", "resolve", "Follow")),
        ("wrong type", ("ArgumentTypeError", "schedule", 0.1)),
        ("wrong text", ("ParseError", "cosin", "cosine")),
    ],
)
def test_what_is_no_schedule_in_updates_is_refused(outcome, fact, parts):
    assert tells(outcome("schedule")[fact], *parts)


@pytest.mark.shows("keras", "accumulation")
@pytest.mark.parametrize("fact", ["schedule", "given", "follow"])
def test_the_batches_of_an_update_count_once(outcome, fact):
    used, expected = outcome("accumulation")[fact], outcome("schedule")["expected"]
    assert close(used[::2], [0.0] * 12)
    assert close(used[1::2], expected[:12])


def test_percent_is_of_the_updates_and_not_of_the_batches(outcome):
    assert close(outcome("accumulation")["percent"][1::2], [0.12 - 0.01 * n for n in range(12)])


def test_keras_itself_counts_batches(outcome):
    """When this fails, Keras counts updates, and `learnrate.keras.Schedule` must stop dividing."""
    assert close(outcome("accumulation")["of Keras"][1::2][:3], [0.1 * (1 - n / 12) for n in (1, 3, 5)])


@pytest.mark.parametrize(
    ("fact", "parts"),
    [
        ("disagreement", ("ArgumentError", "accumulation", "gradient_accumulation_steps", 2, 3)),
        ("disagreement of follow", ("ArgumentError", "accumulation", 2, 1)),
        ("not whole", ("ArgumentTypeError", "accumulation", 1.5)),
    ],
)
def test_another_accumulation_than_that_of_the_optimizer_is_refused(outcome, fact, parts):
    assert tells(outcome("accumulation")[fact], *parts)


def test_a_schedule_is_saved_and_loaded_with_the_model(outcome):
    shown, expected = outcome("saved"), outcome("schedule")["expected"]
    # 11 batches are 5 updates and the first half of the next one.
    assert close(shown["goes on"][::2], expected[5:9])
    assert shown["here"] == shown["goes on"]
    assert outcome("loaded")["used"] == shown["goes on"]
    assert tells(shown["function"], "ArgumentError", "text", "sqrt", "save_weights")


def test_follow_resolves_percent_and_epochs_by_the_counts_of_fit(outcome):
    shown = outcome("follow")
    assert close(shown["used"], shown["expected"])
    assert close(shown["epochs"], [0.3 * (1 - n / 8) for n in range(8)] + [0.4] * 4)


def test_follow_writes_before_each_block_on_jax(both_backends):
    shown, expected = both_backends["jax"]["follow"], both_backends["jax"]["schedule"]["expected"]
    assert close(shown["blocks"], np.reshape(expected, (6, 4)).sum(1).tolist())


@pytest.mark.shows("keras", "LR in its logs")
def test_the_logs_have_the_lr_that_was_used(outcome):
    shown = outcome("follow")
    last = [shown["used"][n] for n in (7, 15, 23)]
    assert close(shown["history"], last)
    assert close(shown["logged"], last)


def test_follow_warns_past_the_end(outcome):
    [text] = outcome("follow")["past the end"]
    assert tells(text, "PastEndWarning", "learning_rate", "linear")


def test_without_the_callback_the_lr_stays(outcome):
    shown = outcome("follow")
    assert shown["without"] == pytest.approx([shown["expected"][-1]] * 2)


def test_an_aborted_fit_drives_the_next_one_no_more(outcome):
    shown = outcome("aborted")
    assert close(shown["alone"], [0.25] * 4)
    assert close(shown["again"], [0.125] * 4)


def test_a_further_fit_is_compiled_only_after_compile(outcome, backend):
    shown = outcome("aborted")
    assert close(shown["third"], [0.125] * 4)
    assert shown["compilations"] == (4 if backend == "torch" else 0)
    assert close(shown["other loss"], [0.25] * 4)


def test_other_hyper_parameters_follow_their_schedules(outcome):
    shown = outcome("hyper_parameters")
    assert shown["used"] == pytest.approx(shown["expected"], abs=2e-6)
    assert shown["weights"] == pytest.approx(shown["decayed"], abs=1e-4)  # epsilon of Adam
    assert shown["history"] == pytest.approx([0.85])
    assert shown["left"] == pytest.approx(0.85)


def test_hyper_parameters_that_cannot_follow_are_refused(outcome):
    shown = outcome("hyper_parameters")
    assert tells(shown["misspelt"], "ArgumentError", "momentun", "momentum", "SGD")
    assert tells(shown["off"], "ArgumentError", "momentum", "above 0")


@pytest.mark.shows("keras", "two owners")
@pytest.mark.parametrize("owner", ["plateau", "scheduler", "assignment"])
def test_a_second_owner_is_noticed_and_overwritten(outcome, owner):
    shown = outcome("two_owners")
    assert close(shown[owner]["used"], shown["expected"])
    [text] = shown[owner]["warnings"]
    assert tells(text, "OverruledWarning", "Follow", "warmup")
    if owner != "plateau":
        assert tells(text, 0.7)


@pytest.mark.parametrize(
    ("fact", "parts"),
    [
        ("compiled with ours", ("AlreadyDrivenError", "constant(value=0.3)", "warmup")),
        ("compiled with theirs", ("AlreadyDrivenError", "CosineDecay", "warmup")),
        ("two callbacks", ("AlreadyDrivenError", "constant(value=0.3)", "warmup")),
        ("scheduler on a schedule", ("TypeError", "LearningRateSchedule")),
    ],
)
def test_a_second_owner_from_the_start_is_refused(outcome, fact, parts):
    assert tells(outcome("two_owners")[fact], *parts)


@pytest.mark.shows("keras", "resume")
@pytest.mark.parametrize("form", ["schedule", "follow"])
def test_a_resumed_run_uses_the_lrs_of_the_run_through(outcome, form):
    shown = outcome("resumed")[form]
    assert len(shown["through"]) == 24
    assert shown["resumed"] == shown["through"]
    assert shown["same weights"] is True


def test_backup_and_restore_goes_on_in_the_schedule(outcome):
    shown = outcome("backup")
    assert shown["rest"] == pytest.approx(shown["expected"], abs=1e-7)


def test_another_schedule_in_the_state_file_is_noticed(outcome):
    shown = outcome("backup")
    assert tells(shown["other"], "ArgumentError", "length=44", "on_change", 16)
    [text] = shown["kept"]
    assert tells(text, "OtherScheduleWarning", "keep")
    assert tells(shown["broken"], "OutputError", "state_file")


@pytest.mark.shows("keras", "skipped updates")
@pytest.mark.parametrize("form", ["schedule", "follow"])
def test_a_skipped_update_does_not_count(outcome, form):
    shown = outcome("skipped")
    expected = shown["expected"]
    assert close(shown[form], [*expected[:3], 0.0, *expected[3:7]])


@pytest.mark.shows("keras", "range test")
@pytest.mark.parametrize("lr", ["number", "schedule"])
def test_a_range_test_gives_everything_back(outcome, lr):
    shown = outcome("range_test")[lr]
    assert shown["same"] is True
    assert shown["source"] is True
    length, first_lr, _, max_lr = shown["curve"]
    assert length <= 60
    assert first_lr == 1e-7
    assert 0.001 < max_lr < 10
    with_test, without = shown["goes on"]
    assert with_test == without


def test_a_range_test_gives_back_after_an_interrupt_and_an_error(outcome):
    shown = outcome("range_test")
    assert shown["interrupted"] == [True, ["interrupted", 20]]
    same, error = shown["failed"]
    assert same is True
    assert tells(error, "ZeroDivisionError", "a bug in evaluate")
    assert shown["evaluated"] == [True, ["accuracy", "score"]]


def test_a_range_test_steps_at_its_lrs_over_accumulated_batches(outcome):
    shown = outcome("range_test")["accumulated"]
    assert close(shown["used"], shown["expected"][1:])


@pytest.mark.parametrize("form", ["dataset", "loader", "list", "function"])
def test_a_range_test_takes_other_forms_of_data(outcome, form):
    assert outcome("sources")[form] == [True, 8]


def test_a_range_test_leaves_the_data_as_it_was(outcome):
    shown = outcome("sources")
    assert shown["epochs"] == 0
    assert shown["generator"] is True


def test_a_range_test_trains_as_the_model_does(outcome):
    shown = outcome("sources")
    weighted, plain = shown["class weights"]
    assert weighted != plain
    assert shown["unbuilt"] == 12
    assert shown["own step"] == pytest.approx(2.0)


@pytest.mark.shows("keras", "tune in place")
def test_tune_sets_the_schedule_and_nothing_else(outcome):
    shown = outcome("tune")
    assert shown["updates"] == 400
    assert 0 < shown["spent"] <= 100
    assert shown["weights"] is True
    assert shown["start"] == 2  # two updates were made before
    assert shown["used"] == pytest.approx(shown["expected"], rel=1e-5)
    loaded, expected = shown["loaded"]
    assert loaded == pytest.approx(expected, rel=1e-5)
    assert tells(shown["text"][0], "LR 0.003", f"{shown['max_lr']:.2g}", f"{shown['spent']} updates")


def test_tune_replaces_a_schedule_and_names_it(outcome):
    shown = outcome("tune")
    assert shown["second"] is True
    assert shown["named"] in shown["text"][1]


def test_without_an_answer_the_model_keeps_its_lr(outcome):
    same, is_none, text = outcome("tune")["no answer"]
    assert same is True
    assert is_none is True
    assert tells(text, "no answer", "LR 0.003")
    assert tells(outcome("tune")["required"], "NoAnswerError")


def test_an_interrupted_tune_gives_everything_back(outcome):
    same, error = outcome("tune")["interrupted"]
    assert same is True
    assert tells(error, "KeyboardInterrupt")


@pytest.mark.parametrize(
    ("fact", "parts"),
    [
        ("not compiled", ("ArgumentError", "model", "compile")),
        ("no model", ("ArgumentTypeError", "keras.Model", 3)),
        ("class", ("ArgumentTypeError", "Sequential", "create it")),
        ("empty", ("DataError", "data", "at least one example")),
        ("lengths", ("ArgumentError", 256, 5)),
        ("no data", ("ArgumentTypeError", "data", 5)),
        ("iterator", ("ArgumentTypeError", "data", "list_iterator", "function")),
        ("empty list", ("DataError", "at least one batch")),
        ("list of arrays", ("ArgumentTypeError", "data", "(x, y)")),
        ("batch size", ("ArgumentError", "batch_size", 0)),
        ("batch size of batches", ("ArgumentError", "batch_size", 5)),
        ("nan", ("loss", "nan", "first update")),
        ("frozen", ("ArgumentError", "trainable weights")),
        ("both lengths", ("ArgumentError", "updates", "epochs")),
        ("no length", ("ArgumentError", "updates", "epochs")),
        ("misspelt", ("TypeError", "update")),
        ("misspelt family", ("ArgumentError", "one_cycle", "onecycle")),
        ("unknown epoch", ("ArgumentError", "epochs", "updates=")),
        ("two evaluations", ("ArgumentError", "validation_data", "evaluate")),
        ("evaluate", ("ArgumentTypeError", "evaluate", 3)),
        ("validation data", ("ArgumentTypeError", "validation_data", 5)),
        ("report", ("ArgumentTypeError", "report", "yes")),
        ("seed", ("ArgumentError", "seed", -1)),
        ("class weight", ("ArgumentTypeError", "class_weight", 3)),
    ],
)
def test_a_wrong_call_gets_one_clear_line(outcome, fact, parts):
    text = outcome("refusals")[fact]
    assert text is not None
    assert "\n" not in text
    assert tells(text, *parts), facts(*parts)


def test_a_recipe_builds_the_same_training_again(outcome):
    shown = outcome("recipe")
    assert shown["protocol"] is True
    assert shown["same"] is True
    assert shown["other"] is False
    assert shown["metrics"] == ["fit"]
    assert tells(shown["model"], "ArgumentTypeError", "Recipe.model", "lambda")
    assert tells(shown["updates"], "ArgumentError", "updates", 0)
    assert tells(shown["broken"], "RecipeError", "Recipe.model", "ZeroDivisionError")


def test_a_training_goes_on_in_another_process_as_if_nothing_had_happened(outcome):
    shown = outcome("resumed_training")
    assert shown["with checkpoints"] == shown["losses"]
    there = outcome("training_gone_on")
    losses, fingerprint = there["losses"], there["fingerprint"]
    assert losses == shown["losses"][shown["stop"] :]
    assert {*shown["fingerprints"], fingerprint} == {fingerprint}
    assert shown["beginning"] != fingerprint
    assert len(set(shown["losses"])) == len(shown["losses"])
