"""The part of Dashcam in C, which setuptools cannot be told of in pyproject.toml yet; all else is there."""

from setuptools import Extension, setup

# Optional: without a compiler masking.py and handler.py do the same, more slowly.
setup(ext_modules=[Extension("dashcam.record._speedups", ["src/dashcam/record/_speedups.c"], optional=True)])
