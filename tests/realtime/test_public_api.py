import subprocess
import sys
import types

import pytest

import realtime


def test_all_names_what_is_public():
    visible = {
        name
        for name, value in vars(realtime).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert not visible
    assert dir(realtime) == realtime.__all__ == sorted(realtime.__all__)
    for name in realtime.__all__:
        assert getattr(realtime, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Publisher'"):
        _ = realtime.Publisher


def loaded_by(code):
    """The modules that are there after it, without what is inside them."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_realtime_is_light():
    loaded = loaded_by("from realtime import *")

    assert "zmq" in loaded
    heavy = {"torch", "mediapipe", "cv2", "openvino", "skimage", "scipy", "tyro", "rich", "matplotlib", "engines"}
    assert not heavy.intersection(loaded)


def test_the_package_and_the_command_line_wait_for_nothing_before_ctrl_c_is_looked_after():
    assert not loaded_by("import realtime.__main__").intersection({"numpy", "zmq", "tyro", "engines"})


def test_every_error_is_a_realtime_error():
    values = [getattr(realtime, name) for name in realtime.__all__]
    errors = [value for value in values if issubclass(value, Exception)]

    assert len(errors) == 9
    assert all(issubclass(error, realtime.RealtimeError) for error in errors)
