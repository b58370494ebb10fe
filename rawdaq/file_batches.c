/* Many files opened, written and brought to the disk at once: meanwhile the interpreter is free for the receiver.
 *
 * Each call of Python's os.open, os.stat, os.write and os.fsync gives the interpreter away and asks for it again, and
 * beside a thread that is busy each of these costs several system calls. What the functions do, with arguments and
 * errors, is told in file_batches.pyi; the same in Python is in archive_file.py.
 */
#define _GNU_SOURCE /* sync_file_range */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    FIELDS = 5,        /* of the tuple that says what belongs in one file */
    MOST_PIECES = 1024 /* in one call of the system: IOV_MAX of Linux and macOS */
};

typedef struct {
    int descriptor;
    const char *path;
    uint64_t device, inode;
    struct iovec *pieces;
    Py_ssize_t count;
    int64_t size_bytes, written_bytes; /* the outcome; size -1: nothing was written, the path does not lead here */
    int error;
} File;

typedef struct {
    char *path; /* our own copy */
    int descriptor;
    struct stat status;
    int error;
} Opened;

static void write_pieces(File *file)
{
    struct iovec *piece = file->pieces, *end = piece + file->count;

    while (piece < end) {
        ssize_t written = writev(file->descriptor, piece, (int)(end - piece < MOST_PIECES ? end - piece : MOST_PIECES));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            file->error = errno;
            return;
        }
        file->written_bytes += written;
        while (piece < end && (size_t)written >= piece->iov_len)
            written -= (ssize_t)piece++->iov_len;
        if (piece < end) {
            piece->iov_base = (char *)piece->iov_base + written;
            piece->iov_len -= (size_t)written;
        }
    }
}

/* Append to one file, if its path still leads to it. */
static void append_to(File *file)
{
    struct stat status;

    if (stat(file->path, &status) < 0) {
        file->error = errno == ENOENT ? 0 : errno;
    } else if ((uint64_t)status.st_dev == file->device && (uint64_t)status.st_ino == file->inode) {
        file->size_bytes = status.st_size;
        write_pieces(file);
    }
}

/* Read what belongs in one file; return less than 0 with an error set. Nothing of it is copied: whoever called holds the
 * tuples. */
static int read_file(PyObject *wanted, File *file)
{
    char *data;
    Py_ssize_t size;

    if (!PyTuple_Check(wanted) || PyTuple_Size(wanted) != FIELDS || !PyTuple_Check(PyTuple_GetItem(wanted, 4))) {
        PyErr_SetString(PyExc_TypeError, "a file is a tuple of descriptor, path, device, inode and a tuple of pieces");
        return -1;
    }
    PyObject *pieces = PyTuple_GetItem(wanted, 4);
    file->size_bytes = -1;
    file->count = PyTuple_Size(pieces);
    file->pieces = calloc((size_t)file->count + 1, sizeof *file->pieces);
    if (!file->pieces) {
        PyErr_NoMemory();
        return -1;
    }
    file->descriptor = (int)PyLong_AsLong(PyTuple_GetItem(wanted, 0));
    file->path = PyBytes_AsString(PyTuple_GetItem(wanted, 1));
    if (PyErr_Occurred())
        return -1;
    file->device = PyLong_AsUnsignedLongLong(PyTuple_GetItem(wanted, 2));
    file->inode = PyLong_AsUnsignedLongLong(PyTuple_GetItem(wanted, 3));
    for (Py_ssize_t i = 0; !PyErr_Occurred() && i < file->count; i++) {
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(pieces, i), &data, &size) == 0)
            file->pieces[i] = (struct iovec){data, (size_t)size};
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *outcomes(const File *files, Py_ssize_t count)
{
    PyObject *all = PyList_New(0);

    for (Py_ssize_t i = 0; all && i < count; i++) {
        PyObject *one = Py_BuildValue("LLi", (long long)files[i].size_bytes, (long long)files[i].written_bytes,
                                      files[i].error);
        if (!one || PyList_Append(all, one) < 0)
            Py_CLEAR(all);
        Py_XDECREF(one);
    }
    return all;
}

static PyObject *append(PyObject *Py_UNUSED(module), PyObject *wanted)
{
    PyObject *result = NULL;

    if (!PyTuple_Check(wanted)) {
        PyErr_SetString(PyExc_TypeError, "append takes a tuple of files");
        return NULL;
    }
    Py_ssize_t count = PyTuple_Size(wanted), read = 0, tried = 0;
    File *files = calloc((size_t)count + 1, sizeof *files);
    if (!files)
        return PyErr_NoMemory();
    while (read < count && read_file(PyTuple_GetItem(wanted, read), &files[read]) == 0)
        read++;
    if (!PyErr_Occurred()) {
        Py_BEGIN_ALLOW_THREADS
        while (tried < count && (!tried || !files[tried - 1].error))
            append_to(&files[tried++]);
        Py_END_ALLOW_THREADS
        result = outcomes(files, tried);
    }
    for (Py_ssize_t i = 0; i < count; i++)
        free(files[i].pieces);
    free(files);
    return result;
}

/* Make the folders that lead to a path, which is cut short meanwhile; return 0 when they are there. */
static int make_folders(char *path)
{
    char *slash = strrchr(path, '/');
    int failed;

    if (!slash || slash == path)
        return 0;
    *slash = '\0';
    failed = mkdir(path, 0777);
    if (failed && errno == ENOENT && make_folders(path) == 0)
        failed = mkdir(path, 0777);
    if (failed && errno == EEXIST)
        failed = 0;
    *slash = '/';
    return failed;
}

static int open_file(const char *path)
{
    int descriptor;

    do {
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    } while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

/* A file system that knows no locks is used without. */
static int is_refused(int descriptor)
{
    return flock(descriptor, LOCK_EX | LOCK_NB) < 0 && errno != ENOLCK && errno != ENOTSUP && errno != ENOSYS;
}

/* Open one file for appending, with its folders and its lock. */
static void open_one(Opened *file)
{
    file->descriptor = open_file(file->path);
    if (file->descriptor < 0 && errno == ENOENT && make_folders(file->path) == 0)
        file->descriptor = open_file(file->path);
    if (file->descriptor >= 0 && !is_refused(file->descriptor) && fstat(file->descriptor, &file->status) == 0)
        return;
    file->error = errno;
    if (file->descriptor >= 0)
        close(file->descriptor);
    file->descriptor = -1;
}

static PyObject *opened(const Opened *files, Py_ssize_t count)
{
    PyObject *all = PyList_New(0);

    for (Py_ssize_t i = 0; all && i < count; i++) {
        const struct stat *status = &files[i].status;
        PyObject *one = Py_BuildValue("iKKLi", files[i].descriptor, (unsigned long long)status->st_dev,
                                      (unsigned long long)status->st_ino, (long long)status->st_size, files[i].error);
        if (!one || PyList_Append(all, one) < 0)
            Py_CLEAR(all);
        Py_XDECREF(one);
    }
    for (Py_ssize_t i = 0; !all && i < count; i++) {
        if (files[i].descriptor >= 0)
            close(files[i].descriptor);
    }
    return all;
}

static PyObject *open_files(PyObject *Py_UNUSED(module), PyObject *wanted)
{
    PyObject *result = NULL;

    if (!PyTuple_Check(wanted)) {
        PyErr_SetString(PyExc_TypeError, "open takes a tuple of paths");
        return NULL;
    }
    Py_ssize_t count = PyTuple_Size(wanted), read = 0, tried = 0;
    Opened *files = calloc((size_t)count + 1, sizeof *files);
    if (!files)
        return PyErr_NoMemory();
    for (char *path; read < count && PyBytes_AsStringAndSize(PyTuple_GetItem(wanted, read), &path, NULL) == 0; read++) {
        if (!(files[read].path = strdup(path))) {
            PyErr_NoMemory();
            break;
        }
    }
    if (!PyErr_Occurred()) {
        Py_BEGIN_ALLOW_THREADS
        while (tried < count && (!tried || !files[tried - 1].error))
            open_one(&files[tried++]);
        Py_END_ALLOW_THREADS
        result = opened(files, tried);
    }
    for (Py_ssize_t i = 0; i < read; i++)
        free(files[i].path);
    free(files);
    return result;
}

/* Have the system begin to write what files have in memory, without waiting for it: the disk then gets all at once, and
 * an fsync of the last of them finds nearly everything done. A system that cannot do this lets each fsync do it. */
static void begin_to_sync(const int *descriptors, Py_ssize_t count)
{
#ifdef SYNC_FILE_RANGE_WRITE
    for (Py_ssize_t i = 0; i < count; i++)
        (void)sync_file_range(descriptors[i], 0, 0, SYNC_FILE_RANGE_WRITE);
#else
    (void)descriptors;
    (void)count;
#endif
}

/* Return how many files are safe before the first that is not, whose error is stored. */
static Py_ssize_t sync_to_first_error(const int *descriptors, Py_ssize_t count, int *error)
{
    Py_ssize_t safe = 0;

    begin_to_sync(descriptors, count);
    while (safe < count && !*error) {
        if (fsync(descriptors[safe]) == 0)
            safe++;
        else if (errno != EINTR)
            *error = errno;
    }
    return safe;
}

static PyObject *sync_files(PyObject *Py_UNUSED(module), PyObject *wanted)
{
    Py_ssize_t count = 0, safe = 0;
    int error = 0;

    if (!PyTuple_Check(wanted)) {
        PyErr_SetString(PyExc_TypeError, "sync takes a tuple of descriptors");
        return NULL;
    }
    int *descriptors = calloc((size_t)PyTuple_Size(wanted) + 1, sizeof *descriptors);
    if (!descriptors)
        return PyErr_NoMemory();
    for (; !PyErr_Occurred() && count < PyTuple_Size(wanted); count++)
        descriptors[count] = (int)PyLong_AsLong(PyTuple_GetItem(wanted, count));
    if (!PyErr_Occurred()) {
        Py_BEGIN_ALLOW_THREADS
        safe = sync_to_first_error(descriptors, count, &error);
        Py_END_ALLOW_THREADS
    }
    free(descriptors);
    return PyErr_Occurred() ? NULL : Py_BuildValue("ni", safe, error);
}

static PyMethodDef FUNCTIONS[] = {
    {"append", append, METH_O, NULL},
    {"open", open_files, METH_O, NULL},
    {"sync", sync_files, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot SLOTS[] = {{0, NULL}};
static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "rawdaq.file_batches", .m_methods = FUNCTIONS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit_file_batches(void)
{
    return PyModuleDef_Init(&MODULE);
}
