import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from benefit import (
    BenefitConfig,
    check_sizes,
    compared,
    followed,
    main,
    measured,
    open_methods,
    recorded,
    recordings_in,
    show_followed,
    tabulated,
)
from benefit_plots import draw
from rich.console import Console
from skimage.data import astronaut

from engines import DEFAULT_TIER, SwinIRConfig, load_checkpoint, save_checkpoint, shipped_tiers
from engines.swinir import SwinIR
from train.benefit.faces import face_mesh
from train.benefit.method import Method, bicubic_method, plain_methods
from train.benefit.study import conduct
from train.benefit.synthetic import drawn_face

TINY = SwinIRConfig(frames=2, embed_dim=8, depths=(1,), heads=2)


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The benchmark on one photograph with an untrained checkpoint, and the JSON that it wrote."""
    folder = tmp_path_factory.mktemp("faces")
    photo = np.ascontiguousarray(astronaut()[:300, 50:400, ::-1])
    cv2.imwrite(str(folder / "a.png"), cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
    (folder / "val.json").write_text(json.dumps([{"file": "a.png"}]))
    tier = save_checkpoint(folder / "tiny", TINY, SwinIR(TINY).tensors(), {})
    config = BenefitConfig(
        faces=folder,
        quick=True,
        tiers=(str(tier),),
        engines=("eager",),
        sizes_px=(30, 60),
        json=folder / "out.json",
        plots=folder / "plots",
    )
    returned = main(config)
    written = json.loads((folder / "out.json").read_text())
    assert written == json.loads(json.dumps(returned))
    return written


def test_every_method_is_measured_at_every_size_in_every_condition(document):
    measured = {(row["method"], row["condition"], row["interocular_px"]) for row in document["iris"]}

    methods, conditions, sizes = (set(part) for part in zip(*measured, strict=True))
    assert methods == {"none", "bilinear", "bicubic", "lanczos", "tiny"}
    assert conditions == {"clean", "webcam", "dark"}
    assert sizes == {30, 60}
    assert len(measured) == 30


def test_an_untrained_network_is_bicubic_where_there_is_noise(document):
    means = {
        (row["quantity"], row["condition"], row["interocular_px"], row["method"]): row["mean"]
        for row in document["iris"]
    }
    for (quantity, condition, size, method), mean in means.items():
        if method == "tiny" and condition != "clean":  # which is back-projected
            assert mean == pytest.approx(means[quantity, condition, size, "bicubic"], rel=0.1, abs=0.02)


def test_without_names_all_tiers_of_the_scale_are_measured_the_default_first():
    with ExitStack() as stack:
        methods, tiers = open_methods(BenefitConfig(faces=Path("unread"), engines=("auto",)), stack)

    ours = {name for name in shipped_tiers() if load_checkpoint(name).config.scale == 2} - {DEFAULT_TIER}
    assert next(iter(tiers)) == "default"
    assert set(tiers) == ours | {"default"}
    assert {method.name for method in methods} >= set(tiers)


def test_a_tier_of_another_scale_is_refused(tmp_path):
    config = SwinIRConfig(scale=4, embed_dim=8, depths=(1,), heads=2)
    path = save_checkpoint(tmp_path / "x4", config, SwinIR(config).tensors(), {})

    with ExitStack() as stack, pytest.raises(ValueError, match="expected a tier of scale 2, got 4"):
        open_methods(BenefitConfig(faces=Path("unread"), tiers=(str(path),), engines=("eager",)), stack)


def test_a_name_is_all_that_comes_before_the_suffix_and_no_two_methods_have_the_same(tmp_path):
    tiers = [
        str(save_checkpoint(tmp_path / name, TINY, SwinIR(TINY).tensors(), {}))
        for name in ("mine.v2", "a/mine.v2", "bicubic")
    ]

    def names(*tiers):
        with ExitStack() as stack:
            return list(open_methods(BenefitConfig(faces=Path("unread"), tiers=tiers, engines=("eager",)), stack)[1])

    assert names(tiers[0]) == ["mine.v2"]
    with pytest.raises(ValueError, match=r"a name of its own for each, got two of mine\.v2"):
        names(tiers[0], tiers[1])
    with pytest.raises(ValueError, match="got two of bicubic"):
        names(tiers[2])


def test_sizes_that_no_face_reaches_are_refused():
    face = drawn_face()
    most = int(face.interocular_px / 2)

    check_sizes([face], (most, 400))

    with pytest.raises(ValueError, match=f"expected one of at most {most}.*got 400; give smaller sizes"):
        check_sizes([face], (400,))


def test_sizes_by_themselves_give_the_rows_that_they_give_together():
    face, methods = drawn_face(), [bicubic_method(2)]
    config = BenefitConfig(faces=Path("unread"), quick=True, sizes_px=(30, 20, 30))

    with face_mesh() as mesh:
        parts = [tabulated(study)["quality"] for study in list(measured([face], methods, None, mesh, config))[:2]]

    assert [len(rows) for rows in parts] == [9, 9]
    together = tabulated(conduct([face], methods, [], sizes_px=(30, 20)))["quality"]
    assert sorted(map(json.dumps, together)) == sorted(json.dumps(row) for rows in parts for row in rows)


def test_document_says_what_ran(document):
    assert document["complete"]
    assert document["tiers"]["tiny"]["frames"] == 2
    assert document["tiers"]["tiny"]["engine"] == "eager"
    assert document["faces"] == ["a"]
    assert document["config"]["quick"] == "True"
    assert "numpy" in document["versions"]
    assert document["gaze_drift_deg"] == []


def test_a_still_face_was_looked_at(document):
    assert {row["condition"] for row in document["steadiness"]} == {"webcam", "dark"}
    assert all(row["motion"] == "still" for row in document["steadiness"])


def test_a_face_that_would_have_to_be_enlarged_neither_stands_still_nor_looks_about():
    large = drawn_face(name="large")
    points = {name: getattr(large, name) * 0.4 for name in ("corners", "pupils", "rims")}
    small = replace(large, name="small", image=cv2.resize(large.image, None, fx=0.4, fy=0.4), **points)
    config = BenefitConfig(faces=Path("unread"), quick=True, sizes_px=(30,))

    with face_mesh() as mesh:
        studies = list(measured([small, large], [bicubic_method(2)], None, mesh, config))

    known = {key: ~np.isnan(values) for study in studies for key, values in study.values.items()}
    assert all(found.all() for key, found in known.items() if key.quantity == "iris_lab")
    steady = [list(found) for key, found in known.items() if key.quantity == "iris_lab_std"]
    assert steady == [[False, True]] * 2


def test_what_temporal_methods_show_of_the_old_eye_is_in_the_document():
    bicubic = bicubic_method(2)
    late = Method(name="late", enhance=lambda batch: bicubic.enhance(batch[..., -3:]), frames=2)

    found = followed([bicubic, late])

    assert [(row["condition"], row["method"]) for row in found["jumps"]] == [
        (condition, "late") for condition in ("clean", "webcam", "dark")
    ]
    assert found["jumps"][0]["lag"] == pytest.approx([1, 0, 0], abs=0.1)
    assert [(row["condition"], row["lid"]) for row in found["blinks"][:3]] == [
        ("clean", "closing"),
        ("clean", "opening"),
        ("webcam", "closing"),
    ]
    assert all(row["ghost"][1:] == pytest.approx([0, 0], abs=0.1) for row in found["blinks"])
    for row in found["blinks"]:
        assert row["ghost"][0] == pytest.approx(1, abs=0.1 if row["condition"] == "clean" else 0.2)
    console = Console(record=True, width=100)
    show_followed("Left of the eye", found["blinks"], "ghost", console)
    assert "Left of the eye" in console.export_text()
    assert followed([bicubic]) == {"jumps": [], "blinks": []}


def test_plots_show_raw_bicubic_and_ours(tmp_path):
    rows = [
        {"condition": c, "interocular_px": p, "method": m, "mean": 60 / p, "ci95": [50 / p, 70 / p], "n": 3}
        for c in ("clean", "webcam", "dark")
        for p in (30, 60)
        for m in ("none", "bilinear", "bicubic", "default")
    ]

    paths = draw({"gaze_drift_deg": rows, "tiers": {"default": {}}}, tmp_path)

    assert [path.name for path in paths] == ["gaze_drift.png", "gaze_drift_all.png"]
    assert all(cv2.imread(str(path)).shape[1] > 1000 for path in paths)


def test_no_gaze_no_plot(tmp_path):
    assert draw({"gaze_drift_deg": [], "tiers": {}}, tmp_path) == []


@pytest.mark.parametrize(("enlarged", "sizes"), [(1, [43]), (1.5, [45, 64]), (3, [45, 80])])
def test_a_recording_is_measured_small_and_large_and_never_enlarged(tmp_path, enlarged, sizes):
    photo = np.ascontiguousarray(astronaut()[:300, 50:400, ::-1])
    large = cv2.resize(photo, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, large.shape[1::-1])
    for _ in range(3):
        writer.write(large)
    writer.release()
    straight = SimpleNamespace(read=lambda view: np.array([0.0, 0.0, -1.0]))

    with face_mesh() as mesh:
        found = recorded(tmp_path / "a.avi", plain_methods()[:3], straight, mesh)

    assert recordings_in(tmp_path) == [tmp_path / "a.avi"]
    assert [row["interocular_px"] for row in found] == pytest.approx(np.repeat(sizes, 3), abs=2)
    assert [row["method"] for row in found] == ["none", "bilinear", "bicubic"] * len(sizes)
    assert {row["gaze_step_deg"] for row in found} == {0.0}


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected recordings \(\.mp4, .*found none"):
        recordings_in(tmp_path)


def test_recorded_steps_are_compared_with_raw_and_bicubic():
    still, moved = np.full(40, 1.0), np.linspace(0.5, 0.7, 40)
    taken = {"none": {"pupil_step": still}, "bicubic": {"pupil_step": still}, "ours": {"pupil_step": moved}}

    row = compared(taken, "ours")

    assert row["pupil_step"] == 0.6
    assert row["minus_none"]["pupil_step"]["difference"] == -0.4
    low, high = row["minus_none"]["pupil_step"]["ci95"]
    assert -0.5 < low < -0.4 < high < -0.3
    assert row["minus_bicubic"] == row["minus_none"]
    assert "minus_none" not in compared(taken, "none")
