"""The repairs of asid_plugin.compat, each against its breakage, which is simulated if this environment lacks it."""

import importlib.util
import inspect
import os
import pickle
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import basicsr.train
import cv2
import lmdb
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataset
from basicsr.losses import build_loss
from basicsr.models.base_model import BaseModel
from basicsr.models.lr_scheduler import CosineAnnealingRestartLR, MultiStepRestartLR
from basicsr.utils import dist_util
from basicsr.utils import options as basicsr_options
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import fresh
from asid_plugin.compat import basicsr as corrections
from asid_plugin.compat.torchvision import torchvision_ops


def in_python(code: str) -> str:
    """Run code in a fresh interpreter in which no hook is installed beforehand."""
    done = fresh.run(['-c', textwrap.dedent(code)], hook=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


UNLOADABLE = """
    import sys, torch
    def load_library(path):
        raise OSError('undefined symbol')
    torch.ops.load_library = load_library  # what torch says of another build's operators
"""


@pytest.mark.slow
def test_torchvision_without_its_operators_is_imported() -> None:
    printed = in_python(
        UNLOADABLE
        + """
    from asid_plugin.compat.torchvision import torchvision_ops
    try:
        import torchvision
    except RuntimeError as error:
        print(error)
    torchvision_ops()
    import torchvision
    from torchvision.utils import make_grid
    print(torchvision.extension._has_ops(), make_grid(torch.ones(2, 3, 4, 4)).shape)
    """
    )
    assert printed == 'operator torchvision::nms does not exist\nFalse torch.Size([3, 8, 14])\n'


def test_another_failure_of_torchvision_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == 'torchvision':
                raise RuntimeError('compiled with different CUDA major versions')

    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, 'torchvision')
    with pytest.raises(RuntimeError, match='different CUDA'):
        torchvision_ops()


def test_functional_tensor_is_provided_where_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    name = 'torchvision.transforms.functional_tensor'
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)
    corrections.functional_tensor()
    grey = importlib.import_module(name).rgb_to_grayscale(torch.tensor([1.0, 0.5, 0.25]).view(1, 3, 1, 1))
    assert grey.item() == pytest.approx(0.2989 * 1 + 0.587 * 0.5 + 0.114 * 0.25, abs=1e-4)
    assert importlib.util.find_spec(name).name == name


def test_functional_tensor_that_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType('torchvision.transforms.functional_tensor')
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)
    corrections.functional_tensor()
    assert sys.modules[theirs.__name__] is theirs


def test_distutils_is_lent_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('distutils', 'distutils.version'):
        monkeypatch.setitem(sys.modules, name, None)  # makes importing it fail
    corrections.lend_distutils()
    loose_version = importlib.import_module('distutils.version').LooseVersion
    assert loose_version('0.28.0+cpu') >= loose_version('0.9.0') > loose_version('0.8.2')
    corrections.withdraw_distutils()
    assert 'distutils' not in sys.modules and 'distutils.version' not in sys.modules


def test_distutils_that_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    package, version = ModuleType('distutils'), ModuleType('distutils.version')
    package.version = version
    monkeypatch.setitem(sys.modules, 'distutils', package)
    monkeypatch.setitem(sys.modules, 'distutils.version', version)
    corrections.lend_distutils()
    corrections.withdraw_distutils()
    assert sys.modules['distutils'] is package and sys.modules['distutils.version'] is version


@pytest.mark.slow
def test_basicsr_is_imported_with_everything_missing_at_once() -> None:
    printed = in_python(
        UNLOADABLE
        + """
    class NoDistutils:
        def find_spec(self, name, path=None, target=None):
            if name.partition('.')[0] == 'distutils':
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, NoDistutils())
    import asid_plugin
    from basicsr.data.degradations import rgb_to_grayscale
    from basicsr.archs.arch_util import LooseVersion
    print(rgb_to_grayscale.__module__, LooseVersion.__module__, 'distutils' in sys.modules)
    """
    )
    assert printed == 'torchvision.transforms.functional torch.torch_version False\n'


def paired(folder: Path, **changes: object) -> dict:
    """Options of a dataset on LMDBs: 4 pairs, GT 16x16 and LQ 8x8."""
    return {
        'name': 'pairs',
        'type': 'PairedImageDataset',
        'phase': 'val',
        'scale': 2,
        'dataroot_gt': str(folder / 'gt.lmdb'),
        'dataroot_lq': str(folder / 'lq.lmdb'),
        'io_backend': {'type': 'lmdb'},
    } | changes


def write_lmdbs(folder: Path, value: int, names: tuple[str, ...] = ('gt', 'lq', 'lq2')) -> None:
    for name in names:
        side = 16 if name == 'gt' else 8
        with lmdb.open(str(folder / f'{name}.lmdb'), map_size=2**20) as written, written.begin(write=True) as out:
            for i in range(4):
                png = cv2.imencode('.png', np.full((side, side, 3), value + i, np.uint8))[1]
                out.put(str(i).encode(), png.tobytes())
        meta_info = ''.join(f'{i}.png ({side},{side},3) 1\n' for i in range(4))
        (folder / f'{name}.lmdb' / 'meta_info.txt').write_text(meta_info)


def grey_levels(dataset: torch.utils.data.Dataset) -> list[int]:
    return [round(255 * dataset[i]['gt'].mean().item()) for i in range(len(dataset))]


@pytest.mark.slow
def test_datasets_share_an_lmdb(tmp_path: Path) -> None:
    write_lmdbs(tmp_path, 100)
    first, second = build_dataset(paired(tmp_path)), build_dataset(paired(tmp_path))
    sharing_gt_only = build_dataset(paired(tmp_path, dataroot_lq=str(tmp_path / 'lq2.lmdb')))
    assert grey_levels(first) == grey_levels(second) == grey_levels(sharing_gt_only) == [100, 101, 102, 103]
    with pytest.raises(lmdb.Error, match='already open'):
        lmdb.open(str(tmp_path / 'gt.lmdb'), readonly=True, lock=False)  # lmdb itself is as it was

    in_worker = torch.utils.data.DataLoader(second, num_workers=1, multiprocessing_context='fork')
    anew_in_worker = torch.utils.data.DataLoader(
        build_dataset(paired(tmp_path)), num_workers=1, multiprocessing_context='fork'
    )
    for loader in (in_worker, anew_in_worker):
        assert [round(255 * batch['gt'].mean().item()) for batch in loader] == [100, 101, 102, 103]


def test_an_lmdb_written_anew_is_another_one(tmp_path: Path) -> None:
    write_lmdbs(tmp_path, 100, ('gt', 'lq'))
    old = build_dataset(paired(tmp_path))
    assert grey_levels(old) == [100, 101, 102, 103]
    for name in ('gt', 'lq'):
        for file in sorted((tmp_path / f'{name}.lmdb').iterdir()):
            file.unlink()
        (tmp_path / f'{name}.lmdb').rmdir()
    write_lmdbs(tmp_path, 50, ('gt', 'lq'))
    assert grey_levels(build_dataset(paired(tmp_path))) == [50, 51, 52, 53]
    assert grey_levels(old) == [100, 101, 102, 103]


@pytest.mark.parametrize('vgg_type', ['vgg19', 'vgg16_bn'])
def test_weights_of_features_that_cannot_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vgg_type: str
) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError('Temporary failure in name resolution')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', no_network)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with torch.device('meta'), pytest.raises(corrections.MissingWeightsError) as error:
        build_loss({'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 1}, 'vgg_type': vgg_type})
    message = str(error.value)
    assert message.startswith(
        f'the weights of {vgg_type} for the perceptual loss are missing, and their download failed'
    )
    file = re.search(r'/([\w.-]+\.pth) as (.*)$', message)
    assert Path(file[2]) == tmp_path / 'hub' / 'checkpoints' / file[1]


@pytest.fixture
def process_group_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a group of this one process, which ends with the test."""
    address = {'RANK': '0', 'WORLD_SIZE': '1', 'LOCAL_RANK': '0', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '0'}
    for name, value in address.items():
        monkeypatch.setenv(name, value)
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


def test_launcher_pytorch_takes_gloo(process_group_address: None) -> None:
    with pytest.raises(ZeroDivisionError):
        inspect.unwrap(dist_util._init_dist_pytorch)('nccl')
    dist_util._init_dist_pytorch('nccl')
    assert distributed.get_backend() == 'gloo'
    assert torch.cuda.device_count() == 0


def test_launcher_slurm_takes_gloo(
    process_group_address: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho 127.0.0.1\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    for name, value in {'SLURM_PROCID': '0', 'SLURM_NTASKS': '1', 'SLURM_NODELIST': 'node'}.items():
        monkeypatch.setenv(name, value)
    dist_util._init_dist_slurm('nccl', port=0)
    assert distributed.get_backend() == 'gloo'
    assert os.environ['LOCAL_RANK'] == '0'


LEFT_OPEN = """
import atexit
import sys
from torch import distributed

atexit.register(lambda: print('left open:', distributed.is_initialized()))  # after what is registered later
from basicsr.utils import dist_util

dist_util.init_dist('pytorch', 'gloo')
print('in a group:', distributed.is_initialized())
{end}
"""


AFTER_A_COMMAND = "from asid_plugin.commands.main import main; sys.exit(main(['train']))"  # ends by an error of ours


@pytest.mark.slow
@pytest.mark.parametrize(
    ('end', 'left_open'), [('', False), ('sys.exit(3)', False), ('raise OSError', True), (AFTER_A_COMMAND, True)]
)
def test_the_process_group_is_left_at_the_end(process_group_address: None, end: str, left_open: bool) -> None:
    done = fresh.run(['-c', LEFT_OPEN.format(end=end)])
    assert done.stdout.splitlines() == ['in a group: True', f'left open: {left_open}'], done.stderr


def test_a_network_on_the_cpu_is_distributed(process_group_address: None) -> None:
    dist_util._init_dist_pytorch('nccl')
    model = BaseModel({'num_gpu': 0, 'is_train': True, 'dist': True, 'find_unused_parameters': True})
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        inspect.unwrap(BaseModel.model_to_device)(model, nn.Linear(2, 1))
    net = model.model_to_device(nn.Linear(2, 1))
    assert isinstance(net, DistributedDataParallel) and net.find_unused_parameters
    net(torch.ones(1, 2)).sum().backward()
    assert net.module.weight.grad.tolist() == [[1.0, 1.0]]
    assert type(BaseModel({'num_gpu': 0, 'is_train': True, 'dist': False}).model_to_device(nn.ReLU())) is nn.ReLU


@pytest.mark.parametrize('argument', ['--local-rank=3', '--local_rank=3'])
def test_either_spelling_of_local_rank_is_understood(
    argument: str, options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'tiny.yml').write_text(yaml.dump(options))
    argv = ['train.py', argument, '-opt', str(tmp_path / 'tiny.yml'), '--force_yml', 'name=--local-rank']
    monkeypatch.setattr(sys, 'argv', argv)
    opt, args = basicsr_options.parse_options(str(tmp_path), is_train=True)
    assert args.local_rank == 3
    assert opt['name'] == '--local-rank'
    assert sys.argv is argv


def test_every_holder_of_a_mended_function_has_it() -> None:
    corrected = basicsr_options.parse_options
    assert inspect.unwrap(corrected) is not corrected
    assert basicsr.parse_options is basicsr.train.parse_options is basicsr.test.parse_options is corrected


def training_state() -> dict:
    """A state as BasicSR's save_training_state saves it: two optimizers and both kinds of scheduler, a few steps on."""
    net = nn.Conv2d(3, 3, 3)
    optimizers = [torch.optim.Adam(net.parameters(), lr=1e-3), torch.optim.AdamW(net.parameters(), lr=1e-3)]
    schedulers = [
        MultiStepRestartLR(optimizers[0], milestones=[2, 2, 4], gamma=0.5, restarts=[0], restart_weights=[1]),
        CosineAnnealingRestartLR(optimizers[1], periods=[4, 4], restart_weights=[1, 0.5], eta_min=1e-7),
    ]
    for _ in range(3):
        net(torch.ones(1, 3, 4, 4)).sum().backward()
        for part in optimizers + schedulers:
            part.step()
    return {
        'epoch': 1,
        'iter': 3,
        'optimizers': [part.state_dict() for part in optimizers],
        'schedulers': [part.state_dict() for part in schedulers],
    }


class Payload:
    """An object whose unpickling creates a file, as an attacker's would do worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def resume(path: Path) -> dict:
    """Do as BasicSR's train script does when it is run: parse the options, then load the state named by them."""
    script = {'load_resume_state': basicsr.train.load_resume_state, 'parse_options': basicsr_options.parse_options}
    source = 'def run(opt):\n    parse_options("", True)\n    return load_resume_state(opt)'
    exec(source, script)
    return script['run']({'auto_resume': False, 'path': {'resume_state': str(path)}})


@pytest.fixture
def option_file(options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'tiny.yml').write_text(yaml.dump(options))
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(tmp_path / 'tiny.yml')])


def test_a_training_state_is_loaded(tmp_path: Path, option_file: None) -> None:
    state = training_state()
    torch.save(state, tmp_path / '3.state')
    with pytest.raises((AssertionError, RuntimeError)):
        inspect.unwrap(basicsr.train.load_resume_state)(
            {'auto_resume': False, 'path': {'resume_state': str(tmp_path / '3.state')}}
        )
    loaded = resume(tmp_path / '3.state')
    assert loaded['schedulers'] == state['schedulers']
    assert loaded['schedulers'][0]['milestones'] == {2: 2, 4: 1}
    for one, other in zip(loaded['optimizers'], state['optimizers'], strict=True):
        assert one['param_groups'] == other['param_groups']
        torch.testing.assert_close(one['state'], other['state'], rtol=0, atol=0)


def test_a_training_state_with_code_in_it_is_refused(tmp_path: Path, option_file: None) -> None:
    torch.save(training_state() | {'extra': Payload(tmp_path / 'executed')}, tmp_path / '3.state')
    with pytest.raises(pickle.UnpicklingError, match=r'pathlib.Path.touch|refused|getattr'):
        resume(tmp_path / '3.state')
    assert not (tmp_path / 'executed').exists()


def test_a_network_with_code_in_it_is_refused(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    model = BaseModel({'num_gpu': 0, 'is_train': False})
    torch.save({'params': net.state_dict()}, tmp_path / 'good.pth')
    model.load_network(nn.Linear(2, 1), str(tmp_path / 'good.pth'))
    torch.save({'params': net.state_dict(), 'extra': Payload(tmp_path / 'executed')}, tmp_path / 'bad.pth')
    with pytest.raises(pickle.UnpicklingError, match=r'pathlib.Path.touch|refused|getattr'):
        model.load_network(net, str(tmp_path / 'bad.pth'))
    assert not (tmp_path / 'executed').exists()
