/* Packets that come singly: from the bytes of a device to SampleBlocks, from a packet to the bytes of a live stream, and
 * from the ones to the others without a packet between.
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

#define UNKNOWN INT64_MIN /* a timing quality that is not told */

enum {
    HEADER_1_BYTES = 19, HEADER_2_BYTES = 18, /* of RAW 1.0 and 1.1, and of 2.0 */
    FIRST_YEAR = 1678, LAST_YEAR = 2261,      /* of which 64 bits hold the nanoseconds */
    MAX_SAMPLES = 1000000,                    /* of one packet */
    MAX_TEXT_BYTES = 256,                     /* of the part of a message's header that is made here */
    FEW = 64, MAX_TOGETHER_BYTES = 1 << 15,   /* messages that are made in one piece */
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
    PyObject *data, *channels, *make_block, *make_samples;
    const uint8_t *bytes;
    Py_ssize_t size, most;
    int has_quality, header_bytes;
} Chunk;

/* A packet of a chunk: what its header says, the tuple that is known of its channel, and where its samples lie. */
typedef struct {
    Header header;
    PyObject *channel;
    Py_ssize_t begin, end;
} Packet;

/* Find the packet at *position*.
 *
 * Returns 1; 0 when there is no whole packet that is plainly right, or it is one of many; less than 0 with an error set.
 */
static int find_packet(const Chunk *chunk, Py_ssize_t position, Packet *packet)
{
    packet->begin = position + chunk->header_bytes;
    if (packet->begin > chunk->size || !read_header(chunk->bytes + position, chunk->has_quality, &packet->header))
        return 0;
    PyObject *number = PyLong_FromUnsignedLong(packet->header.channel);
    packet->channel = number ? PyDict_GetItemWithError(chunk->channels, number) : NULL;
    Py_XDECREF(number);
    if (packet->channel && (!PyTuple_Check(packet->channel) || PyTuple_Size(packet->channel) < 2))
        PyErr_SetString(PyExc_TypeError, "a channel is a tuple whose second item is the size of a sample");
    if (!packet->channel || PyErr_Occurred())
        return PyErr_Occurred() ? -1 : 0;
    packet->end = packet->begin
                  + PyLong_AsSsize_t(PyTuple_GetItem(packet->channel, 1)) * (Py_ssize_t)packet->header.count;
    if (PyErr_Occurred())
        return -1;
    return packet->end > packet->begin && packet->end <= chunk->size
           && (position || packet->end > chunk->size / chunk->most);
}

/* Return the samples of a packet, a view of the chunk. */
static PyObject *samples_of(const Chunk *chunk, const Packet *packet)
{
    PyObject *count = PyLong_FromUnsignedLong(packet->header.count), *offset = PyLong_FromSsize_t(packet->begin);
    PyObject *dtype = PyTuple_GetItem(packet->channel, 0), *samples = NULL;

    if (count && offset)
        samples = PyObject_CallFunctionObjArgs(chunk->make_samples, chunk->data, dtype, count, offset, NULL);
    Py_XDECREF(count);
    Py_XDECREF(offset);
    return samples;
}

static PyObject *block_of(const Chunk *chunk, const Packet *packet)
{
    const Header *header = &packet->header;
    PyObject *samples = samples_of(chunk, packet);
    PyObject *values = samples ? Py_BuildValue("ILIN", header->channel, (long long)start_ns(header), header->quality,
                                               samples) : NULL;
    PyObject *block = values ? PyObject_CallFunctionObjArgs(chunk->make_block, values, NULL) : NULL;

    Py_XDECREF(values);
    return block;
}

/* Take what both readers of a chunk are given; return less than 0 with an error set. The view must be released. */
static int take_chunk(PyObject *const *arguments, Chunk *chunk, Py_buffer *view)
{
    int has_quality = PyObject_IsTrue(arguments[1]);
    Py_ssize_t most = PyLong_AsSsize_t(arguments[3]);

    if (!PyErr_Occurred() && !PyDict_Check(arguments[2]))
        PyErr_SetString(PyExc_TypeError, "what is known of channels is a dict");
    if (!PyErr_Occurred() && most < 1)
        PyErr_SetString(PyExc_ValueError, "most is at least 1");
    if (PyErr_Occurred() || PyObject_GetBuffer(arguments[0], view, PyBUF_SIMPLE) < 0)
        return -1;
    *chunk = (Chunk){
        .data = arguments[0], .channels = arguments[2], .bytes = view->buf, .size = view->len, .most = most,
        .has_quality = has_quality, .header_bytes = has_quality ? HEADER_2_BYTES : HEADER_1_BYTES,
    };
    return 0;
}

/* Return the blocks of a chunk that is a few whole packets and nothing else, otherwise None. */
static PyObject *read_all(const Chunk *chunk)
{
    PyObject *blocks = PyList_New(0);
    Packet packet;
    int found = blocks ? 1 : -1;

    for (Py_ssize_t position = 0; found > 0 && position < chunk->size; position = packet.end) {
        found = find_packet(chunk, position, &packet);
        if (found <= 0)
            break;
        PyObject *block = block_of(chunk, &packet);
        if (!block || PyList_Append(blocks, block) < 0)
            found = -1;
        Py_XDECREF(block);
    }
    if (found > 0)
        return blocks;
    Py_XDECREF(blocks);
    return found < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *read_few(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer view;
    Chunk chunk;

    if (count != 6) {
        PyErr_SetString(PyExc_TypeError, "read_few takes data, has_quality, kinds, most, make_block and make_samples");
        return NULL;
    }
    if (take_chunk(arguments, &chunk, &view) < 0)
        return NULL;
    chunk.make_block = arguments[4], chunk.make_samples = arguments[5];
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

/* Take sequence, start_ns, timing_quality and received_ns; return less than 0 when one is no such number. */
static int take_numbers(PyObject *const *arguments, int64_t *values)
{
    for (int i = 0; i < 4; i++) {
        values[i] = i == 2 && Py_IsNone(arguments[i]) ? UNKNOWN : PyLong_AsLongLong(arguments[i]);
        if (values[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* What is in a message, and the part of its header that is made here. */
typedef struct {
    const char *topic, *head;
    Py_ssize_t topic_bytes, head_bytes, count, samples_bytes, text_bytes;
    int64_t sequence, start_ns, quality, received_ns;
    const void *samples;
    char text[MAX_TEXT_BYTES];
} Message;

/* Take what all messages of a stream have in common; return less than 0 with an error set. */
static int take_head(PyObject *topic_frame, PyObject *head, Message *message)
{
    char *topic, *text;

    if (PyBytes_AsStringAndSize(topic_frame, &topic, &message->topic_bytes) < 0
        || PyBytes_AsStringAndSize(head, &text, &message->head_bytes) < 0)
        return -1;
    message->topic = topic, message->head = text;
    return 0;
}

/* Write the rest of the header; return how many bytes the three frames have. */
static Py_ssize_t complete(Message *message)
{
    char *end = put_number(put_text(message->text, "\"shape\":["), message->count);

    end = put_number(put_text(end, "],\"frame\":"), message->sequence);
    end = put_number(put_text(end, ",\"start_ns\":"), message->start_ns);
    end = put_text(end, ",\"timing_quality\":");
    end = message->quality == UNKNOWN ? put_text(end, "null") : put_number(end, message->quality);
    end = put_text(put_number(put_text(end, ",\"received_ns\":"), message->received_ns), "}");
    message->text_bytes = end - message->text;
    return message->topic_bytes + frame_bytes(message->head_bytes + message->text_bytes)
           + frame_bytes(message->samples_bytes);
}

/* Write the three frames of a complete message. */
static char *put_message(char *place, const Message *message)
{
    memcpy(place, message->topic, (size_t)message->topic_bytes);
    place = put_frame(place + message->topic_bytes, MORE, message->head_bytes + message->text_bytes);
    memcpy(place, message->head, (size_t)message->head_bytes);
    memcpy(place + message->head_bytes, message->text, (size_t)message->text_bytes);
    place = put_frame(place + message->head_bytes + message->text_bytes, 0, message->samples_bytes);
    memcpy(place, message->samples, (size_t)message->samples_bytes);
    return place + message->samples_bytes;
}

static PyObject *frame(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    Message message;
    int64_t values[4];
    Py_buffer samples;

    if (count != 7) {
        PyErr_SetString(PyExc_TypeError, "frame takes topic, head, samples and four numbers");
        return NULL;
    }
    if (take_head(arguments[0], arguments[1], &message) < 0 || take_numbers(arguments + 3, values) < 0
        || PyObject_GetBuffer(arguments[2], &samples, PyBUF_ND) < 0)
        return NULL;
    message.sequence = values[0], message.start_ns = values[1], message.quality = values[2];
    message.received_ns = values[3];
    message.samples = samples.buf, message.samples_bytes = samples.len, message.count = samples.len / samples.itemsize;
    PyObject *whole = PyBytes_FromStringAndSize(NULL, complete(&message));
    if (whole)
        put_message(PyBytes_AsString(whole), &message);
    PyBuffer_Release(&samples);
    return whole;
}

/* The name of that attribute, made once: for each packet it would take as long as half of the rest. */
static PyObject *next_sequence;

/* Messages that are made in one piece, and what is told of each. */
typedef struct {
    Message message;
    PyObject *heads[FEW];
    Py_ssize_t sizes[FEW], count, bytes;
    char data[MAX_TOGETHER_BYTES];
} Messages;

/* Return the number of the next message of *head*, of which some may have been made already; less than 0 with an error
 * set. */
static int64_t sequence_of(const Messages *messages, PyObject *head)
{
    PyObject *next = PyObject_GetAttr(PyTuple_GetItem(head, 3), next_sequence);
    int64_t sequence = next ? PyLong_AsLongLong(next) : -1;

    Py_XDECREF(next);
    for (Py_ssize_t i = 0; i < messages->count; i++)
        sequence += messages->heads[i] == head;
    return sequence;
}

/* Add the message of a packet; return 1, 0 when there is no room for it, less than 0 with an error set. */
static int add_message(const Chunk *chunk, const Packet *packet, int64_t received_ns, Messages *messages)
{
    Message *message = &messages->message;

    if (PyTuple_Size(packet->channel) < 4) {
        PyErr_SetString(PyExc_TypeError, "a head is a tuple of frame, size, text, numbers and what else you like");
        return -1;
    }
    message->sequence = sequence_of(messages, packet->channel);
    if (PyErr_Occurred()
        || take_head(PyTuple_GetItem(packet->channel, 0), PyTuple_GetItem(packet->channel, 2), message) < 0)
        return -1;
    message->start_ns = start_ns(&packet->header), message->quality = packet->header.quality;
    message->count = packet->header.count, message->received_ns = received_ns;
    message->samples = chunk->bytes + packet->begin, message->samples_bytes = packet->end - packet->begin;
    Py_ssize_t bytes = complete(message);
    if (messages->count == FEW || bytes > MAX_TOGETHER_BYTES - messages->bytes)
        return 0;
    put_message(messages->data + messages->bytes, message);
    messages->heads[messages->count] = packet->channel, messages->sizes[messages->count++] = bytes;
    messages->bytes += bytes;
    return 1;
}

static PyObject *told(const Messages *messages)
{
    PyObject *heads = PyList_New(0), *sizes = PyList_New(0);

    for (Py_ssize_t i = 0; heads && sizes && i < messages->count; i++) {
        PyObject *size = PyLong_FromSsize_t(messages->sizes[i]);
        if (!size || PyList_Append(sizes, size) < 0 || PyList_Append(heads, messages->heads[i]) < 0)
            Py_CLEAR(sizes);
        Py_XDECREF(size);
    }
    PyObject *all = heads && sizes ? Py_BuildValue("y#OO", messages->data, messages->bytes, heads, sizes) : NULL;
    Py_XDECREF(heads);
    Py_XDECREF(sizes);
    return all;
}

static PyObject *frame_few(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer view;
    Chunk chunk;
    Packet packet;
    Messages messages;
    int found = 1;

    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "frame_few takes data, has_quality, heads, most and received_ns");
        return NULL;
    }
    int64_t received_ns = PyLong_AsLongLong(arguments[4]);
    if (PyErr_Occurred() || take_chunk(arguments, &chunk, &view) < 0)
        return NULL;
    messages.count = messages.bytes = 0;
    for (Py_ssize_t position = 0; position < chunk.size; position = packet.end) {
        found = find_packet(&chunk, position, &packet);
        if (found > 0)
            found = add_message(&chunk, &packet, received_ns, &messages);
        if (found <= 0)
            break;
    }
    PyObject *result = found < 0 ? NULL : found ? told(&messages) : Py_NewRef(Py_None);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef FUNCTIONS[] = {
    {"read_few", (PyCFunction)(void (*)(void))read_few, METH_FASTCALL, NULL},
    {"frame", (PyCFunction)(void (*)(void))frame, METH_FASTCALL, NULL},
    {"frame_few", (PyCFunction)(void (*)(void))frame_few, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static int prepare(PyObject *Py_UNUSED(module))
{
    if (!next_sequence)
        next_sequence = PyUnicode_InternFromString("next_sequence");
    return next_sequence ? 0 : -1;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)prepare}, {0, NULL}};
static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "rawdaq.single_packets", .m_methods = FUNCTIONS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit_single_packets(void)
{
    return PyModuleDef_Init(&MODULE);
}
