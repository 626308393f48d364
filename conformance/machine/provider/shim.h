/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before uacce.c by the compiler's -include, so that its text stays as the distribution ships it: the calls
 * that allocate, publish and bind lead to shim.c, where they can be counted and made to fail.
 */
#ifndef ACCELSPEC_SHIM_H
#define ACCELSPEC_SHIM_H

#include <linux/cdev.h>
#include <linux/compat.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uacce.h>
#include <linux/xarray.h>

#include "abi.h"

void *accelspec_zalloc(size_t size, gfp_t flags);
void accelspec_free(const void *object);
struct cdev *accelspec_cdev_alloc(void);
int accelspec_cdev_device_add(struct cdev *cdev, struct device *dev);
int accelspec_enable_feature(struct device *dev, enum iommu_dev_features feature);
int accelspec_disable_feature(struct device *dev, enum iommu_dev_features feature);
struct iommu_sva *accelspec_bind(struct device *dev, struct mm_struct *mm);
void accelspec_unbind(struct iommu_sva *handle);
u32 accelspec_pasid(struct iommu_sva *handle);
u32 accelspec_highest_minor(void);
void accelspec_unlock(struct mutex *lock, const char *where);

/* For the provider. */
int accelspec_fails(enum accelspec_failure which);	/* 0 or a negative errno */
void accelspec_arm(const struct accelspec_arm *arm);
void accelspec_begin(u32 minors);
void accelspec_wrong(u32 bit);
bool accelspec_alive(const void *object, u32 serial);
void accelspec_name(const void *object, u32 serial);
void accelspec_look(struct accelspec_state *state, u8 (*hardware)(struct uacce_queue *q),
		    bool (*ready)(struct uacce_queue *q));
void accelspec_pause(bool on);
int accelspec_wait_until_held(void);

#ifdef ACCELSPEC_REDIRECT
#undef kzalloc
#define kzalloc(size, flags)			accelspec_zalloc(size, flags)
#undef kfree
#define kfree(object)				accelspec_free(object)
#define cdev_alloc()				accelspec_cdev_alloc()
#define cdev_device_add(cdev, dev)		accelspec_cdev_device_add(cdev, dev)
#define iommu_dev_enable_feature(dev, f)	accelspec_enable_feature(dev, f)
#define iommu_dev_disable_feature(dev, f)	accelspec_disable_feature(dev, f)
#undef iommu_sva_bind_device
#define iommu_sva_bind_device(dev, mm)		accelspec_bind(dev, mm)
#define iommu_sva_unbind_device(handle)		accelspec_unbind(handle)
#define iommu_sva_get_pasid(handle)		accelspec_pasid(handle)
#undef xa_limit_32b
#define xa_limit_32b				XA_LIMIT(0, accelspec_highest_minor())
#undef mutex_unlock
#define mutex_unlock(lock)			accelspec_unlock(lock, __func__)
#endif

#endif
