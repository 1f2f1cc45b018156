"""Settings of the C library's memory, for a server that keeps many values of a few hundred kB.

glibc learns from what is freed that large blocks are worth keeping, and gives each thread an area
of its own. Between visitors' memories, which live for minutes, what answers need for moments then
leaves holes that nobody fills: two to four times the memory that is in use.
"""

import ctypes

# Names and numbers of glibc's malloc.h. A value that is set is also fixed: nothing is learned.
_SETTINGS = {
    -1: 16 * 2**20,  # M_TRIM_THRESHOLD: free bytes at the heap's end that are kept
    -3: 2**20,  # M_MMAP_THRESHOLD: blocks of so many bytes go back to the system when freed
    -8: 2,  # M_ARENA_MAX: areas, however many threads
}


def give_back_memory() -> bool:
    """Hand free pages between blocks that are in use to the system; False without glibc.

    glibc does so by itself only at the heap's end. It takes milliseconds, in which other threads
    may have to wait for new blocks.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return False
    return True


def settle_allocator() -> bool:
    """Set them; returns False where the C library is another, which is left as it is."""
    try:
        library = ctypes.CDLL(None)
        answers = [library.mallopt(name, value) for name, value in _SETTINGS.items()]
    except (AttributeError, OSError, TypeError):
        return False
    return all(answers)
