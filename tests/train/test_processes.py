import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engines import SwinIRConfig, save_checkpoint
from engines.swinir import SwinIR
from train.errors import TrainError
from train.processes import Group, joined
from train.state import read_state

SHAPE = ["--network.embed-dim", "8", "--network.depths", "1", "--network.heads", "2"]
TERMS = [
    "--loss.adversarial",
    "0.01",
    "--loss.adversarial-ramp",
    "0",
    "--loss.feature",
    "0.01",
    "--loss.magnitude",
    "1",
]


def test_alone_it_is_a_group_of_one():
    with joined("cpu", 16) as group:
        assert group.leads
        assert (group.any(True), group.any(False)) == (True, False)
        assert group.share(torch.arange(4)).tolist() == [0, 1, 2, 3]


def test_batch_that_cannot_be_shared_out_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")

    with pytest.raises(TrainError, match="expected a multiple of 3 with 3 processes, got 16"), joined("cpu", 16):
        pass


def test_pairs_stay_together(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(TrainError, match="expected a multiple of 4 with 2 processes, got 6"), joined("cpu", 6, 2):
        pass
    second = Group(rank=1, size=2, device=torch.device("cpu"))
    assert second.share(torch.arange(8)).tolist() == [4, 5, 6, 7]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_have_the_gradient_of_one(faces_dir, tmp_path):
    config = SwinIRConfig(embed_dim=8, depths=(1,), heads=2)
    torch.manual_seed(3)
    model = SwinIR(config)
    torch.nn.init.normal_(model.conv_up.weight, std=0.05)
    start = save_checkpoint(tmp_path / "start", config, model.tensors(), {})

    def run(out: Path, *launcher: str) -> dict:
        command = [sys.executable, *launcher, "-m", "train", "run", "--data-dir", str(faces_dir), "--init", str(start)]
        more = [
            "--batch",
            "4",
            "--steps",
            "2",
            "--log-every",
            "1",
            "--workers",
            "0",
            "--threads",
            "1",
            "--out",
            str(out),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*command, *SHAPE, *TERMS, *more], check=True, capture_output=True, timeout=280, env=environment)
        return read_state(out / "state.pt")

    alone = run(tmp_path / "alone")
    together = run(tmp_path / "together", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

    # Two steps: the moments of Adam hold the gradients of both, for each of which each process saw half the batch. The
    # critic's are of its second step only, after a first that goes by little more than each gradient's sign.
    for optimiser, tolerance in (("optimiser", 1e-4), ("critic_optimiser", 0.05)):
        for number, moments in alone[optimiser]["state"].items():
            difference = together[optimiser]["state"][number]["exp_avg"] - moments["exp_avg"]
            assert difference.norm() <= tolerance * moments["exp_avg"].norm() + 1e-12, (optimiser, number)
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("alone", "together")]
    norms = [[json.loads(line)["gradient_norm"] for line in log] for log in logs]
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-3)
