"""The Cython extensions and the build switch; everything else is in pyproject.toml.

TRACER_BUILD chooses the switches: `release` (the default), `debug` (checks on), `asan` (debug, under AddressSanitizer
and UndefinedBehaviorSanitizer), `fuzz` (the same, and libFuzzer is told which branches are taken: for clang alone).
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

BUILD = os.environ.get("TRACER_BUILD", "release")

CHECKED = BUILD != "release"

DIRECTIVES = {
    "language_level": 3,
    "auto_pickle": False,
    "binding": True,
    "embedsignature": True,
    "embedsignature.format": "python",
    "cdivision": True,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
}

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]

# The hot loops are made of many short methods with one caller each, and GCC's own limits leave most of them calls:
# these save 5 % of the time that the engine takes (DiverseAllTypes, 10 threads: 105 to 100 ns a pair).
INLINE = ["--param=max-inline-insns-auto=200", "--param=inline-unit-growth=200", "--param=large-function-growth=1000"]

COMPILE_ARGS = {
    "release": ["-O3", "-g1", *INLINE],
    "debug": ["-O1", "-g"],
    "asan": ["-O1", "-g", *SANITIZE],
    "fuzz": ["-O1", "-g", *SANITIZE, "-fsanitize=fuzzer-no-link"],
}

LINK_ARGS = {"release": [], "debug": [], "asan": SANITIZE, "fuzz": SANITIZE}

if BUILD not in COMPILE_ARGS:
    raise SystemExit(f"TRACER_BUILD={BUILD}: one of {', '.join(COMPILE_ARGS)} is meant")

EXTENSIONS = [
    Extension(
        f"tracer._fast.{path.stem}",
        [str(path)],
        include_dirs=["bpf"],
        depends=["bpf/events.h", *map(str, Path("tracer/_fast").glob("*.pxd"))],
        extra_compile_args=COMPILE_ARGS[BUILD],
        extra_link_args=LINK_ARGS[BUILD],
    )
    for path in sorted(Path("tracer/_fast").glob("*.pyx"))
]

# A folder for each kind of build: neither Cython nor setuptools notices that only the switches have changed.
FOLDER = f"build/{BUILD}"

setup(
    ext_modules=cythonize(EXTENSIONS, compiler_directives=DIRECTIVES, build_dir=f"{FOLDER}/cython"),
    options={"build": {"build_base": FOLDER}, "build_ext": {"parallel": os.cpu_count()}},
)
