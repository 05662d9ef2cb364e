"""The page's own reader of the wire, in JavaScript, against the golden bytes and against the reader in Python."""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import msgpack
import pytest
from wire_samples import bent, framed, golden

import realtime
from realtime import Status, WireError, wire

NAMES = ["eyes", "face", "eyes-absent", "status"]
READ_LINES = """
const plain = (_, value) =>
  typeof value === "bigint" ? value.toString()
    : value instanceof Map ? Object.fromEntries(value)
    : ArrayBuffer.isView(value) ? Array.from(value) : value
for (const line of require("fs").readFileSync(0, "ascii").split("\\n")) {
  let shown
  try {
    shown = decode(Uint8Array.from(Buffer.from(line, "hex")).buffer)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    shown = { wrong: error.message }
  }
  console.log(JSON.stringify(shown, plain))
}
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Runs the page's reader on messages; gives a map for each, with "wrong" where it refused."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")
    page = (Path(realtime.__file__).parent / "preview.html").read_text(encoding="utf-8")
    (code,) = re.findall(r'<script id="wire">(.*?)</script>', page, re.DOTALL)
    script = tmp_path_factory.mktemp("page") / "reader.js"
    script.write_text(code + READ_LINES, encoding="utf-8")

    def read(messages):
        lines = "\n".join(bytes(message).hex() for message in messages)
        done = subprocess.run([node, script], input=lines, check=True, capture_output=True, text=True)
        return [json.loads(line, parse_int=float) for line in done.stdout.splitlines()]

    return read


def ours(data):
    """What the Python reader finds, in the form of theirs; None for what it refuses.

    Numbers as float: JavaScript has no other, apart from the nanoseconds, which are texts here.
    """
    try:
        return json.loads(json.dumps(fields(wire.decode(data))), parse_int=float)
    except WireError:
        return None


def fields(message):
    found = {"stream": message.stream, "sent_ns": str(message.sent_ns), "sent_seq": message.sent_seq}
    if isinstance(message, Status):
        return found | {"topic": "status", "values": message.values}
    found |= {name: getattr(message, name) for name in ("topic", "seq", "ts_source", "dropped", "engine", "tier")}
    found |= {name: getattr(message, name) for name in ("model_sha256", "scale", "bypassed")}
    found |= {"captured_ns": str(message.captured_ns), "captured_utc_ns": str(message.captured_utc_ns)}
    found |= {"stamps_ns": {name: str(stamp_ns) for name, stamp_ns in message.stamps_ns.items()}}
    found |= {"frame_size": list(message.frame_size), "marks": list(message.marks), "patches": None}
    if message.face_found:
        found |= {
            "shape": list(message.patches.shape),
            "raw_shape": list(message.raw.shape),
            "boxes": [[box.x, box.y, box.width, box.height] for box in message.boxes],
            "to_camera": message.to_camera.reshape(-1, 6).tolist(),
            "landmarks": message.landmarks.points.ravel().tolist(),
            "interocular_px": message.interocular_px,
            "patches": list(message.patches.tobytes()),
            "raw": list(message.raw.tobytes()),
        }
    return found


@pytest.mark.parametrize("name", NAMES)
def test_page_finds_in_the_golden_bytes_what_python_finds(theirs, name):
    (found,) = theirs([golden(name)])

    assert found == ours(golden(name))


def test_page_keeps_nanoseconds_exact(theirs):
    (found,) = theirs([golden("eyes")])

    assert found["captured_utc_ns"] == "1767225600000000123"


EYES = golden("eyes")
STATUS = golden("status")
REFUSED = {
    "nothing": b"",
    "topic only": b"eyes",
    "other topic": b"nose\0\1\0\0\0\1\xc0",
    "no zero byte": b"eyes" * 8,
    "topic of Object.prototype": b"toString\0\1\0\0\0\1\x80",
    "version": b"eyes\0\2" + EYES[6:],
    "header longer than the message": b"eyes\0\1\0\0\xff\xff\x80",
    "header longer than allowed": framed(b"eyes\0", bytes(65537)),
    "header no map": framed(b"eyes\0", b"\x90"),
    "bytes behind the map": framed(b"eyes\0", b"\x80\xc0"),
    "array that claims too much": framed(b"eyes\0", b"\xdd\xff\xff\xff\xff"),
    "map that claims too much": framed(b"eyes\0", b"\xdf\xff\xff\xff\xff"),
    "text that claims too much": framed(b"eyes\0", b"\xdb\xff\xff\xff\xff"),
    "arrays in arrays": framed(b"eyes\0", b"\x81\xa1a" + b"\x91" * 60000 + b"\xc0"),
    "maps as keys of maps": framed(b"eyes\0", b"\x81" * 65000),
    "extension": framed(b"eyes\0", b"\x81\xa1a\xd4\1\1"),
    "no UTF-8": framed(b"eyes\0", b"\x81\xa1\xff\xc0"),
    "integer for a text": bent(EYES, engine=1),
    "float for an integer": bent(EYES, seq=2.0),
    "bool for an integer": bent(EYES, seq=True),
    "below zero": bent(EYES, dropped=-1),
    "above 2^63": bent(EYES, captured_ns=2**63),
    "no stream": bent(EYES, stream=...),
    "other pixels": bent(EYES, dtype="float32"),
    "other channels": bent(EYES, channels="rgb"),
    "one pixel less": EYES[:-1],
    "one pixel more": EYES + b"\0",
    "shape too large": bent(EYES, shape=[2, 16384, 16384, 3]),
    "shape of another count": bent(EYES, shape=[1, 8, 6, 3]),
    "shape without a face's other keys": bent(EYES, boxes=None),
    "affine not finite": bent(EYES, to_camera=[[float("nan")] * 6] * 2),
    "landmarks too short": bent(EYES, landmarks=bytes(335)),
    "landmarks not finite": bent(EYES, landmarks=b"\0\0\xc0\x7f" * 84),
    "pixels without a face": golden("eyes-absent") + b"\0",
    "status with pixels": STATUS + b"\0",
    "status too deep": bent(STATUS, values={"a": {"b": {"c": {"d": {"e": 1}}}}}),
    "status with bytes": bent(STATUS, values={"a": b"\0"}),
    "status with infinity": bent(STATUS, values={"a": float("inf")}),
}


def test_page_refuses_what_python_refuses(theirs):
    found = theirs(REFUSED.values())

    assert [name for name, data in REFUSED.items() if ours(data) is not None] == []
    assert [name for name, one in zip(REFUSED, found, strict=True) if "wrong" not in one] == []


def test_page_and_python_agree_on_other_good_messages(theirs):
    good = [
        bent(EYES, later_key={"a": [1, None, b"\0"]}),
        bent(EYES, captured_ns=2**63 - 1, marks=[], stamps_ns={}, interocular_px=60),
        bent(EYES, boxes=[[-16384, 0, 1, 1], [32768, 1, 2, 3]]),
        bent(STATUS, values={"__proto__": {"x": 1}, "n": [-1, -200, -40000, -3_000_000_000, 2**40, 1.5, "ü", True]}),
        bent(STATUS, values={str(n): n for n in range(64)}),
        framed(b"status\0", msgpack.packb({"sent_ns": 1, "sent_seq": 2, "stream": "x" * 300, "values": {}})),
    ]

    found = theirs(good)

    assert found == [ours(data) for data in good]
    assert None not in found


def test_page_and_python_agree_on_damaged_messages(theirs):
    chance = random.Random(6)
    damaged = []
    for _ in range(2000):
        data = bytearray(golden(chance.choice(NAMES)))
        for _ in range(chance.choice([1, 1, 2, 4])):
            data[chance.randrange(min(len(data), 700))] = chance.choice([chance.randrange(256), 0, 0xFF, 0xC0, 0xCB])
        damaged.append(bytes(data[: chance.choice([len(data), len(data), chance.randrange(len(data))])]))

    found = theirs(damaged)

    expected = [ours(data) for data in damaged]
    assert [None if "wrong" in one else one for one in found] == expected
    assert 200 < sum(one is None for one in expected) < 1900
