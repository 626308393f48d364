// SPDX-License-Identifier: Apache-2.0
/*
 * A worked example: a target in C, a child process that answers JSON lines (accelspec.target-1.schema.json).
 *
 *     cc -o queue_child queue_child.c
 *     accelspec fuzz uacce@6.12.117 --scope Device=1,Fd=2,File=3,Queue=3 --target process:./queue_child
 *
 * It knows one device and the calls alloc, register, remove, open, close and start. The questions are written by
 * accelspec, always in the same form, so looking for the few words that matter is parser enough. Replace the functions
 * below "the system under test" by calls into your driver, simulator or device.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX 8

enum state { CLOSED, INIT, STARTED, ZOMBIE };

/* ------------------------------------------------------------------ the system under test */

static struct {
	bool registered;
	int capacity;
	enum state queue[MAX][MAX]; /* by process and descriptor */
} sys;

static int used(void)
{
	int n = 0;

	for (int p = 0; p < MAX; p++)
		for (int f = 0; f < MAX; f++)
			n += sys.queue[p][f] != CLOSED;
	return n;
}

static const char *do_remove(void)
{
	sys.registered = false;
	for (int p = 0; p < MAX; p++)
		for (int f = 0; f < MAX; f++)
			if (sys.queue[p][f] != CLOSED)
				sys.queue[p][f] = ZOMBIE;
	return "DONE";
}

static const char *do_open(enum state *queue, bool kept)
{
	if (!sys.registered)
		return kept && used() ? "ENODEV" : "ENXIO";
	if (used() >= sys.capacity)
		return "EBUSY";
	*queue = INIT;
	return "OK";
}

static const char *do_close(enum state *queue)
{
	if (*queue == CLOSED)
		return "EBADF";
	*queue = CLOSED;
	return "OK";
}

static const char *do_start(enum state *queue)
{
	if (*queue == CLOSED)
		return "EBADF";
	if (*queue == ZOMBIE)
		return "ENXIO";
	if (*queue == STARTED)
		return "EINVAL";
	*queue = STARTED;
	return "OK";
}

/* ------------------------------------------------------------------ the protocol */

static bool says(const char *line, const char *what)
{
	return strstr(line, what) != NULL;
}

/* The number after a name: 1 of "fd1". */
static int number(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	return at ? atoi(at + strlen(name)) % MAX : 0;
}

static const char *perform(const char *line)
{
	enum state *queue = &sys.queue[number(line, "\"process")][number(line, "\"fd")];

	if (says(line, "\"operation\":\"register\""))
		sys.registered = true;
	if (says(line, "\"operation\":\"remove\""))
		return do_remove();
	if (says(line, "\"operation\":\"open\""))
		return do_open(queue, says(line, "\"True\""));
	if (says(line, "\"operation\":\"close\""))
		return do_close(queue);
	if (says(line, "\"operation\":\"start\""))
		return do_start(queue);
	return "OK";
}

static const char *reset(const char *line)
{
	if (!says(line, "\"Device\":1"))
		return "{\"type\":\"problem\",\"text\":\"this model has one device: add --scope Device=1\"}";
	memset(&sys, 0, sizeof(sys));
	for (const char *at = line; (at = strstr(at, ".device\":\"device0\"")); at++)
		if (at - line > 9 && !strncmp(at - 9, "\"hwQueue", 8))
			sys.capacity++;
	return "{\"type\":\"ready\"}";
}

int main(void)
{
	static char line[1 << 16];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		if (says(line, "\"type\":\"hello\"")) {
			puts("{\"type\":\"welcome\",\"protocol\":\"accelspec.target/1\",\"name\":\"queue_child.c\",\"failures\":[],"
			     "\"operations\":[\"alloc\",\"register\",\"remove\",\"open\",\"close\",\"start\"]}");
		} else if (says(line, "\"type\":\"reset\"")) {
			puts(reset(line));
		} else if (says(line, "\"type\":\"perform\"")) {
			printf("{\"type\":\"observed\",\"observation\":{\"result\":\"%s\"}}\n", perform(line));
		} else if (says(line, "\"type\":\"leftovers\"")) {
			printf("{\"type\":\"left\",\"counts\":{\"Queue\":%d}}\n", used());
		} else {
			break;
		}
	}
	return 0;
}
