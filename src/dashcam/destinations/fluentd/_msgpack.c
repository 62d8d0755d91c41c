/* Events as entries of a message: a time, and a JSON object as msgpack, straight from its bytes.

   The module is optional: without a compiler, message.py decodes and encodes it by libraries, at six times the time.
   What is not read here, as an escape \u0041, a name that comes twice or anything that is not JSON, is left to them:
   `pack_entries` gives None. tests/destinations/fluentd/test_msgpack.py compares the two, byte by byte. */

#include "../_json.h"
#include <math.h>

enum { MAX_DEPTH = 30, MAX_NAMES = 64, MAX_DIGITS = 19, MAX_NUMBER = 64, MAX_HEAD = 5 };
enum { SECOND_AT = 15, SECOND_BYTES = 19, FRACTION_AT = 35, MAX_ENTRY = 32 };

typedef struct {
    Reader in;
    byte *out;
    size_t length, size;
} Packer;

/* A name of an object, by where it is packed. */
typedef struct {
    size_t begin, length;
} Name;

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

static int
pack_fraction(Packer *packer, const byte *begin, size_t length)
{
    char text[MAX_NUMBER];
    uint64_t bits;
    if (length >= sizeof text)
        return UNREAD;
    memcpy(text, begin, length);
    text[length] = 0;
    double number = PyOS_string_to_double(text, NULL, NULL);
    if (number == -1.0 && PyErr_Occurred())
        return FAILED;
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
        return pack_fraction(packer, number.begin, (size_t)(number.end - number.begin));
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

static int
is_new(const Packer *packer, const Name *names, size_t count)
{
    const Name *last = &names[count - 1];
    for (size_t i = 0; i + 1 < count; i++)
        if (names[i].length == last->length
            && memcmp(packer->out + names[i].begin, packer->out + last->begin, last->length) == 0)
            return 0;
    return 1;
}

/* Packs a name and the colon after it. */
static int
pack_name(Packer *packer, Name *names, size_t count)
{
    if (packer->in.at == packer->in.end || *packer->in.at != '"' || count > MAX_NAMES)
        return UNREAD;
    int result = pack_text(packer, &names[count - 1]);
    if (result != READ)
        return result;
    skip_blanks(&packer->in);
    if (!is_new(packer, names, count) || packer->in.at == packer->in.end || *packer->in.at++ != ':')
        return UNREAD;
    skip_blanks(&packer->in);
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
    skip_blanks(&packer->in);
    if (packer->in.at < packer->in.end && *packer->in.at == close) {
        packer->in.at++;
        next = close;
    }
    while (next != close) {
        count++;
        skip_blanks(&packer->in);
        if (is_object && (result = pack_name(packer, names, count)) != READ)
            return result;
        if ((result = pack_value(packer, depth + 1)) != READ)
            return result;
        skip_blanks(&packer->in);
        if (packer->in.at == packer->in.end || ((next = *packer->in.at++) != close && next != ','))
            return UNREAD;
    }
    size_t length = put_parts_head(head, is_object, count);
    if (reserve(packer, MAX_HEAD) < 0)
        return FAILED;
    if (length > 1)
        memmove(packer->out + begin + length, packer->out + begin + 1, packer->length - begin - 1);
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

/* Packs the object that a line is behind what is packed already: bytes, or None for what is not read. */
static PyObject *
pack_object(Packer *packer)
{
    PyObject *packed = NULL;
    int result = packer->in.at < packer->in.end && *packer->in.at == '{' ? pack_value(packer, 0) : UNREAD;
    if (result == READ && packer->in.at == packer->in.end)
        packed = PyBytes_FromStringAndSize((const char *)packer->out, (Py_ssize_t)packer->length);
    if (result == FAILED || (result == READ && packer->in.at == packer->in.end))
        return packed;
    Py_RETURN_NONE;
}

/* Begins with a line; `out` is used again for the next one. */
static int
begin_line(Packer *packer, PyObject *line)
{
    if (!PyBytes_Check(line)) {
        PyErr_SetString(PyExc_TypeError, "a line is bytes");
        return FAILED;
    }
    packer->in.at = (const byte *)PyBytes_AS_STRING(line);
    packer->in.end = packer->in.at + PyBytes_GET_SIZE(line);
    packer->length = 0;
    return reserve(packer, (size_t)PyBytes_GET_SIZE(line) / 2 + 64);
}

/* Our own times, as {"@timestamp":"2026-11-24T01:35:46.123456Z", share all but the fraction with many others. */
static int
has_own_time(const byte *line, size_t length)
{
    static const char before[] = "{\"@timestamp\":\"";
    return length >= 43 && memcmp(line, before, SECOND_AT) == 0 && line[FRACTION_AT - 1] == '.' && line[41] == 'Z'
        && line[42] == '"' && skip_digits(line + FRACTION_AT, line + 41) == line + 41;
}

/* Puts the time before an entry; `second` is the text of the last one, and `entry` what an entry begins with then. */
static int
put_entry(Packer *packer, PyObject *begin_entry, byte *second, PyObject **entry)
{
    const byte *line = packer->in.at;
    if (!has_own_time(line, (size_t)(packer->in.end - line)))
        return UNREAD;
    if (*entry == NULL || memcmp(second, line + SECOND_AT, SECOND_BYTES) != 0) {
        memcpy(second, line + SECOND_AT, SECOND_BYTES);
        Py_XSETREF(*entry, PyObject_CallFunction(begin_entry, "y#", (const char *)second, (Py_ssize_t)SECOND_BYTES));
        if (*entry == NULL)
            return FAILED;
        if (!PyBytes_Check(*entry) || PyBytes_GET_SIZE(*entry) > MAX_ENTRY) {
            PyErr_SetString(PyExc_TypeError, "an entry begins with a few bytes");
            return FAILED;
        }
    }
    if (PyBytes_GET_SIZE(*entry) == 0)
        return UNREAD;
    uint64_t microseconds = 0;
    for (const byte *at = line + FRACTION_AT; at < line + 41; at++)
        microseconds = 10 * microseconds + (uint64_t)(*at - '0');
    memcpy(packer->out, PyBytes_AS_STRING(*entry), (size_t)PyBytes_GET_SIZE(*entry));
    packer->length = (size_t)PyBytes_GET_SIZE(*entry) - 1;
    byte last = packer->out[packer->length];
    packer->length += put(packer->out + packer->length, last, 1000 * microseconds, 4);
    return READ;
}

/* Lines as entries; None for those that are not read. */
static PyObject *
pack_entries(PyObject *module, PyObject *args)
{
    PyObject *lines, *begin_entry, *entry = NULL;
    byte second[SECOND_BYTES];
    Packer packer = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &lines, &begin_entry))
        return NULL;
    PyObject *entries = PyList_New(0);
    for (Py_ssize_t i = 0; entries != NULL && i < PyList_GET_SIZE(lines); i++) {
        PyObject *packed = NULL;
        PyObject *line = Py_NewRef(PyList_GET_ITEM(lines, i)); /* `begin_entry` may do anything to the list */
        int result = begin_line(&packer, line);
        if (result == READ)
            result = put_entry(&packer, begin_entry, second, &entry);
        if (result != FAILED)
            packed = result == READ ? pack_object(&packer) : Py_NewRef(Py_None);
        if (packed == NULL || PyList_Append(entries, packed) < 0)
            Py_CLEAR(entries);
        Py_XDECREF(packed);
        Py_DECREF(line);
    }
    Py_XDECREF(entry);
    PyMem_Free(packer.out);
    return entries;
}

static PyMethodDef methods[] = {
    {"pack_entries", pack_entries, METH_VARARGS, "Return lines as entries; None for each that is not read."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_msgpack", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__msgpack(void)
{
    make_json_table();
    return PyModule_Create(&definition);
}
