// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hardware driver in software behind the kernel's uacce framework, written after the rules of HiSilicon's queue
 * manager. It counts and checks the callbacks that the framework makes, fails when told to, and is driven through
 * /dev/accelspec (abi.h).
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/platform_device.h>

#include "shim.h"

#define PAGES 2		/* of every region */

static const char *const region_name[] = { "doorbells", "memory" };

static struct hardware {
	struct uacce_queue *owner;
	u32 serial;		/* of the owner */
	u8 device;
	bool running, ready;
	struct page *pages[ARRAY_SIZE(region_name)];
} hardware[ACCELSPEC_HARDWARE];

static struct device_under_test {
	struct platform_device *parent;
	struct uacce_device *uacce;
	struct uacce_ops ops;
	bool sva, stopped, isolated, removed;
	bool counted;	/* uacce is built with our shim: the end of the device will be seen */
	u32 devt, threshold, errors;
	enum accelspec_life life;
} devices[ACCELSPEC_DEVICES];

static u32 hardware_queues, serials;
static DEFINE_MUTEX(control);

static struct device_under_test *behind(struct uacce_device *u)
{
	return u->priv;
}

/* The hardware queue of a queue; NULL, and noted, where a callback must not be made. */
static struct hardware *owned(struct uacce_queue *q)
{
	struct hardware *h = q->priv;

	if (behind(q->uacce)->removed)
		accelspec_wrong(ACCELSPEC_AFTER_REMOVAL);
	if (h && h->owner == q)
		return h;
	accelspec_wrong(ACCELSPEC_NO_HARDWARE);
	return NULL;
}

/* ------------------------------------------------------------------ callbacks */

static int provider_available(struct uacce_device *u)
{
	u8 device = behind(u) - devices;
	int i, n = 0;

	for (i = 0; i < hardware_queues; i++)
		n += hardware[i].device == device && !hardware[i].owner;
	return n;
}

static int provider_get(struct uacce_device *u, unsigned long pasid, struct uacce_queue *q)
{
	struct device_under_test *d = behind(u);
	struct hardware *h;
	int failure;

	if (d->removed)
		accelspec_wrong(ACCELSPEC_AFTER_REMOVAL);
	if (d->stopped)
		return -EPERM;
	for (h = hardware; h < hardware + hardware_queues; h++)
		if (h->device == d - devices && !h->owner)
			break;
	if (h == hardware + hardware_queues)
		return -EBUSY;
	failure = accelspec_fails(ACCELSPEC_GET_QUEUE);
	if (failure)
		return failure;
	if (q->priv)
		accelspec_wrong(ACCELSPEC_GET_TWICE);
	h->owner = q;
	h->serial = ++serials;
	h->running = h->ready = false;
	q->priv = h;
	accelspec_name(q, h->serial);
	return 0;
}

static void provider_put(struct uacce_queue *q)
{
	struct hardware *h = q->priv;

	if (behind(q->uacce)->removed)
		accelspec_wrong(ACCELSPEC_AFTER_REMOVAL);
	if (!h || h->owner != q) {
		accelspec_wrong(ACCELSPEC_PUT_TWICE);
		return;
	}
	if (h->running)
		accelspec_wrong(ACCELSPEC_PUT_RUNNING);
	h->owner = NULL;
	h->running = false;
}

static int provider_start(struct uacce_queue *q)
{
	struct hardware *h = owned(q);
	int failure;

	if (behind(q->uacce)->stopped)
		return -EPERM;
	failure = accelspec_fails(ACCELSPEC_START_QUEUE);
	if (failure || !h)
		return failure ?: -EIO;
	if (h->running)
		accelspec_wrong(ACCELSPEC_START_RUNNING);
	h->running = true;
	return 0;
}

static void provider_stop(struct uacce_queue *q)
{
	struct hardware *h = owned(q);

	if (!h)
		return;
	if (!h->running)
		accelspec_wrong(ACCELSPEC_STOP_IDLE);
	h->running = false;
}

/* Takes the completion. */
static int provider_updated(struct uacce_queue *q)
{
	struct hardware *h = owned(q);
	bool was;

	if (!h)
		return 0;
	was = h->ready;
	h->ready = false;
	return was;
}

static int provider_mmap(struct uacce_queue *q, struct vm_area_struct *vma, struct uacce_qfile_region *region)
{
	int failure = accelspec_fails(ACCELSPEC_MMAP), i, ret = 0;
	struct hardware *h;

	if (failure)
		return failure;
	h = owned(q);
	if (!h)
		return -EIO;
	if (vma_pages(vma) > PAGES)
		return -EINVAL;
	if (region->type == UACCE_QFRT_MMIO)
		return remap_pfn_range(vma, vma->vm_start, page_to_pfn(h->pages[0]), vma->vm_end - vma->vm_start,
				       vma->vm_page_prot);
	for (i = 0; i < vma_pages(vma) && !ret; i++)
		ret = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE, h->pages[1] + i);
	return ret;
}

static long provider_ioctl(struct uacce_queue *q, unsigned int cmd, unsigned long arg)
{
	owned(q);
	if (cmd != ACCELSPEC_IOC_NOTHING)
		return -ENOTTY;
	return accelspec_fails(ACCELSPEC_IOCTL);
}

static enum uacce_dev_state provider_isolated(struct uacce_device *u)
{
	return behind(u)->isolated ? UACCE_DEV_ISOLATE : UACCE_DEV_NORMAL;
}

static int provider_threshold_write(struct uacce_device *u, u32 value)
{
	struct device_under_test *d = behind(u);

	if (d->isolated)
		return -EPERM;
	d->threshold = value;
	d->errors = 0;
	return 0;
}

static u32 provider_threshold_read(struct uacce_device *u)
{
	return behind(u)->threshold;
}

static const struct uacce_ops all_callbacks = {
	.get_available_instances = provider_available,
	.get_queue = provider_get,
	.put_queue = provider_put,
	.start_queue = provider_start,
	.stop_queue = provider_stop,
	.is_q_updated = provider_updated,
	.mmap = provider_mmap,
	.ioctl = provider_ioctl,
	.get_isolate_state = provider_isolated,
	.isolate_err_threshold_write = provider_threshold_write,
	.isolate_err_threshold_read = provider_threshold_read,
};

/* ------------------------------------------------------------------ the life of a device */

static int alloc(struct device_under_test *d)
{
	struct uacce_interface interface = { .name = "accel", .flags = UACCE_DEV_SVA, .ops = &d->ops };
	struct uacce_device *u;

	if (d->life != ACCELSPEC_ABSENT)
		return -EEXIST;
	d->ops = all_callbacks;
	u = uacce_alloc(&d->parent->dev, &interface);
	if (IS_ERR(u))
		return PTR_ERR(u);
	u->priv = d;
	accelspec_name(u, d - devices + 1);
	d->counted = accelspec_alive(u, d - devices + 1);
	u->algs = "none\n";
	u->api_ver = "accelspec";
	u->qf_pg_num[UACCE_QFRT_MMIO] = PAGES;
	u->qf_pg_num[UACCE_QFRT_DUS] = PAGES;
	d->uacce = u;
	d->sva = u->flags & UACCE_DEV_SVA;
	d->devt = u->dev.devt;
	d->life = ACCELSPEC_ALLOCATED;
	return 0;
}

static int publish(struct device_under_test *d)
{
	int ret;

	if (d->life != ACCELSPEC_ALLOCATED)
		return -EINVAL;
	ret = uacce_register(d->uacce);
	if (!ret)
		d->life = ACCELSPEC_REGISTERED;
	return ret;
}

static int withdraw(struct device_under_test *d)
{
	if (d->life != ACCELSPEC_ALLOCATED && d->life != ACCELSPEC_REGISTERED)
		return -EINVAL;
	uacce_remove(d->uacce);
	d->removed = true;
	d->life = ACCELSPEC_REMOVED;
	return 0;
}

static int setup(const struct accelspec_setup *s)
{
	int i;

	if (s->hardware > ACCELSPEC_HARDWARE || !s->minors)
		return -EINVAL;
	for (i = 0; i < ACCELSPEC_DEVICES; i++) {
		struct platform_device *parent = devices[i].parent;

		withdraw(&devices[i]);
		devices[i] = (struct device_under_test){ .parent = parent };
	}
	hardware_queues = s->hardware;
	for (i = 0; i < ACCELSPEC_HARDWARE; i++) {
		hardware[i].owner = NULL;
		hardware[i].running = hardware[i].ready = false;
		hardware[i].device = s->device[i];
	}
	serials = 0;
	accelspec_begin(s->minors);
	return 0;
}

/* ------------------------------------------------------------------ events */

static int complete_job(u32 serial)
{
	struct hardware *h;

	for (h = hardware; h < hardware + hardware_queues; h++) {
		if (h->owner && h->serial == serial) {
			h->ready = true;
			wake_up_interruptible(&h->owner->wait);
			return 0;
		}
	}
	return -ENOENT;
}

static void hardware_error(struct device_under_test *d)
{
	if (d->isolated || !d->threshold || !d->sva)
		return;
	d->isolated = d->errors >= d->threshold;
	d->errors = min(d->errors + 1, 2u);
}

static void reset(struct device_under_test *d, bool recovers)
{
	d->stopped = !recovers;
	if (!recovers)
		d->isolated = true;
}

static void arm(const struct accelspec_arm *a)
{
	int i;

	accelspec_arm(a);
	for (i = 0; i < ACCELSPEC_DEVICES; i++) {
		struct uacce_ops *ops = &devices[i].ops;

		*ops = all_callbacks;
		if (a->absent & ACCELSPEC_NO_AVAILABLE)
			ops->get_available_instances = NULL;
		if (a->absent & ACCELSPEC_NO_IOCTL)
			ops->ioctl = NULL;
		if (a->absent & ACCELSPEC_NO_MMAP)
			ops->mmap = NULL;
		if (a->absent & ACCELSPEC_NO_THRESHOLD_READ)
			ops->isolate_err_threshold_read = NULL;
		if (a->absent & ACCELSPEC_NO_THRESHOLD_WRITE)
			ops->isolate_err_threshold_write = NULL;
	}
}

static u8 hardware_of(struct uacce_queue *q)
{
	struct hardware *h;

	for (h = hardware; h < hardware + hardware_queues; h++)
		if (h->owner == q)
			return h - hardware;
	return 255;
}

static bool is_ready(struct uacce_queue *q)
{
	u8 h = hardware_of(q);

	return h != 255 && hardware[h].ready;
}

static void look(struct accelspec_state *s)
{
	int i;

	memset(s, 0, sizeof(*s));
	accelspec_look(s, hardware_of, is_ready);
	for (i = 0; i < hardware_queues; i++)
		s->used += !!hardware[i].owner;
	for (i = 0; i < ACCELSPEC_DEVICES; i++) {
		struct device_under_test *d = &devices[i];

		if (d->life == ACCELSPEC_REMOVED && d->counted && !accelspec_alive(d->uacce, i + 1))
			d->life = ACCELSPEC_FREED;
		s->device[i] = (struct accelspec_device_state){
			.life = d->life, .sva = d->sva, .stopped = d->stopped, .isolated = d->isolated,
			.threshold = d->threshold, .errors = d->errors, .devt = d->devt,
		};
	}
}

/* ------------------------------------------------------------------ /dev/accelspec */

static long event(unsigned int cmd, const struct accelspec_event *e)
{
	struct device_under_test *d = &devices[e->which % ACCELSPEC_DEVICES];

	switch (cmd) {
	case ACCELSPEC_IOC_ALLOC:
		return alloc(d);
	case ACCELSPEC_IOC_REGISTER:
		return publish(d);
	case ACCELSPEC_IOC_REMOVE:
		return withdraw(d);
	case ACCELSPEC_IOC_COMPLETE:
		return complete_job(e->which);
	case ACCELSPEC_IOC_HW_ERROR:
		hardware_error(d);
		return 0;
	case ACCELSPEC_IOC_FORGET:
		d->errors = 0;
		return 0;
	case ACCELSPEC_IOC_RESET:
		reset(d, e->value);
		return 0;
	case ACCELSPEC_IOC_PAUSE:
	case ACCELSPEC_IOC_RESUME:
		accelspec_pause(cmd == ACCELSPEC_IOC_PAUSE);
		return 0;
	case ACCELSPEC_IOC_HELD:
		return accelspec_wait_until_held();
	}
	return -ENOTTY;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	union {
		struct accelspec_setup setup;
		struct accelspec_arm arm;
		struct accelspec_event event;
	} u = {};
	static struct accelspec_state state;	/* under the mutex */
	long ret = 0;

	if (cmd != ACCELSPEC_IOC_STATE &&
	    (_IOC_SIZE(cmd) > sizeof(u) || copy_from_user(&u, (void __user *)arg, _IOC_SIZE(cmd))))
		return -EFAULT;
	if (mutex_lock_interruptible(&control))
		return -EINTR;
	switch (cmd) {
	case ACCELSPEC_IOC_STATE:
		look(&state);
		ret = copy_to_user((void __user *)arg, &state, sizeof(state)) ? -EFAULT : 0;
		break;
	case ACCELSPEC_IOC_SETUP:
		ret = setup(&u.setup);
		break;
	case ACCELSPEC_IOC_ARM:
		arm(&u.arm);
		break;
	default:
		ret = event(cmd, &u.event);
	}
	mutex_unlock(&control);
	return ret;
}

static const struct file_operations control_fops = { .owner = THIS_MODULE, .unlocked_ioctl = control_ioctl };
static struct miscdevice control_device = { .minor = MISC_DYNAMIC_MINOR, .name = "accelspec", .fops = &control_fops };

/* The pages of the hardware queues live as long as the module, which is never unloaded. */
static int __init provider_init(void)
{
	int i, r;

	for (i = 0; i < ACCELSPEC_DEVICES; i++) {
		devices[i].parent = platform_device_register_simple("accelspec", i, NULL, 0);
		if (IS_ERR(devices[i].parent))
			return PTR_ERR(devices[i].parent);
	}
	for (i = 0; i < ACCELSPEC_HARDWARE; i++) {
		for (r = 0; r < ARRAY_SIZE(region_name); r++) {
			hardware[i].pages[r] = alloc_pages(GFP_KERNEL | __GFP_ZERO, get_order(PAGES << PAGE_SHIFT));
			if (!hardware[i].pages[r])
				return -ENOMEM;
			split_page(hardware[i].pages[r], get_order(PAGES << PAGE_SHIFT));
		}
	}
	return misc_register(&control_device);
}
module_init(provider_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a software accelerator behind uacce, for conformance runs");
