"""Generator and critic, and what moves them: all that a run changes and must keep."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from engines import SwinIRConfig, load_checkpoint
from engines.swinir import SwinIR
from train.config import TrainConfig
from train.critic import Critic
from train.deepen import deepen, is_deeper
from train.errors import TrainError
from train.frames import spread
from train.processes import Group
from train.prune import is_smaller, prune

GRADIENT_LIMIT = 5.0
"""Norm at which the generator's gradient is clipped."""


class Players:
    """The networks and their optimisers, on the group's device.

    Raises TrainError for starting weights of another network.
    """

    def __init__(self, config: TrainConfig, group: Group) -> None:
        self.generator = SwinIR(config.network).to(group.device).train()
        if config.init:
            self.generator.load_state_dict(self.generator.state_dict() | starting_weights(config.init, config.network))
        self.average = SwinIR(config.network).to(group.device).eval().requires_grad_(False)
        self.average.load_state_dict(self.generator.state_dict())
        self.optimiser = torch.optim.Adam(self.generator.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=config.amp == "fp16")
        self.critic = Critic(config.critic).to(group.device) if config.loss.adversarial else None
        self.critic_optimiser = (
            torch.optim.Adam(self.critic.parameters(), lr=config.critic.learning_rate, betas=(0.0, 0.9))
            if self.critic
            else None
        )
        self._parts: dict[str, Any] = {
            "generator": self.generator,
            "average": self.average,
            "optimiser": self.optimiser,
            "scaler": self.scaler,
        }
        if self.critic:
            self._parts |= {"critic": self.critic, "critic_optimiser": self.critic_optimiser}

    def state_dict(self) -> dict[str, Any]:
        """The state of each part by its name."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the states of the parts."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])

    def move_generator(self, loss: torch.Tensor, rate: float) -> torch.Tensor:
        """One step of the generator down the loss; returns the norm of its gradient before clipping.

        No step is taken when the norm is not finite. With fp16 that is ordinary (the scaler tries a smaller scale next
        time), and 0 is returned.
        """
        for settings in self.optimiser.param_groups:
            settings["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.generator.parameters(), GRADIENT_LIMIT)
        if self.scaler.is_enabled():
            self.scaler.step(self.optimiser)
            self.scaler.update()
            return torch.nan_to_num(norm, 0.0, 0.0, 0.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        return norm

    def move_average(self, keep: float) -> None:
        """Draw the moving average towards the generator."""
        with torch.no_grad():
            for mean, newest in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(newest, 1 - keep)


def starting_weights(checkpoint: str, network: SwinIRConfig) -> dict[str, torch.Tensor]:
    """A tier's or a checkpoint's weights as a start for a network of the same body, a smaller or a deeper one.

    A smaller body: see prune(); a deeper one: see deepen(). Its ends may differ, too. Filters of other frames: see
    spread(). For another scale the last convolution is missing: it starts anew, the body does not. Raises TrainError
    for another body.
    """
    given = load_checkpoint(checkpoint)
    body = replace(network, frames=given.config.frames, scale=given.config.scale)
    weights = SwinIR.from_checkpoint(given).state_dict()
    if is_smaller(body, given.config):
        weights = prune(weights, given.config, body)
    elif is_deeper(body, given.config):
        weights = deepen(weights, body)
    else:
        raise TrainError(
            f"init {checkpoint}: expected {network}, a larger one, or one that only has fewer layers, "
            f"but for frames and scale; got {given.config}"
        )
    weights["conv_first.weight"] = spread(weights["conv_first.weight"], given.config.frames, network.frames)
    if given.config.scale != network.scale:
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("conv_up")}
    return weights
