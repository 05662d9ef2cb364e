"""The training loop, read top to bottom: samples, critic, generator, moving average, log, test, save."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from engines import load_checkpoint, save_checkpoint
from engines.swinir import SwinIR, bicubic
from train import losses
from train.config import LossConfig, TrainConfig
from train.critic import interpolate
from train.data import Face, Samples, load_faces, manifest_of, usable
from train.errors import Diverged
from train.evaluate import Exam, network
from train.interrupt import Interrupt
from train.players import Players
from train.processes import Group, joined
from train.record import data_record, history, source_record, training_record
from train.runlog import RunLog
from train.sheet import sheet
from train.state import load_state, save_state
from train.tracker import TorchGazeNetwork, tracker_terms

MAGNITUDE_LIMIT = 100.0
"""Features of the body above this are penalised by the magnitude term; half precision ends at 65504."""

WEIGHT_OF = {
    name: name for name in ("pixel", "colour", "iris", "consistency", "gradient", "frequency", "magnitude")
} | {
    "seen": "tracker",
    "gaze": "tracker",
    "tremble": "consistency",
}
"""The field of LossConfig that weighs a term of the generator's loss."""

CRITIC_TERMS = ("adversarial", "feature")
"""Terms of the generator's loss that the critic gives; they rise from nothing once it has come in."""

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2): the signal that a process gets when its parent dies."""


def train(config: TrainConfig) -> Path:
    """Run, or go on with, a training; returns the exported checkpoint (the generator's moving average).

    A state in config.out is taken up. Ctrl-C saves and ends. Raises TrainError and its kinds.
    """
    with joined(config.device, config.batch, config.draws) as group, Interrupt() as interrupt:
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        cv2.setNumThreads(1)  # workers are forked, and would wait for OpenCV's threads that did not come along
        found = load_faces(config.data_dir)
        faces = usable(found, config.data, config.network.scale)
        data = data_record(len(faces), manifest_of(config.data_dir))
        exam = None
        if config.val_dir and group.leads:
            exam = Exam(config.val_dir, frames=config.network.frames, scale=config.network.scale, every=4)

        # The networks, and where they stand.
        players = Players(config, group)
        step, critic_from, state_file = 0, None, config.out / "state.pt"
        before = history(load_checkpoint(config.init).record) if config.init else []
        origin = {"before": before, "data": data, "source": source_record()}
        if state_file.is_file():
            state = load_state(state_file, config, data)
            step, critic_from = int(state["step"]), state["critic_from"]
            origin = {name: state[name] for name in origin}
            torch.set_rng_state(state["rng"])
            players.load_state_dict(state)
        generator = group.wrapped(players.generator)
        critic = group.wrapped(players.critic) if players.critic else None
        features = Features(players.generator) if config.loss.magnitude else None
        tracker = TorchGazeNetwork(config.tracker).to(group.device) if config.tracker else None

        with RunLog(config, start=step, images=len(faces), quiet=not group.leads) as log:
            if len(faces) < len(found):
                log.say(f"{len(found) - len(faces)} of {len(found)} faces are too small at x{config.network.scale}")
            for lr_u8, hr_u8, eye in batches(config, faces, step, group):
                lr, hr = (x.to(group.device, torch.float32) / 255 for x in (lr_u8, hr_u8))
                eye = eye.to(group.device)
                began = time.perf_counter()
                terms: dict[str, Tensor] = {}

                # The end of the first stage: weights that know no critic.
                if critic and critic_from is None and step >= adversarial_start(config):
                    critic_from = step
                    if group.leads and step:
                        export(config, players.average, step, origin, "fidelity")

                # The generator's picture of this batch.
                with autocast(config, group):
                    fake = generator(lr)
                fake = fake.float()

                # The critic learns to tell it from the truth.
                if critic and critic_from is not None:
                    assert players.critic_optimiser is not None
                    for _ in range(config.critic.steps):
                        mix = group.share(torch.rand(config.batch)).to(group.device)
                        terms |= critic_terms(critic, hr, fake.detach(), mix)
                        players.critic_optimiser.zero_grad(set_to_none=True)
                        loss = losses.critic_loss(terms["wasserstein"], terms["penalty"], config.critic.penalty)
                        loss.backward()  # type: ignore[no-untyped-call]
                        players.critic_optimiser.step()

                # The generator learns to come nearer to the truth, and to please the critic.
                terms |= generator_terms(config, fake, lr, hr, eye)
                if features:
                    terms["magnitude"] = features.excess(MAGNITUDE_LIMIT)
                if tracker:
                    terms |= tracker_terms(tracker, fake, hr, eye, config.draws)
                if players.critic and critic_from is not None:
                    terms |= pleasing_terms(players.critic, fake, hr)
                refuse_nan(terms, step, state_file)
                loss = generator_loss(config.loss, terms, adversarial_share(config, step, critic_from))
                rate = learning_rate(config, step)
                terms["gradient_norm"] = players.move_generator(loss, rate)
                refuse_nan(terms, step, state_file)

                # Its moving average is what is tested and shipped.
                players.move_average(min(config.ema, (1 + step) / (10 + step)))
                step += 1
                log.step(step, rate, terms, time.perf_counter() - began)
                if exam and step % config.test_every == 0:
                    tested = network(players.average)
                    grid = sheet(exam, {f"step {step}": (config.network.frames, tested)}, eyes=1)
                    log.test(step, exam.table(tested), grid)
                stop = group.any(bool(interrupt))
                if group.leads and (stop or step % config.save_every == 0 or step == config.steps):
                    refuse_nan(outlook(config, group, players, lr, hr, eye), step, state_file)
                    place = {"step": step, "rng": torch.get_rng_state(), "critic_from": critic_from}
                    save_state(state_file, config, players.state_dict() | place | origin)
                if stop:
                    break
        return export(config, players.average, step, origin) if group.leads else config.out


def learning_rate(config: TrainConfig, step: int) -> float:
    """A linear rise, then halved at every milestone."""
    halvings = sum(step >= m * config.steps for m in config.milestones)
    return config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup)) * 0.5**halvings


def adversarial_start(config: TrainConfig) -> int:
    """The step at which the critic comes in."""
    return round(config.loss.adversarial_from * config.steps)


def adversarial_share(config: TrainConfig, step: int, critic_from: int | None) -> float:
    """How much of the critic's terms counts: nothing until it comes in, then a rise to 1, since it has to learn first.

    critic_from: the step at which it came in.
    """
    if critic_from is None:
        return 0.0
    return min(1.0, (step - critic_from) / max(1.0, config.loss.adversarial_ramp * config.steps))


def critic_terms(critic: nn.Module, real: Tensor, fake: Tensor, mix: Tensor) -> dict[str, Tensor]:
    """The critic's estimate of the Wasserstein distance, and its gradient penalty.

    One forward pass for all, since a module that is distributed expects one for each backward pass.
    """
    between = interpolate(real, fake, mix)
    real_score, fake_score, slope_score = critic(torch.cat([real, fake, between]))[0].chunk(3)
    return {
        "wasserstein": losses.wasserstein(real_score, fake_score),
        "penalty": losses.gradient_penalty(slope_score, between),
    }


def generator_terms(config: TrainConfig, fake: Tensor, lr: Tensor, hr: Tensor, eye: Tensor) -> dict[str, Tensor]:
    """What the picture lacks of the truth."""
    plain = bicubic(lr[:, :3], config.network.scale)
    terms = {"pixel": losses.balanced(losses.charbonnier(fake, hr), losses.charbonnier(plain, hr))}
    if config.loss.colour:
        terms["colour"] = losses.balanced(losses.colour(fake, hr), losses.colour(plain, hr))
    if config.loss.iris:
        terms["iris"] = losses.balanced(losses.iris(fake, hr, eye), losses.iris(plain, hr, eye))
    if config.loss.consistency:
        terms["consistency"] = losses.balanced(losses.disagreement(fake), losses.disagreement(plain))
    if config.loss.gradient:
        terms["gradient"] = losses.gradient(fake, hr).mean()
    if config.loss.frequency:
        terms["frequency"] = losses.focal_frequency(fake, hr).mean()
    return terms


def pleasing_terms(critic: nn.Module, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
    """What the critic holds against the picture; its own weights get no gradient from this."""
    with torch.no_grad():
        wanted = critic(real)[1]
    critic.requires_grad_(False)
    score, seen = critic(fake)
    critic.requires_grad_(True)
    return {"adversarial": -score.mean(), "feature": losses.feature_matching(seen, wanted)}


def generator_loss(weights: LossConfig, terms: dict[str, Tensor], share: float) -> Tensor:
    """What the generator minimises: the weighted sum of its terms, of which the critic's count by a share, 0 to 1."""
    weight = {name: getattr(weights, field) for name, field in WEIGHT_OF.items()}
    weight |= {name: share * getattr(weights, name) for name in CRITIC_TERMS}
    return torch.stack([weight[name] * value for name, value in terms.items() if name in weight]).sum()


def refuse_nan(terms: dict[str, Tensor], step: int, state_file: Path) -> None:
    """Raise Diverged for the first term that is not finite."""
    values = torch.stack([value.detach().float() for value in terms.values()]).tolist()
    for name, value in zip(terms, values, strict=True):
        if not abs(value) < float("inf"):
            kept = f"the last good state is {state_file}" if state_file.is_file() else "no state was saved before"
            raise Diverged(f"step {step}: the {name} term became {value}; {kept}; go on with a lower --learning-rate")


def outlook(
    config: TrainConfig, group: Group, players: Players, lr: Tensor, hr: Tensor, eye: Tensor
) -> dict[str, Tensor]:
    """The terms and slopes of a step that would be taken from here on the same batch; nothing is moved.

    A step that was too long shows only in the next one, when its weights would have replaced the last good ones.
    """
    with autocast(config, group):
        fake, average = players.generator(lr), players.average(lr)
    fake = fake.float()
    terms = generator_terms(config, fake, lr, hr, eye)
    terms["average"] = losses.charbonnier(average.float(), hr).mean()
    if players.critic:
        terms |= critic_terms(players.critic, hr, fake.detach(), torch.full((len(hr),), 0.5, device=hr.device))
        loss = losses.critic_loss(terms["wasserstein"], terms["penalty"], config.critic.penalty)
        terms["critic_gradient_norm"] = gradient_norm(loss, players.critic)
        terms |= pleasing_terms(players.critic, fake, hr)
    terms["gradient_norm"] = gradient_norm(generator_loss(config.loss, terms, 1.0), players.generator)
    return terms


def gradient_norm(loss: Tensor, network: nn.Module) -> Tensor:
    """The norm of the loss's slope over a network's weights, which are left alone."""
    return nn.utils.get_total_norm(torch.autograd.grad(loss, list(network.parameters())))


def export(config: TrainConfig, average: SwinIR, step: int, origin: dict[str, Any], suffix: str = "") -> Path:
    """Write the moving average as a checkpoint named for the run, with the record of how it was made.

    origin: "before", the stages by which the weights came about that the run started from; "data" and "source", what
    data_record() and source_record() gave.
    """
    name = "-".join(filter(None, (Path(os.path.abspath(config.out)).name, suffix)))
    stage = training_record(config.to_json(), step, origin["data"], origin["source"])
    record = {"stages": [*origin["before"], stage]}
    return save_checkpoint(config.out / f"{name}.safetensors", config.network, average.tensors(), record)


def batches(config: TrainConfig, faces: list[Face], step: int, group: Group) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """This process's share of every batch from `step` on: as Samples gives them, (B, ...)."""
    samples = Samples(
        faces,
        config.data,
        config.degradation,
        scale=config.network.scale,
        frames=config.network.frames,
        seed=config.seed,
        count=config.steps * config.batch,
        draws=config.draws,
    )
    numbers = torch.arange(len(samples)).view(config.steps, config.batch)[step:]
    yield from DataLoader(
        samples,
        batch_sampler=[group.share(batch).tolist() for batch in numbers],
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        worker_init_fn=quiet_worker,
        pin_memory=group.device.type == "cuda",
        generator=torch.Generator(),  # or it would draw from the one that a resumed run has restored
    )


def quiet_worker(_: int) -> None:
    """Ctrl-C is for the main process, SIGTERM and its death end a worker; a worker has one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":  # a killed process cannot tell its workers, which would wait for ever
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    torch.set_num_threads(1)


def autocast(config: TrainConfig, group: Group) -> Any:  # noqa: ANN401 - a context manager of either kind
    """Mixed precision, as configured."""
    if config.amp == "no":
        return nullcontext()
    return torch.autocast(group.device.type, torch.bfloat16 if config.amp == "bf16" else torch.float16)


class Features:
    """The outputs of the residual groups in the last forward pass."""

    def __init__(self, model: SwinIR) -> None:
        self._seen: dict[nn.Module, Tensor] = {}
        for group in model.groups:
            group.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, _: Any, output: Tensor) -> None:  # noqa: ANN401 - torch's hook signature
        self._seen[module] = output

    def excess(self, limit: float) -> Tensor:
        """Mean square by which features pass the limit, as a share of it."""
        return torch.stack(
            [(x.float().abs() / limit - 1).clamp_min(0).square().mean() for x in self._seen.values()]
        ).mean()
