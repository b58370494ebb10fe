/* miniSEED 2 records of STEIM2 samples, many in one call: the loop over samples that Python cannot run fast enough.
 *
 * steim2.pyi says what it does, with arguments and errors; why it is here, in docs/decisions/steim2.md. The layout
 * is that of SEED 2.4, appendix B: frames of 16 words of 32 bits, all big-endian. The first word of a frame holds 2 bits
 * for each word, the nibble; in the first frame two words follow for the first and the last sample; all others hold from
 * 1 to 7 steps from sample to sample. As libmseed does, a word takes as many steps as fit, and the first step of a
 * record is 0, so that the bytes are the same.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum {
    MOST = 7,           /* steps in a word */
    WORDS = 16,         /* in a frame */
    FRAME_BYTES = 64,
    MIN_HEADER_BYTES = 64, /* fixed header, blockettes 1000 and 1001, and perhaps 100, up to the frames */
    MAX_RECORD_BYTES = 1 << 15, /* 7 steps in every word are fewer samples than a header can count */
    MAX_SEQUENCE = 999999,
    MANY = 1 << 14,     /* samples that take longer than a change of threads */
    WINDOW = 1024,      /* steps that are looked at together: what is known of them stays in the fastest memory */
};

/* How a word holds so many steps (the index): of so many bits each, given by its nibble and its own upper two bits. */
static const struct {
    uint32_t nibble, upper, mask[MOST], shift[MOST];
} WORD[MOST + 1] = {
    [1] = {2, 1u << 30, {0x3FFFFFFF}, {0}},
    [2] = {2, 2u << 30, {0x7FFF, 0x7FFF}, {15, 0}},
    [3] = {2, 3u << 30, {0x3FF, 0x3FF, 0x3FF}, {20, 10, 0}},
    [4] = {1, 0, {0xFF, 0xFF, 0xFF, 0xFF}, {24, 16, 8, 0}},
    [5] = {3, 0, {0x3F, 0x3F, 0x3F, 0x3F, 0x3F}, {24, 18, 12, 6, 0}},
    [6] = {3, 1u << 30, {0x1F, 0x1F, 0x1F, 0x1F, 0x1F, 0x1F}, {25, 20, 15, 10, 5, 0}},
    [7] = {3, 2u << 30, {0xF, 0xF, 0xF, 0xF, 0xF, 0xF, 0xF}, {24, 20, 16, 12, 8, 4, 0}},
};

typedef struct {
    const int32_t *samples;
    Py_ssize_t count;                     /* of samples */
    Py_ssize_t first, end;                /* the steps to which samples are known here */
    uint32_t steps[WINDOW + MOST];
    uint8_t room[WINDOW + MOST];      /* how many steps a word can hold if it holds this one; 0: none can */
    uint8_t taken[WINDOW + MOST];         /* how many steps a word takes that begins with this one */
} Window;

/* Learn the steps from sample *first* on. */
static void look(Window *window, Py_ssize_t first)
{
    const int32_t *samples = window->samples + first;
    Py_ssize_t count = window->count - first < WINDOW ? window->count - first : WINDOW;
    uint8_t *room = window->room;

    window->first = first;
    window->end = first + count;
    window->steps[0] = 0, room[0] = MOST; /* the first sample of all has none before it */
    for (Py_ssize_t i = !first; i < count; i++) {
        uint32_t now = (uint32_t)samples[i], before = (uint32_t)samples[i - 1], step = now - before;
        uint32_t is_over = ((now ^ before) & (now ^ step)) >> 31; /* the step has more than 32 bits */
        uint32_t size = (step ^ (0u - (step >> 31))) | is_over << 30;
        window->steps[i] = step;
        room[i] = (uint8_t)((size < 1u << 3) + (size < 1u << 4) + (size < 1u << 5) + (size < 1u << 7)
                            + (size < 1u << 9) + (size < 1u << 14) + (size < 1u << 29));
    }
    memset(window->steps + count, 0, MOST * sizeof *window->steps);
    memset(room + count, 0, MOST);
    for (Py_ssize_t i = 0; i < count; i++) {
        uint8_t least = room[i], taken = least >= 1;
        for (int k = 1; k < MOST; k++) {
            least = least < room[i + k] ? least : room[i + k];
            taken = (uint8_t)(taken + (least > k));
        }
        window->taken[i] = taken;
    }
}

/* Forget the step to the sample at *index*: with it a record begins. */
static void restart(Window *window, Py_ssize_t index)
{
    uint8_t *room = window->room + index, taken = 0, least = MOST;

    window->steps[index] = 0;
    room[0] = MOST;
    for (int k = 0; k < MOST; k++) {
        least = least < room[k] ? least : room[k];
        taken = (uint8_t)(taken + (least > k));
    }
    window->taken[index] = taken;
}

static void put(uint8_t *place, uint32_t word)
{
    place[0] = (uint8_t)(word >> 24), place[1] = (uint8_t)(word >> 16), place[2] = (uint8_t)(word >> 8),
    place[3] = (uint8_t)word;
}

static void put16(uint8_t *place, uint32_t value)
{
    place[0] = (uint8_t)(value >> 8), place[1] = (uint8_t)value;
}

/* Write the frames of one record of the samples from *begin* on.
 *
 * Returns how many it holds: 0 when it cannot be filled, less than 0 when a step needs more than 30 bits.
 */
static Py_ssize_t pack(Window *window, Py_ssize_t begin, uint8_t *frames, Py_ssize_t frame_count, int is_last)
{
    Py_ssize_t position = begin;

    for (Py_ssize_t frame = 0; frame < frame_count; frame++) {
        uint8_t *place = frames + frame * FRAME_BYTES;
        uint32_t nibbles = 0;
        int word = frame ? 1 : 3;
        for (; word < WORDS; word++) {
            if (position + MOST > window->end && window->end < window->count)
                look(window, position);
            Py_ssize_t index = position - window->first, left = window->count - position;
            if (!left)
                break;
            if (position == begin)
                restart(window, index);
            int taken = window->taken[index];
            if (!taken)
                return -1;
            if (taken == left && taken < MOST && !is_last)
                return 0; /* with the samples to come it may take more */
            const uint32_t *steps = window->steps + index;
            uint32_t bits = WORD[taken].upper;
            if (taken == 1) /* as nearly all of a noisy record, which then takes a quarter less */
                bits |= steps[0] & WORD[1].mask[0];
            else
                for (int k = 0; k < MOST; k++)
                    bits |= (steps[k] & WORD[taken].mask[k]) << WORD[taken].shift[k];
            put(place + 4 * word, bits);
            nibbles |= WORD[taken].nibble << (30 - 2 * word);
            position += taken;
        }
        if (word < WORDS && !is_last)
            return 0;
        memset(place + 4 * word, 0, FRAME_BYTES - 4 * (size_t)word);
        put(place, nibbles);
    }
    put(frames + 4, (uint32_t)window->samples[begin]);
    put(frames + 8, (uint32_t)window->samples[position - 1]);
    return position - begin;
}

/* Write a number of six digits. */
static void put_number(uint8_t *place, long value)
{
    for (int digit = 5; digit >= 0; digit--, value /= 10)
        place[digit] = (uint8_t)('0' + value % 10);
}

/* Write the time of the first sample, to the microsecond, as libmseed does: in units of 0.1 ms.
 *
 * Returns how many microseconds later it is: -50 to 49, for blockette 1001.
 */
static int put_time(uint8_t *header, int64_t start_ns)
{
    enum { TICKS_OF_SECOND = 10000, SECONDS_OF_DAY = 86400, DAYS_TO_1970 = 719162 /* from 1 January of year 1 */ };
    const int64_t ticks_of_day = (int64_t)SECONDS_OF_DAY * TICKS_OF_SECOND;
    int64_t micros = start_ns / 1000 + start_ns % 1000 / 500; /* halves away from zero; what is left has its sign */
    int rest = (int)((micros % 100 + 100) % 100), micros_more = rest > 49 ? rest - 100 : rest;
    int64_t ticks = (micros - micros_more) / 100;
    int64_t days = ticks / ticks_of_day - (ticks % ticks_of_day < 0);
    int tick = (int)((ticks - days * ticks_of_day) % TICKS_OF_SECOND);
    int second = (int)((ticks - days * ticks_of_day) / TICKS_OF_SECOND);
    int left = (int)(days + DAYS_TO_1970), year = 1;

    year += left / 146097 * 400, left %= 146097;
    int centuries = left / 36524 < 3 ? left / 36524 : 3;
    year += centuries * 100, left -= centuries * 36524;
    year += left / 1461 * 4, left %= 1461;
    int years = left / 365 < 3 ? left / 365 : 3;
    year += years, left -= years * 365;
    put16(header + 20, (uint32_t)year);
    put16(header + 22, (uint32_t)left + 1);
    header[24] = (uint8_t)(second / 3600), header[25] = (uint8_t)(second / 60 % 60), header[26] = (uint8_t)(second % 60);
    put16(header + 28, (uint32_t)tick);
    return micros_more;
}

/* Complete blockette 1001, or remove it when it says nothing (the quality unknown, the time a multiple of 0.1 ms) and
 * none follows it.
 */
static void put_1001(uint8_t *header, int timing_quality, int micros_more)
{
    if (timing_quality < 0 && !micros_more && header[39] == 2) {
        header[39] = 1; /* blockettes: 1000 alone, with no next one */
        put16(header + 50, 0);
        memset(header + 56, 0, 8);
        return;
    }
    header[60] = timing_quality < 0 ? 0 : (uint8_t)timing_quality;
    header[61] = (uint8_t)micros_more;
}

/* Write the header of one record. */
static void put_header(uint8_t *record, const Py_buffer *header, long sequence, uint32_t count, int timing_quality,
                       int64_t start_ns)
{
    memmove(record, header->buf, (size_t)header->len);
    put_number(record, sequence);
    put16(record + 30, count);
    put_1001(record, timing_quality, put_time(record, start_ns));
}

/* Pack records until room or samples end, or one cannot be made; return how many, and why it ended. */
static Py_ssize_t pack_all(Window *window, uint8_t *records, Py_ssize_t room, Py_ssize_t record_bytes,
                           Py_ssize_t header_bytes, int is_last, Py_ssize_t *counts, int *fits)
{
    Py_ssize_t made = 0, position = 0, count = 1, frame_count = (record_bytes - header_bytes) / FRAME_BYTES;

    for (; made < room && position < window->count; made++, position += count) {
        count = pack(window, position, records + made * record_bytes + header_bytes, frame_count, is_last);
        if (count <= 0)
            break;
        counts[made] = count;
    }
    *fits = count >= 0;
    return made;
}

static PyObject *list_of(const Py_ssize_t *values, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);

    for (Py_ssize_t i = 0; list && i < count; i++) {
        PyObject *value = PyLong_FromSsize_t(values[i]);
        if (!value || PyList_SetItem(list, i, value) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* Take *samples* into a window; return less than 0, with the error set, when these lengths are impossible. */
static int begin(Window *window, const Py_buffer *samples, Py_ssize_t record_bytes, Py_ssize_t header_bytes)
{
    if ((uintptr_t)samples->buf % sizeof(int32_t) || samples->len % (Py_ssize_t)sizeof(int32_t)) {
        PyErr_SetString(PyExc_ValueError, "samples are aligned int32");
        return -1;
    }
    if (record_bytes > MAX_RECORD_BYTES || record_bytes % FRAME_BYTES || header_bytes < MIN_HEADER_BYTES
        || header_bytes % FRAME_BYTES || record_bytes <= header_bytes) {
        PyErr_SetString(PyExc_ValueError, "records and headers are multiples of 64 bytes, records at most 32768");
        return -1;
    }
    window->samples = samples->buf;
    window->count = samples->len / (Py_ssize_t)sizeof(int32_t);
    window->first = window->end = 0;
    return 0;
}

static PyObject *encode(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer samples, records;
    Py_ssize_t record_bytes, header_bytes, made, *counts = NULL;
    int is_last, fits;
    PyObject *result = NULL;
    Window window;

    if (!PyArg_ParseTuple(arguments, "y*w*nnp:encode", &samples, &records, &record_bytes, &header_bytes, &is_last))
        return NULL;
    if (begin(&window, &samples, record_bytes, header_bytes) < 0)
        goto end;
    Py_ssize_t room = records.len / record_bytes;
    if (!(counts = PyMem_Calloc((size_t)room, sizeof *counts))) {
        PyErr_NoMemory();
        goto end;
    }
    /* Other threads write to disks; for a few records to let them in would take longer than to make these. */
    PyThreadState *others = window.count >= MANY ? PyEval_SaveThread() : NULL;
    made = pack_all(&window, records.buf, room, record_bytes, header_bytes, is_last, counts, &fits);
    if (others)
        PyEval_RestoreThread(others);
    PyObject *list = list_of(counts, made);
    result = list ? Py_BuildValue("NO", list, fits ? Py_True : Py_False) : NULL;
end:
    PyMem_Free(counts);
    PyBuffer_Release(&records);
    PyBuffer_Release(&samples);
    return result;
}

/* Give number *index* of a list; return less than 0, with the error set, when it is no number. */
static int number_of(PyObject *list, Py_ssize_t index, int64_t *value)
{
    PyObject *item = PyList_GetItem(list, index);

    *value = item ? PyLong_AsLongLong(item) : 0;
    return item && !PyErr_Occurred() ? 0 : -1;
}

static int check_numbers(long sequence, int timing_quality)
{
    if (sequence >= 1 && sequence <= MAX_SEQUENCE && timing_quality <= 100)
        return 0;
    PyErr_SetString(PyExc_ValueError, "numbers are 1 to 999999, timing qualities at most 100");
    return -1;
}

static PyObject *stamp(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer records, header;
    Py_ssize_t record_bytes;
    long sequence;
    int timing_quality;
    PyObject *starts_ns, *counts, *result = NULL;

    if (!PyArg_ParseTuple(arguments, "w*ny*liO!O!:stamp", &records, &record_bytes, &header, &sequence, &timing_quality,
                          &PyList_Type, &starts_ns, &PyList_Type, &counts))
        return NULL;
    Py_ssize_t count = PyList_Size(starts_ns);
    if (header.len < MIN_HEADER_BYTES || record_bytes < header.len || PyList_Size(counts) != count
        || records.len / record_bytes != count) {
        PyErr_SetString(PyExc_ValueError, "there is one header, one start and one count for each record");
        goto end;
    }
    if (check_numbers(sequence, timing_quality) < 0)
        goto end;
    uint8_t *record = records.buf;
    for (Py_ssize_t i = 0; i < count; i++, record += record_bytes) {
        int64_t start_ns, samples;
        if (number_of(starts_ns, i, &start_ns) < 0 || number_of(counts, i, &samples) < 0)
            goto end;
        put_header(record, &header, sequence, (uint32_t)samples, timing_quality, start_ns);
        sequence = sequence % MAX_SEQUENCE + 1;
    }
    result = Py_NewRef(Py_None);
end:
    PyBuffer_Release(&header);
    PyBuffer_Release(&records);
    return result;
}

static PyMethodDef FUNCTIONS[] = {
    {"encode", encode, METH_VARARGS, NULL},
    {"stamp", stamp, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot SLOTS[] = {{0, NULL}};
static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "rawdaq.steim2", .m_methods = FUNCTIONS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit_steim2(void)
{
    return PyModuleDef_Init(&MODULE);
}
