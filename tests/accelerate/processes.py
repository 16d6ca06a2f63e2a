"""What each of two processes does: loops of Accelerate and runs of a Trainer; writes its outcomes as JSON."""

import json
import sys
import traceback
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import TrainerCallback

import learnrate as lr

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from controllers import Heard, halve_when_stalled, skip_not_finite
from loops import Loop
from trainers import Given, Used, examples, logged, trainer

SCHEDULE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)
SPLITS = (False, True)


def quiet(text):
    pass


def weights(model):
    return [p.detach().double().sum().item() for p in model.parameters()]


def attached(split, folder):
    loop = Loop(split_batches=split, accumulate=2)
    attachment = lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, epochs=2, loader=loop.loader)
    updates = 2 * -(-len(loop.loader) // 2)
    half = updates // 2
    loop.train(2, after=lambda n: loop.accelerator.save_state(folder / f"split {split}") if n == half else None)
    resumed = Loop(split_batches=split, accumulate=2)
    again = lr.accelerate.prepare(resumed.accelerator, resumed.optimizer, SCHEDULE, epochs=2, loader=resumed.loader)
    resumed.accelerator.load_state(folder / f"split {split}")
    start = again.updates
    resumed.train(1, until=updates - half)
    return {
        "used": loop.used,
        "expected": [SCHEDULE.resolve(updates)(n) for n in range(updates)],
        "updates": attachment.updates,
        "start": start,
        "half": half,
        "resumed": resumed.used,
    }


def scheduler(split, prepared):
    loop = Loop(split_batches=split)
    updates = 2 * len(loop.loader)
    ours = lr.accelerate.Scheduler(loop.accelerator, loop.optimizer, SCHEDULE.resolve(updates))
    loop.train(2, loop.accelerator.prepare(ours) if prepared else ours)
    return {"used": loop.used, "expected": [SCHEDULE.resolve(updates)(n) for n in range(updates)]}


def plain_scheduler():
    """What a prepared scheduler of torch's rooms does, for comparison: a value for each process."""
    loop = Loop()
    updates = 2 * len(loop.loader)
    schedule = SCHEDULE.resolve(2 * updates)
    loop.train(2, loop.accelerator.prepare(lr.torch.Scheduler(loop.optimizer, schedule)))
    return {"used": loop.used, "expected": [schedule(2 * n) for n in range(updates)]}


def in_place():
    loop = Loop(examples=128)
    before, numbers = weights(loop.model), torch.get_rng_state().tolist()
    parts = (loop.accelerator, loop.model, loop.optimizer, loop.loader, loop.loss)
    curve = lr.accelerate.range_test(*parts, updates=20)
    plan = lr.accelerate.tune(*parts, updates=200, budget="120 updates")
    given_back = weights(loop.model) == before and torch.get_rng_state().tolist() == numbers
    bare = torch.nn.Linear(4, 1)
    try:
        lr.accelerate.range_test(loop.accelerator, bare, torch.optim.SGD(bare.parameters(), 0.1), loop.loader, loop.loss)
        refused = ""
    except lr.errors.ArgumentError as error:
        refused = str(error)
    return {
        "losses": curve.losses.tolist(),
        "max_lr": plan.max_lr,
        "given back": given_back,
        "refused": refused,
    }


def trained(folder):
    used = Used()
    run = trainer(
        folder, lr.transformers.Follow(SCHEDULE, report=quiet), used, max_steps=8, save_strategy="steps", save_steps=5
    )
    run.train()
    dist.barrier()
    resumed, texts = Used(), []
    again = trainer(folder, lr.transformers.Follow(SCHEDULE, report=texts.append), resumed, max_steps=8)
    again.train(resume_from_checkpoint=str(folder / "checkpoint-5"))
    return {
        "used": used.first,
        "logged": logged(run),
        "expected": [SCHEDULE.resolve(8)(n) for n in range(8)],
        "resumed": resumed.first,
        "weights": [weights(run.model), weights(again.model)],
        "texts": len(texts),
    }


def steered(folder):
    """A loop whose losses differ between the processes; the first process alone is asked for half the LR."""
    runs, rank = [], dist.get_rank()
    for resumed in (False, True):
        loop = Loop(accumulate=2, examples=96)
        control = [halve_when_stalled(5), skip_not_finite()]
        attachment = lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=12, control=control)
        if resumed:
            loop.accelerator.load_state(folder)
        calls = [4 if resumed else 0]

        def observe(loss, attachment=attachment, calls=calls):
            bad = calls[0] == 2 and rank == 1
            attachment.observe(float("nan") if bad else 1.0 + rank)

        def after(n, loop=loop, attachment=attachment, calls=calls):
            calls[0] += 1
            if calls[0] == 4:
                loop.accelerator.save_state(folder)
            if calls[0] == 6 and rank == 0:
                attachment.scale(0.5)

        loop.train(2, after=after, until=8 if resumed else 12, observe=observe)
        runs.append(loop.used)
    schedule = attachment.control.schedule
    return {
        "used": runs[0],
        "resumed": runs[1],
        "schedule": [schedule(n) for n in range(len(runs[0]))],
        "events": sorted((event.kind, event.who) for event in attachment.control.events),
    }


class Acts(TrainerCallback):
    """Listens; and the first process alone is asked for half the LR."""

    def __init__(self, callback):
        self.callback, self.heard = callback, Heard()

    def on_train_begin(self, args, state, control, **kwargs):
        self.callback.control.listeners.append(self.heard)

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 6 and dist.get_rank() == 0:
            self.callback.scale(0.5)


def steered_trainer(folder):
    runs = []
    for checkpoint in (None, str(folder / "checkpoint-4")):
        control = [halve_when_stalled(4), skip_not_finite()]
        follow, used = lr.transformers.Follow(SCHEDULE, control=control, report=quiet), Used()
        acts, changes = Acts(follow), {"max_steps": 12, "gradient_accumulation_steps": 2, "optim": "sgd"}
        changes |= {"save_strategy": "steps", "save_steps": 4} if checkpoint is None else {}
        run = trainer(folder, follow, acts, used, model=Given(), data=examples(192), **changes)
        run.train(resume_from_checkpoint=checkpoint)
        dist.barrier()
        runs.append((used.first, acts.heard.losses, logged(run, "loss")))
    control = follow.control
    return {
        "used": runs[0][0],
        "resumed": runs[1][0],
        "schedule": [control.schedule(n) for n in range(len(runs[0][0]))],
        "events": sorted((event.kind, event.who) for event in control.events),
        "losses": runs[0][1],
        "logged": runs[0][2],
    }


def tuned(folder):
    tune, used, followed = lr.transformers.Tune(budget="100 updates", report=quiet), Used(), Used()
    changes = {"max_steps": 60, "gradient_accumulation_steps": 2}
    run = trainer(folder, tune, used, **changes)
    run.train()
    follow = lr.transformers.Follow(tune.plan.schedule, relative=True, report=quiet)
    other = trainer(folder, follow, followed, **changes)
    other.train()
    fresh = trainer(folder, **changes)
    curve = lr.transformers.range_test(fresh, updates=12)
    return {
        "used": used.first,
        "expected": [tune.plan.schedule(n) for n in range(60)],
        "weights": [weights(run.model), weights(other.model)],
        "losses": curve.losses.tolist(),
        "given back": fresh.optimizer is None and fresh.model_wrapped is fresh.model,
    }


def main():
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    scenarios = {
        **{f"attached, split_batches={split}": lambda split=split: attached(split, folder) for split in SPLITS},
        **{
            f"scheduler, split_batches={split}, prepared={prepared}": lambda s=split, p=prepared: scheduler(s, p)
            for split in SPLITS
            for prepared in (True, False)
        },
        "plain scheduler": plain_scheduler,
        "in place": in_place,
        "trainer": lambda: trained(folder / "trainer"),
        "steered": lambda: steered(folder / "steered"),
        "steered trainer": lambda: steered_trainer(folder / "steered trainer"),
        "tuned trainer": lambda: tuned(folder / "tuned"),
    }
    outcomes = {}
    for name, scenario in scenarios.items():
        try:
            outcomes[name] = scenario()
        except Exception:
            outcomes[name] = {"error": traceback.format_exc()}
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(outcomes))
    dist.destroy_process_group()
