"""Files that appear whole or not at all, and texts from outside in Markdown."""

import errno
import os
import sys
from pathlib import Path

import pytest

from asid_plugin import markdown
from asid_plugin.files import staging, temporary, whole_file, whole_folder


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError) as error,
        whole_file(tmp_path / 'a') as path,
    ):
        (path / 'missing').touch()
    assert error.value.filename == str(tmp_path / 'a' / 'missing')
    for number in (errno.ENOSPC, errno.EFBIG):  # of writing, which have no name
        with pytest.raises(OSError, match='full') as error, whole_file(tmp_path / 'a'):
            raise OSError(number, 'full')
        assert error.value.filename == str(tmp_path / 'a')
    with pytest.raises(OSError, match='other') as error, whole_file(tmp_path / 'a'):
        raise OSError(errno.ENOENT, 'other')
    assert error.value.filename is None, 'it may be about any other file'
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_made_for_a_file_go_with_it(tmp_path: Path) -> None:
    (tmp_path / 'there').mkdir()
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / 'there' / 'new' / 'newer' / 'a'):
        1 / 0  # noqa: B018
    assert list(tmp_path.rglob('*')) == [tmp_path / 'there']
    with whole_file(tmp_path / 'there' / 'new' / 'a') as path:
        path.write_text('a')
    assert (tmp_path / 'there' / 'new' / 'a').read_text() == 'a'


@pytest.mark.skipif(sys.platform != 'linux', reason='a device')
def test_files_are_all_on_the_disk_before_one_is_replaced(tmp_path: Path) -> None:
    """The second cannot be written out, as it is a link to a device that cannot."""
    for name in 'ab':
        (tmp_path / name).write_text('old')
    targets = {'a': tmp_path / 'a', 'b': Path('/dev/full')}
    with pytest.raises(OSError, match='Invalid argument') as error, staging(tmp_path) as folder:
        [(folder / name).symlink_to(target) for name, target in targets.items()]
    assert [(tmp_path / name).is_symlink() for name in targets] == [False, False] and len(list(tmp_path.iterdir())) == 2
    assert error.value.errno == errno.EINVAL


@pytest.mark.skipif(sys.platform == 'win32', reason='pipes')
def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(FileExistsError, match='exists and is not a regular file'), whole_file(tmp_path / 'pipe'):
        pytest.fail('nothing is to be written')
    assert (tmp_path / 'pipe').is_fifo()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / 'new' / 'page'
    with (
        pytest.raises(FileNotFoundError) as error,
        whole_folder(target) as folder,
    ):
        (folder / 'missing' / 'b').touch()
    assert error.value.filename == str(target / 'missing' / 'b')
    with pytest.raises(OSError, match='full') as error, whole_folder(target):
        raise OSError(errno.ENOSPC, 'full')
    assert error.value.filename == str(target) and list(tmp_path.iterdir()) == []

    (tmp_path / 'page').mkdir()  # empty
    for path in (target, tmp_path / 'page'):
        with whole_folder(path) as folder:
            (folder / 'deep').mkdir()
            (folder / 'deep' / 'a').write_text('a')
            assert not (path / 'deep').exists()
        assert [file.relative_to(path) for file in path.rglob('*')] == [Path('deep'), Path('deep/a')]
        assert path.stat().st_mode & 0o777 == tmp_path.joinpath('new').stat().st_mode & 0o777
    (tmp_path / 'new' / 'current').mkdir()
    monkeypatch.chdir(tmp_path / 'new' / 'current')
    for taken in (target, target / 'deep' / 'a', Path()):
        with pytest.raises(FileExistsError, match='already exists'), whole_folder(taken):
            pytest.fail('nothing is to be written')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['new', 'page']


def test_a_folder_takes_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ('old', 'new'):
        with staging(tmp_path) as folder:
            (folder / 'a' / text).mkdir(parents=True)
            (folder / 'a' / text / 'file').write_text(text)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == target.name:
            raise OSError(errno.EACCES, 'refused', str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, 'rename', refuse)
    with pytest.raises(OSError, match='refused') as error, staging(tmp_path) as folder:
        (folder / 'a' / 'newer').mkdir(parents=True)
    assert error.value.filename == str(tmp_path / 'a')
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob('*')] == [
        Path('a'),
        Path('a/new'),
        Path('a/new/file'),
    ]


def test_a_temporary_folder_is_for_its_owner_and_goes(tmp_path: Path) -> None:
    with temporary(tmp_path, 'x_') as folder:
        assert folder.parent == tmp_path and folder.name.startswith('x_')
        assert os.name != 'posix' or folder.stat().st_mode & 0o777 == 0o700
        (folder / 'deep').mkdir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('ASID+ (tiles 32/8)', 'ASID+ (tiles 32/8)'),
        ('a|b', r'a\|b'),
        (r'a\|b', r'a\\\|b'),
        ('<img src=x onerror=alert(1)>', r'\<img src=x onerror=alert(1)>'),
        ('![x](http://evil.example)', r'!\[x](http://evil.example)'),
        ('\x1b[31m', r'\x1b\[31m'),
        ('a\nb\u202ec', r'a\nb\u202ec'),
    ],
)
def test_a_name_in_markdown_is_only_a_name(name: str, shown: str) -> None:
    assert markdown.text(name) == shown


def test_a_table_has_a_line_for_each_row_whatever_is_in_it() -> None:
    table = markdown.table(['a\nb', 'c'], [['d\re\x1b[2J', '`f` \\| g']])
    assert table == '| a\\nb        | c        |\n|-------------|----------|\n| d\\re\\x1b[2J | `f` \\| g |'
