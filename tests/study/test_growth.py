"""What is read and made once, so that a study of N runs does not cost N²; and that nothing is missed by that."""

import itertools
from types import SimpleNamespace

import learnrate as lr
from learnrate.study import comparing
from learnrate.study.definition import Definition
from learnrate.study.running.run import EndedRun, Failure, Key
from learnrate.study.running.training import Training
from learnrate.study.store import rows
from learnrate.study.store.sqlite import SqliteStore

KEYS = [Key("arm", seed) for seed in range(40)]


def ended_run(key, score=1.0):
    return EndedRun(key, Training(seed=key.seed, score=score, losses=(1.0, 0.5), updates=2), {})


def new_store(path):
    store = SqliteStore(path)
    store.begin(Definition({"arm": {"schedule": "constant(0.1)"}}, 2))
    return store


def test_a_result_is_read_once(tmp_path, monkeypatch):
    store, decoded, decode = new_store(tmp_path / "study.sqlite"), [], rows.decode
    monkeypatch.setattr(rows, "decode", lambda *row: decoded.append(row) or decode(*row))
    for number, key in enumerate(store.claim(KEYS, 40), 1):
        store.finish(ended_run(key))
        assert len(store.contents().runs) == number
    assert len(decoded) <= 2 * len(KEYS)
    store.close()


def test_what_another_process_stores_or_replaces_is_seen(tmp_path):
    first, second = new_store(tmp_path / "study.sqlite"), new_store(tmp_path / "study.sqlite")
    a, b, c = KEYS[:3]
    assert first.claim([a, b], 2) == [a, b]
    assert second.claim(KEYS[:3], 3) == [c]
    first.finish(ended_run(a))
    first.finish(EndedRun(b, Failure("no data"), {}))  # the last row, which keeps its number when it is replaced
    assert isinstance(second.contents().runs[b].result, Failure)
    third = new_store(tmp_path / "study.sqlite")
    assert third.claim([a, b], 2) == [b]  # tried again by a process that began later
    assert second.claim([b], 1) == []
    third.finish(ended_run(b, score=3.0))
    assert second.contents().runs[b].result.score == 3.0
    second.finish(ended_run(c))
    for store in (first, second, third):
        assert list(store.contents().runs) == [a, b, c]
        assert store.claim(KEYS[:3], 3) == []
        assert not store.others_work()
        store.close()


class Quick(lr.Trainable):
    def __init__(self, seed):
        self.seed = seed

    def update(self, lr):
        return 1.0 + self.seed

    def save(self):
        return None

    def restore(self, state):
        pass


def test_comparisons_in_between_take_a_tenth_of_the_time(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(comparing, "SHORT_LOOK", 0.0)
    monkeypatch.setattr(comparing, "time", SimpleNamespace(monotonic=lambda: next(clock) / 100))
    read = comparing.comparison_of

    def slowly(*arguments, **options):
        for _ in range(5):
            next(clock)
        return read(*arguments, **options)

    monkeypatch.setattr(comparing, "comparison_of", slowly)
    looks = []
    arms = {"a": lr.constant(0.1), "b": lr.constant(0.2)}
    comparison = lr.compare(arms, lr.Recipe(Quick, updates=3), seeds=60, on_result=looks.append)
    assert 2 < len(looks) < 40
    assert looks[-1] == comparison
    counted = [sum(len(arm.trainings) for arm in look) for look in looks]
    assert counted == sorted(set(counted))


def test_a_budget_of_updates_is_kept():
    arms = {"a": lr.constant(0.1), "b": lr.constant(0.2)}
    comparison = lr.compare(arms, lr.Recipe(Quick, updates=3), seeds=60, budget="30 updates")
    assert comparison.cost.updates == 30
