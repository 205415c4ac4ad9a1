"""The results of checking a library, one finding per check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.doctor.salvage import SalvageReport

# "note": nothing is wrong, but a person may want to know. Only "wrong" makes a library unsound.
State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: what was found, what to do about it, and the items it is about."""

    check: str
    state: State
    text: str
    advice: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings about a library."""

    folder: Path
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.state != "wrong" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair has done, in words, and the salvage report if the database was damaged."""

    done: tuple[str, ...]
    salvage: SalvageReport | None
