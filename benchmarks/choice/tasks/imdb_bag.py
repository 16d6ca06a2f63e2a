"""A bag of words on film reviews, plain SGD, 1,200 updates: its best LR lies far above the usual ones."""

from torch import Tensor, nn, optim

from benchmarks.choice.data import Shuffled, reviews
from benchmarks.choice.task import Task, accuracy, measures


class Bag(nn.Module):
    """The mean of the words' vectors, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(8000, 16, padding_idx=0)
        self.head = nn.Linear(16, 2)

    def forward(self, text: Tensor) -> Tensor:
        """Scores of the two classes."""
        return self.head(self.words(text).mean(1))


def task() -> Task:
    """Needs imdb.npz."""
    data = reviews("imdb", words=8000, length=100, train=15_000)
    return Task(
        about="bag of words, IMDB, SGD",
        updates=1200,
        model=Bag,
        optimizer=lambda model: optim.SGD(model.parameters(), lr=0.1),
        batches=lambda: Shuffled((data.x, data.y), 32),
        criterion=nn.functional.cross_entropy,
        **measures(data, accuracy),
    )
