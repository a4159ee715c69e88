"""Memory that a process keeps for its next tensors."""

import ctypes
import sys

import pytest

import fresh
from asid_plugin.inference import memory

HAS_MALLOPT = sys.platform == 'linux' and hasattr(ctypes.CDLL(None), 'mallopt')
FAULTS = """
import resource, torch
from asid_plugin.inference.memory import keep_freed_memory
{call}

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(2**24)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


def page_faults(call: str) -> int:
    done = fresh.run(['-c', FAULTS.format(call=call)])
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_MALLOPT, reason='needs glibc')
def test_a_freed_tensor_needs_no_new_pages():
    pages = 8 * 2**26 // 4096
    assert page_faults('') > pages / 1000  # as PyTorch comes, each is mapped anew; huge pages count as one
    assert page_faults('assert keep_freed_memory()') < 20


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory.sys, 'platform', 'darwin')
    assert not memory.keep_freed_memory()
