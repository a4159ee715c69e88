"""Several processes that train together, each in a folder of its own, as nodes that share no disk are."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from asid_plugin.archs import ASID
from asid_plugin.compat.ranks import checksum, state_of
from asid_plugin.locks import lock_beside, lock_inside
from forked import together
from helpers import held_elsewhere

HOST = socket.gethostname()


def train(folders: list[Path], *arguments: str) -> list[subprocess.CompletedProcess]:
    return together(folders, '-m', 'asid_plugin', 'train', 'options.yml', '--launcher', 'pytorch', *arguments)


@pytest.fixture
def nodes(options: dict, tmp_path: Path) -> Callable[..., list[Path]]:
    """A function that makes two folders with the same data, and an option file each: given changes are the second's."""

    def make(changes: dict[str, dict[str, Any]] | None = None) -> list[Path]:
        folders = [tmp_path / name for name in ('a', 'b')]
        for folder in folders:
            folder.mkdir()
            (folder / 'options.yml').write_text(yaml.safe_dump(options))
            for section, keys in (changes or {}).items():
                options[section] |= keys
        return folders

    return make


def write_state(folder: Path, iteration: int, options: dict, seed: int = 0) -> None:
    """Write the files that a training leaves, of weights that depend on the seed."""
    experiment = folder / 'experiments' / 'tiny'
    for name in ('models', 'training_states'):
        (experiment / name).mkdir(parents=True)
    torch.manual_seed(seed)
    net = ASID(**{key: value for key, value in options['network_g'].items() if key != 'type'})
    optimizer = torch.optim.AdamW(
        net.parameters(), **{k: v for k, v in options['train']['optim_g'].items() if k != 'type'}
    )
    torch.save({'params': net.state_dict()}, experiment / 'models' / f'net_g_{iteration}.pth')
    scheduler = {'milestones': {4: 1}, 'gamma': 0.5, 'restarts': [0], 'restart_weights': [1], 'last_epoch': iteration}
    state = {'epoch': 0, 'iter': iteration, 'optimizers': [optimizer.state_dict()], 'schedulers': [scheduler]}
    torch.save(state, experiment / 'training_states' / f'{iteration}.state')


@pytest.mark.slow
def test_one_of_two_nodes_has_the_training_state(nodes: Callable, options: dict):
    """It is the second, and the first would move its folder away to begin anew: nothing is moved or written."""
    folders = nodes()
    for folder in folders:
        write_state(folder, 3, options)
    (folders[0] / 'experiments' / 'tiny' / 'training_states' / '3.state').unlink()
    before = [files(folder) for folder in folders]
    done = train(folders, '--auto_resume')
    said = f'no state on rank 0 ({HOST}:{folders[0]}) but iteration 3 on rank 1 ({HOST}:{folders[1]})'
    line = f'the processes would not train the same network: the training state is {said}; '
    advice = f'copy {folders[0]}/experiments/tiny to every node, or use a shared disk\n'
    assert [process.returncode for process in done] == [2, 2]
    assert [process.stderr for process in done] == [line + advice, '']
    assert [files(folder) for folder in folders] == before


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*') if '.lock' not in path.name)


@pytest.mark.slow
def test_the_weights_of_two_nodes_differ(nodes: Callable, options: dict):
    """Both have a state of iteration 3, one of another training."""
    folders = nodes()
    for seed, folder in enumerate(folders):
        write_state(folder, 3, options, seed)
    done = train(folders, '--auto_resume')
    assert [process.returncode for process in done] == [2, 2]
    line = done[0].stderr.splitlines()[-1]
    assert line.startswith('the processes would not train the same network: the beginning is iteration 3 with weights ')
    assert line.endswith('; use the same files on every node')
    assert 'would not' not in done[1].stderr and 'Traceback' not in done[0].stderr + done[1].stderr


@pytest.mark.slow
def test_the_weights_of_one_node_are_damaged(nodes: Callable, options: dict):
    """The other, which could read its own, does not wait."""
    folders = nodes()
    for folder in folders:
        write_state(folder, 3, options)
    weights = folders[1] / 'experiments' / 'tiny' / 'models' / 'net_g_3.pth'
    weights.write_bytes(weights.read_bytes()[:1000])
    done = train(folders, '--auto_resume')
    assert [process.returncode for process in done] == [2, 2]
    assert f'needs {weights.relative_to(folders[1])}: damaged or not a checkpoint' in done[0].stderr
    assert 'Traceback' not in done[0].stderr + done[1].stderr


@pytest.mark.slow
def test_the_option_files_of_two_nodes_differ(nodes: Callable):
    folders = nodes({'train': {'total_iter': 4}})
    done = train(folders)
    assert [process.returncode for process in done] == [2, 2]
    said = f'6 on rank 0 ({HOST}:{folders[0]}), but 4 on rank 1 ({HOST}:{folders[1]})'
    assert done[0].stderr == f'options.yml: train: total_iter: {said}\n'
    assert done[1].stderr == ''


@pytest.mark.slow
def test_the_first_of_two_processes_finds_its_folder_locked(nodes: Callable):
    folders = nodes()
    with held_elsewhere(lock_beside(folders[0] / 'experiments' / 'tiny')) as holder:
        done = train(folders)
    assert [process.returncode for process in done] == [2, 2]
    folder = folders[0] / 'experiments' / 'tiny'
    assert done[0].stderr.startswith(f'options.yml: name: {folder}: process {holder.pid} on {HOST}, since ')
    assert done[0].stderr.endswith(' writes there; wait until it ends, or choose another name\n')
    assert done[1].stderr == ''
    assert not folder.exists()


WAITING = """
import asid_plugin, sys, time
from basicsr.utils import dist_util, options
from torch import distributed

opt, _ = options.parse_options('.', is_train=True)
print(distributed.get_backend())
start = time.monotonic()
if opt['rank']:
    time.sleep(6)
else:
    try:
        distributed.barrier()
    except RuntimeError:
        print(f'{time.monotonic() - start:.0f}')
"""


@pytest.mark.slow
def test_the_timeout_of_dist_params_is_kept_with_torchrun(options: dict, nodes: Callable):
    """By itself gloo waits for half an hour."""
    options['dist_params'] = {'backend': 'nccl', 'port': 29500, 'timeout': 2}
    folders = nodes()
    done = together(folders, '-c', WAITING, '-opt', 'options.yml', '--launcher', 'pytorch')
    backend, seconds = done[0].stdout.splitlines()[-2:]
    assert backend == 'gloo'
    assert 2 <= int(seconds) <= 5


def test_a_checksum_depends_on_every_bit_and_on_the_order():
    weights = [torch.arange(6.0).reshape(2, 3), torch.ones(4, dtype=torch.bfloat16), torch.tensor(3)]
    expected = checksum(weights)
    assert checksum([weight.clone() for weight in weights]) == expected
    assert checksum([weights[0].t().contiguous().t(), *weights[1:]]) == expected  # how it lies in memory does not count
    assert checksum(weights[::-1]) != expected
    for i, weight in enumerate(weights):
        changed = weight.clone()
        changed.view(-1)[0] += 1
        assert checksum([*weights[:i], changed, *weights[i + 1 :]]) != expected


def test_the_state_has_what_the_optimizer_remembers():
    net = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.0)
    before = state_of([net], [optimizer])
    net(torch.ones(2)).sum().backward()
    optimizer.step()
    assert state_of([net], [torch.optim.SGD(net.parameters())]) == before
    assert state_of([net], [optimizer]) != before


# MMEngine


@pytest.fixture
def mmengine_nodes(options: dict, tmp_path: Path) -> list[Path]:
    """Two folders with the same config of MMEngine."""
    config = pytest.importorskip('mmengine.config')
    data = options['datasets']['train']
    cfg = config.Config.fromfile(Path(__file__).parents[2] / 'options' / 'mmengine' / 'asid_x2_div2k.py')
    dataset = {
        'data_root': '',
        'data_prefix': {'gt': data['dataroot_gt'], 'lq': data['dataroot_lq']},
        'pipeline': {'1': {'lq_size': 16}},
    }
    loading = {'batch_size': 2, 'num_workers': 0, 'persistent_workers': False, 'pin_memory': False}
    cfg.merge_from_dict(
        {
            'work_dir': 'work',
            'model': {'generator': {'num_feat': 16, 'num_block': 1}},
            'train_dataloader': {**loading, 'dataset': dataset},
            'train_cfg': {'max_iters': 4, 'val_interval': 100},
            'default_hooks': {'checkpoint': {'interval': 2, 'save_best': None}},
        }
    )
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    folders = [tmp_path / name for name in ('a', 'b')]
    for folder in folders:
        folder.mkdir()
        cfg.dump(folder / 'config.py')
    return folders


def train_mmengine(folders: list[Path], *arguments: str) -> list[subprocess.CompletedProcess]:
    launcher = ['--launcher', 'pytorch'] if len(folders) > 1 else []
    command = ['-m', 'asid_plugin', 'mmengine', 'train', 'config.py', *launcher, *arguments]
    return together(folders, *command)


@pytest.mark.slow
def test_one_of_two_nodes_has_the_checkpoint_of_mmengine(mmengine_nodes: list[Path]):
    [done] = train_mmengine(mmengine_nodes[:1])
    assert done.returncode == 0, done.stderr[-2000:]
    done = train_mmengine(mmengine_nodes, '--resume', '--cfg-options', 'train_cfg.max_iters=6')
    assert [process.returncode for process in done] == [2, 2], done[0].stderr[-2000:]
    line = done[0].stderr.splitlines()[-1]
    assert line.startswith('the processes would not train the same network: the beginning is iteration 4 with weights ')
    assert 'but iteration 0 with weights ' in line
    assert line.endswith(f'; copy {mmengine_nodes[0]}/work to every node, or use a shared disk')


@pytest.mark.slow
def test_a_work_folder_of_mmengine_is_taken(mmengine_nodes: list[Path]):
    """By our command nothing is written there, not even a log."""
    work = mmengine_nodes[0] / 'work'
    with held_elsewhere(lock_inside(work)) as holder:
        done = train_mmengine(mmengine_nodes)
    assert [process.returncode for process in done] == [2, 2]
    line = done[0].stderr.splitlines()[-1]
    assert line.startswith(f'rank 0 on {HOST}: {work}: process {holder.pid} on {HOST}, since ')
    assert 'writes there' not in done[1].stderr
    assert sorted(path.name for path in work.iterdir()) == ['.lock', '.lock.holder']


DOWNLOADS = """
import os, sys
from pathlib import Path
import asid_plugin.mmengine
from mmengine.runner.checkpoint import CheckpointLoader
from torch import distributed
from asid_plugin.compat.ranks import failing_together

os.environ['TORCH_HOME'] = str(Path.cwd())
distributed.init_process_group('gloo')
for url in sys.argv[1:]:
    with failing_together():
        print(list(CheckpointLoader.load_checkpoint(url, 'cpu')), flush=True)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that has one checkpoint, and the paths that it is asked for."""
    torch.save({'state_dict': {}}, tmp_path / 'x2.pth')
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == '/x2.pth' else 404)
            self.end_headers()
            self.wfile.write((tmp_path / 'x2.pth').read_bytes() if self.path == '/x2.pth' else b'')

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        yield f'http://127.0.0.1:{server.server_port}', asked
        server.shutdown()


@pytest.mark.slow
def test_each_node_downloads_once(server: tuple[str, list[str]], tmp_path: Path):
    """Two ranks share a disk, a third has its own; a file that is not there ends all three."""
    pytest.importorskip('mmengine')
    url, asked = server
    for name in 'ab':
        (tmp_path / name).mkdir()
    nodes = [tmp_path / 'a', tmp_path / 'a', tmp_path / 'b']
    done = together(nodes, '-c', DOWNLOADS, f'{url}/x2.pth', f'{url}/x3.pth')
    assert [process.returncode for process in done] == [2, 2, 2], done[2].stderr[-2000:]
    assert all("['state_dict']" in process.stdout.splitlines() for process in done)
    assert sorted(asked) == ['/x2.pth', '/x2.pth', '/x3.pth', '/x3.pth', '/x3.pth']
    lines = [line for line in done[0].stderr.splitlines() if line.startswith('rank ')]
    files = [node / 'hub' / 'checkpoints' / 'x3.pth' for node in nodes]
    assert lines == [
        f'rank {rank} on {HOST}: {url}/x3.pth: cannot be downloaded to {file} (HTTP Error 404: Not Found)'
        for rank, file in enumerate(files)
    ]
