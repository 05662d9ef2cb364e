"""The training loop, read top to bottom: samples, critic, generator, moving average, log, test, save."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from engines import load_checkpoint, save_checkpoint
from engines.swinir import SwinIR, bicubic
from train import losses
from train.config import TrainConfig
from train.critic import Critic, interpolate
from train.data import Samples, load_faces
from train.errors import Diverged
from train.evaluate import evaluate
from train.record import training_record
from train.runlog import RunLog
from train.state import load_state, save_state

MAGNITUDE_LIMIT = 100.0
"""Features of the body above this are penalised by the magnitude term; half precision ends at 65504."""
GRADIENT_LIMIT = 5.0
"""Norm at which the generator's gradient is clipped."""


def train(config: TrainConfig) -> Path:
    """Run, or go on with, a training; returns the exported checkpoint (the generator's moving average).

    A state in config.out is taken up. Ctrl-C saves and ends. Raises TrainError and its kinds.
    """
    torch.manual_seed(config.seed)
    if config.threads:
        torch.set_num_threads(config.threads)
    rank, world = _join_group()
    device = torch.device(config.device, rank % max(1, torch.cuda.device_count())) if config.device == "cuda" else "cpu"

    # The networks, and what moves them.
    generator = SwinIR(config.network).to(device).train()
    if config.init:
        generator.load_state_dict(SwinIR.from_checkpoint(load_checkpoint(config.init)).state_dict())
    average = SwinIR(config.network).to(device).eval()
    average.load_state_dict(generator.state_dict())
    adversarial = config.loss.adversarial > 0
    critic = Critic(config.critic).to(device) if adversarial else None
    optimiser = torch.optim.Adam(generator.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    critic_optimiser = (
        torch.optim.Adam(critic.parameters(), lr=config.critic.learning_rate, betas=(0.0, 0.9)) if critic else None
    )
    scaler = torch.amp.GradScaler(enabled=config.amp == "fp16")
    parts: dict[str, Any] = {"generator": generator, "average": average, "optimiser": optimiser, "scaler": scaler}
    if critic and critic_optimiser:
        parts |= {"critic": critic, "critic_optimiser": critic_optimiser}

    # Where it stands.
    step, state_file = 0, config.out / "state.pt"
    if state_file.is_file():
        state = load_state(state_file, config)
        step = int(state["step"])
        torch.set_rng_state(state["rng"])
        for name, part in parts.items():
            part.load_state_dict(state[name])
    moved: nn.Module = DistributedDataParallel(generator) if world > 1 else generator
    judged: nn.Module | None = DistributedDataParallel(critic) if critic and world > 1 else critic

    def save() -> None:
        if rank == 0:
            state = {name: part.state_dict() for name, part in parts.items()}
            save_state(state_file, config, state | {"step": step, "rng": torch.get_rng_state()})

    faces = load_faces(config.data_dir)
    samples = Samples(
        faces,
        config.data,
        config.degradation,
        scale=config.network.scale,
        frames=config.network.frames,
        seed=config.seed,
        count=config.steps * config.batch,
    )
    log = RunLog(config, start=step, images=len(faces), quiet=rank > 0)
    features = _Features(generator) if config.loss.magnitude else None
    stop = _StopSignal()
    with log, stop:
        for lr_u8, hr_u8 in _batches(samples, config, step, rank, world):
            lr, hr = (x.to(device, torch.float32) / 255 for x in (lr_u8, hr_u8))
            began = time.perf_counter()
            rate = learning_rate(config, step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            terms: dict[str, Tensor] = {}

            # The generator's picture of this batch.
            with _autocast(config, str(device)):
                fake = moved(lr)
            fake = fake.float()

            # The critic learns to tell it from the truth.
            if judged and critic_optimiser:
                for _ in range(config.critic.steps):
                    between = interpolate(hr, fake)
                    real_score, fake_score = judged(hr)[0], judged(fake.detach())[0]
                    terms["wasserstein"] = -losses.critic_loss(real_score, fake_score)
                    terms["penalty"] = losses.gradient_penalty(judged(between)[0], between)
                    critic_optimiser.zero_grad(set_to_none=True)
                    (config.critic.penalty * terms["penalty"] - terms["wasserstein"]).backward()  # type: ignore[no-untyped-call]
                    critic_optimiser.step()

            # The generator learns to come nearer to the truth, and to please the critic.
            terms["pixel"] = losses.relative(
                losses.charbonnier(fake, hr), losses.charbonnier(bicubic(lr[:, :3], config.network.scale), hr)
            )
            loss = config.loss.pixel * terms["pixel"]
            if config.loss.gradient:
                terms["gradient"] = losses.gradient(fake, hr).mean()
                loss = loss + config.loss.gradient * terms["gradient"]
            if config.loss.frequency:
                terms["frequency"] = losses.focal_frequency(fake, hr).mean()
                loss = loss + config.loss.frequency * terms["frequency"]
            if features:
                terms["magnitude"] = features.excess(MAGNITUDE_LIMIT)
                loss = loss + config.loss.magnitude * terms["magnitude"]
            if critic:
                score, seen = critic(fake)
                terms["adversarial"] = -score.mean()
                terms["feature"] = losses.feature_matching(seen, critic(hr)[1])
                loss = loss + config.loss.adversarial * terms["adversarial"] + config.loss.feature * terms["feature"]
            for name, value in terms.items():
                if not torch.isfinite(value):
                    raise Diverged(
                        f"step {step}: the {name} term became {value.item()}; the last good state is {state_file}; "
                        "go on from it with a lower --learning-rate"
                    )
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimiser)
            terms["gradient_norm"] = nn.utils.clip_grad_norm_(generator.parameters(), GRADIENT_LIMIT)
            scaler.step(optimiser)
            scaler.update()

            # Its moving average is what is tested and shipped.
            keep = min(config.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for a, b in zip(average.parameters(), generator.parameters(), strict=True):
                    a.lerp_(b, 1 - keep)

            step += 1
            log.step(step, rate, terms, time.perf_counter() - began)
            if config.val_dir and step % config.test_every == 0 and rank == 0:
                log.test(step, evaluate(average, config.val_dir, every=4), average)
            if step % config.save_every == 0 or stop:
                save()
            if stop:
                break
    save()
    if world > 1:
        dist.destroy_process_group()
    return export(config, average, step)


def learning_rate(config: TrainConfig, step: int) -> float:
    """A linear rise, then halved at every milestone."""
    halvings = sum(step >= m * config.steps for m in config.milestones)
    return config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup)) * 0.5**halvings


def export(config: TrainConfig, average: SwinIR, step: int) -> Path:
    """Write the moving average as a checkpoint, with the record of how it was made."""
    return save_checkpoint(
        config.out / config.out.name, config.network, average.tensors(), {"training": training_record(config, step)}
    )


def _batches(
    samples: Samples, config: TrainConfig, step: int, rank: int, world: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share of every batch from `step` on."""
    share = [list(range(i * config.batch + rank, (i + 1) * config.batch, world)) for i in range(step, config.steps)]
    loader = DataLoader(
        samples,
        batch_sampler=share,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        worker_init_fn=_quiet_worker,
    )
    yield from loader


def _quiet_worker(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _join_group() -> tuple[int, int]:
    """(rank, world size) when started by torchrun, else (0, 1)."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _autocast(config: TrainConfig, device: str) -> Any:  # noqa: ANN401 - a context manager of either kind
    if config.amp == "no":
        return nullcontext()
    return torch.autocast(device.split(":")[0], torch.bfloat16 if config.amp == "bf16" else torch.float16)


class _Features:
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


class _StopSignal:
    """True once SIGINT or SIGTERM came; restores the handlers that were there."""

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> "_StopSignal":
        self._before = {s: signal.signal(s, self._set) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self._came

    def _set(self, *_: object) -> None:
        self._came = True
