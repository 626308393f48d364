# SPDX-License-Identifier: Apache-2.0
"""Export and import: how a buffer comes about, who may attach, what a mapping leads to.

The core is that of 6.1 to 6.12 with an exporter that does not pin: a dynamic importer is mapped when it attaches, and
the core keeps that mapping; a static one is mapped by its first map call (facts 1.3).
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    CALLBACK,
    DONE,
    EINVAL,
    EMFILE,
    ENOMEM,
    EPERM,
    OK,
    Result,
    choose,
    deduced,
    event,
    fails,
    free,
    operation,
    read,
    require,
    when,
)

from .objects import PEER, PINNED, REVOCABLE, STATIC, VALID, Buffer, Import, Importer, Memory
from .sessions import Sessions

CORE = "linux 6.12 drivers/dma-buf/dma-buf.c (facts, section 2)"


class Buffers(Sessions):
    document = "drivers/misc/habanalabs of 2021 (facts, sections 1 and 2)"

    # ------------------------------------------------------------------ export

    def undo(self, b: Buffer) -> None:
        """An error path behind the creation of a buffer."""
        assert any(x is b for x in Buffer), "dmabuf.I03"
        free(b)

    @operation
    def export(self, p: Process, n: Fd, m: Memory, at: Fd, part: bool, wraps: bool) -> Result:
        """A buffer of the memory, or of its second half; `wraps`: offset plus size passes the end of the numbers.

        By address: whether that memory is an allocation, and whose, nobody asks.
        """
        s = self.session_of(p, n)
        require(self.unused(p, at) and m.device is s.device)
        self.operational(s)
        if wraps:
            return EINVAL("bad_range", read("export_dmabuf_from_addr", "beyond the memory or the BAR, or wrapping"))
        if fails("descriptor"):
            return EMFILE("no_descriptor", read("export_dmabuf", "before there is a buffer"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("export_dmabuf"))
        b = Buffer(memory=m, session=s, part=part, place=s.device.place)
        if fails("dma_buf_export"):
            self.undo(b)
            return CALLBACK("no_buffer", read("export_dmabuf", "the wrapper is freed, the number given back"))
        assert m.session is s, "dmabuf.I07"
        assert m.session is None or m.session is s, "dmabuf.I35"
        f = File()
        b.file = f
        p.fd[at] = f
        return OK("ok", read("export_dmabuf", "the number is given last"))

    # ------------------------------------------------------------------ attach

    def maps_at_attach(self, kind: Importer) -> bool:
        """Is it mapped when it attaches?"""
        return kind is not STATIC

    def peer_to_peer(self, kind: Importer) -> bool:
        """Does it take addresses that have no page, and is there a path to it?"""
        return kind in (PEER, PINNED, REVOCABLE)

    @operation
    def attach(self, p: Process, n: Fd, kind: Importer) -> Result:
        """An importer in the process takes the buffer behind a descriptor."""
        require(p.running)
        f = self.file_of(p, n)
        b = choose(b for b in Buffer if b.file is f)
        if b is None:
            return EINVAL("no_buffer", read("dma_buf_get", "another kind of file", document=CORE))
        if self.maps_at_attach(kind) and not self.peer_to_peer(kind):
            return EPERM("no_path", read("hl_map_dmabuf", "the core maps a dynamic importer here"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("dma_buf_dynamic_attach", document=CORE))
        with b.resv:
            t = Import(buffer=b, file=f, process=p, kind=kind)
            if when(self.maps_at_attach(kind)):
                self.make_mapping(t)
            return OK("ok", read("dma_buf_dynamic_attach", document=CORE))

    # ------------------------------------------------------------------ map and unmap

    def pins(self, t: Import) -> bool:
        """Does the importer pin for as long as it maps?"""
        return t.kind in (PINNED, REVOCABLE)

    def make_mapping(self, t: Import) -> None:
        """The exporter's map operation, and the pin before it."""
        assert t.buffer.status is VALID, "dmabuf.I14"
        assert self.peer_to_peer(t.kind), "dmabuf.I13"
        if when(self.pins(t)):
            t.pins += 1
        t.maps += 1
        t.counted = True
        t.told = False
        t.part = self.covered(t.buffer)
        t.place = t.buffer.place

    def covered(self, b: Buffer) -> bool:
        """What the exporter's map operation covers."""
        return b.part

    def drop_mapping(self, t: Import) -> None:
        """The exporter's unmap operation, and the unpin behind it."""
        t.maps -= 1
        if when(self.pins(t)):
            t.pins -= 1
        t.counted = False
        t.told = False

    @operation
    def map(self, t: Import) -> Result:
        """The importer asks for its mapping: it has one already, or it is a static one."""
        require(t.process.running)
        if t.maps >= 1:
            return OK("cached", read("dma_buf_map_attachment", "the mapping of the attachment", document=CORE))
        return EPERM("no_path", read("hl_map_dmabuf", "no addresses but those of the BAR"))

    @operation
    def unmap(self, t: Import) -> Result:
        require(t.process.running and t.maps >= 1 and not t.working)
        return OK("cached", read("dma_buf_unmap_attachment", "the mapping is kept until detach", document=CORE))

    @operation
    def detach(self, t: Import) -> Result:
        """The importer lets go: stop, unmap, unpin under the reservation lock, then detach, then put."""
        require(t.process.running and not t.working)
        b = t.buffer
        f = t.file
        with b.resv:
            if when(t.maps >= 1):
                self.drop_mapping(t)
        free(t)
        self.fput(f)
        return OK("ok", read("ib_umem_dmabuf_release", "facts 2.8; the put comes behind the lock", document=CORE))

    # ------------------------------------------------------------------ what importers do with it

    @event
    def access(self, t: Import) -> Result:
        """The importer's hardware begins to read and write through the mapping."""
        require(t.maps >= 1 and not t.told and not t.working)
        if when(not self.pins(t)):
            t.working = True
        t.buffer.memory.dirty = True
        return DONE("ok", deduced("a pinned importer asks nobody and has no fence; the others add a fence first"))

    @event
    def finish(self, t: Import) -> Result:
        """The access is over, and its fence is signalled."""
        require(t.working)
        t.working = False
        return DONE("ok", read("dma_fence_signal", document="linux 6.12.117 drivers/dma-buf/dma-fence.c"))
