"""Which image files are taken, and which file becomes which."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from asid_plugin.errors import UsageError
from asid_plugin.images import READABLE
from asid_plugin.inference import plan


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'its content is not looked at')
    return folder


@pytest.fixture
def folder(tmp_path):
    return touch(tmp_path / 'in', 'b.png', 'a.jpg')


def names(folder, *args, out='out', **kwargs):
    """The plan of a folder with paths as strings, below it and below OUT."""
    found = plan([folder], Path(out), *args, **kwargs).targets
    return {s.relative_to(folder).as_posix(): t.relative_to(out).as_posix() for s, t in found.items()}


def test_one_file_goes_to_a_file_or_into_a_folder(folder, tmp_path):
    image = folder / 'a.jpg'
    assert plan([image], Path('x.TIF')).targets == {image: Path('x.TIF')}
    assert plan([image], Path('x')).targets == {image: Path('x/a.png')}
    assert plan([image], Path('v1.2'), 'webp').targets == {image: Path('v1.2/a.webp')}
    (tmp_path / 'folder.png').mkdir()
    assert plan([image], tmp_path / 'folder.png').targets == {image: tmp_path / 'folder.png/a.png'}


def test_folders_are_sorted_and_no_file_comes_twice(folder):
    out = Path('out')
    assert list(plan([folder], out).targets.items()) == [
        (folder / 'a.jpg', out / 'a.png'),
        (folder / 'b.png', out / 'b.png'),
    ]
    assert list(plan([folder / 'b.png', folder], out).targets) == [folder / 'b.png', folder / 'a.jpg']


def test_all_suffixes_that_are_read_are_taken(tmp_path):
    files = [f'{i}{suffix.upper() if i % 2 else suffix}' for i, suffix in enumerate(READABLE)]
    touch(tmp_path, *files)
    assert names(tmp_path) == {name: f'{Path(name).stem}.png' for name in sorted(files)}


def test_what_is_left_out_is_counted(folder):
    touch(folder, 'x.txt', 'y.TXT', 'z.psd', 'README', '.hidden.png', 'sub/c.png', 'sub/d.doc', '.git/e.png')
    (folder / 'broken.png').symlink_to('nowhere.png')
    (folder / 'linked').symlink_to(folder, target_is_directory=True)
    own = '2 .txt, 1 .psd, 1 broken or special, 1 hidden, 1 without a suffix'
    assert plan([folder], Path('out')).notes == [
        f'{folder}: skipped 6 files ({own}), 2 folders (--recursive includes them), 1 hidden folder'
    ]
    assert plan([folder], Path('out'), recursive=True).notes == [
        f'{folder}: skipped 7 files ({own.replace("1 .psd", "1 .doc, 1 .psd")}), 1 hidden folder, 1 linked folder'
    ]
    assert plan([folder / 'b.png'], Path('out')).notes == []


@contextmanager
def as_nobody():
    """Without the rights of root, who may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(sys.platform == 'win32', reason='permissions')
@pytest.mark.parametrize('mode', [0o000, 0o311], ids=['closed', 'not to be listed'])
def test_a_folder_that_cannot_be_read_does_not_stop_the_others(folder, monkeypatch, mode):
    touch(folder, 'c/d.png', 'c/locked/e.png', 'f.png')
    locked = folder / 'c' / 'locked'
    monkeypatch.chdir(folder)  # the folders above may be root's
    locked.chmod(mode)
    try:
        with as_nobody():
            found = plan([Path()], Path('out'), recursive=True)
            with pytest.raises(PermissionError):
                plan([Path('c/locked')], Path('out'))
    finally:
        locked.chmod(0o755)
    assert [*map(str, found.targets)] == ['a.jpg', 'b.png', 'c/d.png', 'f.png']
    assert found.notes == ['.: skipped 1 unreadable folder']


def test_folders_without_images_say_what_they_have(tmp_path):
    touch(tmp_path / 'in', 'x.txt', 'sub/c.png')
    with pytest.raises(UsageError, match=r'no images .*found 1 file \(1 \.txt\), 1 folder \(--recursive includes it'):
        plan([tmp_path / 'in'], Path('out'))


def test_folders_inside_folders_are_mirrored(folder):
    touch(folder, 'c/b.png', 'c/d/e.webp', 'f/notes.txt')
    assert names(folder, recursive=True) == {
        'a.jpg': 'a.png',
        'b.png': 'b.png',
        'c/b.png': 'c/b.png',
        'c/d/e.webp': 'c/d/e.png',
    }


@pytest.mark.parametrize('recursive', [True, False])
def test_an_out_inside_the_input_is_not_read(folder, recursive):
    out = touch(folder / 'results', 'a.png', 'b.png', 'inside/c.png')
    assert names(folder, out=out, recursive=recursive) == {'a.jpg': 'a.png', 'b.png': 'b.png'}
    assert plan([folder], out, recursive=recursive).notes == []


def test_a_suffix_is_put_before_the_extension(folder):
    touch(folder, 'b.jpg')
    assert names(folder, suffix='_x2') == {'a.jpg': 'a_x2.png', 'b.jpg': 'b_jpg_x2.png', 'b.png': 'b_png_x2.png'}
    assert names(folder, 'keep', suffix='@2x')['a.jpg'] == 'a@2x.jpg'
    with pytest.raises(UsageError, match='cannot contain a slash'):
        plan([folder], Path('out'), suffix='../x')
    with pytest.raises(UsageError, match='OUT is the file'):
        plan([folder / 'a.jpg'], Path('x.png'), suffix='_x2')


def test_with_a_suffix_the_input_is_the_output_and_goes_on(folder):
    touch(folder, 'c/d.png')
    targets = names(folder, out=folder, suffix='_x2', recursive=True)
    assert targets == {'a.jpg': 'a_x2.png', 'b.png': 'b_x2.png', 'c/d.png': 'c/d_x2.png'}
    touch(folder, *targets.values())
    assert names(folder, out=folder, suffix='_x2', recursive=True) == targets
    assert plan([folder], folder, suffix='_x2').notes == [
        f'{folder}: skipped 2 files (2 ending in _x2), 1 folder (--recursive includes it)'
    ]


def test_names_without_a_known_suffix_get_one(folder):
    image = (folder / 'b.png').rename(folder / 'scan.1')
    for ext in ('png', 'keep'):
        assert plan([image], Path('out'), ext).targets == {image: Path('out/scan.1.png')}


def test_formats_that_are_only_read_are_kept_as_the_nearest_one(tmp_path):
    touch(tmp_path, 'a.gif', 'b.jfif', 'c.apng', 'd.avif', 'e.TIF', 'f.jpe', 'g.gif')
    assert list(names(tmp_path, 'keep').values()) == [
        *('a.png', 'b.jpg', 'c.png', 'd.png', 'e.TIF', 'f.jpg', 'g.png'),
    ]
    note = '--ext keep: written as PNG, because these formats cannot be written: 1 .avif, 2 .gif'
    assert plan([tmp_path], Path('out'), 'keep').notes == [note]
    assert plan([tmp_path], Path('out'), 'webp').notes == []


def test_a_file_name_for_several_images_is_refused(folder):
    for inputs in ([folder], sorted(folder.iterdir())):
        with pytest.raises(UsageError, match=r'x\.png names one image'):
            plan(inputs, Path('x.png'))


def test_formats_that_are_not_written_are_refused(folder):
    with pytest.raises(UsageError, match=r'x\.gif: \.gif cannot be written, only \.png'):
        plan([folder / 'a.jpg'], Path('x.gif'))


@pytest.mark.parametrize('name', ['x.pgn', 'x.jepg', 'x.xyz', 'x.jp2', 'x.heic', 'x.svg'])
def test_a_mistyped_suffix_makes_no_folder(folder, tmp_path, name):
    out = tmp_path / name
    with pytest.raises(UsageError, match=rf'{name}: \.\w+ cannot be written, .*; if it is a folder, create it first'):
        plan([folder / 'a.jpg'], out)
    out.mkdir()
    assert plan([folder / 'a.jpg'], out).targets == {folder / 'a.jpg': out / 'a.png'}


@pytest.mark.parametrize('name', ['run.7', 'v1.2', 'x.y', 'me@home.example'])
def test_other_dots_are_of_a_folder(folder, name):
    assert plan([folder / 'a.jpg'], Path(name)).targets == {folder / 'a.jpg': Path(name, 'a.png')}


@pytest.mark.parametrize('name', ['plain', 'notes.txt', os.devnull])
def test_a_file_that_is_no_image_is_not_out(folder, tmp_path, name):
    out = tmp_path / name
    if name != os.devnull:
        out.touch()
    for source in (folder, folder / 'a.jpg'):
        with pytest.raises(UsageError, match=r'exists and is not a folder; OUT must be a folder, or end in \.png'):
            plan([source], out)


@pytest.mark.parametrize(
    ('files', 'ext', 'expected'),
    [
        (['g.jpg', 'g.png'], 'png', ['g_jpg.png', 'g_png.png']),
        (['g.jpg', 'g.png'], 'keep', ['g.jpg', 'g.png']),
        (['g.jpg', 'g.png', 'g.webp'], 'tif', ['g_jpg.tif', 'g_png.tif', 'g_webp.tif']),
        # the new name of one is the old name of another
        (['g.jpg', 'g.png', 'g_jpg.bmp'], 'png', ['g_in.png', 'g_png.png', 'g_jpg_in.png']),
        # files that a file system without case, or one that takes an accent apart, takes for one
        (['G.PNG', 'g.jpg'], 'png', ['G_PNG.png', 'g_jpg.png']),
        (['G.png', 'g.png'], 'png', ['G_png_in_1.png', 'g_png_in_2.png']),
        (['G.png', 'g.png'], 'keep', ['G_png_in_1.png', 'g_png_in_2.png']),
        (['e\u0301.png', '\u00e9.jpg'], 'png', ['e\u0301_png.png', '\u00e9_jpg.png']),
        (['a.gif', 'a.png'], 'keep', ['a_gif.png', 'a_png.png']),
        (['c/g.jpg', 'd/g.png', 'g.jpg'], 'png', ['c/g.png', 'd/g.png', 'g.png']),
    ],
)
def test_images_that_would_share_a_name_are_told_apart(tmp_path, files, ext, expected):
    folder = touch(tmp_path / 'in', *files)
    if len(list(folder.rglob('*.*'))) < len(files):
        pytest.skip('this file system takes these names for one')
    assert names(folder, ext, recursive=True) == dict(zip(files, expected, strict=True))


def test_names_do_not_depend_on_what_is_in_out(tmp_path):
    folder = touch(tmp_path / 'in', 'g.jpg', 'g.png')
    before = names(folder, out=tmp_path / 'out')
    touch(tmp_path / 'out', 'g.png', *before.values())
    assert names(folder, out=tmp_path / 'out') == before


def test_images_of_several_folders_are_told_apart(tmp_path):
    inputs = [touch(tmp_path / name, 'x.png', f'{name}.png', 's/y.png') for name in ('A', 'B')]
    third = touch(tmp_path / 'other' / 'B', 'x.png')
    found = plan(inputs, Path('out'), recursive=True)
    assert [target.relative_to('out').as_posix() for target in found.targets.values()] == [
        *('A.png', 's/y_A.png', 'x_A.png'),
        *('B.png', 's/y_B.png', 'x_B.png'),
    ]
    found = plan([*inputs, third], Path('out'))
    assert [target.name for target in found.targets.values() if target.name[0] == 'x'] == [
        *('x_png_A.png', 'x_png_B_1.png', 'x_png_B_2.png'),
    ]


def test_an_input_is_never_overwritten(folder, tmp_path):
    with pytest.raises(UsageError, match='is also INPUT, .* give --suffix'):
        plan([folder], folder)
    with pytest.raises(UsageError, match='is an input'):
        plan([folder / 'b.png'], folder / '..' / 'in' / 'b.png')
    # the output of one would be the other
    inputs = [touch(folder, 'c/b.bmp') / 'c' / 'b.bmp', folder / 'b.png']
    assert [target.name for target in plan(inputs, folder).targets.values()] == ['b_bmp.png', 'b_png.png']
    os.link(folder / 'b.png', tmp_path / 'linked.png')
    (tmp_path / 'symbolic.png').symlink_to(folder / 'b.png')
    for name in ('linked.png', 'symbolic.png'):
        with pytest.raises(UsageError, match='is an input'):
            plan([folder / 'b.png'], tmp_path / name)
    assert plan([folder / 'a.jpg'], folder).targets == {folder / 'a.jpg': folder / 'a.png'}
