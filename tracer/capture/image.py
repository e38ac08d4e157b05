"""The compiled kernel program, as it can be kept: its maps, and code that refers to them by name."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Map:
    """What BPF_MAP_CREATE is told of one (bpf(2))."""

    name: str
    type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions. `references` are the offsets, in bytes, of those that load a map's descriptor, and the map's name;
    the descriptor in them is 0."""

    name: str
    code: bytes
    references: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Image:
    """All of it. `license` is what BPF_PROG_LOAD is told: some helpers are only for the GPL's."""

    license: str
    maps: tuple[Map, ...]
    programs: tuple[Program, ...]

    def dump(self) -> bytes:
        """As JSON."""
        programs = [
            {"name": one.name, "code": base64.b64encode(one.code).decode(), "references": one.references}
            for one in self.programs
        ]
        document = {
            "license": self.license,
            "maps": [asdict(one) for one in self.maps],
            "programs": programs,
        }
        return json.dumps(document).encode()

    @classmethod
    def load(cls, data: bytes) -> Image:
        """What `dump` has given."""
        document = json.loads(data)
        programs = [
            Program(one["name"], base64.b64decode(one["code"]), tuple((at, name) for at, name in one["references"]))
            for one in document["programs"]
        ]
        maps = [Map(**one) for one in document["maps"]]
        return cls(document["license"], tuple(maps), tuple(programs))
