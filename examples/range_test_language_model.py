"""The range test of a character-level GPT, with accumulated and clipped gradients, on the help texts of Python."""

from pydoc_data.topics import topics

import torch
from reporting import report
from torch import nn
from torch.nn import functional

import learnrate as lr

LENGTH, WIDTH, HEADS = 64, 64, 4

torch.manual_seed(0)
text = "\n".join(topics.values())
letters = sorted(set(text))
codes = torch.tensor([letters.index(letter) for letter in text[:200_000]])


def windows():
    """An endless stream of batches: 16 windows of the text."""
    while True:
        starts = torch.randint(len(codes) - LENGTH, (16, 1))
        yield codes[starts + torch.arange(LENGTH + 1)]


class Block(nn.Module):
    """Causal self-attention, then an MLP."""

    def __init__(self):
        super().__init__()
        self.before_attention, self.before_mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.to_qkv, self.to_out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        """Shapes (batch, length, width) in and out."""
        qkv = self.to_qkv(self.before_attention(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*qkv, is_causal=True)
        x = x + self.to_out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.before_mlp(x))


class GPT(nn.Module):
    """Two blocks between an embedding and its transpose, which is the output layer."""

    def __init__(self):
        super().__init__()
        self.letters, self.places = nn.Embedding(len(letters), WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(Block(), Block(), nn.LayerNorm(WIDTH))
        self.head = nn.Linear(WIDTH, len(letters), bias=False)
        for table in (self.letters, self.places):
            nn.init.normal_(table.weight, std=0.02)
        self.head.weight = self.letters.weight

    def forward(self, codes):
        """The logits of the next letter, at each position."""
        return self.head(self.blocks(self.letters(codes) + self.places.weight))


def next_letter(model, batch):
    """A loss (model, batch), because the batches are not pairs (inputs, target)."""
    return functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
curve = lr.torch.range_test(model, optimizer, windows, next_letter, low=1e-6, accumulate=2, clip_norm=1.0)
report(gpt=curve)
