"""The tasks of the benchmark of choices: the halves, and that a metric is 100 where a model is perfect."""

import ast
import math
import os
from itertools import islice
from pathlib import Path

import pytest
import torch
from benchmarks.choice import batches, halves, lora, oracle, score, store, training
from benchmarks.choice.about import about, names
from benchmarks.choice.data import MissingDataError, Shuffled
from benchmarks.choice.run import load
from benchmarks.choice.store import Choice, FreeRun, Records
from benchmarks.choice.tasks import (
    fashion_contrastive,
    fashion_diffusion,
    mnist_segmentation,
    mnist_vae,
    poisson_pinn,
)  # fmt: skip

from facts import tells

ADDED = (
    "california_dollars",
    "cifar_few",
    "fashion_contrastive",
    "fashion_diffusion",
    "fashion_lora2",
    "fashion_lora16",
    "kin8nm_long",
    "mnist_segmentation",
    "mnist_vae",
    "poisson_pinn",
)


def loaded(name):
    if name != "poisson_pinn" and "LEARNRATE_DATA" not in os.environ:
        pytest.skip("LEARNRATE_DATA is not set: it names the folder of data sets")
    try:
        return load(name)
    except MissingDataError as error:
        pytest.skip(str(error))


def test_every_task_is_in_exactly_one_half():
    assert not halves.DESIGN & halves.REPORT
    assert sorted(halves.DESIGN | halves.REPORT) == names()
    assert {halves.half(name) for name in halves.DESIGN} == {"design"}
    assert {halves.half(name) for name in halves.REPORT} == {"report"}
    with pytest.raises(KeyError) as raised:
        halves.half("unknown")
    assert tells(str(raised.value), "'unknown'", "DESIGN", "REPORT")


def test_the_halves_of_the_first_tasks_alternate_by_name():
    first = [name for name in names() if name not in ADDED]
    assert set(first[::2]) <= halves.DESIGN
    assert set(first[1::2]) <= halves.REPORT


def optimizer_of(name):
    """The name of the optimizer in the file of a task."""
    tree = ast.parse((store.HERE / "tasks" / f"{name}.py").read_text())
    (keyword,) = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "optimizer"]
    (call,) = [node for node in ast.walk(keyword) if isinstance(node, ast.Attribute) and node.attr[0].isupper()]
    return call.attr


def test_both_halves_have_each_of_the_common_optimizers():
    for half in (halves.DESIGN, halves.REPORT):
        kinds = [optimizer_of(name) for name in half]
        assert min(kinds.count(kind) for kind in ("SGD", "Adam", "AdamW")) >= 3


def test_a_source_includes_what_a_task_imports(tmp_path):
    of_lora = store.imported(store.HERE / "tasks" / "fashion_lora2.py")
    assert {path.name for path in of_lora} == {"lora.py"}
    few = store.imported(store.HERE / "tasks" / "cifar_few.py")
    assert {path.name for path in few} == {"cifar_finetune.py"}
    assert store.imported(store.HERE / "tasks" / "digits_mlp.py") == set()


@pytest.mark.parametrize("name", sorted({*ADDED}))
def test_a_task_trains_and_its_metric_is_in_points(name):
    task = loaded(name)
    model, optimizer = training.built(task, 0)
    before = task.validate(model)
    assert before <= 100
    assert task.validate(model) == before
    model.train()
    losses = [training.step(task, model, optimizer, batch) for batch in islice(training.endless(task.batches()), 3)]
    assert all(math.isfinite(loss) for loss in losses)
    assert -100 <= task.test(model) <= 100
    again, _ = training.built(task, 0)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), training.built(task, 0)[0].parameters(), strict=True))


def test_mapped_batches_draw_from_the_global_random_numbers():
    x = torch.arange(12.0).reshape(12, 1)
    noise = batches.Mapped(Shuffled((x,), 4), lambda rows: (rows, torch.randn_like(rows)))
    assert len(noise) == 3
    torch.manual_seed(0)
    first = list(noise)
    torch.manual_seed(0)
    for (a, b), (c, d) in zip(first, noise, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    assert not torch.equal(first[0][1], first[1][1])


def test_fixed_data_is_the_same_and_leaves_the_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = batches.fixed(torch.rand, 3, seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, batches.fixed(torch.rand, 3, seed=1))
    assert not torch.equal(first, batches.fixed(torch.rand, 3, seed=2))


class Exact(torch.nn.Module):
    """The solution of the equation, as if it were a network."""

    def forward(self, points):
        return poisson_pinn.solution(points)


def test_the_exact_solution_of_the_equation_has_no_error_and_100_points():
    task = poisson_pinn.task()
    model = poisson_pinn.Network()
    model.layers = Exact()
    x, y = poisson_pinn.points(200)
    boundary = x[:, 1]
    assert bool(((boundary == 0) | (boundary == 1)).any(1).all())
    model.train()
    assert task.criterion(model(x), y).item() < 1e-4
    assert task.test(model) == pytest.approx(100)


def test_a_network_that_solves_another_equation_has_an_error():
    task = poisson_pinn.task()
    model = poisson_pinn.Network().train()
    x, y = poisson_pinn.points(50)
    with torch.no_grad():  # as where a loss is only evaluated
        assert task.criterion(model(x), y).item() > 1
    assert task.test(model) < 50


def test_perfect_labels_of_pixels_have_100_points_and_inverted_ones_none():
    x, y = mnist_segmentation.canvases(torch.rand(40, 1, 28, 28) * 3 - 0.9)
    assert x.shape == (20, 1, 28, 28)
    assert set(y.unique().tolist()) == {0, 1}
    scores = torch.nn.functional.one_hot(y, 2).permute(0, 3, 1, 2).float()
    assert mnist_segmentation.overlap(scores, y) == 100
    assert mnist_segmentation.overlap(scores.roll(1, 1), y) == 0


def test_noise_of_a_level_is_mixed_into_images():
    images = torch.randn(500, 1, 14, 14)
    x, noise = fashion_diffusion.noisy(images)
    level = x[:, 1:, :1, :1] * math.pi / 2
    assert x[:, :1].numpy() == pytest.approx((torch.cos(level) * images + torch.sin(level) * noise).numpy(), abs=1e-5)
    assert fashion_diffusion.Denoiser()(x).shape == noise.shape


def test_views_are_parts_of_their_image_and_a_perfect_encoder_finds_all_pairs():
    images = torch.randn(30, 1, 28, 28)
    views, numbers = fashion_contrastive.pairs(images)
    assert views.shape == (30, 2, 1, fashion_contrastive.CROP, fashion_contrastive.CROP)
    assert numbers.tolist() == list(range(30))

    class Perfect(torch.nn.Module):
        def forward(self, views):
            return torch.eye(len(views))

    assert fashion_contrastive.found(Perfect(), views) == 100
    perfect, none = 50 * torch.eye(30), torch.zeros(30, 30)
    assert float(fashion_contrastive.both_ways(perfect, numbers)) < 1e-6
    assert float(fashion_contrastive.both_ways(none, numbers)) == pytest.approx(math.log(30), rel=1e-5)


def test_the_bound_of_a_code_without_information_is_that_of_the_pixels_alone():
    pixels = (torch.rand(6, 784) < 0.3).float()
    output = torch.cat([torch.full((6, 784), 2.0), torch.zeros(6, 2 * mnist_vae.CODE)], 1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output[:, :784], pixels) * 784
    assert float(mnist_vae.bound(output, pixels)) == pytest.approx(float(expected), rel=1e-5)
    output[:, 784] = 3.0
    assert float(mnist_vae.bound(output, pixels)) == pytest.approx(float(expected) + 4.5, rel=1e-5)


def test_an_evaluation_of_the_autoencoder_always_has_the_same_noise():
    model, x = mnist_vae.Autoencoder(), torch.rand(4, 784)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_low_rank_factors_begin_without_an_effect_and_only_they_are_trained():
    linear = torch.nn.Linear(6, 5).requires_grad_(False)
    wrapped = lora.LowRank(linear, 2)
    x = torch.randn(3, 6)
    assert torch.equal(wrapped(x), linear(x))
    assert {tuple(weight.shape) for weight in lora.trained(wrapped)} == {(2, 6), (5, 2)}
    torch.nn.init.normal_(wrapped.up)
    merged = linear.weight + lora.SCALE / 2 * wrapped.up @ wrapped.down
    assert wrapped(x).detach().numpy() == pytest.approx((x @ merged.T + linear.bias).detach().numpy(), abs=1e-4)


@pytest.fixture
def recorded(tmp_path):
    """Records of one task: LRs 0.125 to 1 with three seeds; validation data prefers another LR than test data."""
    records = Records("digits_mlp", tmp_path)
    updates = about("digits_mlp").updates
    for lr, test, validation in ((0.125, 60.0, 50.0), (0.25, 80.0, 90.0), (0.5, 90.0, 80.0), (1.0, -100.0, 10.0)):
        for seed in oracle.SEEDS:
            records.add(training.Run("digits_mlp", lr, seed, updates, updates, 0.5, validation, test))
    return records


def test_the_mean_curve_is_linear_in_log2_and_flat_outside_of_the_grid(recorded):
    curve = oracle.recorded_oracle(recorded, about("digits_mlp"))
    assert [curve.at(lr) for lr in (0.125, 0.25, 0.5, 1.0)] == [60, 80, 90, 0]
    assert curve.at(0.25 * math.sqrt(2)) == pytest.approx(85)
    assert curve.at(0.5 * math.sqrt(2)) == pytest.approx(45)
    assert (curve.at(1e-6), curve.at(100.0)) == (60, 0)


def test_the_curve_regret_of_a_choice_does_not_depend_on_its_training_run(recorded):
    updates, between = about("digits_mlp").updates, 0.25 * math.sqrt(2)
    recorded.add(training.Run("digits_mlp", between, 0, updates, updates, 0.5, 40.0, 40.0))
    recorded.add(Choice("some", 0, between, 30, "1"))
    recorded.add(Choice("some", 1, 0.5, 30, "1"))
    recorded.add(Choice("some", 2, None, 30, "1"))
    recorded.add(FreeRun("digits_mlp", 1.0, 0, updates, updates, 0.1, 70.0, 71.0, optimizer="DoWG", version="1"))
    table = score.outcomes(recorded, about("digits_mlp"))
    assert [outcome.regret for outcome in table["some"]] == pytest.approx([50, 0, 90])
    assert [outcome.curve for outcome in table["some"]] == pytest.approx([5, 0, 90])
    (free,) = table["DoWG"]
    assert free.curve == free.regret == 90 - 71


def test_the_floor_chooses_by_validation_data_and_is_measured_on_test_data(recorded):
    floor = score.floor({"digits_mlp": recorded})
    assert [outcome.lr for outcome in floor.outcomes] == [0.25] * len(oracle.SEEDS)
    assert floor.regrets == [10] * len(oracle.SEEDS)
    assert floor.cost == 4
    assert score.floor({"digits_mlp": Records("digits_mlp", Path("nowhere"))}) is None
