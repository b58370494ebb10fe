/* Packets that come singly: from the bytes of a device to SampleBlocks, and from a packet to the bytes of a live stream.
 *
 * Python does the same in a hundred small steps. They are quick where thousands follow each other; where a packet comes
 * now and then, nothing of a program is in a cache any more, and what counts is how much of it is touched. What the
 * functions do, with arguments and errors, is told in single_packets.pyi; why they are here, in
 * docs/decisions/single-packets.md. Whatever is not plainly right they leave to Python, which knows what is wrong.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum {
    HEADER_1_BYTES = 19, HEADER_2_BYTES = 18, /* of RAW 1.0 and 1.1, and of 2.0 */
    FIRST_YEAR = 1678, LAST_YEAR = 2261,      /* of which 64 bits hold the nanoseconds */
    MAX_SAMPLES = 1000000,                    /* of one packet */
    MAX_TEXT_BYTES = 256,                     /* of the part of a message's header that is made here */
    MORE = 1, LONG = 2,                       /* flags of a ZMTP frame */
};

typedef struct {
    uint32_t year, day, hour, minute, second, us, quality, channel, count;
} Header;

static uint32_t number(const uint8_t *place, int bytes)
{
    uint32_t value = 0;

    while (bytes--)
        value = value << 8 | *place++;
    return value;
}

/* Read the header of a packet; return whether its numbers can be, and there are samples. */
static int read_header(const uint8_t *place, int has_quality, Header *header)
{
    const uint8_t *tail = place + 11;

    *header = (Header){
        .year = number(place, 2), .day = number(place + 2, 2), .hour = place[4], .minute = place[5],
        .second = place[6], .us = number(place + 7, 4),
        .quality = has_quality ? tail[0] : 100,
        .channel = has_quality ? number(tail + 1, 2) : number(tail, 4),
        .count = has_quality ? number(tail + 3, 4) : number(tail + 4, 4),
    };
    uint32_t year = header->year, days = 365 + (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    return year >= FIRST_YEAR && year <= LAST_YEAR && header->day >= 1 && header->day <= days && header->hour <= 23
           && header->minute <= 59 && header->second <= 60 && header->us <= 999999 && header->quality <= 100
           && header->count >= 1 && header->count <= MAX_SAMPLES;
}

/* Return the time of the first sample in nanoseconds since 1970; second 60 is the first one of the next minute. */
static int64_t start_ns(const Header *header)
{
    int64_t past = (int64_t)header->year - 1, days = past * 365 + past / 4 - past / 100 + past / 400 - 719162;
    int64_t seconds = ((days + header->day - 1) * 24 + header->hour) * 3600 + header->minute * 60 + header->second;

    return (seconds * 1000000 + header->us) * 1000;
}

/* What all packets of a call have in common: borrowed from its arguments. */
typedef struct {
    PyObject *data, *kinds, *make_block, *make_samples;
    const uint8_t *bytes;
    Py_ssize_t size, most;
    int has_quality, header_bytes;
} Chunk;

/* Return the samples of a packet, a view of the chunk. */
static PyObject *samples_at(const Chunk *chunk, PyObject *dtype, uint32_t count, Py_ssize_t position)
{
    PyObject *counted = PyLong_FromUnsignedLong(count), *offset = PyLong_FromSsize_t(position), *samples = NULL;

    if (counted && offset)
        samples = PyObject_CallFunctionObjArgs(chunk->make_samples, chunk->data, dtype, counted, offset, NULL);
    Py_XDECREF(counted);
    Py_XDECREF(offset);
    return samples;
}

/* Return the block of a packet, whose samples are given away. */
static PyObject *block_of(const Chunk *chunk, const Header *header, PyObject *samples)
{
    PyObject *values = samples ? Py_BuildValue("ILIN", header->channel, (long long)start_ns(header), header->quality,
                                               samples) : NULL;
    PyObject *block = values ? PyObject_CallFunctionObjArgs(chunk->make_block, values, NULL) : NULL;

    Py_XDECREF(values);
    return block;
}

/* Give the block of the packet at *position*, and move on to the next one.
 *
 * Returns 1; 0 when there is no whole packet that is plainly right, or it is one of many; less than 0 with an error set.
 */
static int read_packet(const Chunk *chunk, Py_ssize_t *position, PyObject **block)
{
    Header header;
    Py_ssize_t samples_begin = *position + chunk->header_bytes;

    if (samples_begin > chunk->size || !read_header(chunk->bytes + *position, chunk->has_quality, &header))
        return 0;
    PyObject *channel = PyLong_FromUnsignedLong(header.channel);
    PyObject *kind = channel ? PyDict_GetItemWithError(chunk->kinds, channel) : NULL;
    Py_XDECREF(channel);
    if (kind && (!PyTuple_Check(kind) || PyTuple_Size(kind) != 2))
        PyErr_SetString(PyExc_TypeError, "a kind is a tuple of type and size");
    if (!kind || PyErr_Occurred())
        return PyErr_Occurred() ? -1 : 0;
    PyObject *dtype = PyTuple_GetItem(kind, 0);
    Py_ssize_t end = samples_begin + PyLong_AsSsize_t(PyTuple_GetItem(kind, 1)) * (Py_ssize_t)header.count;
    if (PyErr_Occurred())
        return -1;
    if (end <= samples_begin || end > chunk->size || (!*position && end <= chunk->size / chunk->most))
        return 0;
    *block = block_of(chunk, &header, samples_at(chunk, dtype, header.count, samples_begin));
    *position = end;
    return *block ? 1 : -1;
}

/* Return the blocks of a chunk that is a few packets and nothing else, otherwise None. */
static PyObject *read_all(const Chunk *chunk)
{
    PyObject *blocks = PyList_New(0), *block;
    Py_ssize_t position = 0;
    int found = blocks ? 1 : -1;

    while (found > 0 && position < chunk->size) {
        found = read_packet(chunk, &position, &block);
        if (found > 0) {
            found = PyList_Append(blocks, block) < 0 ? -1 : 1;
            Py_DECREF(block);
        }
    }
    if (found > 0)
        return blocks;
    Py_XDECREF(blocks);
    return found < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *read_few(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer view;

    if (count != 6 || !PyDict_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "read_few takes data, has_quality, kinds, most, make_block and make_samples");
        return NULL;
    }
    int has_quality = PyObject_IsTrue(arguments[1]);
    Py_ssize_t most = PyLong_AsSsize_t(arguments[3]);
    if (!PyErr_Occurred() && most < 1)
        PyErr_SetString(PyExc_ValueError, "most is at least 1");
    if (PyErr_Occurred() || PyObject_GetBuffer(arguments[0], &view, PyBUF_SIMPLE) < 0)
        return NULL;
    Chunk chunk = {
        .data = arguments[0], .kinds = arguments[2], .make_block = arguments[4], .make_samples = arguments[5],
        .bytes = view.buf, .size = view.len, .most = most,
        .has_quality = has_quality, .header_bytes = has_quality ? HEADER_2_BYTES : HEADER_1_BYTES,
    };
    PyObject *blocks = read_all(&chunk);
    PyBuffer_Release(&view);
    return blocks;
}

static char *put_text(char *place, const char *text)
{
    size_t size = strlen(text);

    memcpy(place, text, size);
    return place + size;
}

static char *put_number(char *place, int64_t value)
{
    char digits[20];
    int size = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do
        digits[size++] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *place++ = '-';
    while (size)
        *place++ = digits[--size];
    return place;
}

/* Write the head of a ZMTP frame. */
static char *put_frame(char *place, int flags, Py_ssize_t size)
{
    int is_long = size > 255;

    *place++ = (char)(flags | (is_long ? LONG : 0));
    for (int byte = is_long ? 7 : 0; byte >= 0; byte--)
        *place++ = (char)((uint64_t)size >> 8 * byte);
    return place;
}

static Py_ssize_t frame_bytes(Py_ssize_t size)
{
    return size + (size > 255 ? 9 : 2);
}

/* Take sequence, start_ns, timing_quality (None: -1) and received_ns; return less than 0 when one is no such number. */
static int take_numbers(PyObject *const *arguments, int64_t *values)
{
    for (int i = 0; i < 4; i++) {
        values[i] = i == 2 && Py_IsNone(arguments[i]) ? -1 : PyLong_AsLongLong(arguments[i]);
        if (values[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

static PyObject *frame(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    char *topic, *head, text[MAX_TEXT_BYTES], *end = text;
    Py_ssize_t topic_bytes, head_bytes;
    int64_t values[4];
    Py_buffer samples;

    if (count != 7) {
        PyErr_SetString(PyExc_TypeError, "frame takes topic, head, samples and four numbers");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(arguments[0], &topic, &topic_bytes) < 0
        || PyBytes_AsStringAndSize(arguments[1], &head, &head_bytes) < 0 || take_numbers(arguments + 3, values) < 0
        || PyObject_GetBuffer(arguments[2], &samples, PyBUF_ND) < 0)
        return NULL;
    end = put_number(put_text(end, "\"shape\":["), samples.len / samples.itemsize);
    end = put_number(put_text(end, "],\"frame\":"), values[0]);
    end = put_number(put_text(end, ",\"start_ns\":"), values[1]);
    end = put_text(end, ",\"timing_quality\":");
    end = Py_IsNone(arguments[5]) ? put_text(end, "null") : put_number(end, values[2]);
    end = put_text(put_number(put_text(end, ",\"received_ns\":"), values[3]), "}");
    Py_ssize_t text_bytes = end - text, header_bytes = head_bytes + text_bytes;
    PyObject *message = PyBytes_FromStringAndSize(
        NULL, topic_bytes + frame_bytes(header_bytes) + frame_bytes(samples.len));
    if (message) {
        char *place = PyBytes_AsString(message);
        memcpy(place, topic, (size_t)topic_bytes);
        place = put_frame(place + topic_bytes, MORE, header_bytes);
        memcpy(place, head, (size_t)head_bytes);
        memcpy(place + head_bytes, text, (size_t)text_bytes);
        place = put_frame(place + header_bytes, 0, samples.len);
        memcpy(place, samples.buf, (size_t)samples.len);
    }
    PyBuffer_Release(&samples);
    return message;
}

static PyMethodDef FUNCTIONS[] = {
    {"read_few", (PyCFunction)(void (*)(void))read_few, METH_FASTCALL, NULL},
    {"frame", (PyCFunction)(void (*)(void))frame, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot SLOTS[] = {{0, NULL}};
static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "rawdaq.single_packets", .m_methods = FUNCTIONS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit_single_packets(void)
{
    return PyModuleDef_Init(&MODULE);
}
