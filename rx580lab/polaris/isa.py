"""Clang's assembly of a kernel: instructions, basic blocks, loops, and its metadata on registers and memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from rx580lab.errors import BuildError

__all__ = ["Block", "Instruction", "KernelCode", "Loop", "Resources", "parse_kernel"]

_LABEL = re.compile(r"^(\.L\w+|[A-Za-z_]\w*):")
_METADATA = re.compile(r"^\s*\.amdgpu_metadata\s*\n---\n(.*?)^\.\.\.\s*$", re.DOTALL | re.MULTILINE)
# What ends a basic block without going on to the next one.
_NEVER_FALLS_THROUGH = ("s_branch", "s_endpgm", "s_setpc_b64")


@dataclass(frozen=True)
class Instruction:
    """``v_mac_f32`` without its encoding's suffix (``_e32``, ``_e64``, ``_sdwa``, ``_dpp``), and its operands."""

    name: str
    operands: str

    def __str__(self) -> str:
        return f"{self.name} {self.operands}".rstrip()


@dataclass(frozen=True)
class Block:
    """A basic block: one way in, at ``label``; ``successors`` are places in the list of blocks."""

    label: str
    instructions: tuple[Instruction, ...]
    successors: tuple[int, ...]


@dataclass(frozen=True)
class Loop:
    """An innermost loop: no other loop lies in it. ``instructions`` are those of one turn through all of its blocks."""

    label: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Resources:
    """What the compiler's metadata says of one kernel.

    ``lds_bytes`` is what the kernel itself declares; ``group`` the work-group size that it requires, None if any will
    do; ``max_group`` the largest that the code was made for, in work-items.
    """

    vgprs: int
    sgprs: int
    lds_bytes: int
    scratch_bytes: int
    vgpr_spills: int
    sgpr_spills: int
    dynamic_stack: bool
    group: tuple[int, int, int] | None
    max_group: int


@dataclass(frozen=True)
class KernelCode:
    """One kernel as gfx803 would run it. ``text`` is its assembly, without directives."""

    name: str
    text: str
    blocks: tuple[Block, ...]
    resources: Resources

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All of them, in the order of the text."""
        return tuple(one for block in self.blocks for one in block.instructions)

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The innermost loops, in the order of the text."""
        return _innermost(self.blocks)


def parse_kernel(isa: str, entry: str) -> KernelCode:
    """The kernel ``entry`` of an assembly text. BuildError when it is not in it."""
    lines = list(_body(isa, entry))
    if not lines:
        raise BuildError("polaris", f"expected a kernel {entry!r} in the compiler's output, got none")
    return KernelCode(entry, "\n".join(lines), _blocks(lines), _resources(isa, entry))


def _body(isa: str, entry: str) -> Iterator[str]:
    """The lines of one function after its label: labels and instructions, without comments and directives."""
    inside = False
    for line in isa.splitlines():
        if line.startswith(f"{entry}:"):
            inside = True
        elif inside and line.startswith(".Lfunc_end"):
            return
        elif inside:
            kept = line.partition(";")[0].rstrip()
            if kept and not re.match(r"\s+\.", kept):
                yield kept


def _blocks(lines: list[str]) -> tuple[Block, ...]:
    """Cut at labels and after branches; then who follows whom."""
    cut: list[tuple[str, list[Instruction]]] = [("entry", [])]
    for line in lines:
        label = _LABEL.match(line)
        if label is not None:
            cut.append((label.group(1), []))
        else:
            instruction = _instruction(line)
            cut[-1][1].append(instruction)
            if instruction.name.startswith(("s_branch", "s_cbranch")):
                cut.append((f"after {instruction.operands}", []))
    places = {label: place for place, (label, _) in enumerate(cut) if label.startswith(".L")}
    return tuple(
        Block(label, tuple(instructions), _successors(place, len(cut), instructions, places))
        for place, (label, instructions) in enumerate(cut)
    )


def _instruction(line: str) -> Instruction:
    name, _, operands = line.strip().partition(" ")
    return Instruction(re.sub(r"_(e32|e64|sdwa|dpp)$", "", name), operands.strip())


def _successors(place: int, n_blocks: int, instructions: list[Instruction], places: dict[str, int]) -> tuple[int, ...]:
    last = instructions[-1] if instructions else None
    following = [place + 1] if place + 1 < n_blocks else []
    if last is None or not last.name.startswith(("s_branch", "s_cbranch", "s_endpgm", "s_setpc")):
        return tuple(following)
    target = [places[last.operands]] if last.operands in places else []
    return tuple(target if last.name.startswith(_NEVER_FALLS_THROUGH) else target + following)


def _innermost(blocks: tuple[Block, ...]) -> tuple[Loop, ...]:
    """Natural loops: a branch back to a block that every way here leads through, and what lies between."""
    dominators = _dominators(blocks)
    bodies: dict[int, set[int]] = {}
    for place, above in dominators.items():
        for head in blocks[place].successors:
            if head in above:
                bodies.setdefault(head, {head}).update(_between(blocks, head, place))
    return tuple(
        Loop(blocks[head].label, tuple(one for place in sorted(body) for one in blocks[place].instructions))
        for head, body in sorted(bodies.items())
        if not any(other in body for other in bodies if other != head)
    )


def _dominators(blocks: tuple[Block, ...]) -> dict[int, set[int]]:
    """For each block that can be reached, those that every way from the entry leads through."""
    sources = _sources(blocks)
    reached = sorted(_reached(blocks))
    found = {place: set(reached) for place in reached} | {0: {0}}
    changed = True
    while changed:
        changed = False
        for place in reached[1:]:
            before = set.intersection(*(found[source] for source in sources[place] if source in found)) | {place}
            if before != found[place]:
                found[place] = before
                changed = True
    return found


def _reached(blocks: tuple[Block, ...]) -> set[int]:
    """What can be reached from the entry: behind a branch that is always taken lies an empty block that cannot."""
    reached, waiting = {0}, [0]
    while waiting:
        for successor in blocks[waiting.pop()].successors:
            if successor not in reached:
                reached.add(successor)
                waiting.append(successor)
    return reached


def _sources(blocks: tuple[Block, ...]) -> list[list[int]]:
    sources: list[list[int]] = [[] for _ in blocks]
    for place, block in enumerate(blocks):
        for successor in block.successors:
            sources[successor].append(place)
    return sources


def _between(blocks: tuple[Block, ...], head: int, tail: int) -> set[int]:
    """What reaches ``tail`` without passing ``head``."""
    sources = _sources(blocks)
    reached, waiting = {tail}, [tail]
    while waiting:
        place = waiting.pop()
        for source in sources[place] if place != head else []:
            if source not in reached and source != head:
                reached.add(source)
                waiting.append(source)
    return reached


def _resources(isa: str, entry: str) -> Resources:
    found = _METADATA.search(isa)
    listed = yaml.safe_load(found.group(1)).get("amdhsa.kernels", []) if found else []
    known: dict[str, Any] | None = next((one for one in listed if one[".name"] == entry), None)
    if known is None:
        raise BuildError("polaris", f"expected metadata of {entry!r} in the compiler's output, got none")
    group = known.get(".reqd_workgroup_size")
    return Resources(
        vgprs=int(known[".vgpr_count"]),
        sgprs=int(known[".sgpr_count"]),
        lds_bytes=int(known[".group_segment_fixed_size"]),
        scratch_bytes=int(known[".private_segment_fixed_size"]),
        vgpr_spills=int(known[".vgpr_spill_count"]),
        sgpr_spills=int(known[".sgpr_spill_count"]),
        dynamic_stack=bool(known[".uses_dynamic_stack"]),
        group=(int(group[0]), int(group[1]), int(group[2])) if group else None,
        max_group=int(known[".max_flat_workgroup_size"]),
    )
