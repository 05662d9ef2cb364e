import cv2
import numpy as np
import pytest
from PIL import Image

from train.errors import DataError
from train.images import read_image


@pytest.fixture
def colours():
    """uint8 (32, 48, 3), BGR, smooth, so that codecs keep it."""
    y, x = np.mgrid[0:32, 0:48]
    return np.stack([4 * x, 200 - 3 * y, 60 + 2 * x + y], axis=2).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_picture_is_read_as_it_is(tmp_path, colours, suffix):
    cv2.imwrite(str(tmp_path / f"a{suffix}"), colours)

    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), colours)


def test_grey_becomes_three_equal_channels(tmp_path, colours):
    cv2.imwrite(str(tmp_path / "a.png"), colours[..., 1])

    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(colours[..., 1:2], 3, axis=2))


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_sixteen_bits_become_their_upper_eight(tmp_path, colours, channels):
    deep = colours[..., :channels].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.png"), deep)

    expected = np.broadcast_to(colours[..., :channels], colours.shape)
    np.testing.assert_allclose(read_image(tmp_path / "a.png").astype(int), expected, atol=1)


def test_cmyk_becomes_the_colours_that_it_stands_for(tmp_path, colours):
    Image.fromarray(colours[..., ::-1]).convert("CMYK").save(tmp_path / "a.jpg", quality=98)

    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").astype(int), colours, atol=10)


def test_transparency_is_dropped(tmp_path, colours):
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([colours, np.zeros(colours.shape[:2], np.uint8)]))

    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), colours)


def test_picture_is_turned_as_its_camera_was_held(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(colours[..., ::-1]).save(tmp_path / "a.jpg", quality=98, exif=exif)

    assert read_image(tmp_path / "a.jpg").shape == (48, 32, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_picture_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])

    with pytest.raises(DataError, match=r"expected (a whole|an) image"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_picture_with_bytes_after_its_end_is_read(tmp_path, colours, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), colours)
    with path.open("ab") as file:
        file.write(b"a phone's film of the moment before" * 10)

    np.testing.assert_allclose(read_image(path).astype(int), colours, atol=10)


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a?", b"\xff\xd8\xff\xd9", b"text"], ids=["empty", "gif", "jpeg", "text"]
)
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)

    with pytest.raises(DataError, match=r"a\.jpg: expected"):
        read_image(tmp_path / "a.jpg")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.jpg: expected an image, cannot be read: No such file"):
        read_image(tmp_path / "a.jpg")
