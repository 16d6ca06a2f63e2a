"""A range test in two processes that the command `torchrun` starts, as a user does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist

SCRIPT = """
import json, sys
from pathlib import Path
import torch
import torch.distributed as dist
from torch import nn
import learnrate as lr

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = torch.randn(8, 16, 4, generator=torch.Generator().manual_seed(rank))
batches = [(inputs, inputs.sum(1, keepdim=True)) for inputs in data]
curve = lr.torch.range_test(model, optimizer, batches, nn.MSELoss(), updates=40)
Path(sys.argv[1], f"{rank}.json").write_text(json.dumps([len(curve), list(map(float, curve.losses))]))
dist.destroy_process_group()
"""


@pytest.mark.heavy
@pytest.mark.skipif(not dist.is_available(), reason="this torch is built without torch.distributed")
def test_torchrun_starts_two_processes_that_get_the_same_curve(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    torchrun = Path(sys.executable).with_name("torchrun")
    command = [str(torchrun), "--standalone", "--nproc-per-node", "2", str(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first[0] > 20
