"""Builds the parts of Dashcam that are written in C; setuptools cannot declare extensions in pyproject.toml yet."""

from setuptools import Extension, setup

# Optional: without a compiler, the Python versions beside them do the same, more slowly.
NAMES = ("_speedups", "_words")
setup(
    ext_modules=[Extension(f"dashcam.record.{name}", [f"src/dashcam/record/{name}.c"], optional=True) for name in NAMES]
)
