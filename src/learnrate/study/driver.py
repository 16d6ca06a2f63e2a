"""Makes the runs of a study that have not ended yet: claims them, submits them to an executor, stores their results."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from learnrate.errors import ExecutorError, OutputError
from learnrate.study.executors.executor import Executor, Future, NodeLostError
from learnrate.study.running.batch import Declined, Part, batches_of, make_together
from learnrate.study.running.checkpoint import remove
from learnrate.study.running.run import Choice, EndedRun, Failure, Key, Message, Run, make
from learnrate.study.store import Store

LOST_NODES = 20
"""Times that a run is tried whose machine was lost. The limit stops a run that crashes each machine."""

PAUSES = (0.001, 0.25)
"""Seconds between two checks of the futures: the first pause, and the longest one. It doubles while no run ends."""

WAIT_FOR_OTHERS = 1.0
"""Seconds between two checks whether other processes still work on the same study."""


@dataclass
class Driver:
    """Makes runs.

    Attributes:
        store: Where they are claimed and stored.
        executor: Where they are made.
        on_result: Called with each run that has ended, after its result was stored.
        on_message: Called with the progress of runs.
        lost: How often the worker of each run was lost.
        lost_nodes: How often its machine was lost.
    """

    store: Store
    executor: Executor
    on_result: Callable[[EndedRun], object]
    on_message: Callable[[Message], object] | None = None
    lost: dict[Key, int] = field(default_factory=dict)
    lost_nodes: dict[Key, int] = field(default_factory=dict)

    def make(self, tasks: Sequence[Run | Choice], is_over: Callable[[], bool] = lambda: False) -> None:
        """Make those of the runs that have not ended, here or in other processes that work on the same study.

        Args:
            tasks: The runs, in their order.
            is_over: Checked before each run begins: whether the budget is spent.

        Raises:
            OutputError: if a result cannot be stored. What was stored before is kept.
            ExecutorError: if the executor cannot make further runs.
            KeyboardInterrupt: at Ctrl-C. The runs in progress are given back.
        """
        waiting = {task.key: task for task in tasks}
        running: dict[Key, tuple[Future, Run | Choice]] = {}
        pause = PAUSES[0]
        try:
            while True:
                begun = self._begin(waiting, running, is_over)
                ended = self._collect(running, waiting)
                self._pass_messages()
                if begun or ended:
                    pause = PAUSES[0]
                    continue
                # No run is in progress here: the rest is made by other processes, has failed, or exceeds the budget.
                if not running and (not waiting or is_over() or not self.store.others_work()):
                    return
                time.sleep(pause)
                pause = min(2 * pause, PAUSES[1] if running else WAIT_FOR_OTHERS)
        finally:
            for future, _ in running.values():
                future.cancel()
            for key in running:
                with suppress(OutputError):  # after an error of the store, which is raised; claims end with this process
                    self.store.release(key)

    def _begin(
        self,
        waiting: dict[Key, Run | Choice],
        running: dict[Key, tuple[Future, Run | Choice]],
        is_over: Callable[[], bool],
    ) -> bool:
        """Submit a run to each free worker. Returns whether a run was submitted."""
        calls = {id(future.whole if isinstance(future, Part) else future) for future, _ in running.values()}
        free = self.executor.workers - len(calls)
        if free <= 0 or not waiting or is_over():
            return False
        claimed = self._claim(waiting, free)
        for number, keys in enumerate(claimed):
            tasks = [waiting.pop(key) for key in keys]
            try:
                running |= self._submitted(tasks)
            except BaseException:
                for other in (key for keys in claimed[number:] for key in keys):
                    self.store.release(other)
                raise
        return bool(claimed)

    def _claim(self, waiting: dict[Key, Run | Choice], free: int) -> list[list[Key]]:
        """Claim runs for the free workers; returns the runs of each worker."""
        batches = batches_of(waiting.values())
        if len(batches) == len(waiting):
            return [[key] for key in self.store.claim(list(waiting), free)]
        claimed: list[list[Key]] = []
        for batch in batches:
            if len(claimed) < free and (keys := self.store.claim([task.key for task in batch], len(batch))):
                claimed.append(keys)
        return claimed

    def _submitted(self, tasks: Sequence[Run | Choice]) -> dict[Key, tuple[Future, Run | Choice]]:
        """Submit tasks, several of them as one batch, and return their futures."""
        if len(tasks) == 1:
            return {tasks[0].key: (self.executor.submit(make, tasks[0], self.executor.report), tasks[0])}
        whole = self.executor.submit(make_together, tasks, self.executor.report)
        return {task.key: (Part(whole, task.key), task) for task in tasks}

    def _collect(self, running: dict[Key, tuple[Future, Run | Choice]], waiting: dict[Key, Run | Choice]) -> bool:
        """Store the results of runs that have ended. Returns whether there were any."""
        done = [key for key, (future, _) in running.items() if future.done()]
        for key in done:
            future, task = running[key]
            ended = self._result(key, future)
            if isinstance(ended, Declined):
                self.store.release(key)
                waiting[key] = ended.apart(task) if isinstance(task, Run) else task
            elif ended is None:
                self.store.release(key)
                waiting[key] = task
            else:
                self.store.finish(ended)
                if isinstance(task, Run) and task.checkpoint is not None:
                    remove(Path(task.checkpoint))
                self.on_result(ended)
            del running[key]
        return bool(done)

    def _result(self, key: Key, future: Future) -> EndedRun | Declined | None:
        """The result of a future; None if the run is to be tried again, because its worker was lost."""
        try:
            result: EndedRun | Declined = future.result()
        except ExecutorError:
            raise
        except Exception as error:  # each library has errors of its own for a worker that was lost
            is_node = isinstance(error, NodeLostError)
            losses, most = (self.lost_nodes, LOST_NODES) if is_node else (self.lost, self.executor.attempts)
            losses[key] = losses.get(key, 0) + 1
            if losses[key] < most:
                return None
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            attempts = "1 attempt" if losses[key] == 1 else f"{losses[key]} attempts"
            return EndedRun(key, Failure(f"no result after {attempts}: {reason}"), {})
        return result

    def _pass_messages(self) -> None:
        for message in self.executor.messages():
            if self.on_message is not None:
                self.on_message(message)
