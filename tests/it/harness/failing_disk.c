/* A disk that fails when a test says so. Loaded into the server with LD_PRELOAD; only files whose name has
 * "usher.db" in it are concerned. The test writes the control, which is mapped here, and reads the count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8, UNLINK = 16 };

struct control {
  int32_t kinds;  /* which calls fail */
  int32_t skip;   /* so many of them succeed first */
  int32_t count;  /* then so many fail */
  int32_t error;  /* with this errno */
  int32_t failed; /* so many have failed */
};

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static struct control *control(void) {
  static struct control *mapped;
  if (!mapped) {
    int fd = REAL(open)(getenv("FAILING_DISK"), O_RDWR);
    mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  return mapped;
}

static int is_armed(int kind) {
  return __atomic_load_n(&control()->kinds, __ATOMIC_SEQ_CST) & kind;
}

static int fails_at(const char *path, int kind) {
  struct control *now = control();
  if (!is_armed(kind) || !strstr(path, "usher.db")) return 0;
  if (__atomic_sub_fetch(&now->skip, 1, __ATOMIC_SEQ_CST) >= 0) return 0;
  if (__atomic_sub_fetch(&now->count, 1, __ATOMIC_SEQ_CST) < 0) return 0;
  __atomic_add_fetch(&now->failed, 1, __ATOMIC_SEQ_CST);
  errno = now->error;
  return 1;
}

static int fails(int fd, int kind) {
  char link[64], path[4096];
  if (!is_armed(kind)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return fails_at(path, kind);
}

/* A read-only file system opens what is there for reading, and nothing else. */
static int is_refused(const char *path, int flags) {
  int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
  int makes = flags & O_CREAT && access(path, F_OK) != 0;
  return (writes || makes) && fails_at(path, OPEN);
}

ssize_t write(int fd, const void *data, size_t size) {
  return fails(fd, WRITE) ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  return fails(fd, WRITE) ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  return fails(fd, WRITE) ? -1 : REAL(pwrite64)(fd, data, size, at);
}
int fsync(int fd) { return fails(fd, SYNC) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd, SYNC) ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { return fails(fd, TRUNCATE) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails(fd, TRUNCATE) ? -1 : REAL(ftruncate64)(fd, size); }
int unlink(const char *path) { return fails_at(path, UNLINK) ? -1 : REAL(unlink)(path); }

#define OPENS(name)                                                      \
  int name(const char *path, int flags, ...) {                           \
    va_list more;                                                        \
    va_start(more, flags);                                               \
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;            \
    va_end(more);                                                        \
    return is_refused(path, flags) ? -1 : REAL(name)(path, flags, mode); \
  }
OPENS(open)
OPENS(open64)
