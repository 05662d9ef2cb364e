import pytest

from train.errors import TrainError
from train.files import whole_file


def test_file_appears_whole_in_folders_that_it_makes(tmp_path):
    with whole_file(tmp_path / "a" / "b") as file:
        file.write(b"whole")
        assert not (tmp_path / "a" / "b").exists()

    assert (tmp_path / "a" / "b").read_bytes() == b"whole"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]


def test_error_in_the_block_leaves_what_was_there(tmp_path):
    (tmp_path / "b").write_text("before")

    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "b") as file:
        file.write(bytes(1 // (file.write(b"half") - 4)))

    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("b", "before")]


def test_full_disk_leaves_what_was_there(tmp_path, disk_of):
    (tmp_path / "b").write_text("before")

    with (
        disk_of(5_000),
        pytest.raises(TrainError, match=r"b: cannot be written: .*; free some space"),
        whole_file(tmp_path / "b") as f,
    ):
        f.write(bytes(20_000))

    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("b", "before")]
