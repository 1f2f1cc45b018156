import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HEAD = """
import re
from pathlib import Path
import numpy as np

def anonymous_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", status)[1])
"""
# Blocks that go are made between blocks that stay, as answers are between memories; the first
# one that goes teaches glibc to keep such blocks.
PROGRAM = """
if {is_settled}:
    from server.allocator import settle_allocator
    assert settle_allocator()
np.ones(3 * 2**20, np.uint8)
stay, go = [], []
before = anonymous_bytes()
for _ in range(60):
    go.append(np.ones(2 * 2**20, np.uint8))
    stay.append(np.ones(2**17 - 64, np.uint8))
go.clear()
print((anonymous_bytes() - before) / sum(block.nbytes for block in stay))
"""


def printed_by(program: str) -> float:
    command = [sys.executable, "-c", HEAD + program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_is_freed_goes_back_to_the_system() -> None:
    assert printed_by(PROGRAM.format(is_settled=True)) < 1.5
    # What it is for: without, the holes stay.
    assert printed_by(PROGRAM.format(is_settled=False)) > 5


HOLES = """
from server.allocator import give_back_memory, settle_allocator

assert settle_allocator()
before = anonymous_bytes()
stay, go = [], []
for _ in range(200):
    go.append(np.ones(2**19, np.uint8))
    stay.append(np.ones(2**12, np.uint8))
go.clear()
held = anonymous_bytes() - before
assert give_back_memory()
print((anonymous_bytes() - before) / held)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_holes_between_blocks_that_stay_go_back_to_the_system() -> None:
    assert printed_by(HOLES) < 0.3
