/* bcc picks its helpers by kernel version: the oldest one that has ring buffers, which is the oldest that can run us. */
#define KERNEL_VERSION(major, minor, patch) (((major) << 16) + ((minor) << 8) + (patch))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 8, 0)
