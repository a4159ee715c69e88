"""Prints, by format, how many files of the corpus come out right, or are refused as they must be.

python tests/images/figures.py
"""

import tempfile
from collections import defaultdict
from pathlib import Path

from corpus import CASES, REFUSED
from corpus.truth import check_image

from asid_plugin.images import ImageError, read_image

COLUMNS = ('files', 'exact', 'within tolerance', 'not supported', 'wrong')


def verdict(path: Path, case) -> tuple[str, str]:
    """The column of a file that must be read, and the fault if it is wrong."""
    try:
        check_image(read_image(path), case)
    except ImageError as error:
        if 'refuse' in case.may and 'not supported' in str(error):
            return 'not supported', ''
        return 'wrong', f'refused: {error}'
    except Exception as error:
        return 'wrong', f'{type(error).__name__}: {str(error).splitlines()[:1]}'
    return ('exact' if case.exact else 'within tolerance'), ''


def refusal(path: Path, case) -> str:
    """The fault of a file that must be refused, if there is one."""
    try:
        read_image(path)
    except ImageError as error:
        return '' if any(words in str(error) for words in case.words) else f'refused, but: {error}'
    except Exception as error:
        return f'{type(error).__name__}: {str(error).splitlines()[:1]}'
    return 'is read'


def main() -> None:
    """Print the tables, then the faults."""
    table: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    refused: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for case in (*CASES.values(), *REFUSED.values()):
            path = Path(folder) / case.name
            path.write_bytes(case.encode())
            if case.name in REFUSED:
                fault = refusal(path, case)
                refused[case.format][0] += 1
                refused[case.format][1] += not fault
            else:
                column, fault = verdict(path, case)
                for counted in ('files', column):
                    table[case.format][counted] += 1
                    table['all'][counted] += 1
            if fault:
                faults.append(f'{case.name}: {fault}'.replace(f'{path}: ', ''))
            path.unlink()
    table['all'] = table.pop('all')
    print(f'{"must be read":16}' + ''.join(f'{column:>18}' for column in COLUMNS))
    for name, row in table.items():
        print(f'{name:16}' + ''.join(f'{row[column]:18}' for column in COLUMNS))
    print(f'\n{"must be refused":16}{"files":>18}{"as they must be":>18}')
    for name, (files, right) in refused.items():
        print(f'{name:16}{files:18}{right:18}')
    print('', *faults, sep='\n')


if __name__ == '__main__':
    main()
