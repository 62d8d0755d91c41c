/* Events as entries of a message: a time, and a JSON object as msgpack, straight from its bytes.

   The module is optional: without a compiler, message.py decodes and encodes it by libraries, at six times the time.
   What is not read here, as an escape \u0041, a name that comes twice or anything that is not JSON, is left to them.
   tests/destinations/fluentd/test_msgpack.py compares the two, byte by byte. */

#include "../../_ends.h"
#include "../_json.h"
#include <float.h>
#include <math.h>

enum { MAX_EXACT = 15, MAX_DEPTH = 30, MAX_NAMES = 64, MAX_DIGITS = 19, MAX_NUMBER = 64, MAX_HEAD = 5 };
enum { SECOND_AT = 15, SECOND_BYTES = 19, FRACTION_AT = 35, MAX_ENTRY = 32 };

/* A name of an object, by where it is packed. */
typedef struct {
    size_t begin, length;
} Name;

/* A name and its value, as they stand in a line, and where they are packed. */
typedef struct {
    const byte *text;
    size_t text_length, begin, length;
    Name name; /* its beginning counts from theirs */
} Member;

/* `members` are the outermost ones that were packed last, by their place in a line. */
typedef struct {
    Reader in;
    byte *out;
    size_t length, size, known;
    Member members[MAX_NAMES];
} Packer;

static int
reserve(Packer *packer, size_t more)
{
    if (packer->length + more <= packer->size)
        return READ;
    size_t size = 2 * (packer->length + more);
    byte *out = PyMem_Realloc(packer->out, size);
    if (out == NULL) {
        PyErr_NoMemory();
        return FAILED;
    }
    packer->out = out;
    packer->size = size;
    return READ;
}

/* Writes a first byte and the number after it, the most significant byte first. */
static size_t
put(byte *out, byte first, uint64_t number, int bytes)
{
    *out++ = first;
    for (int i = bytes - 1; i >= 0; i--)
        *out++ = (byte)(number >> 8 * i);
    return (size_t)bytes + 1;
}

static size_t
put_text_head(byte *out, size_t length)
{
    if (length < 32)
        return put(out, (byte)(0xa0 | length), 0, 0);
    if (length < 1 << 8)
        return put(out, 0xd9, length, 1);
    return length < 1 << 16 ? put(out, 0xda, length, 2) : put(out, 0xdb, length, 4);
}

static size_t
put_parts_head(byte *out, int is_object, size_t count)
{
    if (count < 16)
        return put(out, (byte)((is_object ? 0x80 : 0x90) | count), 0, 0);
    return count < 1 << 16 ? put(out, is_object ? 0xde : 0xdc, count, 2) : put(out, is_object ? 0xdf : 0xdd, count, 4);
}

static void
put_whole(Packer *packer, uint64_t number, int is_negative)
{
    byte *out = packer->out + packer->length;
    uint64_t coded = is_negative ? ~number + 1 : number;
    size_t length;
    if (!is_negative)
        length = number < 128           ? put(out, (byte)number, 0, 0)
            : number < 1 << 8           ? put(out, 0xcc, number, 1)
            : number < 1 << 16          ? put(out, 0xcd, number, 2)
            : number < (uint64_t)1 << 32 ? put(out, 0xce, number, 4)
                                        : put(out, 0xcf, number, 8);
    else
        length = number <= 32            ? put(out, (byte)coded, 0, 0)
            : number <= 1 << 7           ? put(out, 0xd0, coded, 1)
            : number <= 1 << 15          ? put(out, 0xd1, coded, 2)
            : number <= (uint64_t)1 << 31 ? put(out, 0xd2, coded, 4)
                                         : put(out, 0xd3, coded, 8);
    packer->length += length;
}

/* Packs a string whose first quote is next; `name`, if given, is where it is packed. */
static int
pack_text(Packer *packer, Name *name)
{
    String string;
    int result = read_string(&packer->in, &string);
    if (result != READ)
        return result;
    size_t length = (size_t)(string.end - string.begin);
    if (reserve(packer, length + MAX_HEAD) < 0)
        return FAILED;
    if (string.has_escapes) {
        byte *out = packer->out + packer->length;
        length = unescape(out + MAX_HEAD, &string);
        size_t head = put_text_head(out, length);
        memmove(out + head, out + MAX_HEAD, length);
        packer->length += head;
    } else {
        packer->length += put_text_head(packer->out + packer->length, length);
        memcpy(packer->out + packer->length, string.begin, length);
    }
    if (name != NULL)
        *name = (Name){packer->length, length};
    packer->length += length;
    return READ;
}

/* Reads a number of at most 15 digits with a point: its digits, and the power of ten that divides them, are exact, so
   their quotient is the nearest number (Clinger, "How to Read Floating Point Numbers Accurately", 1990). */
static int
divide(const Number *number, double *found)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t digits = 0;
    if (FLT_EVAL_METHOD != 0 || number->end - number->digits > MAX_EXACT + 1)
        return UNREAD;
    for (const byte *at = number->digits; at < number->end; at++) {
        if (*at != '.' && (*at < '0' || *at > '9'))
            return UNREAD; /* an exponent */
        digits = *at == '.' ? digits : 10 * digits + (uint64_t)(*at - '0');
    }
    *found = (double)digits / powers[number->end - number->whole - 1];
    *found = *number->begin == '-' ? -*found : *found;
    return READ;
}

static int
pack_fraction(Packer *packer, const Number *read)
{
    char text[MAX_NUMBER];
    uint64_t bits;
    double number;
    size_t length = (size_t)(read->end - read->begin);
    if (length >= sizeof text)
        return UNREAD;
    if (divide(read, &number) != READ) {
        memcpy(text, read->begin, length);
        text[length] = 0;
        number = PyOS_string_to_double(text, NULL, NULL);
        if (number == -1.0 && PyErr_Occurred())
            return FAILED;
    }
    if (!isfinite(number))
        return UNREAD;
    memcpy(&bits, &number, sizeof bits);
    packer->length += put(packer->out + packer->length, 0xcb, bits, 8);
    return READ;
}

static int
pack_number(Packer *packer)
{
    Number number;
    if (read_number(&packer->in, &number) != READ || (*number.digits == '0' && number.digits > number.begin))
        return UNREAD;
    if (number.end != number.whole)
        return pack_fraction(packer, &number);
    if (number.whole - number.digits >= MAX_DIGITS)
        return UNREAD;
    put_whole(packer, whole_of(&number), *number.begin == '-');
    return READ;
}

static int
pack_word(Packer *packer, const char *word, byte packed)
{
    if (read_word(&packer->in, word) != READ)
        return UNREAD;
    packer->out[packer->length++] = packed;
    return READ;
}

static int pack_value(Packer *packer, int depth);

/* `seen` has a bit for each name so far, which another one may share. */
static int
is_new(const Packer *packer, const Name *names, size_t count, uint64_t *seen)
{
    const Name *last = &names[count - 1];
    const byte *text = packer->out + last->begin;
    uint64_t bit = last->length ? (uint64_t)1 << (text[0] + 7 * text[last->length - 1] + last->length) % 64 : 1;
    if (*seen & bit)
        for (size_t i = 0; i + 1 < count; i++)
            if (names[i].length == last->length && memcmp(packer->out + names[i].begin, text, last->length) == 0)
                return 0;
    *seen |= bit;
    return 1;
}

/* Packs a name and its value. */
static int
pack_member(Packer *packer, int depth, Name *name)
{
    if (packer->in.at == packer->in.end || *packer->in.at != '"')
        return UNREAD;
    int result = pack_text(packer, name);
    if (result != READ)
        return result;
    skip_blanks(&packer->in);
    if (packer->in.at == packer->in.end || *packer->in.at++ != ':')
        return UNREAD;
    skip_blanks(&packer->in);
    return pack_value(packer, depth + 1);
}

/* Packs a name and its value as those of the line before, if they are the same: the lines of a service often end alike. */
static int
repeat(Packer *packer, const Member *member, Name *name)
{
    const byte *at = packer->in.at, *behind = at + member->text_length;
    if ((size_t)(packer->in.end - at) <= member->text_length || (*behind != ',' && *behind != '}')
        || memcmp(at, member->text, member->text_length) != 0)
        return UNREAD;
    if (reserve(packer, member->length) < 0)
        return FAILED;
    memcpy(packer->out + packer->length, packer->out + member->begin, member->length);
    *name = (Name){packer->length + member->name.begin, member->name.length};
    packer->length += member->length;
    packer->in.at = behind;
    return READ;
}

/* Packs one of the outermost names and its value, and remembers them. */
static int
pack_outermost(Packer *packer, size_t place, Name *name)
{
    const byte *text = packer->in.at;
    size_t begin = packer->length;
    Member *member = &packer->members[place];
    int result = place < packer->known ? repeat(packer, member, name) : UNREAD;
    if (result == UNREAD)
        result = pack_member(packer, 0, name);
    if (result != READ)
        return result;
    *member = (Member){
        text, (size_t)(packer->in.at - text), begin, packer->length - begin, {name->begin - begin, name->length},
    };
    if (place == packer->known)
        packer->known++;
    return READ;
}

/* Packs what stands between brackets; how much that is goes before it in the end. */
static int
pack_parts(Packer *packer, int depth)
{
    int is_object = *packer->in.at++ == '{', result;
    byte close = is_object ? '}' : ']', next = ',', head[MAX_HEAD];
    size_t begin = packer->length++, count = 0;
    Name names[MAX_NAMES];
    uint64_t seen = 0;
    skip_blanks(&packer->in);
    if (packer->in.at < packer->in.end && *packer->in.at == close) {
        packer->in.at++;
        next = close;
    }
    while (next != close) {
        skip_blanks(&packer->in);
        if (is_object && count == MAX_NAMES)
            return UNREAD;
        result = !is_object ? pack_value(packer, depth + 1)
            : depth > 0     ? pack_member(packer, depth, &names[count])
                            : pack_outermost(packer, count, &names[count]);
        if (result != READ)
            return result;
        count++;
        if (is_object && !is_new(packer, names, count, &seen))
            return UNREAD;
        skip_blanks(&packer->in);
        if (packer->in.at == packer->in.end || ((next = *packer->in.at++) != close && next != ','))
            return UNREAD;
    }
    size_t length = put_parts_head(head, is_object, count);
    if (reserve(packer, MAX_HEAD) < 0)
        return FAILED;
    if (length > 1) {
        memmove(packer->out + begin + length, packer->out + begin + 1, packer->length - begin - 1);
        for (size_t i = 0; depth == 0 && i < count; i++)
            packer->members[i].begin += length - 1;
    }
    memcpy(packer->out + begin, head, length);
    packer->length += length - 1;
    return READ;
}

static int
pack_value(Packer *packer, int depth)
{
    if (packer->in.at == packer->in.end || depth > MAX_DEPTH)
        return UNREAD;
    if (reserve(packer, 2 * MAX_HEAD) < 0)
        return FAILED;
    switch (*packer->in.at) {
    case '{':
    case '[':
        return pack_parts(packer, depth);
    case '"':
        return pack_text(packer, NULL);
    case 't':
        return pack_word(packer, "true", 0xc3);
    case 'f':
        return pack_word(packer, "false", 0xc2);
    case 'n':
        return pack_word(packer, "null", 0xc0);
    }
    return pack_number(packer);
}

/* Our own times, as {"@timestamp":"2026-11-24T01:35:46.123456Z", share all but the fraction with many others. */
static int
has_own_time(const byte *line, size_t length)
{
    static const char before[] = "{\"@timestamp\":\"";
    return length >= 43 && memcmp(line, before, SECOND_AT) == 0 && line[FRACTION_AT - 1] == '.' && line[41] == 'Z'
        && line[42] == '"' && skip_digits(line + FRACTION_AT, line + 41) == line + 41;
}

/* What an entry begins with, up to its nanoseconds, for the second that was asked for last. */
typedef struct {
    PyObject *of_second, *begin;
    byte second[SECOND_BYTES];
} Entry;

static int
ask(Entry *entry, const byte *line)
{
    if (entry->begin != NULL && memcmp(entry->second, line + SECOND_AT, SECOND_BYTES) == 0)
        return READ;
    memcpy(entry->second, line + SECOND_AT, SECOND_BYTES);
    Py_XSETREF(entry->begin,
               PyObject_CallFunction(entry->of_second, "y#", (const char *)entry->second, (Py_ssize_t)SECOND_BYTES));
    if (entry->begin == NULL)
        return FAILED;
    if (!PyBytes_Check(entry->begin) || PyBytes_GET_SIZE(entry->begin) > MAX_ENTRY) {
        PyErr_SetString(PyExc_TypeError, "an entry begins with a few bytes");
        return FAILED;
    }
    return READ;
}

/* Puts the time before an entry. */
static int
put_entry(Packer *packer, Entry *entry)
{
    const byte *line = packer->in.at;
    if (!has_own_time(line, (size_t)(packer->in.end - line)))
        return UNREAD;
    if (ask(entry, line) == FAILED)
        return FAILED;
    Py_ssize_t size = PyBytes_GET_SIZE(entry->begin);
    if (size == 0)
        return UNREAD;
    uint64_t microseconds = 0;
    for (const byte *at = line + FRACTION_AT; at < line + 41; at++)
        microseconds = 10 * microseconds + (uint64_t)(*at - '0');
    byte *out = packer->out + packer->length;
    memcpy(out, PyBytes_AS_STRING(entry->begin), (size_t)size);
    packer->length += (size_t)size - 1 + put(out + size - 1, out[size - 1], 1000 * microseconds, 4);
    return READ;
}

/* Adds a line as an entry; nothing for one that is not read. */
static int
pack_line(Packer *packer, Entry *entry, const byte *line, const byte *end)
{
    size_t before = packer->length;
    packer->in = (Reader){line, end};
    if (reserve(packer, MAX_ENTRY + MAX_HEAD) < 0)
        return FAILED;
    int result = put_entry(packer, entry);
    if (result == READ)
        result = *line == '{' ? pack_value(packer, 0) : UNREAD;
    if (result == READ && packer->in.at != end)
        result = UNREAD;
    if (result != READ) {
        packer->length = before;
        packer->known = 0;
    }
    return result;
}

static int
leave(PyObject *left, Py_ssize_t place)
{
    PyObject *number = PyLong_FromSsize_t(place);
    int result = number ? PyList_Append(left, number) : FAILED;
    Py_XDECREF(number);
    return result;
}

static PyObject *
packed(const Packer *packer)
{
    return PyBytes_FromStringAndSize((const char *)packer->out, (Py_ssize_t)packer->length);
}

static PyObject *
pack_all(const Py_buffer *text, size_t begin, const uint32_t *ends, const Py_buffer *spans, Entry *entry)
{
    Packer packers[2] = {{.out = NULL}, {.out = NULL}};
    PyObject *left = PyList_New(0), *made = NULL;
    const byte *lines = text->buf, *kinds = spans->buf;
    int result = left ? READ : FAILED;
    for (Py_ssize_t i = 0; result != FAILED && i < spans->len; begin = ends[i++]) {
        result = pack_line(&packers[kinds[i] != 0], entry, lines + begin, lines + ends[i] - 1);
        if (result == UNREAD && leave(left, i) < 0)
            result = FAILED;
    }
    if (result != FAILED)
        made = Py_BuildValue("NNO", packed(&packers[0]), packed(&packers[1]), left);
    Py_XDECREF(left);
    PyMem_Free(packers[0].out);
    PyMem_Free(packers[1].out);
    return made;
}

static PyObject *
pack_entries(PyObject *module, PyObject *args)
{
    Py_buffer text, ends, spans;
    long long begin;
    Entry entry = {0};
    PyObject *made = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*Ly*y*O", &text, &begin, &ends, &spans, &entry.of_second))
        return NULL;
    if (ends.len != 4 * spans.len)
        PyErr_SetString(PyExc_ValueError, "each event has an end and a kind");
    else if (are_ends(&ends, begin, text.len))
        made = pack_all(&text, (size_t)begin, ends.buf, &spans, &entry);
    Py_XDECREF(entry.begin);
    PyBuffer_Release(&text);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&spans);
    return made;
}

static PyMethodDef methods[] = {
    {"pack_entries", pack_entries, METH_VARARGS,
     "Return the log lines of a text as entries, its spans as entries, and the places of those that are not read."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_msgpack", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__msgpack(void)
{
    make_json_table();
    return PyModule_Create(&definition);
}
