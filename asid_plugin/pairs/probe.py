"""A program that reads from an LMDB: PROBE FOLDER, with the keys in lines on stdin.

A damaged LMDB may kill the process that reads it, which should not be a training. The program prints the size of a
page, the number of entries and the last page, then a dot for each value after reading both of its ends. It does not
import the package, which would take longer than the reading.
"""

import sys

import lmdb


def main(folder: str) -> None:
    """Read the LMDB; an error of lmdb ends the process with an exit status, a damaged page with a signal."""
    try:
        env = lmdb.open(folder, readonly=True, lock=False)
        stat = env.stat()
        print(stat['psize'], stat['entries'], env.info()['last_pgno'], flush=True)
        transaction = env.begin(buffers=True)
        for line in sys.stdin.buffer:
            value = transaction.get(line.rstrip(b'\n'))
            if value:
                bytes(value[:1]), bytes(value[-1:])
            print(end='.', flush=True)  # immediately, because the next value may kill the process
    except lmdb.Error as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main(sys.argv[1])
