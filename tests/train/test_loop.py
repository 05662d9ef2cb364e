import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import psutil
import pytest
import torch

from engines import SwinIRConfig, load_checkpoint, save_checkpoint
from engines.swinir import SwinIR
from train.config import CriticConfig, DataConfig, LossConfig
from train.errors import DataError, Diverged, ResumeError, TrainError
from train.loop import Features, adversarial_share, generator_loss, learning_rate, train
from train.players import Players
from train.processes import Group
from train.state import read_state

ALL_TERMS = LossConfig(
    colour=0.1,
    iris=0.1,
    consistency=0.1,
    gradient=0.1,
    frequency=0.1,
    magnitude=0.1,
    adversarial=0.01,
    feature=0.01,
    adversarial_from=0.34,
    adversarial_ramp=0.3,
)


def rows(config):
    return [json.loads(line) for line in (config.out / "log.jsonl").read_text().splitlines()]


def assert_same_state(a, b):
    first, second = read_state(a / "state.pt"), read_state(b / "state.pt")
    assert first["step"] == second["step"]
    for part in ("generator", "average", "critic"):
        assert first[part].keys() == second[part].keys()
        for name, tensor in first[part].items():
            assert torch.equal(tensor, second[part][name]), f"{part} {name}"


@pytest.mark.parametrize("frames", [1, 3])
def test_training_writes_a_checkpoint_and_its_record(tiny, frames):
    config = tiny(network=SwinIRConfig(embed_dim=8, depths=(1,), heads=2, frames=frames))

    checkpoint = load_checkpoint(train(config))

    assert checkpoint.config == config.network
    assert np.abs(checkpoint.tensors["conv_up.weight"]).max() > 0
    record = checkpoint.record["stages"][-1]
    assert (record["steps"], record["config"]["seed"], record["config"]["data_dir"]) == (6, 0, "train")
    assert not any("/" in str(value) for value in record["config"].values())


@pytest.mark.parametrize(("scale", "frames"), [(4, 1), (8, 1), (4, 3)], ids=["x4", "x8", "x4 of three frames"])
def test_other_scales_train_with_the_same_command(tiny, scale, frames):
    config = tiny(
        network=SwinIRConfig(embed_dim=8, depths=(1,), heads=2, scale=scale, frames=frames),
        data=replace(tiny().data, interocular_px=(12.0, 60.0)),
        steps=2,
    )

    assert load_checkpoint(train(config)).config.scale == scale


def test_log_holds_what_a_run_is_judged_by(tiny):
    config = tiny(loss=ALL_TERMS)

    train(config)

    last = rows(config)[-1]
    assert last["step"] == 6
    assert last["epoch"] == 4
    expected = {"learning_rate", "images_per_s", "pixel", "gradient", "frequency", "magnitude", "adversarial"}
    assert expected | {"consistency", "feature", "wasserstein", "penalty", "gradient_norm", "step_s"} <= set(last)


def test_pixel_loss_falls(tiny):
    config = tiny(steps=40, batch=4, learning_rate=2e-3, log_every=10)

    train(config)

    losses = [row["pixel"] for row in rows(config)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("workers", "stop"), [(0, 2), (1, 4)])
def test_resumed_run_equals_an_unbroken_one_bit_for_bit(tiny, tmp_path, workers, stop):
    loss = replace(ALL_TERMS, adversarial_from=0, adversarial_ramp=0)
    whole = tiny(loss=loss, workers=workers, milestones=(), out=tmp_path / "whole" / "run")
    broken = replace(whole, out=tmp_path / "broken" / "run")

    train(whole)
    train(replace(broken, steps=stop))
    train(broken)

    assert_same_state(whole.out, broken.out)
    assert (whole.out / "run.safetensors").read_bytes() == (broken.out / "run.safetensors").read_bytes()


def test_run_does_not_go_on_with_other_faces(tiny, tmp_path, write_faces):
    config = tiny(steps=2)
    train(config)

    with pytest.raises(ResumeError, match=r"data_dir\.faces: expected 2, got 3"):
        train(replace(config, steps=4, data_dir=write_faces(tmp_path / "others", 2)))


def test_run_goes_on_with_the_same_faces_in_another_place(tiny, tmp_path, write_faces):
    config = tiny(steps=2)
    train(config)

    moved = train(replace(config, steps=4, data_dir=write_faces(tmp_path / "moved", 3)))

    assert load_checkpoint(moved).record["stages"][-1]["steps"] == 4


def test_record_names_the_source_that_the_run_started_with(tiny):
    config = tiny(steps=2)
    train(config)
    state = torch.load(config.out / "state.pt", weights_only=True)
    began_with = {"torch": "0.1", "revision": "ab+dirty"}
    torch.save(state | {"source": began_with}, config.out / "state.pt")

    (stage,) = load_checkpoint(train(replace(config, steps=4))).record["stages"]

    assert {name: stage[name] for name in began_with} == began_with


def test_run_that_reached_its_end_is_only_exported_again(tiny):
    config = tiny()
    first = train(config).read_bytes()

    again = train(config).read_bytes()

    assert again == first
    assert len(rows(config)) == 3


def test_state_of_another_configuration_is_refused(tiny):
    config = tiny(steps=2)
    train(config)
    before = (config.out / "state.pt").read_bytes()

    with pytest.raises(ResumeError, match=r"network\.embed_dim: expected 16, got 8"):
        train(replace(config, network=replace(config.network, embed_dim=16)))

    assert (config.out / "state.pt").read_bytes() == before


def test_nan_stops_the_run_names_the_term_and_keeps_the_last_good_state(tiny):
    config = tiny(steps=4, save_every=1)
    train(config)
    good = (config.out / "state.pt").read_bytes()

    with pytest.raises(Diverged, match=r"step \d+: the (pixel|gradient_norm) term became (nan|inf).*state\.pt"):
        train(replace(config, steps=40, learning_rate=1e30, save_every=1000))

    assert (config.out / "state.pt").read_bytes() == good


@pytest.mark.parametrize("loss", [LossConfig(), LossConfig(adversarial=0.01)], ids=["pixel loss", "with a critic"])
def test_step_that_ruins_the_weights_is_not_saved_and_the_run_goes_on_from_the_one_before(tiny, loss):
    config = tiny(steps=2, save_every=1, loss=loss)
    train(config)
    good = (config.out / "state.pt").read_bytes()

    with pytest.raises(Diverged, match=r"step 3: the \w+ term became (nan|inf); the last good state is .*state\.pt"):
        train(replace(config, steps=5, learning_rate=1e30))

    assert (config.out / "state.pt").read_bytes() == good
    assert load_checkpoint(train(replace(config, steps=5))).record["stages"][-1]["steps"] == 5


def test_nan_before_anything_was_saved_says_so(tiny):
    with pytest.raises(Diverged, match="no state was saved before"):
        train(tiny(steps=40, learning_rate=1e30))


def test_training_starts_from_given_weights(tiny, tmp_path):
    network = tiny().network
    tensors = SwinIR(network).tensors()
    tensors["conv_up.bias"] += 0.25
    start = save_checkpoint(tmp_path / "start", network, tensors, {})

    result = load_checkpoint(train(tiny(init=str(start), steps=1, learning_rate=1e-9)))

    np.testing.assert_allclose(result.tensors["conv_up.bias"], 0.25, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 6), (3, 7)])
def test_more_frames_than_the_starting_weights_know_change_nothing_on_a_still_face(tiny, tmp_path, before, after):
    few, many = (replace(tiny().network, frames=frames) for frames in (before, after))
    model = SwinIR(few)
    torch.nn.init.normal_(model.conv_up.weight, std=0.1)
    start = save_checkpoint(tmp_path / "start", few, model.tensors(), {})

    result = load_checkpoint(train(tiny(init=str(start), network=many, steps=1, learning_rate=1e-9)))

    frame = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model.eval()(frame.repeat(1, before, 1, 1))
        seen = SwinIR.from_checkpoint(result)(frame.repeat(1, after, 1, 1))
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


def test_training_for_another_scale_keeps_the_body_and_starts_its_end_anew(tiny, tmp_path):
    x2 = tiny().network
    tensors = SwinIR(x2).tensors()
    tensors["conv_up.bias"] += 0.25
    start = save_checkpoint(tmp_path / "start", x2, tensors, {})
    x4 = replace(x2, scale=4)

    result = load_checkpoint(
        train(
            tiny(
                init=str(start),
                network=x4,
                data=DataConfig(patch=16, interocular_px=(12, 60)),
                steps=1,
                learning_rate=1e-9,
            )
        )
    )

    np.testing.assert_allclose(result.tensors["conv_body.weight"], tensors["conv_body.weight"], atol=1e-6)
    np.testing.assert_allclose(result.tensors["conv_up.bias"], 0, atol=1e-6)


def test_smaller_network_starts_from_what_a_larger_one_knows(tiny, tmp_path):
    large = replace(tiny().network, embed_dim=16, depths=(2, 1), heads=4)
    torch.manual_seed(3)
    start = save_checkpoint(tmp_path / "start", large, SwinIR(large).tensors(), {})
    config = tiny(init=str(start), steps=1, learning_rate=1e-9)

    made = load_checkpoint(train(config))

    known = load_checkpoint(str(start)).tensors["conv_up.bias"]
    assert made.config == config.network
    np.testing.assert_allclose(made.tensors["conv_up.bias"], known, atol=1e-6)
    filters = load_checkpoint(str(start)).tensors["conv_first.weight"]
    assert all(np.abs(filters - kept).max(axis=(1, 2, 3)).min() < 1e-6 for kept in made.tensors["conv_first.weight"])


@pytest.mark.parametrize("depths", [(3, 1), (2, 1, 2), (4, 2, 1, 1)])
def test_deeper_network_starts_as_the_one_that_it_grows_from(tiny, tmp_path, depths):
    shallow = replace(tiny().network, depths=(2, 1))
    torch.manual_seed(3)
    model = SwinIR(shallow)
    torch.nn.init.normal_(model.conv_up.weight, std=0.1)
    start = save_checkpoint(tmp_path / "start", shallow, model.tensors(), {})
    deep = replace(shallow, depths=depths)

    made = load_checkpoint(train(tiny(init=str(start), network=deep, steps=1, learning_rate=1e-9)))

    frame = torch.rand(1, shallow.input_channels, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(SwinIR.from_checkpoint(made)(frame), model.eval()(frame), atol=1e-5, rtol=0)
    assert made.config == deep


def test_layers_that_a_network_grew_learn(tiny, tmp_path):
    shallow = tiny().network
    torch.manual_seed(3)
    model = SwinIR(shallow)
    torch.nn.init.normal_(model.conv_up.weight, std=0.1)
    start = save_checkpoint(tmp_path / "start", shallow, model.tensors(), {})
    deep = replace(shallow, depths=(*shallow.depths, 2))

    made = load_checkpoint(train(tiny(init=str(start), network=deep, steps=8, learning_rate=1e-3)))

    grown = {name: tensor for name, tensor in made.tensors.items() if name not in shallow.parameter_shapes()}
    assert all(np.abs(tensor).max() > 0 for name, tensor in grown.items() if name.endswith(("weight", "bias")))


def test_deeper_network_of_another_width_is_refused_as_a_start(tiny, tmp_path):
    start = save_checkpoint(tmp_path / "start", tiny().network, SwinIR(tiny().network).tensors(), {})
    wider = replace(tiny().network, embed_dim=2 * tiny().network.embed_dim, depths=(2, 2, 2))

    with pytest.raises(TrainError, match="only has fewer layers"):
        train(tiny(init=str(start), network=wider))


def test_weights_of_another_network_are_refused_as_a_start(tiny, tmp_path):
    other = SwinIRConfig(embed_dim=16, depths=(1,), heads=2)
    start = save_checkpoint(tmp_path / "start", other, SwinIR(other).tensors(), {})

    with pytest.raises(TrainError, match="embed_dim=16"):
        train(tiny(init=str(start)))


def test_fidelity_weights_are_exported_where_the_critic_comes_in(tiny):
    config = tiny(loss=LossConfig(adversarial=0.01, adversarial_from=0.5))

    final = load_checkpoint(train(config))

    fidelity = load_checkpoint(config.out / "run-fidelity.safetensors")
    assert fidelity.record["stages"][-1]["steps"] == 3
    assert not np.array_equal(fidelity.tensors["conv_up.weight"], final.tensors["conv_up.weight"])
    assert [("penalty" in row) for row in rows(config)] == [False, True, True]


def test_more_steps_do_not_open_the_first_stage_again(tiny):
    config = tiny(loss=LossConfig(adversarial=0.01, adversarial_from=0.5), log_every=1)
    train(config)
    fidelity = (config.out / "run-fidelity.json").read_bytes()

    train(replace(config, steps=20))

    assert (config.out / "run-fidelity.json").read_bytes() == fidelity
    assert ["penalty" in row for row in rows(config)] == [False] * 3 + [True] * 17


def test_critic_takes_as_many_steps_as_asked_and_the_generator_leaves_it_alone(tiny, tmp_path):
    once = tiny(loss=LossConfig(adversarial=0.01), steps=1, out=tmp_path / "once")
    thrice = replace(once, critic=CriticConfig(channels=4, steps=3), out=tmp_path / "thrice")

    train(once)
    train(thrice)

    states = [read_state(config.out / "state.pt")["critic_optimiser"]["state"] for config in (once, thrice)]
    assert [float(next(iter(state.values()))["step"]) for state in states] == [1, 3]


def test_test_on_held_out_faces_is_logged_beside_bicubic_and_drawn(tiny, val_dir):
    config = tiny(val_dir=val_dir, steps=4, test_every=2)

    train(config)

    tests = [row for row in rows(config) if "test" in row]
    assert [row["step"] for row in tests] == [2, 4]
    assert set(tests[0]["test"]["dark"]) == {"tier", "bicubic", "lanczos"}
    written = {path.name for path in config.out.iterdir()}
    assert {"loss.png", "psnr.png", "sheet-0000002.png", "sheet-0000004.png", "tensorboard"} <= written


def test_tensorboard_shows_the_losses_the_rate_and_the_tests_beside_bicubic(tiny, val_dir):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = tiny(val_dir=val_dir, steps=4, test_every=2)

    train(config)

    board = accumulator.EventAccumulator(str(config.out / "tensorboard")).Reload()
    shown = {name: [(e.step, e.value) for e in board.Scalars(name)] for name in board.Tags()["scalars"]}
    lines, tests = ([row for row in rows(config) if ("test" in row) == test] for test in (False, True))
    for name in ("pixel", "learning_rate"):
        assert shown[name] == [(row["step"], pytest.approx(row[name])) for row in lines]
    for condition in ("clean", "webcam", "dark"):
        for score in ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim"):
            for name, method in ((score, "tier"), (f"{score}/bicubic", "bicubic")):
                expected = [(row["step"], pytest.approx(row["test"][condition][method][score])) for row in tests]
                assert shown[f"test/{condition}/{name}"] == expected
    for event, step in zip(board.Images("test/sheet"), (2, 4), strict=True):
        sheet = cv2.imread(str(config.out / f"sheet-{step:07d}.png"))
        np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), 1), sheet)


def test_tensorboard_shows_a_resumed_run_s_steps_once(tiny):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = tiny(log_every=1)
    train(replace(config, steps=4))
    saved = (config.out / "state.pt").read_bytes()
    train(config)

    (config.out / "state.pt").write_bytes(saved)  # as if the machine had stopped before it saved again
    train(config)

    board = accumulator.EventAccumulator(str(config.out / "tensorboard")).Reload()
    assert [e.step for e in board.Scalars("pixel")] == [1, 2, 3, 4, 5, 6]


def test_workers_do_not_wait_for_threads_that_opencv_had_in_their_parent(tiny):
    cv2.setNumThreads(2)
    cv2.warpAffine(np.zeros((2000, 2000, 3), np.uint8), np.eye(2, 3), (2000, 2000), flags=cv2.INTER_CUBIC)

    assert train(tiny(workers=1)).is_file()


def test_mixed_precision_trains(tiny):
    assert np.isfinite(load_checkpoint(train(tiny(amp="bf16", loss=ALL_TERMS))).tensors["conv_up.weight"]).all()


def test_faces_too_small_for_the_scale_are_left_out_and_counted(tiny, tmp_path, write_faces, capsys):
    folder = write_faces(tmp_path / "mixed", 2)
    cv2.imwrite(str(folder / "1.png"), np.zeros((20, 20, 3), np.uint8))

    (stage,) = load_checkpoint(train(tiny(data_dir=folder, steps=1))).record["stages"]

    assert "1 of 2 faces are too small at x2" in capsys.readouterr().out
    assert stage["faces"] == 1
    assert stage["manifest_sha256"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def test_folder_without_a_manifest_says_what_to_run(tiny, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="python -m train prepare"):
        train(tiny(data_dir=tmp_path / "empty"))


def test_cuda_without_a_gpu_says_so(tiny):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")

    with pytest.raises(TrainError, match="choose --device cpu"):
        train(tiny(device="cuda"))


def test_learning_rate_rises_then_halves_at_each_milestone(tiny):
    config = tiny(steps=100, warmup=10, learning_rate=1.0, milestones=(0.5, 0.75))

    rates = [learning_rate(config, step) for step in (0, 4, 9, 49, 50, 74, 75, 99)]

    assert rates == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0.5, 0.25, 0.25])


def test_critic_counts_for_nothing_at_first_then_more_and_more(tiny):
    config = tiny(steps=100, loss=LossConfig(adversarial=0.4, adversarial_ramp=0.2))

    shares = [
        adversarial_share(config, step, came) for step, came in ((9, None), (50, 50), (60, 50), (70, 50), (99, 50))
    ]

    assert shares == pytest.approx([0, 0, 0.5, 1, 1])


def test_generator_loss_is_the_sum_of_the_terms_by_their_weights():
    weights = {
        "pixel": 1.5,
        "colour": 2.0,
        "iris": 3.0,
        "gradient": 5.0,
        "frequency": 7.0,
        "magnitude": 11.0,
        "tracker": 13.0,
        "consistency": 17.0,
        "adversarial": 19.0,
        "feature": 23.0,
    }
    names = {name: name for name in weights if name != "tracker"}
    names |= {"seen": "tracker", "gaze": "tracker", "tremble": "consistency"}

    for name, field in names.items():
        share = 0.5 if name in ("adversarial", "feature") else 1
        terms = {"pixel": torch.tensor(4.0), "penalty": torch.tensor(1e6), name: torch.tensor(2.0)}
        expected = share * weights[field] * 2 + (1.5 * 4 if name != "pixel" else 0)
        assert generator_loss(LossConfig(**weights), terms, 0.5).item() == pytest.approx(expected), name


def test_generator_learns_to_please_the_critic(tiny):
    loss = LossConfig(pixel=1e-6, adversarial=1e4, adversarial_ramp=0)
    config = tiny(loss=loss, critic=CriticConfig(channels=4, learning_rate=1e-12), steps=16, learning_rate=1e-2)

    train(config)

    against = [row["adversarial"] for row in rows(config)]
    assert np.mean(against[-3:]) < np.mean(against[:3])


def test_critic_learns_to_tell_pictures_from_the_truth_and_keeps_its_slope(tiny, tmp_path):
    tensors = SwinIR(tiny().network).tensors()
    tensors["conv_up.bias"] += 0.25
    too_bright = str(save_checkpoint(tmp_path / "start", tiny().network, tensors, {}))
    critic = CriticConfig(channels=4, learning_rate=1e-2)
    config = tiny(init=too_bright, loss=LossConfig(adversarial=1e-6), critic=critic, steps=24, learning_rate=1e-9)

    train(config)

    # The pictures are 0.25 * sqrt(3 * 32^2) = 13.9 apart, which is the distance that a critic of slope 1 can find.
    last = rows(config)[-6:]
    assert 2 < np.median([row["wasserstein"] for row in last]) < 28
    assert np.median([row["penalty"] for row in last]) < 2


def test_average_follows_the_generator_by_the_share_that_it_does_not_keep(tiny):
    players = Players(tiny(), Group(rank=0, size=1, device=torch.device("cpu")))
    for network, value in ((players.average, 0.0), (players.generator, 1.0)):
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, value)

    seen = []
    for _ in range(2):
        players.move_average(0.75)
        seen.append({float(value) for parameter in players.average.parameters() for value in parameter.unique()})

    assert seen == [{0.25}, {0.4375}]
    assert all((parameter == 1).all() for parameter in players.generator.parameters())


@pytest.mark.parametrize(("ema", "kept"), [(0.999, 0.1), (0.05, 0.05)])
def test_average_keeps_a_tenth_in_the_first_step_or_less(tiny, tmp_path, ema, kept):
    network = tiny().network
    start = SwinIR(network).tensors()
    init = save_checkpoint(tmp_path / "start", network, start, {})

    config = tiny(init=str(init), ema=ema, steps=1, learning_rate=1e-2)
    train(config)

    state = read_state(config.out / "state.pt")
    for name, tensor in state["average"].items():
        expected = kept * torch.from_numpy(start[name]) + (1 - kept) * state["generator"][name]
        torch.testing.assert_close(tensor, expected)
    assert not torch.equal(state["average"]["conv_up.weight"], state["generator"]["conv_up.weight"])


@pytest.mark.parametrize(("first", "second", "excess"), [(50, -100, 0), (200, 0, 0.5), (200, -200, 1), (400, 0, 4.5)])
def test_excess_is_the_mean_over_groups_of_the_square_beyond_the_limit(first, second, excess):
    model = SwinIR(SwinIRConfig(embed_dim=8, depths=(1, 1), heads=2))
    model.groups = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    features = Features(model)

    for group, value in zip(model.groups, (first, second), strict=True):
        group(torch.full((2, 8, 4, 4), float(value)))

    assert float(features.excess(100)) == pytest.approx(excess)


def test_excess_is_of_the_last_pass_and_pulls_at_what_is_beyond_the_limit_alone():
    model = SwinIR(SwinIRConfig(embed_dim=8, depths=(1,), heads=2))
    model.groups = torch.nn.ModuleList([torch.nn.Identity()])
    features = Features(model)
    x = torch.tensor([50.0, 200.0, -300.0], requires_grad=True)

    model.groups[0](torch.full((3,), 1e4))
    model.groups[0](x)
    features.excess(100).backward()

    torch.testing.assert_close(x.grad, torch.tensor([0, 2 * 1 / 300, -2 * 2 / 300]))


def started(config):
    """A process that trains and has taken three steps."""
    script = f"from pathlib import *; from train.config import *; from train.loop import train; train({config!r})"
    code = script.replace("PosixPath", "Path")
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    while "step 3 " not in run.stdout.readline():
        assert run.poll() is None
    return run


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_run_leaves_no_worker_behind(tiny):
    run = started(tiny(steps=100_000, log_every=1, threads=1, workers=1))
    workers = psutil.Process(run.pid).children(recursive=True)

    run.kill()
    run.communicate(timeout=60)

    _, alive = psutil.wait_procs(workers, timeout=60)
    for worker in alive:
        worker.kill()
    assert len(workers) >= 1
    assert alive == []


@pytest.mark.timeout(400)
def test_interrupted_and_resumed_it_ends_in_the_same_bytes(tiny, tmp_path):
    whole = tiny(loss=ALL_TERMS, steps=40, log_every=1, threads=1, workers=1, out=tmp_path / "whole" / "run")
    broken = replace(whole, out=tmp_path / "broken" / "run")

    run = started(broken)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=300)
    stopped = read_state(broken.out / "state.pt")["step"]
    train(broken)
    train(whole)

    assert run.returncode == 0
    assert 3 <= stopped < 40
    assert_same_state(whole.out, broken.out)
    assert (whole.out / "run.safetensors").read_bytes() == (broken.out / "run.safetensors").read_bytes()
