// SPDX-License-Identifier: Apache-2.0
/*
 * The agent in the guest: process 1, the router, and the processes of a run.
 *
 * The host sends a batch of steps.  They lie in memory that all processes share; whoever is to make the next step has
 * the turn, makes it and every following one that is its own, and hands the turn on.  So a step costs a switch of
 * processes only where another process acts.  A batch ends early at the first step whose result is not the expected one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

/* The end of a step that is left to the router. */
enum left { NOTHING, REAP, SLEEP };

int me = ROUTER;

/* ------------------------------------------------------------------ turns */

static int armed(const struct step *s)
{
	return s->arm.failure[0] || s->arm.absent;
}

static void answer(const struct step *s, long r)
{
	static const struct accelspec_arm nothing;
	struct accelspec_state now;
	const struct call *c = s->op == SYSCALL ? call_of(s) : NULL;
	struct answer a = { .result = r, .data = c ? c->size : 0, .failed = failed };
	uint8_t *out = shared->out + shared->used;

	failed = 0;
	if (armed(s))
		ioctl(CONTROL_FD, ACCELSPEC_IOC_ARM, &nothing);
	if (s->op == EVENT && events[s->a] == ACCELSPEC_IOC_ALLOC && !r) {
		look(&now);
		make_node(nodes[s->c], now.device[s->c].devt);
	}
	look(&now);
	if (memcmp(&now, &shared->state, sizeof(now))) {
		a.state = offsetof(struct accelspec_state, queue) + now.queues * sizeof(now.queue[0]);
		memcpy(out + sizeof(a), &now, a.state);
		shared->state = now;
	}
	if (c)
		memcpy(out + sizeof(a) + a.state, shared->data + c->out, a.data);
	memcpy(out, &a, sizeof(a));
	shared->used += sizeof(a) + a.state + a.data;
	shared->next++;
	if (r != s->expected)
		shared->stopped = 1;
}

static void give(int whom)
{
	__atomic_store_n(&shared->turn[whom], 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &shared->turn[whom], FUTEX_WAKE, 1, 0, 0, 0);
}

/* Who makes a step, if `anybody` makes those that are of no process. */
static int owner(const struct step *s, int anybody)
{
	return s->op == DISCARD || s->op == WAKE ? ROUTER : s->who == ANYBODY ? anybody : s->who;
}

/* A process died in its half of a meeting; how many halves are over now. */
static int died(int who, int status)
{
	shared->meeting.ended[owner(&shared->steps[0], ROUTER) != who] = -DIED - WTERMSIG(status);
	return __atomic_add_fetch(&shared->meeting.over, 1, __ATOMIC_SEQ_CST);
}

/* Wait for one's turn; the router also looks for processes that died with it. */
static void wait_for_turn(void)
{
	while (!__atomic_exchange_n(&shared->turn[me], 0, __ATOMIC_SEQ_CST)) {
		struct timespec second = { 1, 0 };
		int i, status;

		if (!syscall(SYS_futex, &shared->turn[me], FUTEX_WAIT, 0, me == ROUTER ? &second : 0, 0, 0) || errno != ETIMEDOUT)
			continue;
		for (i = 0; me == ROUTER && i < PROCESSES; i++) {
			if (shared->pid[i] && waitpid(shared->pid[i], &status, WNOHANG) == shared->pid[i]) {
				shared->pid[i] = 0;
				if (!shared->meeting.on)
					answer(&shared->steps[shared->next], -DIED - WTERMSIG(status));
				else if (died(i, status) < 2)
					continue;
				return;
			}
		}
	}
}

/* Make the steps that are one's own, as long as it is one's turn; 0: it still is, and nothing is left to do. */
static int take_turn(void)
{
	while (shared->next < shared->count && !shared->stopped) {
		const struct step *s = &shared->steps[shared->next];
		long r;

		if (owner(s, me) != me) {
			give(owner(s, me));
			return 1;
		}
		if (armed(s))
			ioctl(CONTROL_FD, ACCELSPEC_IOC_ARM, &s->arm);
		if (s->op == EXIT || (s->op == POLL && s->b)) {
			r = s->op == POLL ? perform(s) : 0;
			if (s->op == EXIT || r == 3) {
				shared->left = s->op == EXIT ? REAP : SLEEP;
				give(ROUTER);
				if (s->op == EXIT)
					_exit(0);
				return 1;
			}
		} else if (s->op == MMAP_HELD) {	/* others act while it is held */
			struct step held = *s;

			answer(s, 0);
			give(ROUTER);
			perform(&held);
			return 1;
		} else {
			int before = me;

			r = perform(s);
			if (me != before)
				return 1;	/* the child: its turn comes */
		}
		answer(s, r);
	}
	if (me != ROUTER)
		give(ROUTER);
	return 0;
}

/* Half of a meeting: who comes first waits for the other, who is over last hands on to the router. */
static void meet(int half)
{
	__atomic_sub_fetch(&shared->meeting.to_come, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&shared->meeting.to_come, __ATOMIC_SEQ_CST))
		;
	for (volatile uint32_t i = 0; i < shared->meeting.delay[half]; i++)
		;
	shared->meeting.ended[half] = perform(&shared->steps[half]);
	if (__atomic_add_fetch(&shared->meeting.over, 1, __ATOMIC_SEQ_CST) == 2)
		give(ROUTER);
}

static void process(void)
{
	for (;;) {
		wait_for_turn();
		if (shared->meeting.on)
			meet(owner(&shared->steps[0], ROUTER) != me);
		else
			take_turn();
	}
}

void run_batch(void)
{
	shared->next = shared->stopped = shared->used = shared->left = 0;
	while (take_turn()) {
		const struct step *s;
		int status;

		wait_for_turn();
		s = &shared->steps[shared->next];
		if (shared->left == REAP) {
			waitpid(shared->pid[s->who], &status, 0);
			shared->pid[s->who] = 0;
			answer(s, 0);
		} else if (shared->left == SLEEP) {
			answer(s, sleeper(s->c));
		}
		shared->left = 0;
	}
}

/* The two steps of the batch at once.  The host sees to it that neither ends a process, forks, execs or sleeps. */
void run_meeting(const uint32_t *delay)
{
	int i;

	shared->next = shared->stopped = shared->used = 0;
	memset(&shared->meeting, 0, sizeof(shared->meeting));
	memcpy(shared->meeting.delay, delay, sizeof(shared->meeting.delay));
	shared->meeting.to_come = 2;
	shared->meeting.on = 1;
	for (i = 0; i < 2; i++)
		if (owner(&shared->steps[i], ROUTER) != ROUTER)
			give(owner(&shared->steps[i], ROUTER));
	for (i = 0; i < 2; i++)
		if (owner(&shared->steps[i], ROUTER) == ROUTER)
			meet(i);
	wait_for_turn();
	shared->meeting.on = 0;
	for (i = 0; i < 2; i++)
		answer(&shared->steps[i], shared->meeting.ended[i]);
}

/* ------------------------------------------------------------------ the router */

static void start(int n)
{
	int pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		hang_up();
		me = n;
		process();
	}
	shared->pid[n] = pid;
}

long fresh(const struct accelspec_setup *setup, int processes)
{
	int i, status;

	for (i = 0; i < PROCESSES; i++) {
		if (shared->pid[i]) {
			kill(shared->pid[i], SIGKILL);
			waitpid(shared->pid[i], &status, 0);
			shared->pid[i] = 0;
		}
	}
	for (i = 0; i < WAITERS; i++)
		end_sleeper(i);
	for (i = 0; i < MESSAGES; i++)
		while (!take(MESSAGE_FD + 2 * i + 1, 0))
			;
	while (!take(WAITER_FD + 1, 0))
		;
	for (i = 0; i < ACCELSPEC_DEVICES; i++)
		unlink(nodes[i]);
	memset(shared->turn, 0, sizeof(shared->turn));
	if (ioctl(CONTROL_FD, ACCELSPEC_IOC_SETUP, setup))
		return -errno;
	look(&shared->state);
	for (i = 0; i < processes; i++)
		start(i);
	return 0;
}

static void share(int fd)
{
	void *again = (void *)READ_ONLY_AT;

	if (mmap(shared, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != shared ||
	    mmap(again, DATA, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != again)
		die("shared memory");
}

static void sockets(int at)
{
	int two[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, two))
		die("socketpair");
	dup2(two[0], at);
	dup2(two[1], at + 1);
	close(two[0]);
	close(two[1]);
}

/* Where the kernel can make calls fail: any allocation, and without words. */
static void settle_failures(void)
{
	static const char *const what[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	static const char *const how[][2] = {
		{ "ignore-gfp-wait", "N" }, { "ignore-gfp-highmem", "N" }, { "min-order", "0" }, { "verbose", "0" },
	};
	char path[80];
	unsigned int i, j;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < 4; j++) {
			int fd;

			snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", what[i], how[j][0]);
			fd = open(path, O_WRONLY | O_CLOEXEC);
			if (fd >= 0) {
				write(fd, how[j][1], 1);
				close(fd);
			}
		}
	}
}

int main(int count, char **arguments)
{
	int i, fd;

	catch_signals();
	if (count == 2 && !strcmp(arguments[0], "process")) {	/* after an exec: still in the turn that made it */
		me = arguments[1][0] - '0';
		share(SHARED_FD);
		answer(&shared->steps[shared->next], 0);
		take_turn();
		process();
	}
	mkdir("/nodes", 0700);
	mount("proc", "/proc", "proc", 0, 0);
	mount("sys", "/sys", "sysfs", 0, 0);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	mount("debug", "/sys/kernel/debug", "debugfs", 0, 0);
	settle_failures();
	fd = memfd_create("shared", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*shared)) || dup2(fd, SHARED_FD) < 0)
		die("memfd");
	close(fd);
	share(SHARED_FD);
	for (i = 0; i <= MESSAGES; i++)
		sockets(WAITER_FD + 2 * i);
	greet();
	for (;;)
		serve();
}
