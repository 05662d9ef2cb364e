import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from engines import SwinIRConfig
from train.config import CriticConfig, DataConfig, LossConfig, TrainConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 0}, "batch: expected at least 1, got 0"),
        ({"steps": -1}, "steps: expected at least 1"),
        ({"workers": -1}, "workers: expected at least 0"),
        ({"learning_rate": 0}, "learning_rate: expected more than 0"),
        ({"ema": 1.0}, "ema: expected 0 to less than 1"),
        ({"data": DataConfig(patch=20)}, r"data\.patch: expected a multiple of 8"),
        (
            {"data": DataConfig(patch=24), "network": SwinIRConfig(unshuffle=2)},
            r"data\.patch: expected a multiple of 16",
        ),
        ({"amp": "fp16"}, "it needs --device cuda"),
        ({"loss": LossConfig(consistency=1), "batch": 3}, "which pairs"),
        ({"milestones": (0.5, 1.5)}, "milestones: expected rising values from 0 to 1, got 0.5 1.5"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_configuration_that_cannot_train_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**fields)


@pytest.mark.parametrize(
    ("part", "fields", "message"),
    [
        (DataConfig, {"motion": (0.5, 0.5, 0.5)}, "motion: expected shares that sum to 1, got 0.5 0.5 0.5"),
        (DataConfig, {"interocular_px": (110, 25)}, "interocular_px: expected rising values from 1 to inf, got 110 25"),
        (DataConfig, {"interocular_px": (0, 25)}, "interocular_px: expected rising values"),
        (DataConfig, {"enlarge": 0}, "enlarge: expected more than 0"),
        (DataConfig, {"eye_bias": 1.1}, "eye_bias: expected 0 to 1, got 1.1"),
        (DataConfig, {"motion_px": 0.5}, "motion_px: expected at least 1"),
        (DataConfig, {"gamma": -1}, "gamma: expected at least 0"),
        (DataConfig, {"patch": 4}, "patch: expected at least 8"),
        (CriticConfig, {"steps": 0}, "steps: expected at least 1, got 0"),
        (CriticConfig, {"channels": 0}, "channels: expected at least 1"),
        (CriticConfig, {"learning_rate": 0}, "learning_rate: expected more than 0"),
        (CriticConfig, {"penalty": -1}, "penalty: expected at least 0"),
        (LossConfig, {"pixel": 0}, "pixel: expected more than 0"),
        (LossConfig, {"pixel": math.nan}, "pixel: expected more than 0, got nan"),
        (LossConfig, {"colour": -1}, "colour: expected at least 0"),
        (LossConfig, {"adversarial": math.inf}, "adversarial: expected at least 0, got inf"),
        (LossConfig, {"adversarial_from": 2}, "adversarial_from: expected 0 to 1"),
        (LossConfig, {"feature": 1}, "it needs the critic"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_part_that_cannot_be_is_refused(part, fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        part(**fields)


def test_paper_has_its_learning_rate_and_batch():
    config = TrainConfig()

    assert (config.learning_rate, config.batch) == (1e-4, 16)


def test_json_holds_plain_types():
    settings = TrainConfig(out=Path("a_b/c")).to_json()

    assert settings["out"] == "a_b/c"
    assert settings["degradation"]["clean"] == TrainConfig().degradation.clean


def test_text_has_a_line_for_each_field_under_its_name_on_the_command_line():
    text = replace(TrainConfig(), out=Path("a_b/c")).as_text().splitlines()

    assert "out = a_b/c" in text
    assert "network.embed-dim = 60" in text
    assert "data.interocular-px = 25.0 110.0" in text
