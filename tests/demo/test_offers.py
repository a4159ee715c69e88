"""The words of the page on its networks: their purpose, and how long they take."""

import math
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from asid_plugin.archs import ASID
from asid_plugin.checkpoints import packaged_file
from asid_plugin.demo.offers import Offer, load_offers, purpose
from asid_plugin.demo.pace import Pace
from asid_plugin.inference import Upscaler
from asid_plugin.inference.tiling import Windows


def test_the_packaged_weights_are_for_clean_photographs():
    for scale in (2, 3, 4):
        said = purpose(Path(f'packaged:x{scale}'))
        assert said.startswith('For clean photographs: trained on 153 freely licensed photographs, ')


@pytest.mark.slow
def test_of_another_checkpoint_its_arguments_and_data_are_said_as_far_as_they_are_known(tmp_path: Path):
    net = ASID(num_feat=16, num_block=2, upscale=3, sharing='none')
    torch.save({'params': net.state_dict()}, tmp_path / 'mine.pth')
    params = sum(weight.numel() for weight in net.parameters())
    expected = (
        f'Your checkpoint mine.pth: ASID of {params:,} parameters (num_feat 16, num_block 2, window_size 8, '
        'sharing none, distillation True, channel_split True). '
    )
    assert purpose(tmp_path / 'mine.pth') == f'{expected}The file does not name its training data.'
    torch.save(ASID(num_feat=16, num_block=1, input_range='unit').state_dict(), tmp_path / 'neosr.pth')
    assert 'channel_split True, input_range unit). ' in purpose(tmp_path / 'neosr.pth')
    save_file(net.state_dict(), tmp_path / 'mine.safetensors', {'data': 'cats'})
    assert purpose(tmp_path / 'mine.safetensors').endswith('It was trained on cats.')
    copy = tmp_path / 'copy.safetensors'
    copy.write_bytes(packaged_file('packaged:x2').read_bytes())
    assert purpose(copy).startswith('Your checkpoint copy.safetensors: ASID of 297,516 parameters (num_feat 48, ')
    assert purpose(copy).endswith('It was trained on 153 freely licensed photographs.')


@pytest.mark.parametrize(
    ('tile', 'size', 'windows', 'seen'),
    [
        (64, (64, 64), None, 64 * 64),
        (64, (64, 104), None, 64 * 64 * 2),
        (64, (105, 64), None, 64 * 64 * 3),
        (64, (60, 60), Windows(8), (56 + 56) ** 2),
        (0, (100, 200), None, 100 * 200),
    ],
)
def test_the_forecast_counts_each_tile_and_each_pixel_written(tile: int, size: tuple[int, int], windows, seen: int):
    upscaler = Upscaler(lambda lq: lq, 3, tile, 24, windows)
    assert Pace(2, 0).seconds(upscaler, *size) == 2 * seen
    assert Pace(0, 1).seconds(upscaler, *size) == 2 * 9 * math.prod(size)


def test_a_network_is_measured_and_an_enlargement_corrects_it():
    def net(lq: torch.Tensor) -> torch.Tensor:
        time.sleep(1e-5 * lq[:, 0].numel())
        return lq.repeat_interleave(2, 2).repeat_interleave(2, 3)

    offer = Offer(Upscaler(net, 2, tile=32, overlap=0), '')
    assert 1e-5 <= offer.pace.network < 3e-5
    assert offer.seconds(64, 64) >= 4096e-5
    offer.learn(100, 100, 0.5)  # too short to say much
    assert offer.pace.network < 3e-5
    offer.learn(1000, 1000, 70)
    assert offer.seconds(1000, 1000) == pytest.approx(70)


def test_weights_of_one_name_are_told_apart_by_their_paths(tmp_path: Path):
    paths = [tmp_path / folder / 'net.pth' for folder in 'ab']
    for path in paths:
        path.parent.mkdir()
        torch.save({'params': ASID(num_feat=16, num_block=1, upscale=2).state_dict()}, path)
    assert [*load_offers(paths)] == [str(path) for path in paths]
