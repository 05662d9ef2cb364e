"""Whatever lies in a checkpoint's two files: reading it gives a sound Checkpoint or a CheckpointError, nothing else."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from engines import CheckpointError, load_checkpoint
from engines.checkpoint import MAX_BYTES, MAX_HEADER_BYTES, MAX_RECORD_BYTES, find_checkpoint, save_checkpoint


@pytest.fixture
def path(random_checkpoint, tmp_path) -> Path:
    """A sound checkpoint's .safetensors, for a test to damage."""
    good = random_checkpoint("good")
    shutil.copy(good.with_suffix(".json"), tmp_path)
    return Path(shutil.copy(good, tmp_path))


def split(path: Path) -> tuple[dict, bytes]:
    """The header of a safetensors file, and what comes after it."""
    blob = path.read_bytes()
    end = 8 + int.from_bytes(blob[:8], "little")
    return json.loads(blob[8:end]), blob[end:]


def join(header: object, values: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def forge(path: Path, blob: bytes, **record) -> None:
    """Put these weights there, and a record with their hash, as whoever means harm would."""
    path.write_bytes(blob)
    document = json.loads(path.with_suffix(".json").read_text())
    document |= {"sha256": hashlib.sha256(blob).hexdigest()} | record
    path.with_suffix(".json").write_text(json.dumps(document))


def assert_refused(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as refused:
        load_checkpoint(path)

    assert str(path.with_suffix("")) in str(refused.value)
    assert len(str(refused.value)) < len(str(path)) + 300


def test_what_the_other_tests_damage_is_sound(path):
    forge(path, join(*split(path)))

    assert load_checkpoint(path).tensors["norm.bias"].shape == (16,)


def test_a_dot_in_a_name_is_part_of_it(path, tmp_path):
    good = load_checkpoint(path)

    for name in ("my.v2", "my.v2.safetensors", "my.v2.json"):
        saved = save_checkpoint(tmp_path / name, good.config, good.tensors, good.record)
        assert saved == tmp_path / "my.v2.safetensors"
        assert find_checkpoint(tmp_path / name) == saved
        assert load_checkpoint(tmp_path / name).name == "my.v2"
    assert sorted(p.name for p in tmp_path.glob("my*")) == ["my.v2.json", "my.v2.safetensors"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "I32"}, r"norm.bias: expected float32 \(16,\), got int32 \(16,\)"),
        ({"dtype": "F64", "shape": [8]}, r"norm.bias: expected float32 \(16,\), got float64 \(8,\)"),
        ({"dtype": "BF16", "shape": [32]}, "expected float32 tensors, got one of 'BF16'"),
        ({"dtype": "Q9"}, "unknown variant `Q9`"),
        ({"shape": [4, 4]}, r"norm.bias: expected float32 \(16,\), got float32 \(4, 4\)"),
        ({"shape": []}, "invalid shape"),
        ({"shape": [2**40]}, "invalid shape"),
        ({"shape": [2**62, 2**62]}, "overflow"),
        ({"shape": [-16]}, "invalid value"),
        ({"shape": [16.0]}, "invalid type"),
        ({"data_offsets": [0, 64]}, "invalid offset for tensor"),
        ({"data_offsets": [64, 0]}, "invalid offset for tensor"),
        ({"data_offsets": [0, 2**60]}, "invalid offset for tensor"),
        ({"data_offsets": [2**64 - 64, 2**64]}, "invalid"),
    ],
    ids=str,
)
def test_a_header_that_lies_about_a_tensor_is_refused(entry, message, path):
    header, values = split(path)
    header["norm.bias"] |= entry

    forge(path, join(header, values))

    assert_refused(path, message)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "header too small"),
        (b"\x02\x00\x00\x00", "header too small"),
        (b"\x80\x04\x95" + bytes(100), "expected a header of at most"),  # a pickle
        ((2**64 - 1).to_bytes(8, "little") + b"{}", f"at most {MAX_HEADER_BYTES} bytes, got {2**64 - 1}"),
        (join(b" " * (MAX_HEADER_BYTES + 1)), "expected a header of at most"),
        ((99).to_bytes(8, "little") + b"{}", "invalid header length"),
        (join(b"[]"), "invalid JSON in header"),
        (join(b"\xff\xfe"), "invalid UTF-8 in header"),
        (join(b'{"a":' + b"[" * 200_000), "recursion limit exceeded"),
        (join({"x" * 1000: 1}), "invalid JSON in header"),
        (join({}), "is missing"),
    ],
    ids=[
        "empty", "short", "pickle", "endless header", "long header", "header beyond the end", "array", "not text",
        "bottomless", "long name", "no tensors",
    ],
)  # fmt: skip
def test_a_file_that_is_no_safetensors_file_is_refused(blob, message, path):
    forge(path, blob)

    assert_refused(path, message)


@pytest.mark.parametrize("kept", [7, 100, -1], ids=str)
def test_a_truncated_file_is_damaged_and_so_is_one_whose_hash_was_made_to_fit(kept, path):
    truncated = path.read_bytes()[:kept]
    path.write_bytes(truncated)
    assert_refused(path, "damaged: expected sha256")

    forge(path, truncated)

    assert_refused(path, "not a safetensors file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm.bias": None}, "tensor norm.bias is missing"),
        ({"evil": np.zeros(1, np.float32)}, "tensor evil is not of this network"),
        ({"x" * 100_000: np.zeros(1, np.float32)}, "is not of this network"),
        ({"norm.bias": np.full(16, np.nan, np.float32)}, "tensor norm.bias holds NaN or infinity"),
        ({"norm.bias": np.full(16, -np.inf, np.float32)}, "tensor norm.bias holds NaN or infinity"),
        ({"norm.bias": np.zeros(16, np.float16)}, r"expected float32 \(16,\), got float16 \(16,\)"),
        ({"norm.bias": np.zeros((0,), np.float32)}, r"expected float32 \(16,\), got float32 \(0,\)"),
    ],
    ids=["missing", "additional", "long name", "NaN", "infinite", "half", "empty"],
)
def test_tensors_other_than_the_networks_are_refused(changes, message, path):
    tensors = {name: value for name, value in (load_file(path) | changes).items() if value is not None}

    forge(path, save(tensors))

    assert_refused(path, message)


@pytest.mark.parametrize("name", ["scale", "frames", "unshuffle", "embed_dim", "heads", "window", "mlp_ratio"])
@pytest.mark.parametrize("value", [-1, 0, 10**30, 2.0, True, "2", None, [2], {}, "x" * 1000], ids=lambda v: str(v)[:9])
def test_a_dimension_that_cannot_be_is_refused(name, value, path):
    config = json.loads(path.with_suffix(".json").read_text())["config"]

    forge(path, path.read_bytes(), config=config | {name: value})

    assert_refused(path, f"network configuration: {'embed_dim' if name == 'heads' and value == 10**30 else name}: exp")


@pytest.mark.parametrize(
    "value",
    [[], [0], [-1], [65], [10**30], [1] * 100_000, [2.0], [True], ["2"], [[2]], 2, "2", None, {}],
    ids=lambda v: str(v)[:9],
)
def test_depths_that_cannot_be_are_refused(value, path):
    config = json.loads(path.with_suffix(".json").read_text())["config"]

    forge(path, path.read_bytes(), config=config | {"depths": value})

    assert_refused(path, "network configuration: depths: expected")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"config": None}, "network configuration: expected a map, got NoneType"),
        ({"config": []}, "network configuration: expected a map, got list"),
        ({"config": {"scale": 2}}, r"missing or not of these: \['depths', 'embed_dim'"),
        ({"config": {"x" * 10_000: 2}}, "network configuration: expected exactly the keys"),
        ({"format": 2}, "expected format 1, got 2"),
        ({"format": ["x" * 10_000] * 100}, "expected format 1, got "),
        ({"sha256": "x" * 10_000}, "damaged: expected sha256 xxx"),
        ({"sha256": None}, "damaged: expected sha256 None"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_record_of_something_else_is_refused(record, message, path):
    forge(path, path.read_bytes(), **record)

    assert_refused(path, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "cannot be read with its .json"),
        (b"weights", "cannot be read with its .json"),
        (b"\x80\x04", "cannot be read with its .json"),
        (b"[" * 200_000, "cannot be read with its .json: maximum recursion depth"),
        (b'{"a":' * 200_000, "cannot be read with its .json: maximum recursion depth"),
        (b'{"format": ' + b"9" * 5000 + b"}", "cannot be read with its .json: Exceeds the limit"),
        (b'{"format": ' + b"[" * 900 + b"]" * 900 + b"}", "expected format 1, got"),
        (b"[]", "expected format 1, got list"),
        (b" " * (MAX_RECORD_BYTES + 1), f"expected at most {MAX_RECORD_BYTES} bytes, got {MAX_RECORD_BYTES + 1}"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_a_record_that_is_no_json_or_too_much_of_it_is_refused(text, message, path):
    path.with_suffix(".json").write_bytes(text)

    assert_refused(path, message)


def test_a_file_beyond_any_network_is_refused_before_it_is_read(path):
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)  # of nothing: it takes no room on the disk

    assert_refused(path, f"expected at most {MAX_BYTES} bytes, got {MAX_BYTES + 1}")


def test_a_checkpoint_without_its_record_is_refused(path):
    path.with_suffix(".json").unlink()

    assert_refused(path, "cannot be read with its .json: .*No such file")
