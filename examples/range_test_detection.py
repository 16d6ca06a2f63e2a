"""The range test of a small DETR with random weights, on scenes of coloured rectangles."""

from itertools import chain, islice, repeat

import torch
from reporting import report
from torch.utils.data import DataLoader
from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

import learnrate as lr

SIZE, COLOURS = 64, torch.eye(3)


def scene(_):
    """One to three red, green and blue rectangles on noise, with the labels of DETR: centres and sizes between 0 and 1."""
    image = 0.1 * torch.randn(3, SIZE, SIZE)
    number = int(torch.randint(1, 4, ()))
    kinds = torch.randint(3, (number,))
    sizes = torch.randint(12, 28, (number, 2))
    corners = (torch.rand(number, 2) * (SIZE - sizes)).long()
    for kind, (x, y), (width, height) in zip(kinds, corners, sizes, strict=True):
        image[:, y : y + height, x : x + width] = COLOURS[kind].view(3, 1, 1)
    return image, {"class_labels": kinds, "boxes": torch.cat([corners + sizes / 2, sizes], 1) / SIZE}


def collate(scenes):
    """A batch in the format of the model; the label dicts stay a list because their lengths differ."""
    images, labels = zip(*scenes, strict=True)
    return {"pixel_values": torch.stack(images), "labels": list(labels)}


def detr():
    """A DETR with 0.3 million weights."""
    backbone = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    return DetrForObjectDetection(
        DetrConfig(
            use_timm_backbone=False,
            backbone_config=backbone,
            num_labels=3,
            num_queries=8,
            d_model=64,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=128,
            decoder_ffn_dim=128,
        )
    )


def loss(model, batch):
    """The loss, and its parts, which the curve records as metrics."""
    output = model(**batch)
    return {"loss": output.loss, **output.loss_dict}


torch.manual_seed(0)
batches = DataLoader([scene(number) for number in range(1024)], batch_size=32, shuffle=True, collate_fn=collate)
model = detr()
optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)

# The number of rectangles, and with it the loss, varies from batch to batch: 30 updates a decade average out this noise.
curve = lr.torch.range_test(model, optimizer, batches, loss, low=1e-5, high=1.0, updates=150, clip_norm=0.1)
report(detr=curve)
print("metrics:", *curve.metrics)

# Model and optimizer are as they were before the sweep: the training run starts here.
lr.torch.attach(optimizer, lr.one_cycle(curve.bounds().max_lr, length=200))
losses = []
model.train()
for batch in islice(chain.from_iterable(repeat(batches)), 200):
    optimizer.zero_grad()
    output = model(**batch)
    output.loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    losses.append(output.loss.item())
print(f"loss before {losses[0]:.3f}")
print(f"loss after {sum(losses[-20:]) / 20:.3f}")
