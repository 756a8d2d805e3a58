#ifndef TOLLGATE_CLINUX_SHIM_H
#define TOLLGATE_CLINUX_SHIM_H

// First: its <cpuid.h> brings a module of all intrinsics, which must not find system headers taken in before.
#include "crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/// openat(2), which is variadic; -1 and errno.
static inline int linux_openat(int directory, const char *name, int flags, mode_t mode) {
    return openat(directory, name, flags | O_CLOEXEC, mode);
}

/// O_PATH, which <fcntl.h> has for GNU sources alone: names a directory without the right to read it.
static const int linux_open_path = __O_PATH;

/// flock(2), whose name Swift gives to a struct: exclusive, without waiting; -1 and errno.
static inline int linux_lock_exclusively(int descriptor) {
    return flock(descriptor, LOCK_EX | LOCK_NB);
}

/// flock(2): together with others who ask for it so, without waiting; -1 and errno.
static inline int linux_lock_shared(int descriptor) {
    return flock(descriptor, LOCK_SH | LOCK_NB);
}

/// flock(2): gives the lock back.
static inline int linux_unlock(int descriptor) {
    return flock(descriptor, LOCK_UN);
}

/// Whether a name within a directory is the open file's: 1, 0 if it is gone or another's; -1 and errno.
static inline int linux_is_named(int descriptor, int directory, const char *name) {
    struct stat open_file, named;
    if (fstat(descriptor, &open_file) != 0) {
        return -1;
    }
    if (fstatat(directory, name, &named, 0) != 0) {
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    }
    return open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/// Bytes of address space that the process may have (RLIMIT_AS); UINT64_MAX: no limit.
static inline uint64_t linux_address_space_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return limit.rlim_cur;
}

/// Sleeps while the word is `expected`, until woken or for `nanoseconds`. May return early.
static inline void linux_futex_wait(const void *word, uint32_t expected, int64_t nanoseconds) {
    struct timespec timeout = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &timeout, NULL, 0);
}

/// Wakes everybody who sleeps on the word.
static inline void linux_futex_wake(const void *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

#ifndef SCHED_IDLE
#define SCHED_IDLE 5
#endif

/// Gives the calling thread the lowest priority, and the policy for work that whoever wakes up may interrupt at once: a
/// thread that is merely nice is left alone until its slice is over, a few milliseconds.
static inline void linux_lower_priority(void) {
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_IDLE, &none);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
}

/// Lets others go first: how much, from 0 to 19. A machine that is busy without end still gives the calling thread a share,
/// of about a tenth at 10.
static inline void linux_be_nice(int level) {
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), level);
}

/// The calling thread's rank, as `linux_be_nice` sets it.
static inline int linux_niceness(void) {
    return getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
}

/// Names the calling thread, as pthread_setname_np(3) does, which Swift does not see; what is beyond 15 bytes is cut.
static inline void linux_name_thread(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

/// Has the cache line at an address fetched for writing; any address.
static inline void linux_prefetch(const void *address) {
    __builtin_prefetch(address, 1);
}

/// Returns what the allocator has free to the system.
static inline void linux_trim_heap(void) {
    malloc_trim(1 << 20);
}

/// memfd_create(2): an anonymous file, which programs that are started do not get; -1 and errno. /proc shows its name.
static inline int linux_anonymous_file(const char *name) {
    return (int)syscall(SYS_memfd_create, name, 1u);
}

/// pidfd_open(2): a descriptor that is readable when a process has ended; -1 and errno.
static inline int linux_open_process(pid_t process) {
    return (int)syscall(SYS_pidfd_open, process, 0u);
}

/// pipe2(2) whose ends programs that are started do not get; -1 and errno.
static inline int linux_pipe(int ends[2]) {
    return (int)syscall(SYS_pipe2, ends, O_CLOEXEC);
}

/// Has a program that is started get no descriptor from `first` on: posix_spawn_file_actions_addclosefrom_np(3), which Swift
/// does not see; an error number.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);
static inline int linux_close_from(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

/// The monotonic clock in nanoseconds.
static inline int64_t linux_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
