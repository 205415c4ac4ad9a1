"""Colours that files name by code points (ITU-T H.273)."""

from __future__ import annotations

from dataclasses import dataclass

LINEAR, PQ, HLG = 8, 16, 18
"""Transfer functions of H.273, table 3."""
GAMMAS = {4: 2.2, 5: 2.8}
_WIDE_PRIMARIES = frozenset((9, 11, 12))


@dataclass(frozen=True, slots=True)
class SignalledColours:
    """Code points (ITU-T H.273) by which a file without an ICC profile names its primaries and transfer function."""

    primaries: int
    transfer: int

    @property
    def hdr(self) -> str | None:
        """Which kind of high dynamic range it is, if it is one."""
        return {PQ: "PQ", HLG: "HLG"}.get(self.transfer)

    @property
    def is_srgb(self) -> bool:
        """Whether numbers can be taken for sRGB: screens show television's curve alike, and so what is not known."""
        return self.primaries not in _WIDE_PRIMARIES and self.transfer not in (LINEAR, PQ, HLG, *GAMMAS)
