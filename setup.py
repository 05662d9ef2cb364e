"""Builds the native engine's library, where there is a compiler for it; pyproject.toml says everything else."""

import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCES = Path("engines/native")
FLAGS = [
    "-std=c++17",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-g0",
    "-Wall",
    "-Wextra",
]
# Each unit of kernels has its own instruction set; interface.cpp chooses between them at run time. No other file may
# be compiled with these flags. CFLAGS come before them and may ask for more, as -march=native does: what a unit must
# not have is switched off.
AVX2 = ["-mavx2", "-mfma", "-mno-avx512f"]
AVX512 = [
    *(*AVX2, "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"),
    "-mprefer-vector-width=512",
    *("-Wno-uninitialized", "-Wno-maybe-uninitialized"),  # GCC 12 sees some inside its own intrinsics
]
INSTRUCTIONS = {
    "kernel_avx2.cpp": AVX2,
    "kernel_avxvnni.cpp": AVX2,
    "kernel_avx512.cpp": [*AVX512, "-mno-avx512bf16"],
    "kernel_avx512bf16.cpp": [*AVX512, "-mavx512bf16"],
}
# Left out where the assembler does not know its instructions (binutils before 2.36); interface.cpp sees that.
OPTIONAL = ("kernel_avxvnni.cpp",)
X86 = platform.machine().lower() in ("x86_64", "amd64")


class BuildLibrary(build_ext):
    """Compiles a plain shared library, each source with its own flags."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def build_extension(self, ext: Extension) -> None:
        Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)  # or an old one would serve where this fails
        objects = []
        for source in ext.sources:
            name = Path(source).name
            flags = FLAGS + (["-fno-exceptions"] if name.startswith("kernel_") else []) + INSTRUCTIONS.get(name, [])
            try:
                objects += self.compiler.compile(
                    [source], output_dir=self.build_temp, extra_postargs=flags, depends=ext.depends
                )
            except CompileError as err:
                if name not in OPTIONAL:
                    raise
                self.warn(f"{name} is left out: {err}")
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), extra_postargs=["-pthread"], target_lang="c++"
        )


sources = sorted(str(s) for s in SOURCES.glob("*.cpp") if X86 or s.name not in INSTRUCTIONS)
library = Extension("engines.native.library", sources, depends=[str(h) for h in SOURCES.glob("*.h")], optional=True)
setup(ext_modules=[library], cmdclass={"build_ext": BuildLibrary})
