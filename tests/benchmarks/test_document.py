import json

import pytest
from document import Document, check_place, check_png


def read(path):
    return json.loads(path.read_text())


def test_it_is_on_the_disk_after_every_section_and_complete_at_the_end(tmp_path, capsys):
    path = tmp_path / "a.json"

    with Document(path, {"cpu": "a"}) as document:
        assert not path.exists()
        document.add(engines=[1])
        assert read(path) == {"complete": False, "cpu": "a", "engines": [1]}
        document.extend(engines=[2], peers=[3])
        assert read(path) == {"complete": False, "cpu": "a", "engines": [1, 2], "peers": [3]}

    assert read(path) == document == {"complete": True, "cpu": "a", "engines": [1, 2], "peers": [3]}
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == document


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError, SystemExit])
def test_what_was_measured_before_an_error_stays(tmp_path, capsys, end):
    path = tmp_path / "a.json"

    def measure():
        with Document(path, {}) as document:
            document.add(engines=[1])
            raise end

    with pytest.raises(end):
        measure()

    assert read(path) == json.loads(capsys.readouterr().out) == {"complete": False, "engines": [1]}


def test_an_error_before_anything_was_measured_leaves_what_lay_there(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text("yesterday's")

    with pytest.raises(KeyboardInterrupt), Document(path, {"cpu": "a"}):
        raise KeyboardInterrupt

    assert path.read_text() == "yesterday's"
    assert capsys.readouterr().out == ""


def test_a_full_disk_ends_it_and_the_line_is_printed_all_the_same(tmp_path, capsys, disk_of):
    with pytest.raises(OSError, match="File too large"), Document(tmp_path / "a.json", {}) as document, disk_of(1000):
        document.add(rows=list(range(1000)))

    assert len(json.loads(capsys.readouterr().out)["rows"]) == 1000


@pytest.mark.parametrize(
    ("path", "words"),
    [("none/a.json", "cannot be written: No such file or directory"), (".", "expected a file's path, got a folder")],
)
def test_a_place_that_takes_no_file_is_refused_at_once(tmp_path, path, words):
    with pytest.raises(ValueError, match=words):
        Document(tmp_path / path, {})


def test_looking_whether_a_place_takes_a_file_leaves_nothing(tmp_path):
    check_place(tmp_path / "a.json")
    check_png(tmp_path / "a.png")

    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_a_png(tmp_path):
    with pytest.raises(ValueError, match=r"a\.jpg: expected a name that ends in \.png"):
        check_png(tmp_path / "a.jpg")
