"""Extension modules, one C library for each instruction set, and the debug switches. Metadata: pyproject.toml.

Environment switches, for developers (CONTRIBUTING.md):
RNNFAST_DEBUG=1 (assertions, bounds checks, -O1 -g), RNNFAST_SANITIZE=1 (address and undefined-behaviour sanitizers),
RNNFAST_FAULT=NAME (a fault built into the kernels, which the tests must find), RNNFAST_EMULATE_AVX512=1 (the 512-bit
code compiled for AVX2, so that its logic can be tested where there is no AVX-512).
"""

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

SOURCE = "rnnfast/kernels/src"
JOBS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def switch(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


debug, sanitize, emulate = switch("RNNFAST_DEBUG"), switch("RNNFAST_SANITIZE"), switch("RNNFAST_EMULATE_AVX512")
fault = os.environ.get("RNNFAST_FAULT", "")
machine = platform.machine().lower()
x86, arm64 = machine in ("x86_64", "amd64"), machine in ("aarch64", "arm64")

if sys.platform == "win32":
    # clang-cl: the vector extensions are not Microsoft's.
    flags, links = ["-O2", "/clang:-O3", "/clang:-ffp-contract=off", "/clang:-fno-math-errno"], []
    sets = {"avx2": ["/clang:-mavx2", "/clang:-mfma"]}
    sets["avx512"] = [f"/clang:-m{part}" for part in ("avx512f", "avx512bw", "avx512dq", "avx512vl", "fma")]
else:
    flags, links = (
        ["-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"],
        [],
    )
    # Tables for unwinding the stack, which nothing here does, would be a twelfth of the code.
    flags += [] if debug or sanitize else ["-fno-asynchronous-unwind-tables"]
    sets = {"avx2": ["-mavx2", "-mfma"], "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]}
    flags += ["-g" if debug else "-g1" if sanitize else "-g0"]
    # Names that nobody looks up, and pages that are half empty, are a tenth of what is installed.
    links = ["-Wl,--strip-all", "-Wl,-z,noseparate-code"] if sys.platform == "linux" and not (debug or sanitize) else []
if emulate:
    sets["avx512"] = sets["avx2"] + (["-Wno-psabi"] if sys.platform != "win32" else [])
if debug or sanitize:
    flags += ["-O1", "-fno-omit-frame-pointer"]
if sanitize:
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    links += ["-fsanitize=address,undefined"]

macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("CYTHON_WITHOUT_ASSERTIONS", None)]
macros = macros[: 1 if debug else 2]
macros += [("RNNFAST_X86", None)] * x86 + [("RNNFAST_ARM64", None)] * arm64
macros += [("RNNFAST_EMULATE_AVX512", None)] * emulate
macros += [("RNNFAST_FAULT", f"FAULT_{fault.upper()}")] * bool(fault)


def optimized(level: str) -> list[str]:
    """The flags with another level of optimization than -O3."""
    return [flag.replace("-O3", level) for flag in flags]


# On x86-64 the portable code is there to be compared with, and few processors are left that have no AVX2.
levels = {"generic": "-Os", "sse2": "-Os"} if x86 else {}
# These wait for Python or for the libraries: measured, they are as fast.
small_extensions = {"_frontier", "_losses", "_norms", "_packed", "_passes", "_threads", "_trace", "_updates"}

headers = sorted(os.path.join(SOURCE, name) for name in os.listdir(SOURCE) if name.endswith(".h"))
targets = {"generic": []} | ({"sse2": [], **sets} if x86 else {"neon": []} if arm64 else {})
libraries = [
    (
        f"rnnfast_{name}",
        {
            "sources": [f"{SOURCE}/target_{name}.c"],
            "obj_deps": {"": headers},
            "include_dirs": [SOURCE],
            "macros": macros,
            "cflags": [
                *optimized(levels.get(name, "-O3")),
                *extra,
                *([] if sys.platform == "win32" else ["-fPIC"]),
            ],
        },
    )
    for name, extra in targets.items()
]


class BuildLibraries(build_clib):
    """The instruction sets are compiled side by side."""

    def build_libraries(self, libraries):
        with ThreadPoolExecutor(JOBS) as pool:
            list(pool.map(lambda library: super(BuildLibraries, self).build_libraries([library]), libraries))


class BuildExtensions(build_ext):
    def initialize_options(self):
        super().initialize_options()
        self.parallel = JOBS

    def run(self):
        # `build_ext --inplace` alone does not; an extension takes from the libraries only what it needs.
        self.run_command("build_clib")
        super().run()


def extension(name: str, *sources: str) -> Extension:
    return Extension(
        f"rnnfast.kernels.{name}",
        [f"rnnfast/kernels/{name}.pyx", *(f"{SOURCE}/{source}" for source in sources)],
        include_dirs=[SOURCE, numpy.get_include()],
        define_macros=macros,
        # The arithmetic is in the libraries; what calls it is not faster with -O3, and a tenth larger.
        extra_compile_args=[
            flag for flag in optimized("-Os" if name in small_extensions else "-O2") if flag != "-fvisibility=hidden"
        ],
        extra_link_args=links,
        depends=headers,
    )


setup(
    libraries=libraries,
    ext_modules=cythonize(
        [
            extension("_threads", "pool.c"),
            extension("_runtime", "dispatch.c"),
            extension("_team"),
            extension("_memory", "memory.c"),
            extension("_packed"),
            extension("_products"),
            extension("_plan"),
            extension("_segments"),
            extension("_recurrent"),
            extension("_gradients"),
            extension("_weight_gradients"),
            extension("_trace"),
            extension("_step"),
            extension("_stream"),
            extension("_linear"),
            extension("_attention"),
            extension("_feeding"),
            extension("_frontier"),
            extension("_stepping"),
            extension("_passes"),
            extension("_losses"),
            extension("_ctc"),
            extension("_crf"),
            extension("_updates"),
            extension("_norms"),
        ],
        compiler_directives={
            "language_level": "3",
            "boundscheck": debug,
            "wraparound": False,
            "initializedcheck": debug,
            "cdivision": True,
            "freethreading_compatible": True,
        },
        nthreads=0,
    ),
    cmdclass={"build_clib": BuildLibraries, "build_ext": BuildExtensions},
)
