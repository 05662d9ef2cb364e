import subprocess
import sys
import types

import realtime


def test_all_names_what_is_public():
    public = {
        name
        for name, value in vars(realtime).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert public == set(realtime.__all__)
    assert realtime.__all__ == sorted(realtime.__all__)


def test_importing_realtime_is_light():
    code = "import realtime, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"

    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "zmq" in loaded
    heavy = {"torch", "mediapipe", "cv2", "openvino", "skimage", "scipy", "tyro", "rich", "matplotlib", "engines"}
    assert not heavy.intersection(loaded)


def test_every_error_is_a_realtime_error():
    errors = [value for value in vars(realtime).values() if isinstance(value, type) and issubclass(value, Exception)]

    assert len(errors) == 9
    assert all(issubclass(error, realtime.RealtimeError) for error in errors)
