"""Builds the part of Dashcam that is written in C; setuptools cannot declare extensions in pyproject.toml yet."""

from setuptools import Extension, setup

# Optional: without a compiler, the Python versions in masking.py and stdlib.py do the same, more slowly.
setup(ext_modules=[Extension("dashcam.record._speedups", ["src/dashcam/record/_speedups.c"], optional=True)])
