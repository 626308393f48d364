// SPDX-License-Identifier: GPL-2.0-only
/*
 * What uacce.c calls instead of the kernel (shim.h): the same, counted, and made to fail when armed. SVA is a stand-in:
 * a bond is an object without hardware behind it.
 */
#include "shim.h"

#define OBJECTS 64

struct bond { struct device *dev; };	/* what a struct iommu_sva * points to here */

static struct object { const void *at; u32 size, serial; } objects[OBJECTS];
static DEFINE_SPINLOCK(lock);
static struct accelspec_arm armed;
static u32 minors = 1, wrong;
static bool pausing, paused;
static DECLARE_WAIT_QUEUE_HEAD(resumed);	/* an mmap that is held, and who waits for one */

static struct object *find(const void *at)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (objects[i].at == at)
			return &objects[i];
	return NULL;
}

static void remember(const void *at, u32 size)
{
	struct object *free;

	spin_lock(&lock);
	free = find(NULL);
	if (free)
		*free = (struct object){ at, size, 0 };
	spin_unlock(&lock);
}

int accelspec_fails(enum accelspec_failure which)
{
	int i;

	for (i = 0; i < ACCELSPEC_FAILURES; i++)
		if (armed.failure[i] == which)
			return -armed.error[i];
	return 0;
}
EXPORT_SYMBOL_GPL(accelspec_fails);

void accelspec_arm(const struct accelspec_arm *arm)
{
	armed = *arm;
}
EXPORT_SYMBOL_GPL(accelspec_arm);

/* A region that a run has leaked is freed, so that the next one begins with nothing. */
void accelspec_begin(u32 how_many)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (objects[i].at && objects[i].size == sizeof(struct uacce_qfile_region))
			accelspec_free(objects[i].at);
	memset(&armed, 0, sizeof(armed));
	minors = how_many;
	wrong = 0;
}
EXPORT_SYMBOL_GPL(accelspec_begin);

void accelspec_wrong(u32 bit)
{
	wrong |= bit;
}
EXPORT_SYMBOL_GPL(accelspec_wrong);

/* The address of a freed object is given again: its serial number is not. */
bool accelspec_alive(const void *object, u32 serial)
{
	struct object *o;
	bool found;

	spin_lock(&lock);
	o = object ? find(object) : NULL;
	found = o && o->serial == serial;
	spin_unlock(&lock);
	return found;
}
EXPORT_SYMBOL_GPL(accelspec_alive);

void accelspec_name(const void *object, u32 serial)
{
	struct object *o;

	spin_lock(&lock);
	o = find(object);
	if (o)
		o->serial = serial;
	spin_unlock(&lock);
}
EXPORT_SYMBOL_GPL(accelspec_name);

static u8 slot(struct uacce_queue *q, int type)
{
	if (!q->qfrs[type])
		return ACCELSPEC_EMPTY;
	return find(q->qfrs[type]) ? ACCELSPEC_SET : ACCELSPEC_STALE;
}

/* Everything but the provider's own knowledge. */
void accelspec_look(struct accelspec_state *s, u8 (*hardware)(struct uacce_queue *q),
		    bool (*ready)(struct uacce_queue *q))
{
	int i;

	spin_lock(&lock);
	s->wrong = wrong;
	for (i = 0; i < OBJECTS; i++) {
		struct object *o = &objects[i];
		struct uacce_queue *q = (void *)o->at;

		if (!o->at)
			continue;
		if (o->size == sizeof(struct uacce_device)) {
			s->devices++;
		} else if (o->size == sizeof(struct uacce_qfile_region)) {
			s->regions++;
		} else if (o->size == sizeof(struct bond)) {
			s->bonds++;
		} else if (!o->serial || s->queues == ACCELSPEC_QUEUES) {
			s->getting++;
		} else {
			s->queue[s->queues++] = (struct accelspec_queue_state){
				.serial = o->serial, .state = q->state, .hardware = hardware(q), .bonded = !!q->handle,
				.ready = ready(q), .mmio = slot(q, UACCE_QFRT_MMIO), .dus = slot(q, UACCE_QFRT_DUS),
			};
		}
	}
	spin_unlock(&lock);
}
EXPORT_SYMBOL_GPL(accelspec_look);

/* Hold an mmap where the driver has done its part and the mapping is not linked yet. */
void accelspec_pause(bool on)
{
	pausing = on;
	wake_up_all(&resumed);
}
EXPORT_SYMBOL_GPL(accelspec_pause);

int accelspec_wait_until_held(void)
{
	return wait_event_timeout(resumed, READ_ONCE(paused), 5 * HZ) ? 0 : -ETIMEDOUT;
}
EXPORT_SYMBOL_GPL(accelspec_wait_until_held);

/* ------------------------------------------------------------------ what uacce.c calls */

void *accelspec_zalloc(size_t size, gfp_t flags)
{
	enum accelspec_failure which = size == sizeof(struct uacce_device) ? ACCELSPEC_ALLOC_DEVICE :
				       size == sizeof(struct uacce_queue) ? ACCELSPEC_ALLOC_QUEUE :
				       ACCELSPEC_ALLOC_REGION;
	void *object = accelspec_fails(which) ? NULL : kzalloc(size, flags);

	if (object)
		remember(object, size);
	return object;
}
EXPORT_SYMBOL_GPL(accelspec_zalloc);

void accelspec_free(const void *object)
{
	struct object *o;
	u32 size = 0;

	if (!object)
		return;
	spin_lock(&lock);
	o = find(object);
	if (o) {
		size = o->size;
		o->at = NULL;
	} else {
		wrong |= ACCELSPEC_FREED_TWICE;
	}
	spin_unlock(&lock);
	if (!size)
		return;
	memset((void *)object, 0x6b, size);	/* who still uses it stumbles */
	kfree(object);
}
EXPORT_SYMBOL_GPL(accelspec_free);

struct cdev *accelspec_cdev_alloc(void)
{
	return accelspec_fails(ACCELSPEC_CDEV_ALLOC) ? NULL : cdev_alloc();
}
EXPORT_SYMBOL_GPL(accelspec_cdev_alloc);

/* A failure is that of device_add: the character device was added and is deleted again. */
int accelspec_cdev_device_add(struct cdev *cdev, struct device *dev)
{
	int failure = accelspec_fails(ACCELSPEC_DEVICE_ADD), ret;

	if (!failure)
		return cdev_device_add(cdev, dev);
	cdev_set_parent(cdev, &dev->kobj);
	ret = cdev_add(cdev, dev->devt, 1);
	if (ret)
		return ret;
	cdev_del(cdev);
	return failure;
}
EXPORT_SYMBOL_GPL(accelspec_cdev_device_add);

int accelspec_enable_feature(struct device *dev, enum iommu_dev_features feature)
{
	return accelspec_fails(ACCELSPEC_ENABLE_SVA);
}
EXPORT_SYMBOL_GPL(accelspec_enable_feature);

int accelspec_disable_feature(struct device *dev, enum iommu_dev_features feature)
{
	return 0;
}
EXPORT_SYMBOL_GPL(accelspec_disable_feature);

struct iommu_sva *accelspec_bind(struct device *dev, struct mm_struct *mm)
{
	int failure = accelspec_fails(ACCELSPEC_BIND);
	struct bond *bond;

	if (failure)
		return ERR_PTR(failure);
	bond = kzalloc(sizeof(*bond), GFP_KERNEL);
	if (!bond)
		return ERR_PTR(-ENOMEM);
	bond->dev = dev;
	remember(bond, sizeof(*bond));
	return (struct iommu_sva *)bond;
}
EXPORT_SYMBOL_GPL(accelspec_bind);

void accelspec_unbind(struct iommu_sva *handle)
{
	struct object *o;

	spin_lock(&lock);
	o = find(handle);
	if (o)
		o->at = NULL;
	else
		wrong |= ACCELSPEC_UNBOUND_TWICE;
	spin_unlock(&lock);
	if (o)
		kfree((void *)handle);
}
EXPORT_SYMBOL_GPL(accelspec_unbind);

u32 accelspec_pasid(struct iommu_sva *handle)
{
	return accelspec_fails(ACCELSPEC_PASID) ? IOMMU_PASID_INVALID : 1;
}
EXPORT_SYMBOL_GPL(accelspec_pasid);

u32 accelspec_highest_minor(void)
{
	return minors - 1;
}
EXPORT_SYMBOL_GPL(accelspec_highest_minor);

void accelspec_unlock(struct mutex *m, const char *where)
{
	mutex_unlock(m);
	if (!READ_ONCE(pausing) || strcmp(where, "uacce_fops_mmap"))
		return;
	WRITE_ONCE(paused, true);
	wake_up_all(&resumed);
	wait_event(resumed, !READ_ONCE(pausing));
	WRITE_ONCE(paused, false);
}
EXPORT_SYMBOL_GPL(accelspec_unlock);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("what uacce.c calls instead of the kernel, for conformance runs");
