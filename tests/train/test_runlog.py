import json

import numpy as np
import pytest
import torch

from train.errors import TrainError
from train.runlog import RunLog

TERMS = {"pixel": torch.tensor(0.5)}


@pytest.fixture
def config(tiny):
    pytest.importorskip("tensorboard")
    return tiny(log_every=1)


def opened(config, start=0):
    return RunLog(config, start=start, images=3, quiet=False)


def test_folder_that_cannot_be_made_is_one_error(config):
    config.out.write_text("a file in the way")

    with pytest.raises(TrainError, match=r"run: cannot write the log: File exists; free some space .* another --out"):
        opened(config).__enter__()


@pytest.mark.parametrize("size", [0, 60], ids=["as it is opened", "at its first line"])
def test_full_disk_is_one_error(config, disk_of, size):
    with (
        pytest.raises(TrainError, match="run: cannot write the log: File too large; free some space"),
        disk_of(size),
        opened(config) as log,
    ):
        log.step(1, 1e-4, TERMS, 0.1)


def test_a_resumed_run_begins_a_line_of_its_own_after_one_that_a_full_disk_cut_off(config):
    lines = config.out / "log.jsonl"
    with opened(config) as log:
        log.step(1, 1e-4, TERMS, 0.1)
    with lines.open("a") as cut_off:
        cut_off.write('{"step": 2, "epo')

    with opened(config, start=1) as log:
        log.step(2, 1e-4, TERMS, 0.1)

    assert [json.loads(line)["step"] for line in lines.read_text().splitlines()] == [1, 2]


def test_disk_that_fills_up_with_tensorboard_s_log_is_one_error_and_leaves_the_lines(config, disk_of):
    with opened(config) as log:
        log.step(1, 1e-4, TERMS, 0.1)
        lines = config.out / "log.jsonl"
        written = lines.stat().st_size
        assert next((config.out / "tensorboard").iterdir()).stat().st_size > 2.2 * written

        with disk_of(int(2.2 * written)), pytest.raises(TrainError, match="cannot write the log: File too large"):
            log.step(2, 1e-4, TERMS, 0.1)

    assert len(lines.read_text().splitlines()) == 2


def test_full_disk_at_a_test_is_one_error(config, disk_of):
    scores = {"psnr_rgb": 30.0}
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)

    with opened(config) as log, disk_of(3_000), pytest.raises(TrainError, match=r"sheet-0000001\.png: cannot be"):
        log.test(1, {"clean": {"tier": scores, "bicubic": scores}}, noise)


def test_quiet_log_writes_nothing(config):
    with RunLog(config, start=0, images=3, quiet=True) as log:
        log.step(1, 1e-4, TERMS, 0.1)

    assert not config.out.exists()
