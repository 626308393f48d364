# SPDX-License-Identifier: Apache-2.0
"""habanalabs revision `c1`: Linux 6.1.192, a misc driver."""

from __future__ import annotations

from accelspec.spec.language import DONE, deduced, fails, read, stated, violates, when

from .mainline import NOT_HERE, Mainline
from .mainline_owners import MISC
from .objects import Device
from .revision_a import UNMAPPED

NEVER_CLOSED = "a group whose first is patient, and that nobody closes: no completion, and no timer any more"


class Linux6_1(Mainline):
    """6.1.192: an exported buffer pins the context; a close that finds its context in use only says so."""

    revision = "c1"
    document = MISC
    drops = UNMAPPED
    not_applicable = NOT_HERE
    known = [
        violates(
            "habanalabs.I08",
            "cb_destroy.again",
            "a handle is destroyed twice, the second time with a submission's reference (B15)",
            stated("don't allow user to destroy CB handle more than once, December 2022"),
        ),
        violates(
            "habanalabs.I18",
            "map.ok",
            "a scrub that fails is only logged, and the next owner comes (B25)",
            read("hpriv_release"),
        ),
        violates(
            "habanalabs.I19",
            "info.registers",
            "REGISTER_EVENTFD is answered on a control node (B26)",
            read("_hl_info_ioctl"),
        ),
        violates(
            "habanalabs.I23",
            "submit.restore_fails",
            "who fails to switch the chip keeps the token: every later submission times out (H75)",
            deduced("hl_cs_ctx_switch arms it nowhere"),
        ),
        violates("habanalabs.I25", "open.ok", "nothing sets the clocks HIGH (H71)", read("goya_set_frequency")),
        violates(
            "habanalabs.I29",
            "last_put.ok",
            "removal does not see who is inside hpriv_release; a reset that is stuck makes it give up",
            deduced("hl_device_fini waits for the list of files, which hpriv_release has left"),
        ),
        violates(
            "habanalabs.I41",
            "wait.interrupted",
            "0 and BUSY instead of -EINTR (B17)",
            stated("fix handling of wait CS for interrupting signals, 6.3"),
        ),
        violates("habanalabs.P01", "timeout.only_told", NEVER_CLOSED, deduced("cs_timedout returns without a timer")),
        violates(
            "habanalabs.P02",
            "wait_multi.interrupted",
            "a signal that ends the sleep does not end the wait: it polls in a loop until a submission ends (B17)",
            read("hl_wait_multi_cs_completion", "-ERESTARTSYS is taken for the time that is left"),
        ),
        violates(
            "habanalabs.P03",
            "timeout.only_told",
            f"{NEVER_CLOSED}; and it holds the context",
            deduced("hl_device_release only says that the device is in use"),
        ),
        violates(
            "habanalabs.P05",
            "reset_work.stuck",
            "a reset whose scrub fails returns with in_reset set (B25)",
            read("hl_device_reset"),
        ),
        violates("habanalabs.P08", "timeout.only_told", "as P03", deduced("importers have nothing to do with it")),
    ]

    def kill_monitors(self, d: Device) -> None:
        """If somebody has survived the first kill the trial counter is not 0, and nobody is killed again."""
        if when(not self.in_the_way(d)):
            super().kill_monitors(d)

    def deaf(self) -> bool:
        return True

    def scrubbed_by_reset(self, d: Device) -> None:
        if fails("scrub_device_mem"):
            d.disabled = False  # it was enabled for its own initialisation
            raise DONE("stuck", read("hl_device_reset", "returns with in_reset set, and nobody clears it (B25)"))
        super().scrubbed_by_reset(d)
