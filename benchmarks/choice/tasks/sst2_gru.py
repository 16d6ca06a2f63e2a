"""A recurrent net on film reviews' phrases, RMSprop, 700 updates."""

from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, reviews
from benchmarks.choice.task import Task, accuracy, measures


class Recurrent(nn.Module):
    """Words, one GRU layer, the mean over the places."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5000, 32)
        self.memory = nn.GRU(32, 48, batch_first=True)
        self.head = nn.Linear(48, 2)

    def forward(self, text: Tensor) -> Tensor:
        """Scores of the two classes."""
        return self.head(self.memory(self.words(text))[0].mean(1))


def task() -> Task:
    """Needs sst2.npz; its test phrases are few, so rows of the training part measure."""
    data = reviews("sst2", words=5000, length=16, train=25_000, validation=6000)
    half = slice(0, 1000), slice(1000, None)
    data = type(data)(
        data.x,
        data.y,
        data.x_validation[half[0]],
        data.y_validation[half[0]],
        data.x_validation[half[1]],
        data.y_validation[half[1]],
    )
    return Task(
        about="GRU, SST-2, RMSprop",
        updates=700,
        model=Recurrent,
        optimizer=lambda model: optim.RMSprop(model.parameters(), lr=1e-3),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
