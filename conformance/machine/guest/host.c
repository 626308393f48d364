// SPDX-License-Identifier: Apache-2.0
/*
 * What the host asks the router, and its answers.
 *
 * Frames: u32 length, u8 kind, rest; answers: u32 length, rest.  All numbers little endian, as both sides are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

static int channel, log_fd;

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

static uint8_t frame[1 << 19];
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

/* The frame as an answer. */
static void send(void)
{
	full(&length, 4, 1);
	full(frame, length, 1);
}

void serve(void)
{
	static uint8_t request[1 << 17];
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
	case 'b': {	/* a batch: how many steps, they, their data; how many were made, their answers, the log */
		uint32_t steps;

		memcpy(&shared->count, request + 1, 4);
		steps = shared->count * sizeof(struct step);
		memcpy(shared->steps, request + 5, steps);
		memcpy(shared->data, request + 5 + steps, n - 5 - steps);
		run_batch();
		put(&shared->next, 4);
		put(&shared->used, 4);
		put(shared->out, shared->used);
		put_log();
		break;
	}
	case 'c':	/* two steps at once: how long each waits, and as of a batch */
		memcpy(shared->steps, request + 13, 2 * sizeof(struct step));
		memcpy(shared->data, request + 13 + 2 * sizeof(struct step), n - 13 - 2 * sizeof(struct step));
		run_meeting((uint32_t *)(void *)(request + 1));
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
	send();
}

/* Open the way to the host and the kernel's log, and say so. */
void greet(void)
{
	int i;

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
	send();
}

/* A process of a run has neither. */
void hang_up(void)
{
	close(channel);
	close(log_fd);
}
