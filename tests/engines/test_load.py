"""Which engine is found, and what is said of the others."""

import subprocess
import sys

import pytest

from engines import BackendUnavailable, CheckpointError, load_engine
from engines.load import AUTO_ORDER


def test_auto_takes_the_first_that_runs_and_gives_a_reason_for_each_before_it(random_checkpoint, tmp_path):
    with load_engine("auto", random_checkpoint(), cache=tmp_path) as engine:
        before = AUTO_ORDER[: AUTO_ORDER.index(engine.name)]
        assert [reason.split(": ")[0] for reason in engine.passed_over] == list(before)
        assert all("\n" not in reason and len(reason.split(": ", 1)[1]) > 10 for reason in engine.passed_over)


def test_an_engine_named_by_the_user_fails_loudly(random_checkpoint, tmp_path):
    with load_engine("auto", random_checkpoint(), cache=tmp_path) as engine:
        if not engine.passed_over:
            pytest.skip("every engine runs here")
        missing = engine.passed_over[0].split(": ")[0]

    with pytest.raises(BackendUnavailable, match=f"^{missing}: "):
        load_engine(missing, random_checkpoint(), cache=tmp_path)


def test_an_unknown_engine_is_a_callers_mistake():
    with pytest.raises(ValueError, match=r"engine: expected one of auto, .*openvino.*; got 'warp'"):
        load_engine("warp")


def test_an_unknown_tier_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="'no-such-tier'"):
        load_engine("eager", "no-such-tier")


def test_bicubic_needs_no_weights_and_takes_scale_and_frames_from_a_checkpoint(random_checkpoint):
    assert (load_engine("bicubic").scale, load_engine("bicubic").frames) == (2, 1)

    engine = load_engine("bicubic", random_checkpoint(scale=4, frames=3))

    assert (engine.name, engine.tier, engine.sha256, engine.scale, engine.frames) == ("bicubic", "bicubic", "", 4, 3)


def test_opening_a_cpu_engine_imports_no_torch(random_checkpoint, tmp_path):
    code = (
        "import sys; from engines import load_engine; engine = load_engine('auto', sys.argv[1], cache=sys.argv[2]); "
        "sys.exit(engine.name in ('native', 'openvino') and 'torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code, str(random_checkpoint()), str(tmp_path)]).returncode == 0
