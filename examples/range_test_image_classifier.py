"""The range test of a small convnet with batch norm and dropout, on the handwritten digits of scikit-learn."""

from itertools import chain, islice, repeat

import torch
from reporting import report
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import learnrate as lr

torch.manual_seed(0)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
classes = torch.tensor(digits.target)
batches = DataLoader(TensorDataset(images[:1500], classes[:1500]), batch_size=50, shuffle=True)
held_out = images[1500:], classes[1500:]

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1, bias=False),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1, bias=False),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.Flatten(),
    nn.Dropout(0.2),
    nn.Linear(32 * 4 * 4, 10),
)
optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
criterion = nn.CrossEntropyLoss()

curve = lr.torch.range_test(model, optimizer, batches, criterion)
report(classifier=curve)


def held_out_loss():
    """In eval mode: without dropout, and with the running statistics of batch norm."""
    inputs, target = held_out
    model.eval()
    with torch.no_grad():
        return float(criterion(model(inputs), target))


# Weights, batch statistics and the moments of AdamW are as they were before the sweep: the training run starts here.
print(f"held-out loss before {held_out_loss():.3f}")
lr.torch.attach(optimizer, lr.one_cycle(curve.bounds().max_lr, length=200))
model.train()
for inputs, target in islice(chain.from_iterable(repeat(batches)), 200):
    optimizer.zero_grad()
    criterion(model(inputs), target).backward()
    optimizer.step()
print(f"held-out loss after {held_out_loss():.3f}")
