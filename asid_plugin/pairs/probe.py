"""A program that reads from an LMDB: PROBE FOLDER, with the keys in lines on stdin.

A damaged LMDB may end the process that reads it, which should not be a training. It prints the size of a page, the
number of entries and the last page, then a dot for each value that it has touched at both ends. It needs nothing of
the package, whose import would take longer than the reading.
"""

import sys

import lmdb


def main(folder: str) -> None:
    """Read the LMDBs; an error of lmdb ends the process by an exit status, a damaged page by a signal."""
    try:
        env = lmdb.open(folder, readonly=True, lock=False)
        stat = env.stat()
        print(stat['psize'], stat['entries'], env.info()['last_pgno'], flush=True)
        transaction = env.begin(buffers=True)
        for line in sys.stdin.buffer:
            value = transaction.get(line.rstrip(b'\n'))
            if value:
                bytes(value[:1]), bytes(value[-1:])
            print(end='.', flush=True)  # at once, as the next may be the last
    except lmdb.Error as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main(sys.argv[1])
