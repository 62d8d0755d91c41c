"""The dependencies: pyproject.toml cannot say that a library lies in this checkout, and a registry's is not ours."""

from pathlib import Path

from setuptools import setup

SERVICES = Path(__file__).resolve().parents[1]

setup(
    install_requires=[
        f"dashcam[flask,psycopg2,requests] @ {SERVICES.parent.as_uri()}",
        f"dashcam-chassis @ {(SERVICES / 'chassis').as_uri()}",
        "flask>=3.0",
        "flask-restful>=0.3.10",
        "psycopg2-binary>=2.9.10",
        "requests>=2.32",
    ]
)
