import pytest

from realtime.source import shown


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("0", "0"),
        ("demo", "demo"),
        ("films/me@home?.mp4", "films/me@home?.mp4"),
        ("rtsp://camera:554/live", "rtsp://camera:554/live"),
        ("rtsp://user:secret@camera:554/live", "rtsp://camera:554/live"),
        ("rtsp://user:sec@ret@camera/live", "rtsp://camera/live"),
        ("http://camera/video?token=secret", "http://camera/video"),
        ("http://camera?user=me&password=secret", "http://camera"),
        ("http://camera/video#secret", "http://camera/video"),
        ("http://user:secret@[::1]:80/video?token=secret#secret", "http://[::1]:80/video"),
        ("rtsp://user:sec/ret@camera/live", "rtsp://..."),
        ("rtsp://user:sec?ret@camera/live", "rtsp://..."),
        ("http://camera/video?password=sec@ret", "http://..."),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(source, told):
    assert shown(source) == told
