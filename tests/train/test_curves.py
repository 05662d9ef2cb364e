import json

import cv2
import pytest

from train.curves import draw_curves, read_log
from train.errors import TrainError


def line(step, **values):
    return json.dumps({"step": step} | values) + "\n"


def test_last_line_of_a_step_counts_and_a_cut_line_is_passed_over(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(line(1, pixel=1.0) + line(2, pixel=9.0) + line(2, pixel=2.0) + line(2, test={}) + '{"step": 3, "pix')

    rows = read_log(log)

    assert rows == [{"step": 1, "pixel": 1.0}, {"step": 2, "pixel": 2.0}, {"step": 2, "test": {}}]


def test_losses_and_psnr_become_pictures(tmp_path):
    log = tmp_path / "log.jsonl"
    score = {"clean": {"tier": {"psnr_rgb": 35.0}, "bicubic": {"psnr_rgb": 34.0}}}
    log.write_text("".join(line(s, pixel=1 / s, penalty=0.5, epoch=0.1) for s in (1, 2, 3)) + line(3, test=score))

    written = draw_curves(log)

    assert [path.name for path in written] == ["loss.png", "psnr.png"]
    for path in written:
        picture = cv2.imread(str(path))
        assert picture.shape == (480, 840, 3)
        assert picture.std() > 10


def test_log_without_figures_gives_no_picture(tmp_path):
    (tmp_path / "log.jsonl").write_text("")

    assert draw_curves(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize("picture", ["loss.png", "psnr.png"])
def test_full_disk_leaves_the_curves_that_were_there(tmp_path, picture, disk_of):
    log = tmp_path / "log.jsonl"
    score = {"clean": {"tier": {"psnr_rgb": 35.0}, "bicubic": {"psnr_rgb": 34.0}}}
    log.write_text(line(1, pixel=0.5) if picture == "loss.png" else line(1, test=score))
    (tmp_path / picture).write_text("before")

    with disk_of(5_000), pytest.raises(TrainError, match=f"{picture}: cannot be written: .*; free some space"):
        draw_curves(log)

    assert (tmp_path / picture).read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl", picture}
