"""The engine contract: a uint8 batch in, a uint8 batch out, whatever runs underneath."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.back_projection import back_project
from engines.errors import EngineError

MAX_SIDE = 2048
MAX_IMAGES = 65536
MAX_SHAPES = 8
"""For so many shapes, those used last, an engine keeps what it has compiled."""


class Engine(ABC):
    """Enhances batches of crops. One caller at a time; usable as a context manager.

    Subclasses implement _run() and, if they hold resources, close(). What _run() gives is back-projected.
    """

    name: str
    """The back end: "native", "openvino", "eager", "cuda", "tensorrt", "bicubic", ..."""
    tier: str
    """The weights' name; "bicubic" for the bicubic engine."""
    frames: int
    """T: the consecutive crops of one window that a sample stacks on its channels, newest first: a FrameStack's."""
    scale: int
    """Output pixels for one input pixel, along each axis."""
    sha256: str
    """Of the weights file; empty for bicubic."""
    back_projects: bool = True
    """Whether that is done here; not where there is no network, or another engine has done it."""
    compiles_shapes: bool = False
    """Whether the first batch of a shape takes much longer than the next."""
    passed_over: tuple[str, ...] = ()
    """For engine="auto": one line for each engine tried before this one, with the reason."""

    @property
    def building(self) -> str:
        """What is being built in the background, for how long already, and what serves meanwhile; empty: nothing."""
        return ""

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Enhance a batch.

        batch: uint8 (N, H, W, 3T), BGR per frame, newest frame first, any H and W from 1 to 2048, N from 1 to 65536.
        Returns a new uint8 array (N, H*scale, W*scale, 3), BGR, C-contiguous. Raises TypeError or ValueError for
        any other batch, EngineError when the back end fails.
        """
        if not isinstance(batch, np.ndarray) or batch.dtype != np.uint8:
            got = batch.dtype if isinstance(batch, np.ndarray) else type(batch).__name__
            raise TypeError(f"batch: expected a uint8 numpy array, got {got}")
        if batch.ndim != 4 or batch.shape[3] != 3 * self.frames:
            raise ValueError(
                f"batch: expected shape (N, H, W, {3 * self.frames}) for the {self.frames} frame(s) of tier "
                f"{self.tier}, got {batch.shape}"
            )
        if not 1 <= batch.shape[0] <= MAX_IMAGES or not all(1 <= side <= MAX_SIDE for side in batch.shape[1:3]):
            raise ValueError(
                f"batch: expected N of 1 to {MAX_IMAGES} and sides of 1 to {MAX_SIDE} pixels, got {batch.shape}"
            )
        batch = np.ascontiguousarray(batch)
        enhanced = self._run(batch)
        n, height, width, _ = batch.shape
        expected = (n, height * self.scale, width * self.scale, 3)
        if not isinstance(enhanced, np.ndarray) or enhanced.dtype != np.uint8 or enhanced.shape != expected:
            made = f"{enhanced.dtype} {enhanced.shape}" if isinstance(enhanced, np.ndarray) else type(enhanced).__name__
            raise EngineError(f"{self.name}: expected uint8 {expected} from it, got {made}; choose another engine")
        return back_project(batch, enhanced) if self.back_projects else enhanced

    @abstractmethod
    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's picture, a new array, for a batch that has been checked and is C-contiguous."""

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Release what the engine holds; calling it twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
