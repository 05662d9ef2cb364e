import cv2
import numpy as np
import pytest

from train.errors import TrainError
from train.evaluate import Exam, interpolation
from train.sheet import sheet, write_sheet


@pytest.fixture(scope="module")
def exam(val_dir):
    return Exam(val_dir, frames=3, scale=4)


def test_rows_are_conditions_and_columns_are_methods(exam):
    seen = []

    def method(batch):
        seen.append(batch.shape)
        return interpolation(cv2.INTER_LINEAR, 4)(batch)

    one = sheet(exam, {"a": (1, method)}, eyes=1)
    two = sheet(exam, {"a": (1, method), "b": (3, method)}, eyes=2)

    assert one.dtype == np.uint8
    assert one.shape[0] * 2 == two.shape[0]
    assert one.shape[1] // 4 == two.shape[1] // 5
    assert {shape[3] for shape in seen[:3]} == {3}
    assert {shape[3] for shape in seen[3:]} == {3, 9}


def test_long_name_shows_its_end(exam):
    method = (1, interpolation(cv2.INTER_LINEAR, 4))

    first, second = (sheet(exam, {f"a/very/long/path/to/the/run{n}/weights": method}, eyes=1) for n in (1, 2))

    assert not np.array_equal(first, second)


def test_sheet_is_written_as_png(tmp_path):
    write_sheet(tmp_path / "a.png", np.full((4, 5, 3), 7, np.uint8))

    assert (cv2.imread(str(tmp_path / "a.png")) == 7).all()


def test_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(TrainError, match=r"a\.png: cannot be written"):
        write_sheet(tmp_path / "file" / "a.png", np.zeros((4, 5, 3), np.uint8))
