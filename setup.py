"""Builds the parts of Dashcam that are written in C; setuptools cannot declare extensions in pyproject.toml yet."""

import sysconfig

from setuptools import Extension, setup

# Optional: without a compiler, the Python versions beside them do the same, more slowly.
NAMES = (
    "_checksums",
    "destinations/elasticsearch/_actions",
    "destinations/fluentd/_msgpack",
    "destinations/local/_terms",
    "destinations/loggly/_dated",
    "record/_speedups",
    "record/_words",
    "spool/_lines",
    "spool/_mapping",
)
HEADERS = {
    "_checksums": ["src/dashcam/_ends.h"],
    "destinations/elasticsearch/_actions": ["src/dashcam/_ends.h"],
    "destinations/fluentd/_msgpack": ["src/dashcam/_ends.h", "src/dashcam/destinations/_json.h"],
    "destinations/local/_terms": ["src/dashcam/destinations/_json.h"],
    "destinations/loggly/_dated": ["src/dashcam/_ends.h"],
    "record/_speedups": ["src/dashcam/record/_copy.h"],
    "record/_words": ["src/dashcam/record/_grams.h"],
    "spool/_lines": ["src/dashcam/_ends.h"],
}
setup(
    ext_modules=[
        Extension(
            f"dashcam.{name.replace('/', '.')}",
            [f"src/dashcam/{name}.c"],
            depends=HEADERS.get(name, []),
            optional=True,
        )
        for name in NAMES
        # They rely on the interpreter lock, and would switch it on again in a free-threaded Python.
        if not sysconfig.get_config_var("Py_GIL_DISABLED")
    ]
)
