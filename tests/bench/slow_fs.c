/* A view of a folder in which every request takes a while, as on a NAS: `slow_fs FOLDER MOUNT MICROSECONDS [rw]`, read-only
 * unless `rw` is said, which lets files be made, filled, flushed, renamed and removed. Requests wait side by side, so many in flight hide the waiting. Listings bring attributes along, as those of SMB and NFS do. */
#define FUSE_USE_VERSION 35
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_PATH 4096

static const char *root;
static struct timespec delay;

static void wait_for_the_answer(void) { nanosleep(&delay, NULL); }

/* Waits, then says where the file is in truth. */
static const char *ask(const char *path, char full[LONGEST_PATH]) {
    wait_for_the_answer();
    snprintf(full, LONGEST_PATH, "%s%s", root, path);
    return full;
}

static int answer(int outcome) { return outcome ? -errno : 0; }

static void *start(struct fuse_conn_info *conn, struct fuse_config *config) {
    conn->max_background = 64;
    conn->congestion_threshold = 64;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 1;
    return NULL;
}

static int slow_getattr(const char *path, struct stat *facts, struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    (void)file;
    return answer(lstat(ask(path, full), facts));
}

static int slow_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                        enum fuse_readdir_flags flags) {
    char full[LONGEST_PATH];
    struct dirent *entry;
    (void)offset, (void)file, (void)flags;
    DIR *dir = opendir(ask(path, full));
    if (!dir) return -errno;
    while ((entry = readdir(dir))) {
        struct stat facts = {0};
        if (fstatat(dirfd(dir), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW)) continue;
        if (fill(buffer, entry->d_name, &facts, 0, FUSE_FILL_DIR_PLUS)) break;
    }
    closedir(dir);
    return 0;
}

static int slow_open(const char *path, struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    int fd = open(ask(path, full), file->flags & (O_ACCMODE | O_TRUNC));
    if (fd < 0) return -errno;
    file->fh = fd;
    return 0;
}

static int slow_create(const char *path, mode_t mode, struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    int fd = open(ask(path, full), file->flags, mode);
    if (fd < 0) return -errno;
    file->fh = fd;
    return 0;
}

static int slow_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)path;
    wait_for_the_answer();
    ssize_t got = pread(file->fh, buffer, size, offset);
    return got < 0 ? -errno : got;
}

static int slow_release(const char *path, struct fuse_file_info *file) {
    (void)path;
    close(file->fh);
    return 0;
}

static int slow_write(const char *path, const char *bytes, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)path;
    wait_for_the_answer();
    ssize_t put = pwrite(file->fh, bytes, size, offset);
    return put < 0 ? -errno : put;
}

static int slow_fsync(const char *path, int data_only, struct fuse_file_info *file) {
    (void)path;
    wait_for_the_answer();
    return answer(data_only ? fdatasync(file->fh) : fsync(file->fh));
}

static int slow_fsyncdir(const char *path, int data_only, struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    (void)data_only, (void)file;
    int fd = open(ask(path, full), O_RDONLY | O_DIRECTORY);
    if (fd < 0) return -errno;
    int outcome = answer(fsync(fd));
    close(fd);
    return outcome;
}

static int slow_rename(const char *from, const char *to, unsigned int flags) {
    char full_from[LONGEST_PATH], full_to[LONGEST_PATH];
    snprintf(full_from, sizeof full_from, "%s%s", root, from);
    return answer(renameat2(AT_FDCWD, full_from, AT_FDCWD, ask(to, full_to), flags));
}

static int slow_unlink(const char *path) {
    char full[LONGEST_PATH];
    return answer(unlink(ask(path, full)));
}

static int slow_chmod(const char *path, mode_t mode, struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    (void)file;
    return answer(chmod(ask(path, full), mode));
}

static int slow_chown(const char *path, uid_t owner, gid_t group, struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    (void)file;
    return answer(lchown(ask(path, full), owner, group));
}

static int slow_truncate(const char *path, off_t size, struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    (void)file;
    return answer(truncate(ask(path, full), size));
}

static int slow_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file) {
    char full[LONGEST_PATH];
    (void)file;
    return answer(utimensat(AT_FDCWD, ask(path, full), times, AT_SYMLINK_NOFOLLOW));
}

static const struct fuse_operations operations = {
    .init = start,
    .getattr = slow_getattr,
    .readdir = slow_readdir,
    .open = slow_open,
    .create = slow_create,
    .read = slow_read,
    .write = slow_write,
    .fsync = slow_fsync,
    .fsyncdir = slow_fsyncdir,
    .rename = slow_rename,
    .unlink = slow_unlink,
    .chmod = slow_chmod,
    .chown = slow_chown,
    .truncate = slow_truncate,
    .utimens = slow_utimens,
    .release = slow_release,
};

int main(int argc, char **argv) {
    int is_writable = argc == 5 && !strcmp(argv[4], "rw");
    if (argc != 4 && !is_writable) return fprintf(stderr, "usage: slow_fs FOLDER MOUNT MICROSECONDS [rw]\n"), 2;
    root = argv[1];
    long us = atol(argv[3]);
    delay = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    char *options = is_writable ? "rw,max_threads=64,max_idle_threads=64" : "ro,max_threads=64,max_idle_threads=64";
    char *arguments[] = {argv[0], argv[2], "-f", "-o", options, NULL};
    return fuse_main(5, arguments, &operations, NULL);
}
