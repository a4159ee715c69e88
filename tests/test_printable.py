"""Text from strangers is shown as one line that a terminal does not obey."""

import pickle
import unicodedata

import pytest

from asid_plugin.errors import ASIDError
from asid_plugin.printable import printable


@pytest.mark.parametrize(
    ('raw', 'shown'),
    [
        ('\x1b[31mred', '\\x1b[31mred'),
        ('one\ntwo\r\tthree', 'one\\ntwo\\r\\tthree'),
        ('\x9b2J', '\\x9b2J'),
        ('gnp.\u202eexe', 'gnp.\\u202eexe'),
        ('a\udcffb', 'a\\udcffb'),
        ('line\u2028end', 'line\\u2028end'),
        ('Grüße 猫.png', 'Grüße 猫.png'),
        (b'bytes\x1b', "b'bytes\\x1b'"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(raw: object, shown: str) -> None:
    assert printable(raw) == shown


@pytest.mark.slow
def test_nothing_that_comes_out_is_a_control_or_format_character() -> None:
    everything = ''.join(map(chr, range(0x110000)))
    left = {unicodedata.category(character) for character in printable(everything)}
    assert not left & {'Cc', 'Cf', 'Cs', 'Zl', 'Zp'}


def test_an_error_has_a_line_for_each_of_its_lines_and_no_more() -> None:
    error = ASIDError('2 files:', 'a\nb.png', 'c\x07.png')
    assert str(error) == '2 files:\n  a\\nb.png\n  c\\x07.png'
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
