/* Lines out of a segment's bytes, and an event out of each: what a shipper does most.

   The module is optional: without a compiler, reader.py and line.py do the same, at five times the time; what `expand`
   does not read is left to them. tests/spool/test_lines.py compares the two. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { MAX_TIME_DIGITS = 19, LEVEL_AT = 30, TIME_BYTES = 42, DAY_S = 86400, NUMBER_BYTES = 24 };

static const char TIME[] = "{\"time_ns\":", SPAN[] = ",\"processor\":", SEQUENCE[] = ",\"sequence\":";
static const char CALL_END[] = ",\"event\":{\"kind\":\"event\"}}", REQUEST[] = ",\"http\":{\"request\":{\"id\":\"";

/* Returns the end of the digits after the beginning of a line; NULL when they are not followed by a comma. */
static const char *
end_of_time(const char *line, const char *end)
{
    size_t length = sizeof TIME - 1;
    if ((size_t)(end - line) < length || memcmp(line, TIME, length) != 0)
        return NULL;
    const char *digits = line + length, *at = digits;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > digits && at - digits <= MAX_TIME_DIGITS && at < end && *at == ',' ? at : NULL;
}

static int
is_line(const char *line, const char *end)
{
    return end_of_time(line, end) != NULL && end[-1] == '}' && end[-2] == '}'
        && memchr(line, 0, (size_t)(end - line)) == NULL;
}

/* Makes an instance of a named tuple of its items, which it takes. */
static PyObject *
named_tuple(PyTypeObject *type, PyObject **items, Py_ssize_t count)
{
    PyObject *made = NULL;
    int is_whole = 1;
    for (Py_ssize_t i = 0; i < count; i++)
        is_whole = is_whole && items[i] != NULL;
    if (is_whole && (made = type->tp_alloc(type, count)) != NULL) {
        for (Py_ssize_t i = 0; i < count; i++)
            PyTuple_SET_ITEM(made, i, items[i]);
        return made;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        Py_XDECREF(items[i]);
    return NULL;
}

static int
add_line(PyObject *lines, PyTypeObject *position, const char *line, Py_ssize_t length, long long after, long long sequence)
{
    PyObject *numbers[] = {PyLong_FromLongLong(after), PyLong_FromLongLong(sequence)};
    PyObject *place = named_tuple(position, numbers, 2);
    PyObject *both[] = {PyBytes_FromStringAndSize(line, length), place};
    PyObject *pair = named_tuple(&PyTuple_Type, both, 2);
    int result = pair ? PyList_Append(lines, pair) : -1;
    Py_XDECREF(pair);
    return result;
}

/* Returns 1 when a line has one of some beginnings where its level or its kind stands, as `level_at` says. */
static int
is_headed(const char *line, Py_ssize_t length, PyObject *heads)
{
    const char *at = length > LEVEL_AT && line[LEVEL_AT] == ',' ? line + LEVEL_AT : memchr(line, ',', (size_t)length);
    for (Py_ssize_t i = 0; at != NULL && i < PyTuple_GET_SIZE(heads); i++) {
        PyObject *head = PyTuple_GET_ITEM(heads, i);
        if (line + length - at >= PyBytes_GET_SIZE(head)
            && memcmp(at, PyBytes_AS_STRING(head), (size_t)PyBytes_GET_SIZE(head)) == 0)
            return 1;
    }
    return 0;
}

static int
are_heads(PyObject *heads)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(heads); i++)
        if (!PyBytes_Check(PyTuple_GET_ITEM(heads, i))) {
            PyErr_SetString(PyExc_TypeError, "a beginning is bytes");
            return 0;
        }
    return 1;
}

/* What is held of a text: the ranges that are full so far, the one that is being filled, and the request that had the
   last line, with how many lines since it is that one. */
typedef struct {
    PyObject *ranges, *requests;
    long long begin, end;
    Py_ssize_t lines;
    const char *id;
    Py_ssize_t id_length, id_lines;
} Held;

static int
end_range(Held *held)
{
    PyObject *range = held->lines ? Py_BuildValue("LLn", held->begin, held->end, held->lines) : NULL;
    int result = range ? PyList_Append(held->ranges, range) : held->lines ? -1 : 0;
    Py_XDECREF(range);
    held->lines = 0;
    return result;
}

/* Adds the lines of the last request to those that it has. */
static int
end_request(Held *held)
{
    if (held->id_lines == 0)
        return 0;
    PyObject *id = PyBytes_FromStringAndSize(held->id, held->id_length);
    PyObject *before = id ? PyDict_GetItemWithError(held->requests, id) : NULL;
    Py_ssize_t lines = held->id_lines + (before ? PyLong_AsSsize_t(before) : 0);
    PyObject *count = PyErr_Occurred() ? NULL : PyLong_FromSsize_t(lines);
    int result = count ? PyDict_SetItem(held->requests, id, count) : -1;
    Py_XDECREF(id);
    Py_XDECREF(count);
    held->id_lines = 0;
    return result;
}

/* The last request ID in a line, which is the line's own if it has one: a caller's text comes before it. */
static const char *
last_request(const char *line, const char *end, Py_ssize_t *length)
{
    Py_ssize_t size = sizeof REQUEST - 1;
    for (Py_ssize_t at = end - line - size; at >= 0; at--)
        if (line[at] == ',' && memcmp(line + at, REQUEST, (size_t)size) == 0) {
            const char *id = line + at + size;
            *length = (const char *)memchr(id, '"', (size_t)(end - id)) - id;  // CALL_END has one
            return id;
        }
    *length = 0;
    return NULL;
}

/* Whether a line is that of a log call; a span or a mark has more in its `event`. */
static int
is_call(const char *line, const char *end)
{
    Py_ssize_t size = sizeof CALL_END - 1;
    return end - line >= size && memcmp(end - size, CALL_END, (size_t)size) == 0;
}

static int
hold(Held *held, const char *line, const char *end, long long offset, long long after)
{
    Py_ssize_t length;
    const char *id = last_request(line, end, &length);
    if (length != held->id_length || (length && memcmp(id, held->id, (size_t)length) != 0)) {
        if (end_request(held) < 0)
            return -1;
        held->id = id;
        held->id_length = length;
    }
    held->id_lines += length > 0;
    if (held->lines == 0)
        held->begin = offset;
    held->end = after;
    held->lines++;
    return 0;
}

static PyObject *
parse(PyObject *module, PyObject *args)
{
    const char *text;
    Py_ssize_t length, damaged = 0;
    long long offset, sequence;
    PyTypeObject *position;
    PyObject *heads;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#LLO!O!", &text, &length, &offset, &sequence, &PyType_Type, &position, &PyTuple_Type,
                          &heads)
        || !are_heads(heads))
        return NULL;
    Held held = {.ranges = PyList_New(0), .requests = PyDict_New()};
    PyObject *lines = PyList_New(0);
    const char *end = text + length, *next;
    int result = lines && held.ranges && held.requests ? 0 : -1;
    for (const char *at = text; result == 0 && at < end && (next = memchr(at, '\n', (size_t)(end - at))); at = next + 1) {
        long long after = offset + (next - at) + 1;
        int is_whole = is_line(at, next);
        sequence = is_whole ? offset : sequence;
        if (is_whole && is_headed(at, next - at, heads) && is_call(at, next)) {
            result = hold(&held, at, next, offset, after);
        } else {
            damaged += !is_whole;
            result = end_range(&held);
            if (result == 0 && is_whole)
                result = add_line(lines, position, at, next - at, after, sequence);
        }
        offset = after;
    }
    if (result == 0 && end_range(&held) == 0 && end_request(&held) == 0)
        return Py_BuildValue("NLLnNN", lines, offset, sequence, damaged, held.ranges, held.requests);
    Py_XDECREF(lines);
    Py_XDECREF(held.ranges);
    Py_XDECREF(held.requests);
    return NULL;
}

static void
put_digits(char *out, uint64_t number, int digits)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + number % 10);
        number /= 10;
    }
}

/* Writes a time as `{"@timestamp":"2026-11-24T01:35:46.123456Z"`; the date by Howard Hinnant's civil_from_days. */
static void
put_time(char *out, uint64_t time_ns)
{
    uint64_t seconds = time_ns / 1000000000, second = seconds % DAY_S, shifted = seconds / DAY_S + 719468;
    uint64_t era = shifted / 146097, of_era = shifted % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100), part = (5 * of_year + 2) / 153;
    uint64_t month = part < 10 ? part + 3 : part - 9;

    memcpy(out, "{\"@timestamp\":\"0000-00-00T00:00:00.000000Z\"", TIME_BYTES + 1);
    put_digits(out + 15, year + 400 * era + (month <= 2), 4);
    put_digits(out + 20, month, 2);
    put_digits(out + 23, of_year - (153 * part + 2) / 5 + 1, 2);
    put_digits(out + 26, second / 3600, 2);
    put_digits(out + 29, second / 60 % 60, 2);
    put_digits(out + 32, second % 60, 2);
    put_digits(out + 35, time_ns / 1000 % 1000000, 6);
}

static char *
put(char *out, const char *data, size_t length)
{
    memcpy(out, data, length);
    return out + length;
}

/* What the events of a segment have in common. */
typedef struct {
    PyTypeObject *kind;
    const char *segment, *head, *tail;
    Py_ssize_t segment_length, head_length, tail_length;
} Shared;

/* The id of an event: that of its segment, a hyphen, and its sequence. */
static PyObject *
make_id(const Shared *shared, const char *number, size_t number_length)
{
    PyObject *id = PyUnicode_New(shared->segment_length + 1 + (Py_ssize_t)number_length, 127);
    if (id == NULL)
        return NULL;
    char *out = put((char *)PyUnicode_1BYTE_DATA(id), shared->segment, (size_t)shared->segment_length);
    *out++ = '-';
    put(out, number, number_length);
    return id;
}

/* The event of a line: its time as a date, and its id, its sequence and what its segment shares at its end. A line that
   is not read gives NULL without an error. */
static PyObject *
make_event(const Shared *shared, const char *line, Py_ssize_t length, long long sequence)
{
    char padded[NUMBER_BYTES], plain[NUMBER_BYTES];
    const char *time_end = end_of_time(line, line + length);
    if (time_end == NULL || line + length - time_end < 2 || sequence < 0)
        return NULL;
    uint64_t time_ns = 0;
    for (const char *at = line + sizeof TIME - 1; at < time_end; at++)
        time_ns = 10 * time_ns + (uint64_t)(*at - '0');
    size_t own = (size_t)(line + length - 2 - time_end);
    size_t padded_length = (size_t)snprintf(padded, sizeof padded, "%08lld", sequence);
    size_t plain_length = (size_t)snprintf(plain, sizeof plain, "%lld", sequence);
    size_t size = TIME_BYTES + 1 + own + (size_t)shared->head_length + padded_length + 1 + sizeof SEQUENCE - 1
        + plain_length + (size_t)shared->tail_length;
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (data == NULL)
        return NULL;
    char *out = PyBytes_AS_STRING(data);
    put_time(out, time_ns);
    out = put(out + TIME_BYTES + 1, time_end, own);
    out = put(out, shared->head, (size_t)shared->head_length);
    out = put(out, padded, padded_length);
    out = put(out, "\"", 1);
    out = put(out, SEQUENCE, sizeof SEQUENCE - 1);
    out = put(out, plain, plain_length);
    put(out, shared->tail, (size_t)shared->tail_length);
    int is_span = own >= sizeof SPAN - 1 && memcmp(time_end, SPAN, sizeof SPAN - 1) == 0;
    PyObject *items[] = {make_id(shared, padded, padded_length), PyBool_FromLong(is_span), data};
    return named_tuple(shared->kind, items, 3);
}

/* Takes a segment's id, which is ASCII. */
static int
set_segment(Shared *shared, PyObject *segment)
{
    shared->segment = PyUnicode_AsUTF8AndSize(segment, &shared->segment_length);
    if (shared->segment != NULL && !PyUnicode_IS_ASCII(segment)) {
        PyErr_SetString(PyExc_ValueError, "the id of a segment is ASCII");
        return -1;
    }
    return shared->segment ? 0 : -1;
}

static PyObject *
expand(PyObject *module, PyObject *args)
{
    Shared shared;
    PyObject *segment;
    const char *line;
    Py_ssize_t length;
    long long sequence;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!Uy#y#y#L", &PyType_Type, &shared.kind, &segment, &shared.head, &shared.head_length,
                          &shared.tail, &shared.tail_length, &line, &length, &sequence)
        || set_segment(&shared, segment) < 0)
        return NULL;
    PyObject *event = make_event(&shared, line, length, sequence);
    if (event == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return event;
}

/* The line and the sequence of a pair such as `parse` makes. */
static int
read_pair(PyObject *pair, PyObject **line, long long *sequence)
{
    PyObject *place = PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2 ? PyTuple_GET_ITEM(pair, 1) : NULL;
    if (place == NULL || !PyTuple_Check(place) || PyTuple_GET_SIZE(place) != 2) {
        PyErr_SetString(PyExc_TypeError, "a line comes with its position");
        return -1;
    }
    *line = PyTuple_GET_ITEM(pair, 0);
    if (!PyBytes_Check(*line)) {
        PyErr_SetString(PyExc_TypeError, "a line is bytes");
        return -1;
    }
    *sequence = PyLong_AsLongLong(PyTuple_GET_ITEM(place, 1));
    return *sequence == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Adds the events of lines to a list, from one of them on; the number of the first that is not read, or of all. */
static PyObject *
expand_all(PyObject *module, PyObject *args)
{
    Shared shared;
    PyObject *segment, *lines, *events;
    Py_ssize_t at;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!Uy#y#O!nO!", &PyType_Type, &shared.kind, &segment, &shared.head,
                          &shared.head_length, &shared.tail, &shared.tail_length, &PyList_Type, &lines, &at,
                          &PyList_Type, &events)
        || set_segment(&shared, segment) < 0)
        return NULL;
    if (at < 0) {
        PyErr_SetString(PyExc_ValueError, "lines are counted from 0");
        return NULL;
    }
    for (; at < PyList_GET_SIZE(lines); at++) {
        PyObject *line;
        long long sequence;
        if (read_pair(PyList_GET_ITEM(lines, at), &line, &sequence) < 0)
            return NULL;
        PyObject *event = make_event(&shared, PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line), sequence);
        if (event == NULL && !PyErr_Occurred())
            break;
        if (event == NULL || PyList_Append(events, event) < 0) {
            Py_XDECREF(event);
            return NULL;
        }
        Py_DECREF(event);
    }
    return PyLong_FromSsize_t(at);
}

/* The lines, with their positions, that have one of some beginnings. */
static PyObject *
headed(PyObject *module, PyObject *args)
{
    PyObject *lines, *heads, *line;
    long long sequence;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &lines, &PyTuple_Type, &heads) || !are_heads(heads))
        return NULL;
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(lines); i++) {
        PyObject *pair = PyList_GET_ITEM(lines, i);
        if (read_pair(pair, &line, &sequence) < 0
            || (is_headed(PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line), heads) && PyList_Append(found, pair) < 0))
            Py_CLEAR(found);
    }
    return found;
}

static PyMethodDef methods[] = {
    {"parse", parse, METH_VARARGS,
     "Return the lines of a text with their positions, the position after it, how many are damaged, and the ranges and\n"
     "the requests of those that have one of some beginnings behind the time: these are left together."},
    {"expand", expand, METH_VARARGS, "Return the event of a line; None for one that is not read."},
    {"expand_all", expand_all, METH_VARARGS,
     "Add the events of lines to a list; return the number of the first that is not read."},
    {"headed", headed, METH_VARARGS, "Return the lines that have one of some beginnings behind the time."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_lines", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__lines(void)
{
    return PyModule_Create(&definition);
}
