/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the agent share: agent.c has the turns and the router, host.c what the host asks it, steps.c makes
 * a step.
 *
 * All processes share `shared`, and all have it at one address, so that the host can say where in it a buffer lies.
 */
#ifndef ACCELSPEC_AGENT_H
#define ACCELSPEC_AGENT_H

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi.h"

#define PROCESSES 8
#define ROUTER PROCESSES	/* whose turn it can be, too */
#define ANYBODY 255
#define STEPS 256
#define DATA (1u << 16)		/* bytes that come with a batch */
#define MESSAGES 8
#define WAITERS 8
#define PAGE 4096ul
#define SHARED_AT 0x100000000ul
#define READ_ONLY_AT 0x180000000ul	/* the data once more, not to be written */
#define BASE 0x200000000ul	/* where mappings go: 16 pages for each */
#define FAULTED 2000		/* result of a touch: minus that and the signal */
#define DIED 3000		/* result of a step whose process died: minus that and the signal */
#define DESCRIPTORS 32		/* from FIRST_FD on: those that the host numbers */
#define NO_SLOT 255
#define AS_IT_IS 0xffffffffu

enum { FIRST_FD = 100, SHARED_FD = 900, CONTROL_FD, WAITER_FD, MESSAGE_FD = WAITER_FD + 2 };

enum op { OPEN, CLOSE, DUP, SEND, RECEIVE, DISCARD, IOCTL, MMAP, MUNMAP, MPROTECT, GROW, MOVE, DONT_UNMAP, TOUCH, POLL, WAKE,
	  FORK, EXEC, EXIT, EVENT, READ, WRITE, MMAP_HELD, SYSCALL, PEEK, POKE };

/* The host's conformance/machine/wire.py packs it. */
struct step {
	uint8_t op, who, a, b;
	uint32_t c, d;
	int32_t expected;
	struct accelspec_arm arm;
};

/*
 * Any system call: at offset c of the data, in front of its buffers.  Arguments are numbers; one that points to a
 * buffer is the address that the buffer has in `shared`, and so is a pointer inside a buffer.
 */
struct call {
	uint64_t argument[6];
	uint32_t number;
	uint32_t found;		/* where in the data its answer lies if it succeeds (32 bits); AS_IT_IS: it is what it returns */
	uint32_t out, size;	/* what of the data goes back to the host */
	uint8_t slot;		/* the answer is a descriptor, and moves to FIRST_FD + slot; NO_SLOT: it is none */
	uint8_t next;		/* not EFAULT: the next one is to fail then */
	uint16_t nth;		/* what fails in it: the n-th thing that can; 0: nothing */
	uint8_t unused[4];
};

struct answer {
	int32_t result;
	uint32_t state;	/* bytes of the new state that follow; 0: as before */
	uint32_t data;	/* bytes of buffers that follow it */
	uint32_t failed; /* what was made to fail in it (struct call, nth); 0: nothing, it has less than that */
};

struct shared {
	uint8_t data[DATA];
	uint32_t turn[PROCESSES + 1];
	int32_t pid[PROCESSES];
	uint32_t next, count, stopped, left;
	struct {			/* of the two steps that are made at once */
		uint32_t on, to_come, over;
		uint32_t delay[2];	/* turns of an empty loop before the step */
		int32_t ended[2];
	} meeting;
	struct step steps[STEPS];
	struct accelspec_state state;
	uint32_t used;
	uint8_t out[STEPS * (sizeof(struct answer) + sizeof(struct accelspec_state)) + DATA];
};

static struct shared *const shared = (struct shared *)SHARED_AT;

extern int me;
extern unsigned int failed;
extern const unsigned long events[];
extern const char *const nodes[ACCELSPEC_DEVICES];

static inline const struct call *call_of(const struct step *s)
{
	return (const struct call *)(shared->data + s->c);
}

/* What a call answered; a failure is minus its errno. */
static inline long result(long r)
{
	return r < 0 ? -errno : r;
}

void greet(void);
void serve(void);
void hang_up(void);
long fresh(const struct accelspec_setup *setup, int processes);
void run_batch(void);
void run_meeting(const uint32_t *delay);
long perform(const struct step *s);
long take(int socket, int room);
long sleeper(int slot);
void end_sleeper(int slot);
void look(struct accelspec_state *s);
void make_node(const char *path, uint32_t devt);
void catch_signals(void);
void die(const char *what);

#endif
