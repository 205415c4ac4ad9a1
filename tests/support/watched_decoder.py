"""The program of a decoding process that watches its memory itself, as on systems that keep to no limit."""

from typing import NoReturn

from vitsearch.decoding import confinement, worker


def main(seconds: float, memory: int) -> NoReturn:
    """Watch, and decode with no other limit."""
    confinement.watch_memory(memory)
    worker.main(seconds, 1 << 40)
