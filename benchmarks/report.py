"""How measurements are taken and told: interleaved rounds, medians with their spread, the machine, the versions."""

import os
import platform
import random
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median

JUDGED = "promise:"  # begins each line of `judge`
MISSED = 3  # the exit status of a benchmark that came to its end, and to a promise that is not kept


def interleave(rounds: int, ways: Mapping[str, Callable[[], dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """The figures of each way, one per round; every round runs all of them, in another order, after one to warm up."""
    for run in ways.values():
        run()
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in random.sample(list(ways), len(ways)):
            figures[name].append(ways[name]())
    return figures


def ratio(ours: list[dict[str, float]], theirs: list[dict[str, float]], figure: str) -> float:
    """How many times theirs ours is: the median over the rounds, in each of which the machine was as busy for both."""
    return median(our[figure] / their[figure] for our, their in zip(ours, theirs, strict=True))


def judge(promise: str, figure: float, *, at_most: float | None = None, at_least: float | None = None) -> bool:
    """Print a promise, the figure, its bound and whether it is kept; `python -m benchmarks` gathers these lines."""
    bound = f"at most {at_most:,g}" if at_most is not None else f"at least {at_least:,g}"
    is_kept = (at_most is None or figure <= at_most) and (at_least is None or figure >= at_least)
    shown = f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"
    print(f"{JUDGED} {promise} | {shown} | {bound} | {'kept' if is_kept else 'missed'}")
    return is_kept


def verdict(kept: Iterable[bool]) -> int:
    """The exit status for what `judge` said of each promise."""
    return 0 if all([*kept]) else MISSED


def middle(samples: list[dict[str, float]], figure: str) -> float:
    """The median of one figure."""
    return median(sample[figure] for sample in samples)


def print_machine(*packages: str) -> None:
    """One line each: processor and cores, system, Python, packages."""
    model = next((line.split(": ")[1] for line in _cpuinfo() if line.startswith("model name")), platform.processor())
    print(f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]))


def print_quick() -> None:
    """Print whether the parts of each log call that are written in C are there."""
    has_c = all(find_spec(f"dashcam.record.{name}") for name in ("_speedups", "_words"))
    print("with" if has_c else "without", "the parts of dashcam in C")


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def print_table(figures: Mapping[str, list[dict[str, float]]]) -> None:
    """A line for each way: median [least-most] of each figure."""
    names = list(next(iter(figures.values()))[0])
    width = max(map(len, figures))
    print(f"{'':{width}}" + "".join(f"{name:>34}" for name in names))
    for way, samples in figures.items():
        cells = []
        for name in names:
            values = sorted(sample[name] for sample in samples)
            cells.append(f"{median(values):,.1f} [{values[0]:,.1f}-{values[-1]:,.1f}]")
        print(f"{way:{width}}" + "".join(f"{cell:>34}" for cell in cells))
