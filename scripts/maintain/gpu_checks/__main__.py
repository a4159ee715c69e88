"""Run one part in this process: `python -m gpu_checks PART FILE DEVICE THREADS SMALL`, as `gpu_check.py` does.

Each table goes into FILE as a line of JSON when it is ready, and one that grows slowly after each row, so that nothing
is lost where the process is killed.
"""

import json
import sys
import traceback
from dataclasses import asdict

from .parts import PARTS
from .setup import Setup, error_line


def main() -> int:
    """Run the part that is asked for; returns 1 if it failed."""
    name, path, device, threads, small = sys.argv[1:]
    failed = False
    with open(path, 'a', buffering=1) as file:  # noqa: PTH123  # a line at a time
        try:
            for table in PARTS[name].run(Setup(device, small == 'small', int(threads))):
                file.write(json.dumps(asdict(table)) + '\n')
                failed = failed or bool(table.failures)
        except Exception as error:
            traceback.print_exc()
            file.write(json.dumps({'failures': [error_line(error)]}) + '\n')
            failed = True
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
