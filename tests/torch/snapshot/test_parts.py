"""Each kind of thing that training changes is put back: flags, modules, tensors of another shape or dtype."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

import learnrate as lr


def test_flags_are_given_back(toy):
    with lr.torch.preserve(toy.model, toy.optimizer):
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_float32_matmul_precision("medium")
    assert not torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_module_that_is_replaced_is_put_back(toy):
    layer, weight = toy.model[0], toy.model[4].weight
    with lr.torch.preserve(toy.model, toy.optimizer):
        toy.model[0] = nn.Linear(6, 16)
        toy.model[4].weight = nn.Parameter(torch.zeros(2, 16))
        toy.model.add_module("extra", nn.ReLU())
    assert toy.model[0] is layer
    assert toy.model[4].weight is weight
    assert len(toy.model) == 5


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_scripted_model_is_given_back():
    model = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with lr.torch.preserve(model, optimizer):
        model(torch.randn(8, 2)).square().sum().backward()
        optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not optimizer.state


def test_dtypes_shapes_and_sparse_tensors_are_given_back(toy):
    toy.train(1)  # with gradients, whose dtype would not fit another parameter
    toy.model.register_buffer("sparse", torch.eye(3).to_sparse())
    before = copy.deepcopy(toy.model.state_dict())
    with lr.torch.preserve(toy.model, toy.optimizer):
        toy.model.half()
        toy.model[4].weight.data = torch.ones(5, 8)
        toy.model.sparse.mul_(0)
    for name, value in toy.model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value.to_dense(), before[name].to_dense()), name


LAYOUTS = {
    "expanded": lambda: torch.ones(1).expand(1000),
    "expanded along one dimension": lambda: torch.arange(6.0).view(2, 1, 3).expand(2, 4, 3),
    "overlapping windows": lambda: torch.arange(10.0).unfold(0, 4, 1),
    "transposed": lambda: torch.arange(12.0).view(3, 4).t(),
    "channels last": lambda: torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "every third element": lambda: torch.arange(30.0)[::3],
    "expanded and conjugated": lambda: torch.ones(1, dtype=torch.complex64).mul(1j).expand(9).conj(),
    "empty": lambda: torch.empty(3, 0).expand(2, 3, 0),
    "a single number": lambda: torch.tensor(2.0),
}
CHANGES = {
    "in place": lambda buffers: buffers["given"].untyped_storage().fill_(0),
    "to another shape": lambda buffers: setattr(buffers["given"], "data", torch.zeros(7)),
    "to another layout": lambda buffers: setattr(buffers["given"], "data", buffers["given"].contiguous().clone()),
    "to another dtype": lambda buffers: setattr(buffers["given"], "data", buffers["given"].to(torch.complex128)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("copy_to", ["device", "disk"])
def test_strides_are_given_back_and_no_more_is_copied_than_is_stored(layout, change, copy_to):
    model = nn.Linear(1, 1)
    buffer = LAYOUTS[layout]()
    model.register_buffer("given", buffer)
    before, strides, stored = buffer.resolve_conj().clone(), buffer.stride(), buffer.untyped_storage().nbytes()
    with lr.torch.preserve(model, torch.optim.SGD(model.parameters()), copy_to=copy_to) as preserved:
        CHANGES[change](model._buffers)
    assert model.given is buffer
    assert buffer.dtype == before.dtype
    assert torch.equal(buffer, before)
    assert buffer.stride() == strides
    assert buffer.untyped_storage().nbytes() <= max(stored, 1)
    assert preserved.size - 8 <= stored  # without weight and bias


@pytest.mark.slow
def test_the_precision_of_matrix_products_is_given_back_also_if_set_per_backend():
    code = (
        "import torch, learnrate as lr\n"
        "torch.backends.mkldnn.matmul.fp32_precision = 'tf32'\n"
        "model = torch.nn.Linear(1, 1); optimizer = torch.optim.SGD(model.parameters())\n"
        "with lr.torch.preserve(model, optimizer):\n"
        "    torch.backends.mkldnn.matmul.fp32_precision = 'ieee'\n"
        "print(torch.backends.mkldnn.matmul.fp32_precision)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == "tf32\n"
