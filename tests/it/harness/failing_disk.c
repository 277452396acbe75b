/* A disk that fails when a test says so. Loaded into the server with LD_PRELOAD; only files whose name has
 * "usher.db" in it are concerned. The test writes the control, which is mapped here, and reads the count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4 };

struct control {
  int32_t kinds;  /* which calls fail */
  int32_t skip;   /* so many of them succeed first */
  int32_t count;  /* then so many fail */
  int32_t error;  /* with this errno */
  int32_t failed; /* so many have failed */
};

static struct control *control(void) {
  static struct control *mapped;
  if (!mapped) {
    int fd = open(getenv("FAILING_DISK"), O_RDWR);
    mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  return mapped;
}

static int fails(int fd, int kind) {
  char link[64], path[4096];
  struct control *now = control();
  if (!(__atomic_load_n(&now->kinds, __ATOMIC_SEQ_CST) & kind)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (!strstr(path, "usher.db")) return 0;
  if (__atomic_sub_fetch(&now->skip, 1, __ATOMIC_SEQ_CST) >= 0) return 0;
  if (__atomic_sub_fetch(&now->count, 1, __ATOMIC_SEQ_CST) < 0) return 0;
  __atomic_add_fetch(&now->failed, 1, __ATOMIC_SEQ_CST);
  errno = now->error;
  return 1;
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

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
