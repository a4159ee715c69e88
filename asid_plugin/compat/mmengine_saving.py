"""Corrections of MMEngine 0.10: files appear complete, a save removes old files last, and a resume finds them."""

import functools
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from asid_plugin.errors import ASIDError
from asid_plugin.files import remove_abandoned, whole_file

from .patching import replaced


class ResumeError(ASIDError):
    """A work folder without a usable checkpoint; the message names each with the reason."""


def mmengine_files_cut_short() -> None:
    """Let checkpoints, `last_checkpoint` and configs appear complete; all versions of MMEngine write them in place.

    A process that is killed meanwhile leaves a partial or empty file. With an empty `last_checkpoint` no training
    resumes.
    """
    from mmengine.config import Config
    from mmengine.fileio import LocalBackend
    from mmengine.hooks import CheckpointHook, checkpoint_hook

    for name in ('put', 'put_text'):
        setattr(LocalBackend, name, _putting_whole(getattr(LocalBackend, name)))
    dump, before_train = Config.dump, CheckpointHook.before_train

    @functools.wraps(dump)
    def dump_whole(self: Config, file: str | Path | None = None) -> Any:
        if file is None:
            return dump(self)
        with _whole(file) as staged:
            return dump(self, staged)

    @functools.wraps(before_train)
    def clean_before_train(self: CheckpointHook, runner: Any) -> None:
        before_train(self, runner)
        if runner.rank == 0:
            for folder in {runner.work_dir, self.out_dir}:
                remove_abandoned(folder)

    Config.dump = dump_whole
    CheckpointHook.before_train = clean_before_train
    checkpoint_hook.open = _open_whole  # with which it writes `last_checkpoint`


def mmengine_removed_before_saved() -> None:
    """Remove a checkpoint only after its replacement is saved; all versions of MMEngine remove it before.

    With `max_keep_ckpts=1` a kill in between left no checkpoint to resume from, and with `save_best` no best weights.
    """
    from mmengine.hooks import CheckpointHook

    save, save_best = CheckpointHook._save_checkpoint_with_step, CheckpointHook._save_best_checkpoint

    @functools.wraps(save)
    def save_then_remove(self: CheckpointHook, runner: Any, step: int, meta: dict[str, Any]) -> None:
        keep = self.max_keep_ckpts
        if keep <= 0:
            save(self, runner, step, meta)
            return
        # One more is stored meanwhile, also in the list in the checkpoint; a resumed training removes the surplus.
        self.keep_ckpt_ids = deque(self.keep_ckpt_ids)
        with replaced(self, 'max_keep_ckpts', keep + 1):
            save(self, runner, step, meta)
        while len(self.keep_ckpt_ids) > keep:
            name = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            if runner.rank == 0:
                _remove(self.file_backend, self.file_backend.join_path(self.out_dir, name))
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    @functools.wraps(save_best)
    def save_best_then_remove(self: CheckpointHook, runner: Any, metrics: dict[str, float]) -> None:
        backend = _RemovingLater(self.file_backend)
        with replaced(self, 'file_backend', backend):
            save_best(self, runner, metrics)
        current = {getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for path in backend.removed:
            # a better one of the same iteration has the same name
            if path not in current and _is_own(self, path, 'best_'):
                _remove(self.file_backend, path)

    CheckpointHook._save_checkpoint_with_step = save_then_remove
    CheckpointHook._save_best_checkpoint = save_best_then_remove


def mmengine_names_in_checkpoints() -> None:
    """Let a resumed training continue with the best and the last checkpoint in its state, if they are its files.

    All versions of MMEngine replace the best one by a better one, and delete any named file or folder. They forget the
    last one until they save another, and do not record new best weights in it before that.
    """
    from mmengine.hooks import CheckpointHook

    before_train = CheckpointHook.before_train

    @functools.wraps(before_train)
    def take_own(self: CheckpointHook, runner: Any) -> None:
        before_train(self, runner)
        info = runner.message_hub.runtime_info
        for key in [key for key in info if str(key).startswith('best_ckpt')]:
            if not _is_own(self, info[key], 'best_'):
                del info[key]
        if not _is_own(self, info.get('last_ckpt'), ''):
            info.pop('last_ckpt', None)
        self.last_ckpt = info.get('last_ckpt')
        if hasattr(self, 'best_ckpt_path'):
            self.best_ckpt_path = info.get('best_ckpt')
        for name in getattr(self, 'best_ckpt_path_dict', {}):
            self.best_ckpt_path_dict[name] = info.get(f'best_ckpt_{name}')

    CheckpointHook.before_train = take_own


def mmengine_resume_past_damage() -> None:
    """Let `resume=True` find the newest readable checkpoint; all versions of MMEngine try only one.

    They try the one in `last_checkpoint`, even if it is missing or damaged. Without that file they start from scratch
    beside existing checkpoints.
    """
    from mmengine.runner import Runner, runner

    original = Runner.load_or_resume

    @functools.wraps(original)
    def load_or_resume(self: Runner) -> None:
        find = runner.find_latest_checkpoint
        with replaced(runner, 'find_latest_checkpoint', lambda work_dir: _find_latest(self, find)):
            original(self)

    Runner.load_or_resume = load_or_resume


def _find_latest(runner: Any, find: Callable[[str], str | None]) -> str | None:
    """The checkpoint in `last_checkpoint`, or the newest other readable one; None if there are no checkpoints.

    Raises:
        ResumeError: There are checkpoints, but none is readable.
    """
    listing = Path(runner.work_dir, 'last_checkpoint')
    reasons: list[str] = []
    candidates = _written(runner)
    if listing.exists():
        try:
            named = find(runner.work_dir) or ''
        except UnicodeDecodeError:
            named = ''
        if '://' in named:  # on a server, which only MMEngine can read
            return named
        if named.strip('\0'):
            candidates = [Path(named), *(path for path in candidates if path.absolute() != Path(named).absolute())]
        else:
            reasons.append(f'{listing} is empty or not text')
    for path in candidates:
        reason = _unreadable(path)
        if reason is None:
            for line in reasons:
                runner.logger.warning(f'{line}; the training resumes from {path}')
            return str(path)
        reasons.append(f'{path}: {reason}')
    if reasons:
        right = f'to start from scratch, remove {listing} and the checkpoints, or train without --resume'
        raise ResumeError(f'{runner.work_dir}: no checkpoint to resume from; {right}', *reasons)
    return None


def _written(runner: Any) -> list[Path]:
    """The checkpoints of the training's hook, the newest first."""
    from mmengine.hooks import CheckpointHook

    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    if hook is None:
        return []
    folder = Path(runner.work_dir)
    if hook.out_dir not in (None, runner.work_dir):  # as its later `before_train` sets it
        folder = Path(hook.out_dir, folder.name)
    number = re.escape(hook.filename_tmpl).replace(r'\{\}', r'(\d+)')
    found = [(path, match) for path in folder.glob('*') if (match := re.fullmatch(number, path.name))]
    return [path for path, _ in sorted(found, key=lambda each: (each[0].stat().st_mtime_ns, int(each[1][1])))][::-1]


def _unreadable(path: Path) -> str | None:
    """The reason why a training cannot resume from a file; None if it can."""
    from mmengine.runner.checkpoint import load_from_local

    if not path.is_file():
        return 'no such file'
    try:
        checkpoint = load_from_local(str(path), 'cpu')
        whole = isinstance(checkpoint['state_dict'], dict) and isinstance(checkpoint['message_hub'], dict)
        whole = whole and all(type(checkpoint['meta'][name]) is int for name in ('epoch', 'iter'))
    except Exception as error:  # a damaged file makes unpickling fail in any way
        return ' '.join(f'damaged, or not a checkpoint of a training ({type(error).__name__}: {error})'.split())[:200]
    return None if whole else 'not a checkpoint of a training'


class _RemovingLater:
    """A file backend that records the files to remove."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.removed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        """Record a file."""
        self.removed.append(path)

    rmtree = remove


def _is_own(hook: Any, path: object, beginning: str) -> bool:
    """Whether a path is a checkpoint in the folder of a hook, with this prefix."""
    if not isinstance(path, str) or '\0' in path:
        return False
    folder, name = os.path.split(path)
    same = os.path.realpath(folder) == os.path.realpath(hook.out_dir) and name not in ('', '.', '..')
    return bool(same and name.startswith(beginning) and hook.file_backend.exists(path))


def _remove(backend: Any, path: str) -> None:
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):  # DeepSpeed's
        backend.rmtree(path)


def _putting_whole(put: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(put)
    def put_whole(self: Any, obj: Any, filepath: str | Path, *args: Any, **kwargs: Any) -> None:
        with _whole(filepath) as staged:
            put(self, obj, staged, *args, **kwargs)

    return put_whole


@contextmanager
def _open_whole(path: str | Path, mode: str) -> Iterator[IO[Any]]:
    with _whole(path) as staged, staged.open(mode) as file:
        yield file


@contextmanager
def _whole(path: str | Path) -> Iterator[Path]:
    """As `whole_file`, but follows links, and writes to pipes and devices, such as /dev/null, directly."""
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        yield path
    else:
        with whole_file(path) as staged:
            yield staged
