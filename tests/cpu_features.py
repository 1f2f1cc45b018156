"""What this machine's processor can do."""

from collections.abc import Iterable
from pathlib import Path


def has(features: Iterable[str]) -> bool:
    """Tell whether Linux names all of them; False on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return set(features) <= set(flags)
