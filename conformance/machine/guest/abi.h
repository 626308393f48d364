/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the provider module and the agent say to each other, through ioctl on /dev/accelspec.
 * The agent hands struct accelspec_state on to the host as it is: conformance/machine/wire.py has the same layout.
 */
#ifndef ACCELSPEC_ABI_H
#define ACCELSPEC_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ACCELSPEC_DEVICES	4
#define ACCELSPEC_HARDWARE	16	/* hardware queues of all devices */
#define ACCELSPEC_QUEUES	24	/* live struct uacce_queue that a state shows */
#define ACCELSPEC_FAILURES	4	/* failures that are armed at once */

/* What can be made to fail while a call runs. */
enum accelspec_failure {
	ACCELSPEC_NO_FAILURE,
	ACCELSPEC_ALLOC_DEVICE,
	ACCELSPEC_ALLOC_QUEUE,
	ACCELSPEC_ALLOC_REGION,
	ACCELSPEC_CDEV_ALLOC,
	ACCELSPEC_DEVICE_ADD,
	ACCELSPEC_ENABLE_SVA,
	ACCELSPEC_BIND,
	ACCELSPEC_PASID,
	ACCELSPEC_GET_QUEUE,
	ACCELSPEC_START_QUEUE,
	ACCELSPEC_MMAP,
	ACCELSPEC_IOCTL,
	ACCELSPEC_FAILURE_MAX
};

/* Callbacks that can be absent while a call runs: bits. */
#define ACCELSPEC_NO_AVAILABLE		(1u << 0)
#define ACCELSPEC_NO_IOCTL		(1u << 1)
#define ACCELSPEC_NO_MMAP		(1u << 2)
#define ACCELSPEC_NO_THRESHOLD_READ	(1u << 3)
#define ACCELSPEC_NO_THRESHOLD_WRITE	(1u << 4)

/* What was noticed to be wrong since the last setup: bits. */
#define ACCELSPEC_PUT_TWICE		(1u << 0)
#define ACCELSPEC_PUT_RUNNING		(1u << 1)
#define ACCELSPEC_NO_HARDWARE		(1u << 2)	/* a callback on a queue that owns no hardware queue */
#define ACCELSPEC_AFTER_REMOVAL		(1u << 3)	/* a callback after uacce_remove */
#define ACCELSPEC_START_RUNNING		(1u << 4)
#define ACCELSPEC_STOP_IDLE		(1u << 5)
#define ACCELSPEC_FREED_TWICE		(1u << 6)
#define ACCELSPEC_UNBOUND_TWICE		(1u << 7)
#define ACCELSPEC_GET_TWICE		(1u << 8)

enum accelspec_life { ACCELSPEC_ABSENT, ACCELSPEC_ALLOCATED, ACCELSPEC_REGISTERED, ACCELSPEC_REMOVED, ACCELSPEC_FREED };
enum accelspec_slot { ACCELSPEC_EMPTY, ACCELSPEC_SET, ACCELSPEC_STALE };

/* A fresh system: everything that is left over is given back first. */
struct accelspec_setup {
	__u32 minors;				/* how many devices may have one at a time */
	__u32 hardware;				/* how many hardware queues there are */
	__u8 device[ACCELSPEC_HARDWARE];	/* of each hardware queue: its device */
};

struct accelspec_arm {
	__u8 failure[ACCELSPEC_FAILURES];
	__u8 error[ACCELSPEC_FAILURES];		/* the errno that it answers */
	__u32 absent;
};

struct accelspec_event {
	__u32 which;	/* a device; of COMPLETE the serial number of a queue */
	__u32 value;
};

struct accelspec_device_state {
	__u8 life, sva, stopped, isolated, threshold, errors, unused[2];
	__u32 devt;	/* major << 20 | minor */
};

struct accelspec_queue_state {
	__u32 serial;	/* counted from 1, in the order of get_queue */
	__u8 state, hardware, bonded, ready, mmio, dus, unused[2];	/* hardware 255: none */
};

struct accelspec_state {
	__u32 wrong;
	__u16 devices, regions;	/* live objects of uacce.c */
	__u16 bonds, used;	/* bonds that are held, hardware queues that are given */
	__u16 getting, queues;	/* live queues that have no serial, and those that have */
	struct accelspec_device_state device[ACCELSPEC_DEVICES];
	struct accelspec_queue_state queue[ACCELSPEC_QUEUES];
};

#define ACCELSPEC_IOC_SETUP	_IOW('A', 1, struct accelspec_setup)
#define ACCELSPEC_IOC_STATE	_IOR('A', 2, struct accelspec_state)
#define ACCELSPEC_IOC_ARM	_IOW('A', 3, struct accelspec_arm)
#define ACCELSPEC_IOC_ALLOC	_IOW('A', 4, struct accelspec_event)
#define ACCELSPEC_IOC_REGISTER	_IOW('A', 5, struct accelspec_event)
#define ACCELSPEC_IOC_REMOVE	_IOW('A', 6, struct accelspec_event)
#define ACCELSPEC_IOC_COMPLETE	_IOW('A', 7, struct accelspec_event)
#define ACCELSPEC_IOC_HW_ERROR	_IOW('A', 8, struct accelspec_event)
#define ACCELSPEC_IOC_FORGET	_IOW('A', 9, struct accelspec_event)
#define ACCELSPEC_IOC_RESET	_IOW('A', 10, struct accelspec_event)
#define ACCELSPEC_IOC_PAUSE	_IOW('A', 11, struct accelspec_event)	/* hold the next mmap between driver and link */
#define ACCELSPEC_IOC_RESUME	_IOW('A', 12, struct accelspec_event)
#define ACCELSPEC_IOC_HELD	_IOW('A', 13, struct accelspec_event)	/* wait until one is held */

/* The command of the queue files that reaches the provider's ioctl callback, and does nothing. */
#define ACCELSPEC_IOC_NOTHING	_IO('W', 0x20)

#endif
