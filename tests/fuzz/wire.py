"""Feeds wire.decode() mutated messages for as long as asked: no error but WireError, no hang, no 64 MiB.

    python tests/fuzz/wire.py -max_total_time=600        needs `pip install atheris`; other libFuzzer options work too

The first byte says what the rest is: a whole message, or a header and what follows it, framed with the right length so
that the fuzzer gets past the frame.
"""

import resource
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["realtime.wire", "realtime.header"]):
    from realtime import WireError, wire

GOLDEN = Path(__file__).parents[1] / "realtime" / "golden"
LIMIT_BYTES = 64 << 20
TOPICS = (b"eyes\0", b"face\0", b"status\0")


def message(data):
    """The message that the fuzzer's bytes stand for."""
    if data[0] == 0:
        return data[1:]
    header_bytes = int.from_bytes(data[1:3], "big")
    header, pixels = data[3 : 3 + header_bytes], data[3 + header_bytes :]
    return TOPICS[data[0] % 3] + bytes([wire.VERSION]) + len(header).to_bytes(4, "big") + header + pixels


def seeds(folder):
    """Write the golden messages into a folder, in both forms."""
    for path in GOLDEN.glob("*.bin"):
        data = path.read_bytes()
        topic, _, rest = data.partition(b"\0")
        header_bytes = int.from_bytes(rest[1:5], "big")
        (folder / f"{path.stem}-whole").write_bytes(b"\0" + data)
        kind = 3 + TOPICS.index(topic + b"\0")
        (folder / f"{path.stem}-header").write_bytes(bytes([kind]) + header_bytes.to_bytes(2, "big") + rest[5:])


def peak_bytes():
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def decode_within_limits(data):
    """One try; the fuzzer reports whatever is raised."""
    if not data:
        return
    before = peak_bytes()
    with suppress(WireError):
        wire.decode(message(data))
    if peak_bytes() - before > LIMIT_BYTES:
        raise MemoryError(f"expected less than {LIMIT_BYTES} bytes for one message, got {peak_bytes() - before}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        seeds(Path(folder))
        atheris.Setup([sys.argv[0], "-timeout=5", "-max_len=8192", *sys.argv[1:], folder], decode_within_limits)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
