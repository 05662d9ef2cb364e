import cv2
import pytest
from contact_sheet import Sheet, main


def test_a_row_of_both_eyes_three_times(tmp_path, capsys):
    out = tmp_path / "eyes.png"

    main(Sheet(out=out, engine="bicubic", rows=1, every=2))

    assert cv2.imread(str(out)).shape[0] == 200 + 4
    assert "1 frames of demo" in capsys.readouterr().out


def test_a_full_disk_is_no_success(tmp_path, disk_of, capsys):
    out = tmp_path / "eyes.png"

    with pytest.raises(OSError, match="File too large"), disk_of(1000):
        main(Sheet(out=out, engine="bicubic", rows=1, every=2))

    assert not out.exists()
    assert "frames of" not in capsys.readouterr().out
