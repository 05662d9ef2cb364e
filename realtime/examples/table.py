"""The signal of a recording, with pandas: where the irises stand between the corners of the eyes, over time.

python -m realtime.examples.table FOLDER

Needs `pip install "catchlight[examples]"`.
"""

import argparse

import pandas  # type: ignore[import-untyped]

from realtime import Recording, RecordingError


def iris_table(folder: str) -> pandas.DataFrame:
    """For each frame its seconds, and each iris's place between its eye's corners: 0 at the left, 1 at the right.

    NaN in a frame without a face. Raises RecordingError for a recording without frames or without any face.
    """
    frames = pandas.DataFrame(row for row in Recording(folder).rows() if row["topic"] == "eyes")
    if "left_iris_x" not in frames:
        raise RecordingError(
            f"{folder}: expected a recording with a face, got none in {len(frames)} frames; record with a face in view"
        )
    table = pandas.DataFrame({"seconds": (frames.captured_ns - frames.captured_ns[0]) / 1e9})
    for eye, first, last in (("left", "outer", "inner"), ("right", "inner", "outer")):
        width = frames[f"{eye}_corner_{last}_x"] - frames[f"{eye}_corner_{first}_x"]
        table[eye] = (frames[f"{eye}_iris_x"] - frames[f"{eye}_corner_{first}_x"]) / width
    return table


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The signal of a recording, as a table.")
    parser.add_argument("folder", help="of a recording, by `catchlight record` or `run --sink record=FOLDER`")
    folder = parser.parse_args().folder
    try:
        print(iris_table(folder).to_string(float_format="%.3f"))  # noqa: T201
    except RecordingError as err:
        parser.error(str(err))


if __name__ == "__main__":
    main()
