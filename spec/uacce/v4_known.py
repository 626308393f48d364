# SPDX-License-Identifier: Apache-2.0
"""uacce v4: the violations that it is known to have; docs/machines/uacce-expectations.md argued them beforehand."""

from __future__ import annotations

from accelspec.spec.language import deduced, read, violates

HEADER = "the same mail, include/linux/uacce.h"
BY_MINOR = "idr_find goes by the minor number, the character device by the inode"

KNOWN = [
    violates(
        "uacce.I03",
        "driver_ioctl.ok",
        "neither the driver's ioctl nor poll looks at the state: they work on a queue that was put (S-29)",
        read("uacce_fops_unl_ioctl"),
    ),
    violates(
        "uacce.I04",
        "open.got_queue",
        "get_queue runs behind an unregister (S-18), which leaves queues and ops as they are (S-16)",
        read("uacce_fops_open"),
    ),
    violates("uacce.I05", "open.bind_fails", "where the bind fails, ret is still 0 (S-01)", read("uacce_fops_open")),
    violates("uacce.I06", "open.no_memory", "no error path of open unbinds (S-02, S-03)", read("uacce_fops_open")),
    violates("uacce.I07", "open.no_memory", "the bond stays (S-02, S-03)", read("uacce_fops_open")),
    violates(
        "uacce.I08",
        "open.ok",
        "an inode that was kept leads to another device with the same minor, and that one's references are counted",
        deduced(BY_MINOR),
    ),
    violates(
        "uacce.I09",
        "munmap.ok",
        "nobody hears of munmap: the slot stays (S-14)",
        read("uacce_fops_mmap", "sets no vm_ops"),
    ),
    violates(
        "uacce.I10",
        "mmap.state_overwritten",
        "an offset before the first region gives type 16 of 16 slots (S-07)",
        read("uacce_get_region_type"),
    ),
    violates(
        "uacce.I11",
        "mmap.state_overwritten",
        "the state word lies behind the slots (S-07)",
        read("struct uacce_queue", document=HEADER),
    ),
    violates(
        "uacce.I12", "mmap.state_overwritten", "from INIT to what was never a state (S-07)", read("uacce_fops_mmap")
    ),
    violates(
        "uacce.I14",
        "remove.ok",
        "the domain is freed with the translations of open queues in it (S-16)",
        read("uacce_unset_iommu_domain"),
    ),
    violates(
        "uacce.I15",
        "remove.ok",
        "their pages keep the reference for it, and close will look in another domain (S-16)",
        read("uacce_queue_unmap_qfr"),
    ),
    violates(
        "uacce.I17",
        "mmap.mapped_by_driver",
        "q->mm is a raw pointer to the opener's address space (S-10)",
        read("uacce_fops_mmap"),
    ),
    violates(
        "uacce.I18", "mremap_move.ok", "the device uses vm_start as it was at mmap (S-15)", read("uacce_create_region")
    ),
    violates(
        "uacce.I19", "put_q.ok", "the hardware queue goes back, the mappings stay (S-06)", read("uacce_put_queue")
    ),
    violates(
        "uacce.I20",
        "start.ok",
        "no file operation looks at the caller; the document promises that one does",
        read("uacce_fops_unl_ioctl"),
    ),
    violates("uacce.I21", "remove.ok", "queues stay as they are (S-16)", read("uacce_unregister")),
    violates(
        "uacce.I22",
        "remove.ok",
        "an inode that was kept gives a queue of one device to a description that keeps another alive",
        deduced(BY_MINOR),
    ),
    violates(
        "uacce.I23",
        "register.ok",
        "the device is visible before the driver has filled it in (S-36)",
        read("uacce_register"),
    ),
    violates(
        "uacce.I24",
        "open.bind_fails",
        "the path that returns 0 has given the module back (S-01)",
        read("uacce_fops_open"),
    ),
    violates(
        "uacce.I25",
        "mmap.mapped_by_driver",
        "mmap: mmap_sem, then uacce_mutex; release: uacce_mutex, then mmap_sem (S-12)",
        read("uacce_fops_release"),
    ),
    violates(
        "uacce.I28",
        "register.no_msi_cookie",
        "what fails after the attach frees the domain without detaching it (S-34)",
        read("uacce_set_iommu_domain"),
    ),
    violates(
        "uacce.I33",
        "open.got_queue",
        "the next opener gets a hardware queue that is still mapped (S-06)",
        read("uacce_put_queue"),
    ),
    violates(
        "uacce.L01",
        "remove.ok",
        "hardware is not taken back (S-16); a corrupt queue is never put (S-07)",
        read("uacce_unregister"),
    ),
    violates("uacce.L02", "open.exclusive", "two opens at once count each other (S-21)", read("uacce_dev_open_check")),
    violates("uacce.L03", "put_q.ok", "only a completion wakes", read("uacce_put_queue")),
    violates(
        "uacce.L04", "open.no_memory", "the bond that open leaves has no user (S-02, S-03)", read("uacce_fops_open")
    ),
    violates(
        "uacce.L05",
        "mmap.mapped_by_driver",
        "close and mmap of one address space wait for each other (S-12)",
        read("uacce_fops_release"),
    ),
    violates("uacce.L06", "touch.ok", "unregister unmaps nothing (S-16)", read("uacce_unregister")),
    violates(
        "uacce.L07",
        "remove.ok",
        "unregister waits behind the deadlock of close and mmap (S-12)",
        read("uacce_unregister"),
    ),
]
