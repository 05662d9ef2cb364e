import pytest

from realtime.errors import SinkError
from realtime.sinks.virtualcam import VirtualCamOptions, VirtualCamSink

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam, of the extra `virtualcam`")


def a_device():
    try:
        with pyvirtualcam.Camera(640, 480, 30):
            return True
    except RuntimeError:
        return False


@pytest.mark.skipif(not a_device(), reason="needs a virtual camera device")
def test_a_virtual_camera_takes_pictures_of_any_size(sent):
    with VirtualCamSink(VirtualCamOptions(view="eyes"), consent=False) as sink:
        sink.send(sent())
        sink.send(sent(height=4, width=6))
        sink.send(sent(face=False))


@pytest.mark.skipif(a_device(), reason="there is a virtual camera device")
def test_without_a_device_it_says_what_to_install():
    with pytest.raises(SinkError, match="v4l2loopback"):
        VirtualCamSink(VirtualCamOptions(), consent=False).__enter__()
