// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rest of a module around the kernel's own sw_sync.c, which the distribution does not build: in the place of
 * sync_debug.c, whose list of sync files needs what the kernel does not export. Counts the timelines that live; a fence
 * keeps its timeline, so none is left when all is given back.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/module.h>

#include "sync_debug.h"

static struct dentry *folder;
static atomic_t timelines;

void sync_timeline_debug_add(struct sync_timeline *timeline)
{
	atomic_inc(&timelines);
}

void sync_timeline_debug_remove(struct sync_timeline *timeline)
{
	atomic_dec(&timelines);
}

static int __init sync_init(void)
{
	folder = debugfs_create_dir("sync", NULL);
	debugfs_create_atomic_t("timelines", 0444, folder, &timelines);
	debugfs_create_file_unsafe("sw_sync", 0644, folder, NULL, &sw_sync_debugfs_fops);
	return 0;
}

static void __exit sync_exit(void)
{
	debugfs_remove_recursive(folder);
}

module_init(sync_init);
module_exit(sync_exit);
MODULE_DESCRIPTION("timelines of software, for accelspec");
MODULE_LICENSE("GPL");
