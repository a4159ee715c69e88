"""Networks in folders and repositories of the Hugging Face hub, and by torch.hub."""

import copy
import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from local_hub import LocalHub, local_hub
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import fresh
from asid_plugin.archs import ASID, OmniSR
from asid_plugin.checkpoints import WeightsError
from asid_plugin.errors import ASIDError
from asid_plugin.hub import HubError

ROOT = Path(__file__).resolve().parents[2]

huggingface_hub = pytest.importorskip('huggingface_hub', reason='needs huggingface_hub')
constants = import_module('huggingface_hub.constants')


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)


def tiny(arch: type[ASID | OmniSR] = ASID, seed: int = 0, **arguments: object) -> Any:
    torch.manual_seed(seed)
    return arch(**{'num_feat': 16, 'num_block': 2, 'upscale': 2} | arguments).eval()


def equal(net: nn.Module, other: nn.Module, channels: int = 3) -> bool:
    x = torch.rand(1, channels, 19, 23)
    with torch.inference_mode():
        return torch.equal(net(x), other(x))


def python(code: str, **environment: str) -> str:
    """The last line that a program prints, in an interpreter of its own."""
    done = fresh.run(['-c', code], env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return (done.stdout.splitlines() or [''])[-1]


def refusal(name: object, arch: type[ASID | OmniSR] = ASID) -> str:
    with pytest.raises(ASIDError) as error:
        arch.from_pretrained(name)
    assert str(error.value).isprintable()  # one line, no escapes
    return str(error.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that was saved."""
    tiny().save_pretrained(tmp_path / 'net')
    return tmp_path / 'net'


def with_config(folder: Path, **entries: object) -> Path:
    config = json.loads((folder / 'config.json').read_text()) | entries
    (folder / 'config.json').write_text(json.dumps(config))
    return folder


# written and read again


@pytest.mark.parametrize(
    'net',
    [
        tiny(),
        tiny(num_block=1, sharing='none'),  # which no shape tells from 'inter'
        tiny(sharing='intra', channel_split=False),
        tiny(sharing='none', distillation=False, channel_split=False),
        tiny(num_in_ch=1, num_out_ch=1, upscale=3, window_size=4),
        tiny(num_in_ch=3, num_out_ch=12, upscale=1),  # as many channels before the shuffle as of 3 at x2
        tiny(OmniSR),
        tiny(OmniSR, channel_split=0.5),
    ],
    ids=lambda net: ', '.join(f'{key}={value}' for key, value in net.arguments.items()),
)
def test_a_folder_gives_the_network_back_bit_by_bit(tmp_path: Path, net: ASID | OmniSR):
    net.save_pretrained(tmp_path)
    again = type(net).from_pretrained(str(tmp_path))
    assert type(again) is type(net) and again.arguments == net.arguments
    assert not again.training and equal(net, again, net.arguments['num_in_ch'])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['README.md', 'config.json', 'model.safetensors']


def test_the_hubs_own_mixin_reads_the_folder(folder: Path):
    class Theirs(huggingface_hub.PyTorchModelHubMixin, ASID):
        pass

    theirs = Theirs.from_pretrained(str(folder), strict=True)
    assert theirs.arguments == tiny().arguments and equal(theirs, tiny())


def test_a_folder_of_the_hubs_own_mixin_is_read(tmp_path: Path):
    class Theirs(huggingface_hub.PyTorchModelHubMixin, ASID):
        pass

    torch.manual_seed(0)
    theirs = Theirs(num_feat=16, num_block=2)
    theirs.save_pretrained(tmp_path)
    assert equal(ASID.from_pretrained(tmp_path), theirs.eval())


def test_weights_alone_do(folder: Path):
    (folder / 'config.json').unlink()
    assert equal(ASID.from_pretrained(folder), tiny())


def test_a_checkpoint_file_is_read(tmp_path: Path):
    torch.save({'params': tiny().state_dict()}, tmp_path / 'net_g_latest.pth')
    assert equal(ASID.from_pretrained(tmp_path / 'net_g_latest.pth'), tiny())


def test_half_precision_is_kept_in_the_file_and_computed_in_float32(tmp_path: Path):
    tiny().half().save_pretrained(tmp_path)
    assert {value.dtype for value in load_file(tmp_path / 'model.safetensors').values()} == {torch.float16}
    assert equal(ASID.from_pretrained(tmp_path), tiny().half().float())


def test_nothing_is_written_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub.ModelCard, 'save', lambda *_: (_ for _ in ()).throw(OSError(28, 'full')))
    with pytest.raises(OSError, match='full'):
        tiny().save_pretrained(tmp_path / 'net')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_importing_the_network_imports_no_hub():
    code = "import sys, asid_plugin.archs; print({'asid_plugin.hub', 'huggingface_hub'} & set(sys.modules))"
    assert python(code) == 'set()'


@pytest.mark.slow
def test_without_the_library_folders_are_read_and_the_extra_is_named(folder: Path):
    code = f"""
import sys
sys.modules['huggingface_hub'] = None
from asid_plugin import ASID
net = ASID.from_pretrained({str(folder)!r})
for call in (lambda: net.save_pretrained('x'), lambda: net.push_to_hub('x/y'), lambda: ASID.from_pretrained('x/y')):
    try:
        call()
    except ValueError as error:
        print(error, end='; ')
"""
    assert python(code).count("needs huggingface_hub: pip install '.[hub]' in a checkout of asid_plugin") == 3


# the model card


def card_of(folder: Path) -> Any:
    return huggingface_hub.ModelCard.load(folder / 'README.md')


@pytest.mark.slow
def test_the_card_tells_what_the_metadata_tell(tmp_path: Path):
    ASID.from_pretrained('packaged:x2').save_pretrained(tmp_path)
    card = card_of(tmp_path)
    assert (card.data.license, card.data.library_name) == ('apache-2.0', 'asid-plugin')
    assert (card.data.pipeline_tag, card.data.metrics) == ('image-to-image', ['psnr', 'ssim'])
    assert {'asid', 'super-resolution', 'pytorch_model_hub_mixin'} <= set(card.data.tags)
    figures = {(r.dataset_name, r.metric_name): r.metric_value for r in card.data.eval_results}
    assert len(figures) == 8 and figures['Set14 x2', 'PSNR on Y, whole'] == 33.2769
    assert '| Set5  | tiles | 37.73 | 0.9597 |' in card.content
    assert '- Data: 153 freely licensed photographs\n- Iterations: 7500\n' in card.content


def test_metadata_survive_a_second_round(tmp_path: Path):
    ASID.from_pretrained('packaged:x2').save_pretrained(tmp_path / 'a')
    ASID.from_pretrained(tmp_path / 'a').save_pretrained(tmp_path / 'b')
    for name in ('README.md', 'config.json'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()
    with safe_open(tmp_path / 'b' / 'model.safetensors', 'pt') as file:
        assert file.metadata()['iterations'] == '7500'


def test_figures_of_other_weights_are_not_claimed(tmp_path: Path):
    net = copy.deepcopy(ASID.from_pretrained('packaged:x2'))
    with torch.no_grad():
        net.conv_up.bias[0] += 1e-3
    net.save_pretrained(tmp_path)
    card = card_of(tmp_path)
    assert card.data.eval_results is None and card.data.license == 'unknown'
    assert '153 freely' not in card.content and '37.7' not in card.content


def test_a_license_is_given_and_a_card_that_is_there_is_kept(tmp_path: Path):
    tiny().save_pretrained(tmp_path, license='mit')
    assert card_of(tmp_path).data.license == 'mit'
    (tmp_path / 'README.md').write_text('mine')
    tiny(seed=1).save_pretrained(tmp_path)
    assert (tmp_path / 'README.md').read_text() == 'mine' and equal(ASID.from_pretrained(tmp_path), tiny(seed=1))


def test_a_network_that_cannot_be_uploaded_is_saved_all_the_same(tmp_path: Path):
    with pytest.raises(HubError, match='^me/net: not uploaded: '):
        tiny().save_pretrained(tmp_path, push_to_hub=True, repo_id='me/net', private=True)
    assert "ASID.from_pretrained('me/net')" in card_of(tmp_path).content
    assert equal(ASID.from_pretrained(tmp_path), tiny())


def test_a_mistyped_option_is_named(tmp_path: Path):
    with pytest.raises(TypeError, match='licence: only valid with push_to_hub=True'):
        tiny().save_pretrained(tmp_path / 'net', licence='mit')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('arch', [ASID, OmniSR])
def test_the_cards_snippet_runs(tmp_path: Path, arch: type[ASID | OmniSR]):
    tiny(arch).save_pretrained(tmp_path)
    code = card_of(tmp_path).text.split('```python\n')[1].split('```')[0]
    assert 'FOLDER_OR_REPOSITORY' in code
    names: dict[str, Any] = {}
    exec(code.replace('FOLDER_OR_REPOSITORY', str(tmp_path)), names)
    assert names['sr'].shape == (1, 3, 96, 128) and f'# {(*names["sr"].shape,)}' in code


HOSTILE = {
    'data': '](x) <script>alert(1)</script> | \x1b[31m\n---\nlicense: mit',
    'license': 'mit\ntags: [evil]',
    'iterations': '9' * 20_000,
    'results': '{"Set5": {"tiles": [1e999, NaN], "whole": ["x", 1]}}',
    'options': '\u202egnp.exe',
}


def test_metadata_of_strangers_stay_text(tmp_path: Path):
    net = tiny()
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, tmp_path / 'a.safetensors', HOSTILE)
    ASID.from_pretrained(tmp_path / 'a.safetensors').save_pretrained(tmp_path / 'net')
    card = card_of(tmp_path / 'net')
    assert card.data.license == HOSTILE['license'] and 'evil' not in card.data.tags
    assert card.data.eval_results is None
    assert '<script' not in card.content.replace('\\<script', '') and '\x1b' not in card.content
    assert '\u202e' not in card.content and '9' * 1000 not in card.content


@pytest.mark.parametrize(
    'results', ['[' * 9000, '[]', '3', '{"a": 1}', '{"a": {"b": [1]}}', 'null', '{"a": {"b": {"c": 1}}}']
)
def test_figures_that_are_not_understood_are_left_out(tmp_path: Path, results: str):
    save_file(dict(tiny().state_dict()), tmp_path / 'a.safetensors', {'results': results})
    ASID.from_pretrained(tmp_path / 'a.safetensors').save_pretrained(tmp_path / 'net')
    assert 'has no results' in card_of(tmp_path / 'net').content


# folders of strangers


@pytest.mark.slow
@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ({'num_block': 8}, 'num_block is 8, not 2'),
        ({'num_block': 10**9}, 'num_block is 1000000000'),
        ({'num_feat': 10**9}, 'num_feat is 1000000000, not 16'),
        ({'num_feat': 10**400}, 'num_feat is 1'),
        ({'window_size': 10**6}, 'window_size is 1000000'),
        ({'upscale': 10**12}, 'upscale is 1000000000000, not 2'),
        ({'upscale': 3, 'num_out_ch': 3}, 'upscale is 3, not 2'),
        ({'upscale': True}, "upscale is 'True'; it should be of the type of 2"),
        ({'upscale': -2}, 'upscale is -2'),
        ({'num_feat': 16.0}, "num_feat is '16.0'"),
        ({'sharing': 'os.system'}, 'sharing is os.system, not inter'),
        ({'sharing': ['inter']}, "sharing is \"['inter']\"; it should be of the type of 'inter'"),
        ({'distillation': {'$ref': 'x'}}, 'distillation is'),
        ({'num_in_ch': None}, "num_in_ch is 'None'; it should be of the type of 3"),
    ],
)
def test_a_config_that_contradicts_the_weights_is_refused(folder: Path, entries: dict, message: str):
    assert message in refusal(with_config(folder, **entries))


def test_other_entries_of_a_config_are_left_alone(folder: Path):
    with_config(folder, architectures=['X'], _target_='os.system', __class__='x', reader=1, training=True)
    net = ASID.from_pretrained(folder)
    assert net.reader is ASID.reader and not net.training and equal(net, tiny())


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'{', 'not JSON'),
        (b'\xff\xfe', 'not JSON (UnicodeDecodeError)'),
        (b'[' * 60_000, 'not JSON (RecursionError)'),
        (b'[1]', 'holds a list, not the arguments of a network'),
        (b'{"num_feat": ' + b'1' * 5000 + b'}', 'not JSON'),
        (b' ' * 2**17 + b'{}', 'bytes; at most 65536 are read'),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_a_config_that_is_none_is_refused(folder: Path, content: bytes, message: str):
    (folder / 'config.json').write_bytes(content)
    assert message in refusal(folder)


def test_pickles_are_refused_by_name(tmp_path: Path):
    torch.save(tiny().state_dict(), tmp_path / 'pytorch_model.bin')
    message = refusal(tmp_path)
    assert 'no model.safetensors' in message and 'pytorch_model.bin are not read' in message


def test_a_pickle_by_the_name_of_safetensors_is_refused(folder: Path):
    torch.save(tiny().state_dict(), folder / 'model.safetensors')
    assert 'damaged or not a checkpoint' in refusal(folder)


def test_huge_weights_are_refused_before_they_are_read(folder: Path):
    with (folder / 'model.safetensors').open('r+b') as file:
        file.truncate(2**40)
    assert f'{2**40} bytes; at most {2**30} are read' in refusal(folder)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='needs pipes')
def test_a_pipe_does_not_hang(folder: Path):
    for name in ('model.safetensors', 'config.json'):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert 'no model.safetensors' in refusal(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path, folder: Path):
    tiny(OmniSR).save_pretrained(tmp_path / 'omnisr')
    assert 'not the weights of an ASID' in refusal(tmp_path / 'omnisr')
    assert 'not the weights of an Omni-SR' in refusal(folder, OmniSR)
    save_file({'a': torch.zeros(2)}, folder / 'model.safetensors')
    assert 'not the weights of an ASID' in refusal(folder)


@pytest.mark.parametrize('name', ['a/b/c', 'not there', '../x', 'x' * 5000, 'a\x1b[31m', '', 'http://x/y'])
def test_what_is_no_name_of_a_repository_is_said(name: str):
    assert 'no such folder' in refusal(name)


def test_a_repository_offline_is_one_line():
    message = refusal('somebody/asid-x2')
    assert message.startswith('somebody/asid-x2: no such folder, and the download from the hub failed: ')


# the hub's client, against a hub on this machine


def on_hub(hub: LocalHub, code: str, cache: Path) -> str:
    head = 'from asid_plugin import ASID\nfrom asid_plugin.errors import ASIDError\n'
    return python(head + code, HF_HOME=str(cache), HF_HUB_OFFLINE='0', **hub.environment)


@pytest.mark.slow
def test_a_network_goes_to_the_hub_and_comes_back(tmp_path: Path):
    with local_hub() as hub:
        code = "print(ASID.from_pretrained('packaged:x3').push_to_hub('me/asid-x3', private=True))"
        assert '/commit/' in on_hub(hub, code, tmp_path / 'cache')
        assert sorted(hub.files) == [f'me/asid-x3/{name}' for name in ('README.md', 'config.json', 'model.safetensors')]
        assert b"ASID.from_pretrained('me/asid-x3')" in hub.files['me/asid-x3/README.md']
        code = """
import os, torch
ours, theirs = (ASID.from_pretrained(name) for name in ('packaged:x3', 'me/asid-x3'))
os.environ['HF_ENDPOINT'] = 'http://127.0.0.1:9'
again = ASID.from_pretrained('me/asid-x3', local_files_only=True)
x = torch.rand(1, 3, 17, 20)
print(torch.equal(ours(x), theirs(x)), torch.equal(ours(x), again(x)), ours.origin == theirs.origin)
"""
        assert on_hub(hub, code, tmp_path / 'cache') == 'True True True'


@pytest.mark.slow
def test_repositories_of_strangers_are_refused_in_a_line(tmp_path: Path, folder: Path):
    with local_hub() as hub:
        weights = (folder / 'model.safetensors').read_bytes()
        hub.files |= {
            'bad/pickle/pytorch_model.bin': b'x',
            'bad/huge/model.safetensors': weights,
            'bad/config/model.safetensors': weights,
            'bad/config/config.json': b'{"num_block": 999999999}',
            'good/alone/model.safetensors': weights,
        }
        hub.claimed['bad/huge/model.safetensors'] = 2**40
        code = """
import sys
for name in ('bad/pickle', 'bad/huge', 'bad/config', 'bad/none', 'good/alone'):
    try:
        print(name, ASID.from_pretrained(name).arguments['num_block'], end=' & ')
    except ASIDError as error:
        print(error, end=' & ')
"""
        pickle, huge, config, none, alone, _ = on_hub(hub, code, tmp_path / 'cache').split(' & ')
        assert pickle.startswith('bad/pickle: the repository has no model.safetensors (pickles are not read')
        assert huge == f'bad/huge: model.safetensors: {2**40} bytes; at most {2**30} are read'
        assert 'num_block is 999999999, not 2' in config
        assert none.startswith('bad/none: no such folder, and the download from the hub failed: ')
        assert alone == 'good/alone 2'
        assert hub.sent == 2 * len(weights) + len(hub.files['bad/config/config.json'])


@pytest.mark.slow
def test_a_config_is_left_out_only_where_the_repository_has_none(tmp_path: Path):
    """It tells x1 with 12 channels from x2 with 3, which have the same weights."""
    tiny(num_out_ch=12, upscale=1).save_pretrained(tmp_path / 'net')
    weights, config = ((tmp_path / 'net' / name).read_bytes() for name in ('model.safetensors', 'config.json'))
    code = """
import huggingface_hub.constants as constants
for name in ('me/none', 'me/lost'):
    for constants.HF_HUB_OFFLINE in (False, True):
        try:
            print(name, ASID.from_pretrained(name).upscale, end=' & ')
        except ASIDError as error:
            print(error, end=' & ')
"""
    with local_hub() as hub:
        hub.files |= {'me/none/model.safetensors': weights, 'me/lost/model.safetensors': weights}
        hub.files['me/lost/config.json'] = config
        hub.silent.add('me/lost/config.json')
        *none, lost, offline, _ = on_hub(hub, code, tmp_path / 'cache').split(' & ')
    assert none == ['me/none 2'] * 2
    assert lost.startswith('me/lost: no such folder, and') and offline.startswith('me/lost: no such folder, and')


# torch.hub


def torch_hub(name: str, **arguments: object) -> Any:
    return torch.hub.load(str(ROOT), name, source='local', **arguments)


@pytest.mark.slow
@pytest.mark.parametrize('scale', [2, 3, 4])
def test_torch_hub_loads_the_packaged_weights(scale: int):
    net = torch_hub('asid', scale=scale, pretrained=True)
    assert not net.training and equal(net, ASID.from_pretrained(f'packaged:x{scale}'))


def test_torch_hub_knows_both_networks():
    net = torch_hub('asid_d8', scale=4)
    assert (net.arguments['num_block'], net.upscale, net.training) == (8, 4, False)
    assert torch_hub('asid', scale=5, pretrained=False).upscale == 5


def test_torch_hub_says_which_weights_there_are():
    with pytest.raises(WeightsError, match='no weights for x5, only for x2, x3, x4'):
        torch_hub('asid', scale=5)
    with pytest.raises(WeightsError, match='no weights of ASID-D8'):
        torch_hub('asid_d8', pretrained=True)


@pytest.mark.slow
def test_torch_hubs_dependencies_are_all_that_is_needed():
    others = ('PIL', 'basicsr', 'cv2', 'filelock', 'huggingface_hub', 'imagecodecs', 'tifffile', 'torchvision')
    code = f"""
import sys
sys.modules |= dict.fromkeys({others})
import torch
print(torch.hub.load({str(ROOT)!r}, 'asid', scale=4, source='local').upscale)
"""
    assert python(code) == '4'
