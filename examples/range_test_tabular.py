"""The range test of a regression with two parameter groups, whose LRs keep their ratio, and with a validation loss."""

from itertools import chain, islice, repeat

import torch
from reporting import report
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import learnrate as lr

torch.manual_seed(0)
features, progression = load_diabetes(return_X_y=True)
x = torch.tensor(features, dtype=torch.float32)
y = torch.tensor(progression, dtype=torch.float32).unsqueeze(1)
x, y = (x - x[:342].mean(0)) / x[:342].std(0), (y - y[:342].mean()) / y[:342].std()
batches = DataLoader(TensorDataset(x[:342], y[:342]), batch_size=38, shuffle=True)

body = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
head = nn.Linear(64, 1)
model = nn.Sequential(body, head)
# The LR of the body is a tenth of that of the head, in the sweep too.
optimizer = torch.optim.SGD(
    [{"params": body.parameters(), "lr": 0.001}, {"params": head.parameters(), "lr": 0.01}], momentum=0.9
)
criterion = nn.MSELoss()


def validation_loss(model):
    """The loss on held-out patients; a model that always predicts the mean has a loss of 1."""
    model.eval()
    with torch.no_grad():
        return {"validation loss": float(criterion(model(x[342:]), y[342:]))}


curve = lr.torch.range_test(
    model, optimizer, batches, criterion, low=1e-5, updates=200, evaluate=validation_loss, evaluate_every=10
)
report(regression=curve)
curve.to_html("range_test_tabular.html")
print("range_test_tabular.html shows the curve; a click on its legend shows the validation loss")

bounds = curve.bounds()
before = validation_loss(model)["validation loss"]
# The LRs of the curve are those of the head; relative=True keeps the ratio of the groups in the training run too.
lr.torch.attach(optimizer, lr.triangular2(bounds.base_lr, bounds.max_lr, step_size=50, cycles=2), relative=True)
model.train()
for inputs, target in islice(chain.from_iterable(repeat(batches)), 200):
    optimizer.zero_grad()
    criterion(model(inputs), target).backward()
    optimizer.step()
print(f"validation loss before {before:.3f}")
print(f"validation loss after {validation_loss(model)['validation loss']:.3f}")
