"""The precision of float32 on a GPU, switched by PyTorch's older and newer way at once, and a lack of memory."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch.backends import cudnn
from torch.backends.cuda import matmul

from asid_plugin.errors import ASIDError, UsageError
from asid_plugin.inference.devices import enough_memory
from asid_plugin.tf32 import allow_tf32

NEWER = hasattr(cudnn, 'fp32_precision')
needs_newer = pytest.mark.skipif(not NEWER, reason='torch < 2.9')


def asked_in_the_older_way() -> None:
    matmul.allow_tf32 = cudnn.allow_tf32 = True


def asked_of_matrix_products() -> None:
    torch.set_float32_matmul_precision('high')


def asked_of_convolutions() -> None:
    cudnn.conv.fp32_precision = 'tf32'


def asked_of_everything() -> None:
    torch.backends.fp32_precision = 'tf32'


def forbidden_to_convolutions() -> None:
    cudnn.conv.fp32_precision = 'ieee'


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    if NEWER:
        torch.backends.fp32_precision = 'none'
    allow_tf32(False)


@pytest.mark.parametrize(
    'before',
    [
        asked_in_the_older_way,
        asked_of_matrix_products,
        pytest.param(asked_of_convolutions, marks=needs_newer),
        pytest.param(asked_of_everything, marks=needs_newer),
        pytest.param(forbidden_to_convolutions, marks=needs_newer),
    ],
)
@pytest.mark.parametrize('allowed', [False, True])
def test_both_ways_agree(before: Callable[[], None], allowed: bool) -> None:
    """Where they do not, PyTorch raises as soon as one of its own functions reads the older way's answer."""
    before()
    allow_tf32(allowed)
    assert (matmul.allow_tf32, cudnn.allow_tf32) == (allowed, allowed)
    if NEWER:
        precisions = {place.fp32_precision for place in (matmul, cudnn.conv, cudnn.rnn, cudnn)}
        assert precisions == {'tf32' if allowed else 'ieee'}
    assert torch.get_float32_matmul_precision() == ('high' if allowed else 'highest')


def test_it_can_be_switched_again_and_again() -> None:
    for allowed in (True, False, True, True, False, False):
        allow_tf32(allowed)
        assert torch.get_float32_matmul_precision() == ('high' if allowed else 'highest')
        assert cudnn.allow_tf32 is allowed


@pytest.mark.gpu
@pytest.mark.parametrize('allowed', [False, True])
def test_tf32_is_less_exact_on_a_gpu(allowed: bool) -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip('no TF32 before Ampere')
    allow_tf32(allowed)
    x, weight = torch.rand(1, 64, 32, 32), torch.rand(64, 64, 3, 3) - 0.5
    exact = torch.nn.functional.conv2d(x.double(), weight.double())
    found = torch.nn.functional.conv2d(x.cuda(), weight.cuda()).double().cpu()
    assert ((found - exact).abs().max().item() > 1e-4) is allowed


def test_a_lack_of_memory_is_an_error_of_one_line() -> None:
    with pytest.raises(UsageError) as raised, enough_memory(UsageError, 'a.png', 'at 2x2 pixels; try less'):
        torch.empty(2**50)
    assert str(raised.value) == 'a.png: out of memory at 2x2 pixels; try less'
    assert isinstance(raised.value.__cause__, RuntimeError)


@pytest.mark.parametrize('error', [RuntimeError('must match'), ASIDError('b.png: out of memory'), KeyError('memory')])
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, enough_memory(UsageError, 'a.png', ''):
        raise error
    assert raised.value is error
