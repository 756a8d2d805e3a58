// Preloaded into the server by Tools/tests/test_faults.py: a wall clock that jumps, and writes that end early.
//
// TOLLGATE_TEST_CLOCK names a file with two 64-bit integers: nanoseconds that CLOCK_REALTIME is off, and nanoseconds that
// CLOCK_BOOTTIME is. It is mapped, so that the test moves the clocks while the server runs: the first alone, as if
// somebody had set it; both, as if time had passed. All other clocks, and timers, stay right.
// TOLLGATE_TEST_SHORT_WRITES=1: a write to a file of two bytes or more takes only half of them.
// TOLLGATE_TEST_STALL names a file: as long as it is there, no fdatasync returns.
// TOLLGATE_TEST_HANG names a file: as long as it is there, the event loop grpc-0 does not turn.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *clock_offset;
static int short_writes;
static const char *stall;
static const char *hang;
static int (*next_epoll_wait)(int, struct epoll_event *, int, int);
static int (*next_fdatasync)(int);
static int (*next_clock_gettime)(clockid_t, struct timespec *);
static ssize_t (*next_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*next_pwritev)(int, const struct iovec *, int, off_t);

__attribute__((constructor)) static void prepare(void) {
    next_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    next_pwrite = dlsym(RTLD_NEXT, "pwrite");
    next_pwritev = dlsym(RTLD_NEXT, "pwritev");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    short_writes = getenv("TOLLGATE_TEST_SHORT_WRITES") != NULL;
    next_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    stall = getenv("TOLLGATE_TEST_STALL");
    hang = getenv("TOLLGATE_TEST_HANG");
    const char *path = getenv("TOLLGATE_TEST_CLOCK");
    if (path == NULL) return;
    int file = open(path, O_RDONLY);
    if (file < 0) abort();
    void *memory = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) abort();
    clock_offset = memory;
}

int epoll_wait(int poll, struct epoll_event *events, int most, int timeout) {
    char name[16] = "";
    if (hang != NULL && prctl(PR_GET_NAME, name) == 0 && strcmp(name, "grpc-0") == 0) {
        while (access(hang, F_OK) == 0) usleep(10000);
    }
    return next_epoll_wait(poll, events, most, timeout);
}

static void shift(struct timespec *time, int clock) {
    if (clock_offset == NULL) return;
    int64_t total = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + clock_offset[clock];
    time->tv_sec = total / 1000000000;
    time->tv_nsec = total % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = next_clock_gettime(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(now, 0);
    if (result == 0 && clock == CLOCK_BOOTTIME) shift(now, 1);
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return result;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL) *result = now.tv_sec;
    return now.tv_sec;
}

int fdatasync(int file) {
    while (stall != NULL && access(stall, F_OK) == 0) usleep(10000);
    return next_fdatasync(file);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    if (short_writes && count > 1) count /= 2;
    return next_pwrite(file, bytes, count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t offset) {
    return pwrite(file, bytes, count, offset);
}

// The first half of all bytes, wherever among the pieces that ends.
ssize_t pwritev(int file, const struct iovec *pieces, int count, off_t offset) {
    size_t total = 0;
    for (int index = 0; index < count; index++) total += pieces[index].iov_len;
    if (!short_writes || total < 2) return next_pwritev(file, pieces, count, offset);
    size_t left = total / 2;
    struct iovec some[64];
    int used = 0;
    for (; used < count && used < 64 && left > 0; used++) {
        some[used] = pieces[used];
        if (some[used].iov_len > left) some[used].iov_len = left;
        left -= some[used].iov_len;
    }
    return next_pwritev(file, some, used, offset);
}

ssize_t pwritev64(int file, const struct iovec *pieces, int count, off_t offset) {
    return pwritev(file, pieces, count, offset);
}
