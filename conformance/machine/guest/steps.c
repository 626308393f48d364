// SPDX-License-Identifier: Apache-2.0
/* One step of a process in the guest. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent.h"

static struct { int epoll, fd; } waiters[WAITERS];
static sigjmp_buf faulted;
unsigned int failed;	/* in the last call: its n-th allocation or copy */

const char *const nodes[ACCELSPEC_DEVICES] = { "/nodes/0", "/nodes/1", "/nodes/2", "/nodes/3" };
static const char *const attributes[] = { "isolate", "isolate_strategy", "available_instances" };
static const char *const written[] = { "0", "1", "2", "many", "65536" };
const unsigned long events[] = { ACCELSPEC_IOC_ALLOC, ACCELSPEC_IOC_REGISTER, ACCELSPEC_IOC_REMOVE, ACCELSPEC_IOC_COMPLETE,
	ACCELSPEC_IOC_HW_ERROR, ACCELSPEC_IOC_FORGET, ACCELSPEC_IOC_RESET, ACCELSPEC_IOC_PAUSE, ACCELSPEC_IOC_RESUME, ACCELSPEC_IOC_HELD };

void die(const char *what)
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
long take(int socket, int room)
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

/* Where the host knows it to be, whatever number it got; it stays close-on-exec if it was. */
static long placed(long fd, int slot)
{
	int flags = fd < 0 ? 0 : fcntl(fd, F_GETFD);

	if (fd < 0)
		return fd;
	if (dup3(fd, FIRST_FD + slot, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		return -errno;
	close(fd);
	return 0;
}

/* ------------------------------------------------------------------ steps */

void look(struct accelspec_state *s)
{
	if (ioctl(CONTROL_FD, ACCELSPEC_IOC_STATE, s))
		die("no state");
}

void make_node(const char *path, uint32_t devt)
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

	snprintf(path, sizeof(path), "/sys/class/uacce/accel-%u/%s", minor, attributes[s->b]);
	fd = open(path, s->op == READ ? O_RDONLY : O_WRONLY);
	if (fd < 0)
		return -errno;
	r = s->op == READ ? result(read(fd, text, sizeof(text))) : result(write(fd, written[s->c], strlen(written[s->c])));
	close(fd);
	return r < 0 ? r : 0;
}

static void *page(uint32_t mapping, uint32_t first)
{
	return (void *)(BASE + mapping * 16 * PAGE + first * PAGE);
}

static void on_fault(int signal)
{
	siglongjmp(faulted, signal);
}

/* A true access of the processor: the byte that is read, and a new one is written if there is one. */
static long touch(volatile uint8_t *at, const uint32_t *byte)
{
	int signal = sigsetjmp(faulted, 1);

	if (signal)
		return -FAULTED - signal;
	if (byte)
		*at = *byte;
	return *at;
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
long sleeper(int slot)
{
	struct epoll_event e = { .events = EPOLLIN };
	long fd = take(WAITER_FD + 1, 1);

	if (fd < 0)
		return fd;
	waiters[slot].fd = fd;
	waiters[slot].epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll_ctl(waiters[slot].epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 3;
}

void end_sleeper(int slot)
{
	struct epoll_event e;

	if (!waiters[slot].fd)
		return;
	epoll_wait(waiters[slot].epoll, &e, 1, 0);
	close(waiters[slot].epoll);
	close(waiters[slot].fd);
	waiters[slot].fd = 0;
}

static long moved(void *at, long length, long longer, int flags)
{
	return mremap(at, length, longer, flags, page(255, 0)) == MAP_FAILED ? -errno : 0;
}

static long made(const struct call *c)
{
	const uint64_t *a = c->argument;

	return result(syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/*
 * With its n-th allocation, or copy from or to user space, made to fail.  The kernel counts down what is written to
 * fail-nth, and it is 0 once that one has failed.
 */
static long made_to_fail(const struct call *c)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	char left[16] = "";
	unsigned int n = c->nth;
	long r;

	for (;; n++) {
		dprintf(fd, "%u", n);
		r = made(c);
		if (pread(fd, left, sizeof(left) - 1, 0) < 0)
			strcpy(left, "1");	/* it was to fail next, and failed this very read */
		dprintf(fd, "0");
		failed = atoi(left) ? 0 : n;
		if (!c->next || r != -EFAULT || !failed)
			break;
	}
	close(fd);
	return r;
}

static long system_call(const struct call *c)
{
	long r = c->nth ? made_to_fail(c) : made(c);
	int32_t found;

	if (r >= 0 && c->found != AS_IT_IS) {
		memcpy(&found, shared->data + c->found, sizeof(found));
		r = found;
	}
	if (c->slot != NO_SLOT)
		return placed(r, c->slot);
	return r > INT32_MAX ? 0 : r;	/* an address: the host asked for it */
}

long perform(const struct step *s)
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
		r = touch(page(s->c, s->a), NULL);
		return r < 0 ? r : 0;
	case PEEK:
		return touch(page(s->c, s->a), NULL);
	case POKE:
		r = touch(page(s->c, s->a), &s->d);
		return r < 0 ? r : 0;
	case SYSCALL:
		return system_call(call_of(s));
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
		for (i = 0; s->b != 2 && i < DESCRIPTORS; i++)	/* 2: each as it is */
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

void catch_signals(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGSEGV, &fault, NULL);
}
