import pytest

from train.errors import TrainError
from train.files import write_whole


def test_file_is_written_in_folders_that_are_made_for_it(tmp_path):
    write_whole(tmp_path / "a" / "b", b"whole")

    assert (tmp_path / "a" / "b").read_bytes() == b"whole"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]


def test_full_disk_leaves_what_was_there(tmp_path, disk_of):
    (tmp_path / "b").write_text("before")

    with disk_of(5_000), pytest.raises(TrainError, match=r"b: cannot be written: .*; free some space"):
        write_whole(tmp_path / "b", bytes(20_000))

    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("b", "before")]


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(TrainError, match=r"b: cannot be written: .*; choose another"):
        write_whole(tmp_path / "file" / "b", b"", "choose another")
