# SPDX-License-Identifier: Apache-2.0
"""PRIME: what must hold."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Message, Process
from accelspec.spec.language import (
    OK,
    STATE,
    STEP,
    Errno,
    after,
    always,
    deduced,
    implies,
    kernel,
    lemma,
    old,
    read,
    sometimes,
)

from .buffers import GEM, Buffers
from .objects import Client, Gem, Handle

PRIME = "linux 6.12.117 drivers/gpu/drm/drm_prime.c"


class Laws(Buffers):
    @always("prime.I01", STATE, read("DOC: overview and lifetime rules", "one handle for one buffer", document=PRIME))
    def one_handle(self) -> bool:
        """A client has one handle for one buffer, so it sees whether it was given something twice."""
        return all(a is b for a in Handle for b in Handle if a.client is b.client and a.gem is b.gem)

    @always("prime.I02", STATE, read("drm_prime_add_buf_handle", document=PRIME))
    def tables_know_what_is_shared(self) -> bool:
        """The tables of a client have every handle of a buffer that is shared, and no other."""
        return all(h.shared == (h.gem.file is not None) for h in Handle)

    @always("prime.I03", STATE, read("drm_gem_prime_import_dev", document=PRIME))
    def nobody_imports_what_is_not_exported(self) -> bool:
        """A device has handles of another one's buffers only if they are shared."""
        return all(h.gem.file is not None for h in Handle if self.imported(h))

    @always("prime.I04", STATE, deduced("reference counts"))
    def nothing_is_leaked(self) -> bool:
        """When no descriptor and no message is left, no buffer and no handle is."""
        left = any(p.fd[n] is not None for p in Process for n in Fd) or any(True for m in Message)
        return left or (not any(True for g in Gem) and not any(True for h in Handle))

    @always("prime.I05", STATE, read("drm_gem_object_exported_dma_buf_free", "breaks the circle", document=GEM))
    def who_is_there_is_held(self) -> bool:
        """A buffer has a handle, or its dma-buf is open: the two do not only hold each other."""
        return all(self.held(g) for g in Gem)

    @after("fd_to_handle", "prime.I06", STEP, read("drm_prime_lookup_buf_handle", document=PRIME))
    def an_import_gives_a_handle(self, p: Process, n: Fd, m: Fd, result: Errno) -> bool:
        """After an import the client has a handle of the buffer whose dma-buf it gave."""
        return implies(result is OK, any(h.client.file is p.fd[n] and h.gem.file is p.fd[m] for h in Handle))

    @always("prime.I07", STEP, read("drm_prime_remove_buf_handle", document=PRIME))
    def what_is_shared_stays_so(self) -> bool:
        """A buffer keeps the dma-buf that it was given, and the rights of it."""
        return all(
            implies(old(g).file is not None, g.file is old(g).file and g.writable == old(g).writable) for g in Gem
        )

    # ------------------------------------------------------------------ what must be reachable

    @sometimes("prime.R01", deduced("why a dma-buf holds its buffer"))
    def a_buffer_outlives_its_handles(self) -> bool:
        """A dma-buf is open, and nobody has a handle of the buffer."""
        return any(g.file is not None and not self.has_handle(g) for g in Gem)

    @sometimes("prime.R02", deduced("why an import holds the dma-buf"))
    def an_import_outlives_its_exporter(self) -> bool:
        """A device has imported a buffer that nobody else has a handle of, and to which no descriptor leads."""
        return any(self.imported(h) and self.alone(h) and not self.named(h.gem) for h in Handle)

    def alone(self, h: Handle) -> bool:
        return not any(x.gem is h.gem and x is not h for x in Handle)

    def named(self, g: Gem) -> bool:
        return any(p.fd[n] is g.file for p in Process for n in Fd)

    @sometimes("prime.R03", deduced("or I01 says nothing"))
    def two_clients_share(self) -> bool:
        """Two clients of a device have handles of one buffer."""
        return any(a.gem is b.gem and a.client is not b.client for a in Handle for b in Handle)

    # ------------------------------------------------------------------ what the proofs need besides

    @lemma(kernel("private_data is set before the number is"))
    def a_description_has_one_owner(self) -> bool:
        both = any(c.file is g.file and c.file is not None for c in Client for g in Gem)
        return not both and all(any(c.file is f for c in Client) or any(g.file is f for g in Gem) for f in File)
