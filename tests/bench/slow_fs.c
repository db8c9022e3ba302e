/* A read-only view of a folder in which every request takes a while, as on a NAS: `slow_fs FOLDER MOUNT MICROSECONDS`.
 * Requests wait side by side, so many in flight hide the waiting. Listings bring attributes along, as those of SMB and NFS do. */
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

static const char *root;
static struct timespec delay;

static void wait_for_the_answer(void) { nanosleep(&delay, NULL); }

static void *start(struct fuse_conn_info *conn, struct fuse_config *config) {
    conn->max_background = 64;
    conn->congestion_threshold = 64;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 1;
    return NULL;
}

static int slow_getattr(const char *path, struct stat *facts, struct fuse_file_info *file) {
    char full[4096];
    (void)file;
    wait_for_the_answer();
    snprintf(full, sizeof full, "%s%s", root, path);
    return lstat(full, facts) ? -errno : 0;
}

static int slow_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                        enum fuse_readdir_flags flags) {
    char full[4096];
    struct dirent *entry;
    (void)offset, (void)file, (void)flags;
    wait_for_the_answer();
    snprintf(full, sizeof full, "%s%s", root, path);
    DIR *dir = opendir(full);
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
    char full[4096];
    wait_for_the_answer();
    snprintf(full, sizeof full, "%s%s", root, path);
    int fd = open(full, O_RDONLY);
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

static const struct fuse_operations operations = {
    .init = start,
    .getattr = slow_getattr,
    .readdir = slow_readdir,
    .open = slow_open,
    .read = slow_read,
    .release = slow_release,
};

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "usage: slow_fs FOLDER MOUNT MICROSECONDS\n"), 2;
    root = argv[1];
    long us = atol(argv[3]);
    delay = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    char *arguments[] = {argv[0], argv[2], "-f", "-o", "ro,max_threads=64,max_idle_threads=64", NULL};
    return fuse_main(5, arguments, &operations, NULL);
}
