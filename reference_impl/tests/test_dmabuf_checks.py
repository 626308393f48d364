# SPDX-License-Identifier: Apache-2.0
"""Each run-time law of sharing, broken on purpose: by a bug where one breaks it, else by tampering with the state."""

from collections.abc import Callable

import pytest

from accelspec.reference_impl.dmabuf import DESIGNS, Kind, Status, System, Usage, checks
from accelspec.reference_impl.dmabuf.buffer import DmaBuf
from accelspec.reference_impl.dmabuf.context import Session
from accelspec.reference_impl.kernel import PAGE

SIZE = 2 * PAGE


def mapped(design: str = "intended", kind: Kind = Kind.DYNAMIC_P2P) -> tuple[System, DmaBuf, int]:
    """A system with a buffer that is imported and mapped, the buffer, and the attachment."""
    system = System(design)
    system.open(0, 0, 3)
    handle = system.mem_alloc(0, 3, SIZE)
    address = handle if system.design.addressing == "handle" else system.mem_map(0, 3, handle)
    system.export(0, 3, address, SIZE, fd=4)
    t = system.attach(0, 4, kind)
    system.pin(t)
    assert system.map(t) == 0
    buffer = system.buffer_of(0, 4)
    assert buffer is not None
    return system, buffer, t


def i03(system: System, buffer: DmaBuf, t: int) -> None:
    system.core.debug_list[77] = None


def i04(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.file.get()


def i07(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.priv.offset = PAGE


def i08(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.mappings[0].segments.reverse()
    buffer.mappings[0].segments.append((PAGE, PAGE))


def i09(system: System, buffer: DmaBuf, t: int) -> None:
    del system.importers[t]
    buffer.file.refs -= 1


def i10(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.attachments[0].mappings.append(buffer.mappings[0])
    buffer.drain.get()


def i12(system: System, buffer: DmaBuf, t: int) -> None:
    system.importers[t][1].kind = Kind.PINNED


def i13(system: System, buffer: DmaBuf, t: int) -> None:
    system.importer_device(0).path = False


def i14(system: System, buffer: DmaBuf, t: int) -> None:
    system.unmap(t)
    system.touch(system.mmap(0, 4, 1))
    buffer.status = Status.REVOKED
    buffer.drain.put()


def i15(system: System, buffer: DmaBuf, t: int) -> None:
    system.devices[0].decoding = False


def i16(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.status = Status.REVOKED
    buffer.drain.put()


def i18(system: System, buffer: DmaBuf, t: int) -> None:
    system.fence(0, 4, Usage.WRITE)
    system.poll(0, 4)
    fence = buffer.slots[0].fence
    assert fence is not None
    fence.callbacks.clear()


def i20(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.priv.keeps_context = True
    system.devices[0].owner = Session(system.devices[0], 9, 1, buffer.file)


def i22(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.drain.get()


def i26(system: System, buffer: DmaBuf, t: int) -> None:
    system.devices[0].free_pages(buffer.priv.pages)
    system.mem_alloc(0, 3, SIZE)
    buffer.priv.session = -1  # an earlier one's


def i28(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.priv.context.mappings.clear()


def i34(system: System, buffer: DmaBuf, t: int) -> None:
    buffer.priv.extent.generation += 1


def f01(system: System, buffer: DmaBuf, t: int) -> None:
    system.fence(0, 4, Usage.WRITE)
    system.user_fences.clear()


TAMPERED: dict[str, tuple[Callable[[System, DmaBuf, int], None], str]] = {
    "dmabuf.I03": (i03, "intended"),
    "dmabuf.I04": (i04, "intended"),
    "dmabuf.I07": (i07, "intended"),
    "dmabuf.I08": (i08, "intended"),
    "dmabuf.I09": (i09, "intended"),
    "dmabuf.I10": (i10, "intended"),
    "dmabuf.I12": (i12, "D3b"),
    "dmabuf.I13": (i13, "intended"),
    "dmabuf.I14": (i14, "intended"),
    "dmabuf.I15": (i15, "intended"),
    "dmabuf.I16": (i16, "intended"),
    "dmabuf.I18": (i18, "intended"),
    "dmabuf.I20": (i20, "intended"),
    "dmabuf.I22": (i22, "intended"),
    "dmabuf.I26": (i26, "intended"),
    "dmabuf.I28": (i28, "D2c"),
    "dmabuf.I34": (i34, "intended"),
    "dmabuf.F01": (f01, "intended"),
}


@pytest.mark.parametrize("law", checks.CHECKS, ids=lambda law: law.id)
def test_the_law_can_be_broken_and_that_is_seen(law: checks.Check) -> None:
    tamper, design = TAMPERED[law.id]
    system, buffer, t = mapped(design)
    assert list(law.broken(system)) == []
    tamper(system, buffer, t)
    assert list(law.broken(system)) != []


def test_leftovers_are_counted_by_kind() -> None:
    system, _, _ = mapped("D2c")
    system.fence(0, 4, Usage.READ)
    system.send(0, 4)
    counts = system.leftovers()
    for kind, count in (("descriptor", 2), ("dmabuf", 1), ("attachment", 1), ("fence", 1), ("byte", SIZE)):
        assert counts[kind] == count
    assert (counts["message"], counts["mapping"], counts["bus range"], counts["session"]) == (1, 1, 1, 1)
    system.exit(0)
    assert system.leftovers()["byte"] == SIZE  # the message keeps the buffer, the buffer the device file
    assert checks.end(system) == []
    assert system.leftovers() == {}


@pytest.mark.parametrize("design", DESIGNS)
def test_what_is_known_is_known_by_an_id_of_the_sheet(design: str) -> None:
    assert set(checks.KNOWN[design]) <= {law.id for law in checks.CHECKS}
    assert not checks.KNOWN["intended"]
    assert not checks.KNOWN["D3b"]


def test_two_equal_runs_observe_equal() -> None:
    assert mapped()[0].observe() == mapped()[0].observe()
    one, other = mapped()[0], mapped()[0]
    other.fence(0, 4, Usage.READ)
    assert checks.residue(one.observe(), other.observe()) != []
