/* Calls on regular files that fail, or take their time. Loaded before all other libraries (LD_PRELOAD) into a server that an
 * injector has started for it. Everything is told by a file that is mapped by all processes of the server: who writes it
 * switches faults on and off without another restart. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FSYNC = 1, WRITE = 2, READ = 4 };

/* The layout is that of control.py. */
struct control {
    uint32_t magic, is_on, calls, error, delay_us, share; /* share: of 2^32 - 1 */
    uint64_t seed, seen, failed, delayed;
    char under[1024];
};

static struct control *control;

__attribute__((constructor)) static void open_control(void) {
    const char *path = getenv("DBRE_IO_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *found = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED && ((struct control *)found)->magic == 0x64627265)
        control = found;
}

static uint64_t mixed(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static int is_under(int fd) {
    char link[64], path[4096];
    size_t length = strnlen(control->under, sizeof control->under);
    if (!length)
        return 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    return size >= (ssize_t)length && !memcmp(path, control->under, length);
}

/* Whether the call is to fail; it has waited already where it is to wait. */
static int hit(int fd, uint32_t call) {
    struct stat status;
    int before = errno;
    if (!control || !__atomic_load_n(&control->is_on, __ATOMIC_ACQUIRE) || !(control->calls & call))
        return 0;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode) || !is_under(fd)) {
        errno = before;
        return 0;
    }
    uint64_t number = __atomic_fetch_add(&control->seen, 1, __ATOMIC_RELAXED);
    errno = before;
    if ((uint32_t)mixed(control->seed + number) > control->share)
        return 0;
    if (control->delay_us) {
        struct timespec left = {control->delay_us / 1000000, (control->delay_us % 1000000) * 1000L};
        while (nanosleep(&left, &left) && errno == EINTR && __atomic_load_n(&control->is_on, __ATOMIC_ACQUIRE))
            ;
        errno = before;
        __atomic_fetch_add(&control->delayed, 1, __ATOMIC_RELAXED);
    }
    if (!control->error)
        return 0;
    __atomic_fetch_add(&control->failed, 1, __ATOMIC_RELAXED);
    errno = (int)control->error;
    return 1;
}

#define HOOK(kind, type, name, parameters, arguments)                                                                        \
    type name parameters {                                                                                                   \
        static type(*real) parameters;                                                                                       \
        if (!real)                                                                                                           \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                                              \
        return hit(fd, kind) ? -1 : real arguments;                                                                          \
    }

HOOK(FSYNC, int, fsync, (int fd), (fd))
HOOK(FSYNC, int, fdatasync, (int fd), (fd))
HOOK(WRITE, ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
HOOK(WRITE, ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
HOOK(WRITE, ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
HOOK(WRITE, ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
HOOK(WRITE, ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
HOOK(WRITE, ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
HOOK(READ, ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
HOOK(READ, ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
HOOK(READ, ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
HOOK(READ, ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
HOOK(READ, ssize_t, preadv, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
HOOK(READ, ssize_t, preadv64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
