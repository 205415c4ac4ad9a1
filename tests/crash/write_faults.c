/* A library for LD_PRELOAD that watches every change a process makes below one folder, whoever makes it: Python,
 * SQLite or FAISS. Before a chosen change it kills the process, makes the change fail as a bad or full disk would, or
 * stops the process until it is told to go on, so that another program can do something at that very moment.
 * Each change is written to a trace as "number operation file", so that every point has a name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { WATCH, KILL, TORN, NO_SPACE, BROKEN, SHORT, STOP };
enum verdict { GO, FAIL, HALF, HALF_AND_DIE };

static char folder[PATH_MAX];
static size_t folder_length;
static int trace = -1;
static enum action action;
static long at, seen;
static int stays;

/* Called in the process to be watched. The trace is a descriptor that outlives a kill. */
void faults_arm(const char *path, int descriptor, int what, long where, int from_then_on) {
    snprintf(folder, sizeof folder, "%s/", path);
    folder_length = strlen(folder);
    action = what, at = where, stays = from_then_on, seen = 0;
    trace = descriptor;
}

static __attribute__((noreturn)) void die(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

/* What is to become of a change to `path`: `grows` where it needs room on the disk, `writes` where it can be cut. */
static enum verdict judge(const char *operation, const char *path, int grows, int writes) {
    if (trace < 0 || strncmp(path, folder, folder_length) != 0) return GO;
    long number = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%ld %s %s\n", number, operation, path + folder_length);
    syscall(SYS_write, trace, line, (size_t)length);
    if (number != at && !(stays && at > 0 && number > at)) return GO;
    switch (action) {
    case KILL: die();
    case TORN:
        if (writes) return HALF_AND_DIE;
        die();
    case NO_SPACE:
        if (!grows) return GO;
        errno = ENOSPC;
        return FAIL;
    case BROKEN:
        errno = EIO;
        return FAIL;
    case SHORT: return writes ? HALF : GO;
    case STOP:
        /* This thread first, so that the change is made when the process goes on, not before. */
        syscall(SYS_tkill, syscall(SYS_gettid), SIGSTOP);
        return GO;
    default: return GO;
    }
}

static enum verdict judge_descriptor(const char *operation, int descriptor, int grows, int writes) {
    if (trace < 0 || descriptor == trace) return GO;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = syscall(SYS_readlink, link, path, sizeof path - 1);
    if (length < 0) return GO;
    path[length] = 0;
    return judge(operation, path, grows, writes);
}

static enum verdict judge_at(const char *operation, int base, const char *name, int grows) {
    if (trace < 0) return GO;
    char path[PATH_MAX * 2], link[64], start[PATH_MAX] = "";
    if (name[0] == '/') return judge(operation, name, grows, 0);
    if (base == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", base);
    ssize_t length = syscall(SYS_readlink, link, start, sizeof start - 1);
    if (length < 0) return GO;
    start[length] = 0;
    snprintf(path, sizeof path, "%s/%s", start, name);
    return judge(operation, path, grows, 0);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int creates(const char *path, int flags) { return (flags & O_CREAT) && access(path, F_OK) != 0; }

#define OPEN(name)                                                                                        \
    int name(const char *path, int flags, ...) {                                                          \
        REAL(name);                                                                                       \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list);            \
        if (trace >= 0 && creates(path, flags) && judge_at("create", AT_FDCWD, path, 1) == FAIL) return -1; \
        if (trace >= 0 && (flags & O_TRUNC) && access(path, F_OK) == 0                                    \
            && judge_at("empty", AT_FDCWD, path, 0) == FAIL) return -1;                                   \
        return real(path, flags, mode);                                                                   \
    }
#define OPENAT(name)                                                                                      \
    int name(int base, const char *path, int flags, ...) {                                                \
        REAL(name);                                                                                       \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list);            \
        if (trace >= 0 && (flags & O_CREAT) && faccessat(base, path, F_OK, 0) != 0                        \
            && judge_at("create", base, path, 1) == FAIL) return -1;                                      \
        return real(base, path, flags, mode);                                                             \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

#define CUT(count) ((count) > 1 ? (count) / 2 : (count))

ssize_t write(int descriptor, const void *content, size_t count) {
    REAL(write);
    enum verdict verdict = judge_descriptor("write", descriptor, 1, 1);
    if (verdict == FAIL) return -1;
    if (verdict == GO) return real(descriptor, content, count);
    ssize_t done = real(descriptor, content, CUT(count));
    if (verdict == HALF_AND_DIE) die();
    return done;
}

#define PWRITE(name, offset_type)                                                               \
    ssize_t name(int descriptor, const void *content, size_t count, offset_type offset) {       \
        REAL(name);                                                                             \
        enum verdict verdict = judge_descriptor("write", descriptor, 1, 1);                     \
        if (verdict == FAIL) return -1;                                                         \
        if (verdict == GO) return real(descriptor, content, count, offset);                     \
        ssize_t done = real(descriptor, content, CUT(count), offset);                           \
        if (verdict == HALF_AND_DIE) die();                                                     \
        return done;                                                                            \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(writev);
    return judge_descriptor("write", descriptor, 1, 0) == FAIL ? -1 : real(descriptor, parts, count);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
    static ssize_t (*real)(int, int, off_t *, size_t);
    if (!real) real = (ssize_t(*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile");
    return judge_descriptor("write", to, 1, 0) == FAIL ? -1 : real(to, from, offset, count);
}

ssize_t copy_file_range(int from, off64_t *in, int to, off64_t *out, size_t count, unsigned flags) {
    REAL(copy_file_range);
    return judge_descriptor("write", to, 1, 0) == FAIL ? -1 : real(from, in, to, out, count, flags);
}

#define ON_DESCRIPTOR(name, word, grows)                                                        \
    int name(int descriptor) {                                                                  \
        REAL(name);                                                                             \
        return judge_descriptor(word, descriptor, grows, 0) == FAIL ? -1 : real(descriptor);    \
    }
ON_DESCRIPTOR(fsync, "sync", 1)
ON_DESCRIPTOR(fdatasync, "sync", 1)

#define FTRUNCATE(name, offset_type)                                                                   \
    int name(int descriptor, offset_type length) {                                                     \
        REAL(name);                                                                                    \
        return judge_descriptor("truncate", descriptor, 0, 0) == FAIL ? -1 : real(descriptor, length); \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define ON_PATH(name, word, grows)                                                              \
    int name(const char *path) {                                                                \
        REAL(name);                                                                             \
        return judge_at(word, AT_FDCWD, path, grows) == FAIL ? -1 : real(path);                 \
    }
ON_PATH(unlink, "remove", 0)
ON_PATH(rmdir, "remove", 0)

int unlinkat(int base, const char *path, int flags) {
    REAL(unlinkat);
    return judge_at("remove", base, path, 0) == FAIL ? -1 : real(base, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    if (trace >= 0 && access(path, F_OK) != 0 && judge_at("folder", AT_FDCWD, path, 1) == FAIL) return -1;
    return real(path, mode);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return judge_at("rename", AT_FDCWD, to, 1) == FAIL ? -1 : real(from, to);
}

int renameat(int base, const char *from, int other, const char *to) {
    REAL(renameat);
    return judge_at("rename", other, to, 1) == FAIL ? -1 : real(base, from, other, to);
}

int renameat2(int base, const char *from, int other, const char *to, unsigned flags) {
    REAL(renameat2);
    return judge_at("rename", other, to, 1) == FAIL ? -1 : real(base, from, other, to, flags);
}

int link(const char *from, const char *to) {
    REAL(link);
    return judge_at("link", AT_FDCWD, to, 1) == FAIL ? -1 : real(from, to);
}

int linkat(int base, const char *from, int other, const char *to, int flags) {
    REAL(linkat);
    return judge_at("link", other, to, 1) == FAIL ? -1 : real(base, from, other, to, flags);
}

int symlink(const char *target, const char *path) {
    REAL(symlink);
    return judge_at("link", AT_FDCWD, path, 1) == FAIL ? -1 : real(target, path);
}
