// SPDX-License-Identifier: Apache-2.0
/*
 * The agent in the guest: process 1, and the processes of a run.
 *
 * The host sends a batch of steps.  They lie in memory that all processes share; whoever is to make the next step has
 * the turn, makes it and every following one that is its own, and hands the turn on.  So a step costs a switch of
 * processes only where another process acts.  A batch ends early at the first step whose result is not the expected one.
 *
 * Frames: u32 length, u8 kind, rest; answers: u32 length, rest.  All numbers little endian, as both sides are.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"

#define PROCESSES 8
#define ROUTER PROCESSES	/* whose turn it can be, too */
#define ANYBODY 255
#define STEPS 256
#define MESSAGES 8
#define WAITERS 8
#define PAGE 4096ul
#define BASE 0x200000000ul	/* where mappings go: 16 pages for each */
#define FAULTED 2000		/* result of a touch: minus that and the signal */
#define DIED 3000		/* result of a step whose process died: minus that and the signal */
#define NAME "accel"		/* of the devices */

enum { FIRST_FD = 100, SHARED_FD = 900, CONTROL_FD, WAITER_FD, MESSAGE_FD = WAITER_FD + 2 };

enum op { OPEN, CLOSE, DUP, SEND, RECEIVE, DISCARD, IOCTL, MMAP, MUNMAP, MPROTECT, GROW, MOVE, DONT_UNMAP, TOUCH, POLL, WAKE,
	  FORK, EXEC, EXIT, EVENT, READ, WRITE, MMAP_HELD };

/* The end of a step that is left to the router. */
enum left { NOTHING, REAP, SLEEP };

/* The host's conformance/machine/wire.py packs it. */
struct step {
	uint8_t op, who, a, b;
	uint32_t c, d;
	int32_t expected;
	struct accelspec_arm arm;
};

struct answer {
	int32_t result;
	uint32_t state;	/* bytes of the new state that follow; 0: as before */
};

static struct shared {
	uint32_t turn[PROCESSES + 1];
	int32_t pid[PROCESSES];
	uint32_t next, count, stopped, left;
	struct step steps[STEPS];
	struct accelspec_state state;
	uint32_t used;
	uint8_t out[STEPS * (sizeof(struct answer) + sizeof(struct accelspec_state))];
} *shared;

static int me = ROUTER, channel, log_fd;
static struct { int epoll, fd; } waiters[WAITERS];
static sigjmp_buf faulted;

static const char *const nodes[] = { "/nodes/0", "/nodes/1", "/nodes/2", "/nodes/3" };
static const char *const attributes[] = { "isolate", "isolate_strategy", "available_instances" };
static const char *const written[] = { "0", "1", "2", "many", "65536" };
static const unsigned long events[] = { ACCELSPEC_IOC_ALLOC, ACCELSPEC_IOC_REGISTER, ACCELSPEC_IOC_REMOVE, ACCELSPEC_IOC_COMPLETE,
	ACCELSPEC_IOC_HW_ERROR, ACCELSPEC_IOC_FORGET, ACCELSPEC_IOC_RESET, ACCELSPEC_IOC_PAUSE, ACCELSPEC_IOC_RESUME, ACCELSPEC_IOC_HELD };

static long result(long r)
{
	return r < 0 ? -errno : r;
}

static void die(const char *what)
{
	dprintf(1, "accelspec agent: %s: %s\n", what, strerror(errno));
	_exit(99);
}

/* ------------------------------------------------------------------ descriptors between processes */

static long pass(int socket, int fd)
{
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = "";
	struct iovec io = { &byte, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	return result(sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 ? -errno : 0;
}

/* The descriptor of the next message; without room for it the kernel drops it. */
static long take(int socket, int room)
{
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec io = { &byte, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = room ? space : NULL,
			    .msg_controllen = room ? sizeof(space) : 0 };
	struct cmsghdr *h;
	int fd;

	if (recvmsg(socket, &m, MSG_DONTWAIT) < 0)
		return -errno;
	h = room ? CMSG_FIRSTHDR(&m) : NULL;
	if (!h)
		return room ? -ENOMSG : 0;
	memcpy(&fd, CMSG_DATA(h), sizeof(int));
	return fd;
}

static long placed(long fd, int slot)
{
	if (fd < 0)
		return fd;
	if (dup2(fd, FIRST_FD + slot) < 0)
		return -errno;
	close(fd);
	return 0;
}

/* ------------------------------------------------------------------ steps */

static void look(struct accelspec_state *s)
{
	if (ioctl(CONTROL_FD, ACCELSPEC_IOC_STATE, s))
		die("no state");
}

static void make_node(const char *path, uint32_t devt)
{
	unlink(path);
	if (mknod(path, S_IFCHR | 0600, makedev(devt >> 20, devt & 0xfffff)))
		die("mknod");
}

/* By the node of a device; one that leads nowhere where there is none and nobody has it open. */
static long open_device(int slot, int device, int kept)
{
	const struct accelspec_device_state *d = shared->state.device;
	const char *path = nodes[device];
	uint32_t devt = d[device].devt;
	int i;

	if (d[device].life != ACCELSPEC_REGISTERED && !(kept && d[device].life == ACCELSPEC_REMOVED)) {
		for (i = 0; i < ACCELSPEC_DEVICES; i++)
			if (d[i].life == ACCELSPEC_REGISTERED && d[i].devt == devt)
				devt |= 0xfffff;
		make_node(path = "/nodes/fresh", devt);
	}
	return placed(result(open(path, O_RDWR)), slot);
}

static long attribute(const struct step *s)
{
	char path[128], text[64];
	uint32_t minor = shared->state.device[s->a].devt & 0xfffff;
	long r;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/uacce/" NAME "-%u/%s", minor, attributes[s->b]);
	fd = open(path, s->op == READ ? O_RDONLY : O_WRONLY);
	if (fd < 0)
		return -errno;
	r = s->op == READ ? result(read(fd, text, sizeof(text))) : result(write(fd, written[s->c], strlen(written[s->c])));
	close(fd);
	return r < 0 ? r : 0;
}

static char *page(uint32_t mapping, uint32_t first)
{
	return (char *)(BASE + mapping * 16 * PAGE + first * PAGE);
}

static void on_fault(int signal)
{
	siglongjmp(faulted, signal);
}

static long touch(const volatile char *at)
{
	int signal = sigsetjmp(faulted, 1);

	if (signal)
		return -FAULTED - signal;
	(void)*at;
	return 0;
}

static long ask(int slot, int block)
{
	struct pollfd p = { .fd = FIRST_FD + slot, .events = POLLIN | POLLOUT };
	int n = poll(&p, 1, 0);

	if (n < 0)
		return -errno;
	if (p.revents & POLLNVAL)
		return -EBADF;
	if (p.revents & (POLLERR | POLLHUP))
		return 2;
	if (p.revents)
		return 1;
	if (!block)
		return 0;
	return pass(WAITER_FD, FIRST_FD + slot) ? : 3;
}

/* The sleeper of a poll that found nothing: on the wait queue, and not to run before it is told so. */
static long sleeper(int slot)
{
	struct epoll_event e = { .events = EPOLLIN };
	long fd = take(WAITER_FD + 1, 1);

	if (fd < 0)
		return fd;
	waiters[slot].fd = fd;
	waiters[slot].epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll_ctl(waiters[slot].epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 3;
}

static void end_sleeper(int slot)
{
	struct epoll_event e;

	if (!waiters[slot].fd)
		return;
	epoll_wait(waiters[slot].epoll, &e, 1, 0);
	close(waiters[slot].epoll);
	close(waiters[slot].fd);
	waiters[slot].fd = 0;
}

static long moved(char *at, long length, long longer, int flags)
{
	return mremap(at, length, longer, flags, page(255, 0)) == MAP_FAILED ? -errno : 0;
}

static long perform(const struct step *s)
{
	int prot = PROT_READ | PROT_WRITE, a = s->a, fd = FIRST_FD + a, i;
	struct accelspec_event e = { s->c, s->d };
	char self[] = { '0' + me, 0 };
	long r;

	switch (s->op) {
	case OPEN:
		return open_device(s->a, s->b, s->c);
	case CLOSE:
		return result(close(fd));
	case DUP:
		return result(dup2(fd, FIRST_FD + s->b)) < 0 ? -errno : 0;
	case SEND:
		return pass(MESSAGE_FD + 2 * s->b, fd);
	case RECEIVE:
		return placed(take(MESSAGE_FD + 2 * s->b + 1, 1), s->a);
	case DISCARD:
		return take(MESSAGE_FD + 2 * s->b + 1, 0);
	case IOCTL:
		return result(ioctl(fd, (unsigned long)s->c, 0));
	case MMAP:
	case MMAP_HELD:
		return mmap(page(s->c, 0), 2 * PAGE, prot, (s->b ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED_NOREPLACE, fd,
			    s->d * PAGE) == MAP_FAILED ? -errno : 0;
	case MUNMAP:
		return result(munmap(page(s->c, s->a), s->b * PAGE));
	case MPROTECT:
		return result(mprotect(page(s->c, s->a), s->b * PAGE, PROT_READ));
	case GROW:
		return moved(page(s->c, s->a), s->b * PAGE, (s->b + 1) * PAGE, 0);
	case MOVE:
		return moved(page(s->c, s->a), s->b * PAGE, s->b * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED);
	case DONT_UNMAP:
		return moved(page(s->c, s->a), s->b * PAGE, s->b * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	case TOUCH:
		return touch(page(s->c, s->a));
	case POLL:
		return ask(s->a, s->b);
	case WAKE:
		end_sleeper(s->a);
		return 0;
	case FORK:
		r = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (r > 0)
			shared->pid[a] = r;
		if (!r)
			me = a;	/* the step itself may be another one by now */
		return r < 0 ? -errno : 0;
	case EXEC:
		for (i = 0; i < 16; i++)
			if (fcntl(FIRST_FD + i, F_GETFD) >= 0)
				fcntl(FIRST_FD + i, F_SETFD, s->b ? FD_CLOEXEC : 0);
		execl("/init", "process", self, NULL);
		return -errno;
	case EVENT:
		return result(ioctl(CONTROL_FD, events[s->a], &e));
	case READ:
	case WRITE:
		return attribute(s);
	}
	return -ENOSYS;
}

/* ------------------------------------------------------------------ turns */

static int armed(const struct step *s)
{
	return s->arm.failure[0] || s->arm.absent;
}

static void answer(const struct step *s, long r)
{
	static const struct accelspec_arm nothing;
	struct accelspec_state now;
	struct answer a = { .result = r };
	uint8_t *out = shared->out + shared->used;

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
	memcpy(out, &a, sizeof(a));
	shared->used += sizeof(a) + a.state;
	shared->next++;
	if (r != s->expected)
		shared->stopped = 1;
}

static void give(int whom)
{
	__atomic_store_n(&shared->turn[whom], 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &shared->turn[whom], FUTEX_WAKE, 1, 0, 0, 0);
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
				answer(&shared->steps[shared->next], -DIED - WTERMSIG(status));
				return;
			}
		}
	}
}

static int owner(const struct step *s)
{
	return s->op == DISCARD || s->op == WAKE ? ROUTER : s->who == ANYBODY ? me : s->who;
}

/* Make the steps that are one's own, as long as it is one's turn; 0: it still is, and nothing is left to do. */
static int take_turn(void)
{
	while (shared->next < shared->count && !shared->stopped) {
		const struct step *s = &shared->steps[shared->next];
		long r;

		if (owner(s) != me) {
			give(owner(s));
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

static void process(void)
{
	for (;;) {
		wait_for_turn();
		take_turn();
	}
}

static void run_batch(void)
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

/* ------------------------------------------------------------------ the router */

static void start(int n)
{
	int pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		close(channel);
		close(log_fd);
		me = n;
		process();
	}
	shared->pid[n] = pid;
}

static long fresh(const struct accelspec_setup *setup, int processes)
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

static void full(void *at, size_t n, int writing)
{
	for (size_t k = 0; k < n;) {
		ssize_t r = writing ? write(channel, (char *)at + k, n - k) : read(channel, (char *)at + k, n - k);

		if (r > 0)
			k += r;
		else if (r < 0 && errno == EINTR)
			continue;
		else
			usleep(2000);	/* nobody at the other end, for the moment of a snapshot */
	}
}

static uint8_t frame[1 << 18];
static uint32_t length;

static void put(const void *what, size_t n)
{
	if (length + n > sizeof(frame))
		n = sizeof(frame) - length;
	memcpy(frame + length, what, n);
	length += n;
}

/* Lines of the kernel's log at warning or above. */
static void put_log(void)
{
	char line[2048];
	ssize_t n;

	while ((n = read(log_fd, line, sizeof(line) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		line[n] = 0;
		if ((atoi(line) & 7) <= 4) {
			char *text = strchr(line, ';'), *end;

			text = text ? text + 1 : line;
			end = strchr(text, '\n');
			put(text, end ? end + 1 - text : (long)strlen(text));
		}
	}
}

static long load(char *path, char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long r = fd < 0 ? -errno : result(syscall(SYS_finit_module, fd, parameters, 0));

	if (fd >= 0)
		close(fd);
	return r;
}

/* The provider's device, once its module is there. */
static void open_control(void)
{
	int fd = open("/dev/accelspec", O_RDWR);

	if (fd >= 0 && fd != CONTROL_FD) {
		dup2(fd, CONTROL_FD);
		close(fd);
	}
}

static void serve(void)
{
	static uint8_t request[1 << 16];
	uint32_t n;
	int32_t r = 0;

	full(&n, 4, 0);
	if (n > sizeof(request) - 1)
		die("a frame is too long");
	full(request, n, 0);
	request[n] = 0;
	length = 0;
	switch (request[0]) {
	case 'p':
		put("pong", 4);
		break;
	case 'f': {	/* fresh: processes, setup */
		struct accelspec_setup setup;

		memcpy(&setup, request + 2, sizeof(setup));
		r = fresh(&setup, request[1]);
		put(&r, 4);
		put(&shared->state, sizeof(shared->state));
		put_log();
		break;
	}
	case 'b':	/* a batch of steps: how many were made, their answers, the log */
		shared->count = (n - 1) / sizeof(struct step);
		memcpy(shared->steps, request + 1, shared->count * sizeof(struct step));
		run_batch();
		put(&shared->next, 4);
		put(&shared->used, 4);
		put(shared->out, shared->used);
		put_log();
		break;
	case 'r': {	/* read a file */
		int fd = open((char *)request + 1, O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			ssize_t k;
			char piece[4096];

			while ((k = read(fd, piece, sizeof(piece))) > 0 && length < sizeof(frame) - 4096)
				put(piece, k);
			close(fd);
		} else {
			put(strerror(errno), strlen(strerror(errno)));
		}
		break;
	}
	case 'm':	/* load a module: path, parameters */
		r = load((char *)request + 1, (char *)request + 2 + strlen((char *)request + 1));
		open_control();
		put(&r, 4);
		put_log();
		break;
	}
	full(&length, 4, 1);
	full(frame, length, 1);
}

static void share(int fd)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		die("shared memory");
}

static void catch_signals(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGSEGV, &fault, NULL);
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
	fd = memfd_create("shared", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*shared)) || dup2(fd, SHARED_FD) < 0)
		die("memfd");
	close(fd);
	share(SHARED_FD);
	for (i = 0; i <= MESSAGES; i++)
		sockets(WAITER_FD + 2 * i);
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(log_fd, 0, SEEK_END);
	for (i = 0; i < 2000; i++) {
		channel = open("/dev/vport0p1", O_RDWR | O_CLOEXEC);
		if (channel >= 0)
			break;
		usleep(5000);
	}
	if (channel < 0)
		die("no channel to the host");
	length = 0;
	put("accelspec agent 1", 17);
	full(&length, 4, 1);
	full(frame, length, 1);
	for (;;)
		serve();
}
