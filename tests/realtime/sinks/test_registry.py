import pytest

from realtime.sinks import SINKS, build_outlets
from realtime.sinks.options import read_options, usage
from realtime.sinks.registry import build_sink
from realtime.sinks.sink import fitted, picture
from realtime.sinks.virtualcam import VirtualCamOptions

REMOTE = {
    "imagezmq": "tcp://*:5555",
    "netgear": "tcp://192.168.1.7:5454",
    "pupil": "tcp://pupil.example:50020",
    "pupil-frames": "tcp://0.0.0.0:50020",
    "lsl": "",
}


def test_values_fill_the_options_in_order_and_by_name():
    options = read_options(VirtualCamOptions, "virtualcam", "eyes,fps=25,320x240")

    assert options == VirtualCamOptions(view="eyes", size="320x240", fps=25.0)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "pigeon",
            "sink: expected one of imagezmq, lsl, netgear, pupil, pupil-frames, record, virtualcam, got 'pigeon'",
        ),
        ("imagezmq=viev=eyes", "sink imagezmq: expected imagezmq=bind=tcp://127.0.0.1:5555,view=eyes, got 'viev=eyes'"),
        ("imagezmq=view=ears", "sink imagezmq: view: expected one of eyes, left, right, face, frame, got 'ears'"),
        ("imagezmq=view=left,view=right", "got 'view=right'"),
        ("imagezmq=localhost", "sink imagezmq: expected tcp://HOST:PORT, got localhost"),
        ("virtualcam=fps=fast", "sink virtualcam: fps: expected float, got 'fast'"),
        ("virtualcam=fps=nan", "sink virtualcam: fps: expected a finite number, got 'nan'"),
        ("virtualcam=fps=0", "sink virtualcam: fps: expected frames per second above 0, got 0"),
        ("pupil=focal_px=-3", "sink pupil: focal_px: expected pixels above 0, or 0 for the frame's width, got -3"),
        ("pupil=focal_px=inf", "sink pupil: focal_px: expected a finite number, got 'inf'"),
        ("virtualcam=size=big", "expected WIDTHxHEIGHT such as 640x480, got 'big'"),
        ("record", "sink record: expected record=FOLDER, got no folder"),
        ("pupil=cameras=eye2", "expected some of world\\+eye0\\+eye1, got 'eye2'"),
    ],
)
def test_words_that_cannot_be_used_are_refused_with_what_was_expected(word, message):
    pytest.importorskip("pyvirtualcam")

    with pytest.raises(ValueError, match=message):
        build_outlets([word], consent=True)


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "a=1,b=2"

    (outlet,) = build_outlets([f"record={folder}"], consent=False)
    assert outlet.name == f"record={folder}"
    with outlet:
        pass

    assert folder.is_dir()


@pytest.mark.parametrize("name", REMOTE)
def test_nothing_leaves_this_machine_without_consent(name):
    if name == "lsl":
        pytest.importorskip("pylsl")

    with pytest.raises(ValueError, match="--i-consent-to-sending-my-face-in-clear"):
        build_sink(name, REMOTE[name], consent=False)
    build_sink(name, REMOTE[name], consent=True)


def test_every_sink_tells_its_options():
    for name, (options, _) in SINKS.items():
        assert usage(options, name).startswith(f"{name}=")


def test_views_show_what_they_say(sent):
    enhanced = sent().enhanced

    assert picture(enhanced, "eyes").shape == (4, 12, 3)
    assert (picture(enhanced, "eyes")[:, 6:] == picture(enhanced, "right")).all()
    assert (picture(enhanced, "left") == enhanced.patches[0]).all()
    assert picture(enhanced, "face").shape == (4, 4, 3)
    assert picture(enhanced, "frame") is enhanced.crops.frame.image


def test_without_a_face_only_the_frame_shows_anything(sent):
    enhanced = sent(face=False).enhanced

    assert [picture(enhanced, view) is None for view in ("eyes", "left", "right", "face", "frame")] == [True] * 4 + [
        False
    ]


def test_a_fitted_picture_keeps_its_shape_and_has_black_beside_it(sent):
    image = sent().enhanced.patches[0] | 1  # 6x4, nowhere black

    canvas = fitted(image, 60, 60)

    assert canvas.shape == (60, 60, 3)
    assert canvas[10:50].all()
    assert not canvas[:10].any()
    assert not canvas[50:].any()
