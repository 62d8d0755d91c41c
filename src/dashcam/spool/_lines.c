/* Lines out of a segment's bytes, and events out of them: what a shipper does most.

   The module is optional: without a compiler, reader.py, line.py and block.py do the same, at five times the time; what
   `expand` does not read is left to them. tests/spool/test_lines.py compares the two. */

#include "../_ends.h"
#include <string.h>

enum { MAX_TIME_DIGITS = 19, LEVEL_AT = 30, TIME_BYTES = 42, FRACTION_AT = 35, DAY_S = 86400, NUMBER_BYTES = 20 };

static const char TIME[] = "{\"time_ns\":", SPAN[] = ",\"processor\":", SEQUENCE[] = ",\"sequence\":";
static const char START[] = ",\"processor\":{\"event\":\"start\"}";
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

/* A text that is read line by line: where it stands in its segment, and what was found so far. */
typedef struct {
    const char *at, *end;
    long long offset, sequence;
    PyObject *heads;
    Held held;
    Py_ssize_t damaged;
} Walk;

/* Whatever is made of a line that is not held; `after` is the offset behind it. */
typedef int (*Take)(void *into, const char *line, Py_ssize_t length, long long offset, long long after);

/* Goes through the lines of a text: those that are headed as asked for are held, all others are taken. */
static int
walk(Walk *text, Take take, void *into)
{
    const char *next;
    text->held.ranges = PyList_New(0);
    text->held.requests = PyDict_New();
    int result = text->held.ranges && text->held.requests && are_heads(text->heads) ? 0 : -1;
    for (; result == 0 && text->at < text->end; text->at = next + 1) {
        if ((next = memchr(text->at, '\n', (size_t)(text->end - text->at))) == NULL)
            break;
        long long offset = text->offset, after = offset + (next - text->at) + 1;
        int is_whole = is_line(text->at, next);
        text->sequence = is_whole ? offset : text->sequence;
        if (is_whole && is_headed(text->at, next - text->at, text->heads) && is_call(text->at, next)) {
            result = hold(&text->held, text->at, next, offset, after);
        } else {
            text->damaged += !is_whole;
            result = end_range(&text->held);
            if (result == 0 && is_whole)
                result = take(into, text->at, next - text->at, offset, after);
        }
        text->offset = after;
    }
    if (result == 0 && end_range(&text->held) == 0 && end_request(&text->held) == 0)
        return 0;
    Py_CLEAR(text->held.ranges);
    Py_CLEAR(text->held.requests);
    return -1;
}

/* Where lines are put with their positions. */
typedef struct {
    PyObject *lines;
    PyTypeObject *position;
} Pairs;

static int
take_pair(void *into, const char *line, Py_ssize_t length, long long offset, long long after)
{
    return add_line(((Pairs *)into)->lines, ((Pairs *)into)->position, line, length, after, offset);
}

static PyObject *
parse(PyObject *module, PyObject *args)
{
    Walk text = {0};
    Pairs pairs;
    Py_ssize_t length;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#LLO!O!", &text.at, &length, &text.offset, &text.sequence, &PyType_Type,
                          &pairs.position, &PyTuple_Type, &text.heads))
        return NULL;
    text.end = text.at + length;
    pairs.lines = PyList_New(0);
    if (pairs.lines != NULL && walk(&text, take_pair, &pairs) == 0)
        return Py_BuildValue("NLLnNN", pairs.lines, text.offset, text.sequence, text.damaged, text.held.ranges,
                             text.held.requests);
    Py_XDECREF(pairs.lines);
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

/* Writes a second as `{"@timestamp":"2026-11-24T01:35:46.000000Z"`; the date by Howard Hinnant's civil_from_days. */
static void
put_second(char *out, uint64_t seconds)
{
    uint64_t second = seconds % DAY_S, shifted = seconds / DAY_S + 719468;
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
}

static char *
put(char *out, const char *data, size_t length)
{
    memcpy(out, data, length);
    return out + length;
}

/* Writes a number with at least so many digits. */
static char *
put_number(char *out, uint64_t number, int digits)
{
    uint64_t rest = number;
    int length = 1;
    while (rest >= 10) {
        rest /= 10;
        length++;
    }
    length = length < digits ? digits : length;
    put_digits(out, number, length);
    return out + length;
}

/* What the events of a segment have in common, and the second that was written last, which the next one often has. */
typedef struct {
    const char *head, *tail;
    Py_ssize_t head_length, tail_length;
    uint64_t second;
    char time[TIME_BYTES + 1];
} Shared;

/* The most bytes that an event takes beyond those of its line, a newline included. */
static size_t
most_added(const Shared *shared)
{
    return TIME_BYTES + (size_t)shared->head_length + sizeof SEQUENCE + 2 * NUMBER_BYTES + (size_t)shared->tail_length + 2;
}

static char *
put_begin(char *out, Shared *shared, const char *line, const char *time_end)
{
    uint64_t time_ns = 0;
    for (const char *at = line + sizeof TIME - 1; at < time_end; at++)
        time_ns = 10 * time_ns + (uint64_t)(*at - '0');
    if (shared->time[0] == 0 || shared->second != time_ns / 1000000000) {
        shared->second = time_ns / 1000000000;
        put_second(shared->time, shared->second);
    }
    put_digits(shared->time + FRACTION_AT, time_ns / 1000 % 1000000, 6);
    return put(out, shared->time, sizeof shared->time);
}

/* Writes the event of a line: its time as a date, and its id, its sequence and what its segment shares at its end.
   Returns where it ends; NULL for a line that is not read. */
static char *
put_event(char *out, Shared *shared, const char *line, Py_ssize_t length, long long sequence)
{
    const char *time_end = end_of_time(line, line + length);
    if (time_end == NULL || line + length - time_end < 2 || sequence < 0)
        return NULL;
    out = put_begin(out, shared, line, time_end);
    out = put(out, time_end, (size_t)(line + length - 2 - time_end));
    out = put(out, shared->head, (size_t)shared->head_length);
    out = put_number(out, (uint64_t)sequence, 8);
    *out++ = '"';
    out = put(out, SEQUENCE, sizeof SEQUENCE - 1);
    out = put_number(out, (uint64_t)sequence, 1);
    return put(out, shared->tail, (size_t)shared->tail_length);
}

static int
is_of_kind(const char *line, Py_ssize_t length, const char *kind, size_t kind_length)
{
    const char *time_end = end_of_time(line, line + length);
    return time_end != NULL && (size_t)(line + length - time_end) >= kind_length
        && memcmp(time_end, kind, kind_length) == 0;
}

/* An event of its parts: the id is that of its segment, a hyphen, and its sequence. It takes `data`. */
static PyObject *
make_event(PyTypeObject *kind, PyObject *segment, uint64_t sequence, int is_span, PyObject *data)
{
    char number[NUMBER_BYTES];
    Py_ssize_t length = PyUnicode_GET_LENGTH(segment), digits = put_number(number, sequence, 8) - number;
    PyObject *id = PyUnicode_New(length + 1 + digits, 127);
    if (id != NULL) {
        char *out = put((char *)PyUnicode_1BYTE_DATA(id), (char *)PyUnicode_1BYTE_DATA(segment), (size_t)length);
        *out++ = '-';
        put(out, number, (size_t)digits);
    }
    PyObject *items[] = {id, PyBool_FromLong(is_span), data};
    return named_tuple(kind, items, 3);
}

static int
is_ascii(PyObject *segment)
{
    if (!PyUnicode_IS_ASCII(segment))
        PyErr_SetString(PyExc_ValueError, "the id of a segment is ASCII");
    return PyUnicode_IS_ASCII(segment);
}

static PyObject *
expand(PyObject *module, PyObject *args)
{
    Shared shared = {0};
    PyTypeObject *kind;
    PyObject *segment;
    const char *line;
    Py_ssize_t length;
    long long sequence;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!Uy#y#y#L", &PyType_Type, &kind, &segment, &shared.head, &shared.head_length,
                          &shared.tail, &shared.tail_length, &line, &length, &sequence)
        || !is_ascii(segment))
        return NULL;
    PyObject *data = PyBytes_FromStringAndSize(NULL, length + (Py_ssize_t)most_added(&shared));
    char *end = data ? put_event(PyBytes_AS_STRING(data), &shared, line, length, sequence) : NULL;
    if (data != NULL && end == NULL) {
        Py_DECREF(data);
        Py_RETURN_NONE;
    }
    if (data == NULL || _PyBytes_Resize(&data, end - PyBytes_AS_STRING(data)) < 0)
        return NULL;
    return make_event(kind, segment, (uint64_t)sequence, is_of_kind(line, length, SPAN, sizeof SPAN - 1), data);
}

enum { TEXT, ENDS, SPANS, OFFSETS, SEQUENCES, COLUMNS };

/* Events that are written one after the other, a newline behind each, and where each ends, whether it is a span, the
   offset behind its line, and its sequence. `told` are lines that begin in one of some ways. */
typedef struct {
    Shared shared;
    PyObject *columns[COLUMNS];
    char *out;
    Py_ssize_t count, lines;
    PyObject *telling;
    Pairs told;
} Block;

static int
take_event(void *into, const char *line, Py_ssize_t length, long long offset, long long after)
{
    Block *block = into;
    block->lines++;
    if (is_headed(line, length, block->telling) && take_pair(&block->told, line, length, offset, after) < 0)
        return -1;
    if (is_of_kind(line, length, START, sizeof START - 1))
        return 0;
    block->out = put_event(block->out, &block->shared, line, length, offset);
    *block->out++ = '\n';
    Py_ssize_t at = block->count++;
    ((uint32_t *)PyBytes_AS_STRING(block->columns[ENDS]))[at]
        = (uint32_t)(block->out - PyBytes_AS_STRING(block->columns[TEXT]));
    PyBytes_AS_STRING(block->columns[SPANS])[at] = (char)is_of_kind(line, length, SPAN, sizeof SPAN - 1);
    ((int32_t *)PyBytes_AS_STRING(block->columns[OFFSETS]))[at] = (int32_t)after;
    ((uint32_t *)PyBytes_AS_STRING(block->columns[SEQUENCES]))[at] = (uint32_t)offset;
    return 0;
}

/* Makes room for the events of a text; -1 when there is none, or the numbers of the lines would not be held. */
static int
make_room(Block *block, const Walk *text)
{
    Py_ssize_t lines = 0, length = text->end - text->at;
    for (const char *at = text->at; (at = memchr(at, '\n', (size_t)(text->end - at))) != NULL; at++)
        lines++;
    size_t size = (size_t)length + (size_t)lines * most_added(&block->shared);
    if (text->offset < 0 || text->offset > INT32_MAX - length || size > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a segment is not so large");
        return -1;
    }
    for (int i = 0; i < COLUMNS; i++) {
        Py_ssize_t bytes = i == TEXT ? (Py_ssize_t)size : i == SPANS ? lines : 4 * lines;
        if ((block->columns[i] = PyBytes_FromStringAndSize(NULL, bytes)) == NULL)
            return -1;
    }
    block->out = PyBytes_AS_STRING(block->columns[TEXT]);
    return 0;
}

/* Gives back the room that is left. */
static int
cut(Block *block)
{
    for (int i = 0; i < COLUMNS; i++) {
        Py_ssize_t bytes = i == TEXT ? block->out - PyBytes_AS_STRING(block->columns[TEXT])
            : i == SPANS             ? block->count
                                     : 4 * block->count;
        if (_PyBytes_Resize(&block->columns[i], bytes) < 0)
            return -1;
    }
    return 0;
}

static PyObject *
read_events(PyObject *module, PyObject *args)
{
    Walk text = {0};
    Block block = {0};
    Py_ssize_t length;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#LLO!O!O!y#y#", &text.at, &length, &text.offset, &text.sequence, &PyType_Type,
                          &block.told.position, &PyTuple_Type, &text.heads, &PyTuple_Type, &block.telling,
                          &block.shared.head, &block.shared.head_length, &block.shared.tail, &block.shared.tail_length)
        || !are_heads(block.telling))
        return NULL;
    text.end = text.at + length;
    if (make_room(&block, &text) == 0 && (block.told.lines = PyList_New(0)) != NULL
        && walk(&text, take_event, &block) == 0) {
        if (cut(&block) == 0)
            return Py_BuildValue("(NNNNN)nNLLnNN", block.columns[TEXT], block.columns[ENDS], block.columns[SPANS],
                                 block.columns[OFFSETS], block.columns[SEQUENCES], block.lines, block.told.lines,
                                 text.offset, text.sequence, text.damaged, text.held.ranges, text.held.requests);
        Py_DECREF(text.held.ranges);
        Py_DECREF(text.held.requests);
    }
    for (int i = 0; i < COLUMNS; i++)
        Py_XDECREF(block.columns[i]);
    Py_XDECREF(block.told.lines);
    return NULL;
}

/* The columns of a block as Python has them. */
typedef struct {
    Py_buffer text, ends, spans, sequences;
    long long begin;
} Columns;

static int
are_columns(const Columns *columns)
{
    if (columns->ends.len != 4 * columns->spans.len || columns->sequences.len != columns->ends.len) {
        PyErr_SetString(PyExc_ValueError, "each event has an end, a kind and a sequence");
        return 0;
    }
    return are_ends(&columns->ends, columns->begin, columns->text.len);
}

static PyObject *
list_events(PyTypeObject *kind, PyObject *segment, const Columns *columns)
{
    const uint32_t *ends = columns->ends.buf, *sequences = columns->sequences.buf;
    const char *text = columns->text.buf, *spans = columns->spans.buf;
    long long before = columns->begin;
    PyObject *events = PyList_New(columns->spans.len);
    for (Py_ssize_t i = 0; events != NULL && i < columns->spans.len; i++) {
        PyObject *data = PyBytes_FromStringAndSize(text + before, (Py_ssize_t)(ends[i] - before - 1));
        PyObject *event = make_event(kind, segment, sequences[i], spans[i] != 0, data);
        if (event != NULL)
            PyList_SET_ITEM(events, i, event);
        else
            Py_CLEAR(events);
        before = ends[i];
    }
    return events;
}

static PyObject *
make_events(PyObject *module, PyObject *args)
{
    PyTypeObject *kind;
    PyObject *segment, *events = NULL;
    Columns columns;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!Uy*Ly*y*y*", &PyType_Type, &kind, &segment, &columns.text, &columns.begin,
                          &columns.ends, &columns.spans, &columns.sequences))
        return NULL;
    if (is_ascii(segment) && are_columns(&columns))
        events = list_events(kind, segment, &columns);
    PyBuffer_Release(&columns.text);
    PyBuffer_Release(&columns.ends);
    PyBuffer_Release(&columns.spans);
    PyBuffer_Release(&columns.sequences);
    return events;
}

static PyMethodDef methods[] = {
    {"parse", parse, METH_VARARGS,
     "Return the lines of a text with their positions, the position after it, how many are damaged, and the ranges and\n"
     "the requests of those that have one of some beginnings behind the time: these are left together."},
    {"expand", expand, METH_VARARGS, "Return the event of a line; None for one that is not read."},
    {"read_events", read_events, METH_VARARGS,
     "Return the events of a text as columns, how many lines they are of, those that begin in some ways, and the rest\n"
     "of what `parse` returns."},
    {"make_events", make_events, METH_VARARGS, "Return the events of some columns as a list."},
    {NULL, NULL, 0, NULL},
};

/* There is no state; that threads without the lock change nothing meanwhile has not been looked at. */
static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_lines", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC
PyInit__lines(void)
{
    return PyModuleDef_Init(&definition);
}
