/*
 * A webcam made of files, for machines without one: loaded with LD_PRELOAD it answers for one V4L2 capture device,
 * /dev/video0, inside the process under test. Nothing else of the system is touched.
 *
 * Built by the tests: cc -shared -fPIC -O2 -o libfakecam.so fakecam.c -ldl -lpthread
 *
 * Environment:
 *   FAKECAM_SOURCE   a file of raw YUYV frames, or a folder of *.jpg (shown in the order of their names)
 *   FAKECAM_SIZE     WIDTHxHEIGHT of the frames, e.g. 640x480
 *   FAKECAM_FPS      frames per second, default 30
 *   FAKECAM_FRAMES   deliver this many frames, then do what FAKECAM_THEN says; default: no end
 *   FAKECAM_THEN     unplug (ENODEV), stall (silence for ever), break (EIO from every call); default unplug
 *   FAKECAM_NAME     the name in the list, default "Fake Camera"
 *   FAKECAM_OPEN     errno that open() fails with: EACCES, EBUSY; default: open works
 *   FAKECAM_STRIDE   bytes per row of the YUYV frames in the driver buffer, default 2 * width
 *
 * How it works. The device's file descriptor is a memfd that holds the frame buffers, so that mmap() works without a
 * hook. ioctl() is answered here, also when it comes as syscall(SYS_ioctl), as the Rust crate v4l calls it. poll()
 * waits until the next frame is due. Listing works by a false entry in /dev and a false file under /sys.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "/dev/video0"
#define NAME_FILE "/sys/class/video4linux/video0/name"
#define MAX_BUFFERS 8

struct picture {
    unsigned char *bytes;
    size_t length;
};

static pthread_once_t loaded = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What the environment asks for; constant after load(). */
static struct picture *pictures;
static size_t picture_count;
static uint32_t width = 640, height = 480, fps = 30, stride;
static uint32_t fourcc = V4L2_PIX_FMT_YUYV;
static size_t buffer_size;
static long frame_limit = -1;
static int then_stall, end_error = ENODEV, open_error;
static const char *camera_name = "Fake Camera";

/* The one device; guarded by lock. */
static int device_fd = -1;
static unsigned char *memory;
static unsigned buffer_count;
static unsigned queue[MAX_BUFFERS], queued;
static int streaming;
static long delivered;
static struct timespec next_due;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static int (*real_poll)(struct pollfd *, nfds_t, int);
static int (*real_select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
static int (*real_ioctl)(int, unsigned long, ...);
static long (*real_syscall)(long, ...);
static DIR *(*real_opendir)(const char *);
static struct dirent64 *(*real_readdir64)(DIR *);
static int (*real_closedir)(DIR *);

__attribute__((constructor)) static void find_real_functions(void) {
    if (real_syscall) return;
    real_open = dlsym(RTLD_NEXT, "open");
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_close = dlsym(RTLD_NEXT, "close");
    real_poll = dlsym(RTLD_NEXT, "poll");
    real_select = dlsym(RTLD_NEXT, "select");
    real_ioctl = dlsym(RTLD_NEXT, "ioctl");
    real_opendir = dlsym(RTLD_NEXT, "opendir");
    real_readdir64 = dlsym(RTLD_NEXT, "readdir64");
    real_closedir = dlsym(RTLD_NEXT, "closedir");
    real_syscall = dlsym(RTLD_NEXT, "syscall");
}

static void give_up(const char *what) {
    fprintf(stderr, "fakecam: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static struct picture read_whole(const char *path) {
    struct picture picture = {0};
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) give_up(path);
    picture.length = (size_t)ftell(file);
    rewind(file);
    picture.bytes = malloc(picture.length + 1);
    if (!picture.bytes || fread(picture.bytes, 1, picture.length, file) != picture.length) give_up(path);
    fclose(file);
    return picture;
}

static int is_jpeg(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && !strcmp(dot, ".jpg");
}

static void load_folder(const char *path) {
    struct dirent **names;
    int count = scandir(path, &names, is_jpeg, alphasort);
    if (count < 1) give_up(path);
    pictures = calloc((size_t)count, sizeof *pictures);
    for (int at = 0; at < count; at++) {
        char whole[4096];
        snprintf(whole, sizeof whole, "%s/%s", path, names[at]->d_name);
        pictures[at] = read_whole(whole);
        if (pictures[at].length > buffer_size) buffer_size = pictures[at].length;
        free(names[at]);
    }
    free(names);
    picture_count = (size_t)count;
    fourcc = V4L2_PIX_FMT_MJPEG;
    /* Real drivers give JPEG streams a buffer of the uncompressed size. */
    if (buffer_size < (size_t)width * height * 2) buffer_size = (size_t)width * height * 2;
}

static void load_yuyv(const char *path) {
    struct picture all = read_whole(path);
    size_t row = (size_t)width * 2, frame = row * height;
    picture_count = all.length / frame;
    if (!picture_count) give_up("no whole frame in the source");
    pictures = calloc(picture_count, sizeof *pictures);
    buffer_size = (size_t)stride * height;
    for (size_t at = 0; at < picture_count; at++) {
        pictures[at].length = buffer_size;
        pictures[at].bytes = malloc(buffer_size);
        /* What a driver leaves in the padding is arbitrary. */
        memset(pictures[at].bytes, 0xA5, buffer_size);
        for (uint32_t y = 0; y < height; y++)
            memcpy(pictures[at].bytes + (size_t)y * stride, all.bytes + at * frame + y * row, row);
    }
    free(all.bytes);
}

static void load(void) {
    const char *value;
    find_real_functions();
    if ((value = getenv("FAKECAM_NAME"))) camera_name = value;
    if ((value = getenv("FAKECAM_SIZE")) && sscanf(value, "%ux%u", &width, &height) != 2) give_up("FAKECAM_SIZE");
    if ((value = getenv("FAKECAM_FPS"))) fps = (uint32_t)atoi(value);
    if ((value = getenv("FAKECAM_FRAMES"))) frame_limit = atol(value);
    if ((value = getenv("FAKECAM_THEN"))) {
        then_stall = !strcmp(value, "stall");
        if (!strcmp(value, "break")) end_error = EIO;
    }
    if ((value = getenv("FAKECAM_OPEN"))) open_error = !strcmp(value, "EACCES") ? EACCES : EBUSY;
    stride = (value = getenv("FAKECAM_STRIDE")) ? (uint32_t)atoi(value) : width * 2;
    if (!fps || !width || !height || stride < width * 2) give_up("the settings make no sense");
    if (!(value = getenv("FAKECAM_SOURCE"))) give_up("FAKECAM_SOURCE is missing");
    struct stat status;
    if (stat(value, &status)) give_up(value);
    if (S_ISDIR(status.st_mode)) load_folder(value); else load_yuyv(value);
}

/* Buffers lie on page boundaries of the memfd, because mmap() offsets must. */
static size_t buffer_step(void) { return (buffer_size + 4095) / 4096 * 4096; }

static int open_device(void) {
    pthread_once(&loaded, load);
    if (open_error) { errno = open_error; return -1; }
    pthread_mutex_lock(&lock);
    if (device_fd >= 0) {
        pthread_mutex_unlock(&lock);
        errno = EBUSY;
        return -1;
    }
    device_fd = memfd_create("fakecam", MFD_CLOEXEC);
    size_t whole = buffer_step() * MAX_BUFFERS;
    if (device_fd < 0 || ftruncate(device_fd, (off_t)whole)) give_up("memfd");
    memory = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, device_fd, 0);
    if (memory == MAP_FAILED) give_up("mmap");
    buffer_count = queued = 0;
    streaming = 0;
    int fd = device_fd;
    pthread_mutex_unlock(&lock);
    return fd;
}

static int open_name_file(void) {
    pthread_once(&loaded, load);
    int fd = memfd_create("fakecam-name", MFD_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%s\n", camera_name) < 0) give_up("name");
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* The descriptor for a path that is ours, or -2 for any other. */
static int open_ours(const char *path) {
    if (path && !strcmp(path, DEVICE)) return open_device();
    if (path && !strcmp(path, NAME_FILE)) return open_name_file();
    return -2;
}

static int past_the_end(void) { return frame_limit >= 0 && delivered >= frame_limit; }

static long long until_due_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (next_due.tv_sec - now.tv_sec) * 1000000000LL + (next_due.tv_nsec - now.tv_nsec);
}

static void sleep_ns(long long ns) {
    struct timespec pause = {ns / 1000000000LL, ns % 1000000000LL};
    while (nanosleep(&pause, &pause) && errno == EINTR) {}
}

/* Waits for a frame like poll() on a device: 1 ready, 0 time out. An unplugged device is ready: its DQBUF fails. */
static int wait_for_frame(int timeout_ms) {
    long long left = timeout_ms < 0 ? -1 : timeout_ms * 1000000LL;
    for (;;) {
        pthread_mutex_lock(&lock);
        int ended = past_the_end();
        long long due = until_due_ns();
        int ready = streaming && queued && !ended && due <= 0;
        pthread_mutex_unlock(&lock);
        if (ready || (ended && !then_stall)) return 1;
        if (left == 0) return 0;
        long long pause = due > 0 && due < 5000000LL && !ended ? due : 5000000LL;
        if (left > 0 && pause > left) pause = left;
        sleep_ns(pause);
        if (left > 0) left -= pause;
    }
}

static int fail(int error) {
    errno = error;
    return -1;
}

static void describe_format(struct v4l2_pix_format *pixels) {
    pixels->width = width;
    pixels->height = height;
    pixels->pixelformat = fourcc;
    pixels->field = V4L2_FIELD_NONE;
    pixels->bytesperline = fourcc == V4L2_PIX_FMT_YUYV ? stride : 0;
    pixels->sizeimage = (uint32_t)buffer_size;
    pixels->colorspace = V4L2_COLORSPACE_SRGB;
}

static void describe_buffer(struct v4l2_buffer *buffer, unsigned index) {
    buffer->index = index;
    buffer->length = (uint32_t)buffer_size;
    buffer->m.offset = (uint32_t)(index * buffer_step());
    buffer->memory = V4L2_MEMORY_MMAP;
    buffer->field = V4L2_FIELD_NONE;
}

static int dequeue(struct v4l2_buffer *buffer) {
    if (past_the_end()) return fail(then_stall ? EAGAIN : end_error);
    if (!streaming) return fail(EINVAL);
    if (!queued || until_due_ns() > 0) return fail(EAGAIN);
    unsigned index = queue[0];
    memmove(queue, queue + 1, --queued * sizeof *queue);
    const struct picture *picture = &pictures[(size_t)delivered % picture_count];
    /* Only the picture is written: after a JPEG the rest of older ones stays, as with a real driver. */
    memcpy(memory + index * buffer_step(), picture->bytes, picture->length);
    describe_buffer(buffer, index);
    buffer->bytesused = (uint32_t)picture->length;
    buffer->sequence = (uint32_t)delivered;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    delivered++;
    next_due.tv_nsec += 1000000000L / fps;
    next_due.tv_sec += next_due.tv_nsec / 1000000000L;
    next_due.tv_nsec %= 1000000000L;
    /* A reader that was away does not get the missed frames in a burst. */
    if (until_due_ns() < 0) next_due = now;
    return 0;
}

static int answer_locked(unsigned long request, void *argument) {
    /* Once unplugged or broken, everything fails. */
    if (past_the_end() && !then_stall) return fail(end_error);
    /* Callers sign-extend the number or not. */
    switch ((uint32_t)request) {
    case (uint32_t)VIDIOC_QUERYCAP: {
        struct v4l2_capability *caps = argument;
        memset(caps, 0, sizeof *caps);
        snprintf((char *)caps->driver, sizeof caps->driver, "fakecam");
        snprintf((char *)caps->card, sizeof caps->card, "%s", camera_name);
        snprintf((char *)caps->bus_info, sizeof caps->bus_info, "files");
        caps->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        caps->capabilities = caps->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case (uint32_t)VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *format = argument;
        if (format->index || format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        format->pixelformat = fourcc;
        format->flags = fourcc == V4L2_PIX_FMT_MJPEG ? V4L2_FMT_FLAG_COMPRESSED : 0;
        snprintf((char *)format->description, sizeof format->description, "fake");
        return 0;
    }
    case (uint32_t)VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *size = argument;
        if (size->index || size->pixel_format != fourcc) return fail(EINVAL);
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete.width = width;
        size->discrete.height = height;
        return 0;
    }
    case (uint32_t)VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *interval = argument;
        if (interval->index || interval->pixel_format != fourcc) return fail(EINVAL);
        if (interval->width != width || interval->height != height) return fail(EINVAL);
        interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        interval->discrete.numerator = 1;
        interval->discrete.denominator = fps;
        return 0;
    }
    case (uint32_t)VIDIOC_G_FMT:
    case (uint32_t)VIDIOC_S_FMT:
    case (uint32_t)VIDIOC_TRY_FMT: {
        struct v4l2_format *format = argument;
        if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        describe_format(&format->fmt.pix);
        return 0;
    }
    case (uint32_t)VIDIOC_G_PARM:
    case (uint32_t)VIDIOC_S_PARM: {
        struct v4l2_streamparm *parameters = argument;
        if (parameters->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parameters->parm.capture.timeperframe.numerator = 1;
        parameters->parm.capture.timeperframe.denominator = fps;
        return 0;
    }
    case (uint32_t)VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        if (wanted->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
        if (wanted->count > MAX_BUFFERS) wanted->count = MAX_BUFFERS;
        buffer_count = wanted->count;
        queued = 0;
        return 0;
    }
    case (uint32_t)VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= buffer_count) return fail(EINVAL);
        describe_buffer(buffer, buffer->index);
        return 0;
    }
    case (uint32_t)VIDIOC_QBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= buffer_count || queued >= MAX_BUFFERS) return fail(EINVAL);
        /* A buffer that the device holds already is refused, as by a real driver. */
        for (unsigned at = 0; at < queued; at++)
            if (queue[at] == buffer->index) return fail(EINVAL);
        queue[queued++] = buffer->index;
        return 0;
    }
    case (uint32_t)VIDIOC_DQBUF:
        return dequeue(argument);
    case (uint32_t)VIDIOC_STREAMON:
        streaming = 1;
        clock_gettime(CLOCK_MONOTONIC, &next_due);
        return 0;
    case (uint32_t)VIDIOC_STREAMOFF:
        streaming = 0;
        queued = 0;
        return 0;
    default:
        return fail(ENOTTY);
    }
}

static int answer(unsigned long request, void *argument) {
    pthread_mutex_lock(&lock);
    int result = answer_locked(request, argument);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int is_device(int fd) { return fd >= 0 && fd == __atomic_load_n(&device_fd, __ATOMIC_ACQUIRE); }

/* The hooks. */

#define OPEN_HOOK(name)                                                   \
    int name(const char *path, int flags, ...) {                          \
        mode_t mode = 0;                                                  \
        if (flags & (O_CREAT | O_TMPFILE)) {                              \
            va_list rest;                                                 \
            va_start(rest, flags);                                        \
            mode = va_arg(rest, mode_t);                                  \
            va_end(rest);                                                 \
        }                                                                 \
        find_real_functions();                                            \
        int ours = open_ours(path);                                       \
        return ours == -2 ? real_open(path, flags, mode) : ours;          \
    }
OPEN_HOOK(open)
OPEN_HOOK(open64)

#define OPENAT_HOOK(name)                                                 \
    int name(int folder, const char *path, int flags, ...) {              \
        mode_t mode = 0;                                                  \
        if (flags & (O_CREAT | O_TMPFILE)) {                              \
            va_list rest;                                                 \
            va_start(rest, flags);                                        \
            mode = va_arg(rest, mode_t);                                  \
            va_end(rest);                                                 \
        }                                                                 \
        find_real_functions();                                            \
        int ours = open_ours(path);                                       \
        return ours == -2 ? real_openat(folder, path, flags, mode) : ours;\
    }
OPENAT_HOOK(openat)
OPENAT_HOOK(openat64)

int close(int fd) {
    find_real_functions();
    if (is_device(fd)) {
        pthread_mutex_lock(&lock);
        munmap(memory, buffer_step() * MAX_BUFFERS);
        __atomic_store_n(&device_fd, -1, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&lock);
    }
    return real_close(fd);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
    find_real_functions();
    if (count != 1 || !is_device(fds->fd)) return real_poll(fds, count, timeout);
    int ready = wait_for_frame(timeout);
    fds->revents = ready ? POLLIN : 0;
    return ready;
}

int select(int count, fd_set *reading, fd_set *writing, fd_set *failing, struct timeval *timeout) {
    find_real_functions();
    int fd = __atomic_load_n(&device_fd, __ATOMIC_ACQUIRE);
    if (fd < 0 || fd >= count || !reading || !FD_ISSET(fd, reading))
        return real_select(count, reading, writing, failing, timeout);
    int ready = wait_for_frame(timeout ? (int)(timeout->tv_sec * 1000 + timeout->tv_usec / 1000) : -1);
    if (!ready) FD_CLR(fd, reading);
    return ready;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    find_real_functions();
    return is_device(fd) ? answer(request, argument) : real_ioctl(fd, request, argument);
}

long syscall(long number, ...) {
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int at = 0; at < 6; at++) a[at] = va_arg(rest, long);
    va_end(rest);
    find_real_functions();
    if (number == SYS_ioctl && is_device((int)a[0])) return answer((unsigned long)a[1], (void *)a[2]);
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The listing of /dev: without real cameras, with ours at its end. */

static DIR *listed;
static int entry_given;

DIR *opendir(const char *path) {
    find_real_functions();
    DIR *folder = real_opendir(path);
    if (folder && !strcmp(path, "/dev")) {
        pthread_mutex_lock(&lock);
        listed = folder;
        entry_given = 0;
        pthread_mutex_unlock(&lock);
    }
    return folder;
}

struct dirent64 *readdir64(DIR *folder) {
    static struct dirent64 entry;
    find_real_functions();
    pthread_mutex_lock(&lock);
    int ours = folder == listed;
    pthread_mutex_unlock(&lock);
    struct dirent64 *real = real_readdir64(folder);
    if (!ours) return real;
    while (real && !strncmp(real->d_name, "video", 5)) real = real_readdir64(folder);
    if (real || entry_given) return real;
    entry_given = 1;
    memset(&entry, 0, sizeof entry);
    entry.d_ino = 1;
    entry.d_type = DT_CHR;
    entry.d_reclen = sizeof entry;
    strcpy(entry.d_name, "video0");
    return &entry;
}

int closedir(DIR *folder) {
    find_real_functions();
    pthread_mutex_lock(&lock);
    if (folder == listed) listed = NULL;
    pthread_mutex_unlock(&lock);
    return real_closedir(folder);
}
