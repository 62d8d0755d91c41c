"""What Dashcam adds to the start of a process, and how long a look-up takes as one: milliseconds of CPU, and memory.

Each way is a process of its own, and they take turns: Python alone; with `import dashcam`; Flask alone; Flask with
`init_app`; `dashcam --version`, and `dashcam trace` of a request in a small local store. Modules are compiled before,
as they are from the second start of an installation on, even if PYTHONDONTWRITEBYTECODE says otherwise.

    python -m benchmarks.startup [--quick]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial

from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict

CPU, MEMORY = "CPU ms", "MiB"
FLASK = "import flask; app = flask.Flask('garage')"
PYTHON, IMPORT = "python", "import dashcam"
WAYS = {
    PYTHON: ["-c", "pass"],
    IMPORT: ["-c", "import dashcam"],
    "flask": ["-c", FLASK],
    "flask, init_app": ["-c", f"{FLASK}; import dashcam; dashcam.init_app(app)"],
    "dashcam --version": ["-m", "dashcam", "--version"],
    "dashcam trace": ["-m", "dashcam", "trace", "order=7"],
}
RECORD = """
import dashcam
with dashcam.job("start", order=7):
    dashcam.get_logger("garage").info("car created")
"""


def measure(arguments, environment):
    """Run Python, and return the processor time and the memory that the process took."""
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return {CPU: 1e3 * (usage.ru_utime + usage.ru_stime), MEMORY: kib / 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds = 7 if parser.parse_args().quick else 31
    print_machine("flask", "opentelemetry-sdk")
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"DASHCAM_DIR": folder, "DASHCAM_CONSOLE": "off", "LOG_BACKEND": "local"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        subprocess.run([sys.executable, "-c", RECORD], env=environment, check=True)
        subprocess.run([sys.executable, "-m", "dashcam", "ship", "--drain"], env=environment, check=True)
        figures = interleave(rounds, {way: partial(measure, each, environment) for way, each in WAYS.items()})
    print(f"{rounds} interleaved rounds, median [least-most]")
    print_table(figures)
    added_ms = middle(figures["flask, init_app"], CPU) - middle(figures["flask"], CPU)
    return verdict(
        [
            judge("ms of CPU that init_app adds to the start of a Flask service", added_ms, at_most=250),
            judge("ms of CPU of dashcam trace as a process", middle(figures["dashcam trace"], CPU), at_most=200),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
