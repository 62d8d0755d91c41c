/* The terms that the local store finds events by, and the keys that it counts them by, collected from the bytes of
   their lines.

   The module is optional: without a compiler, terms.py does the same, more slowly. What is not read here, as an escape
   \u0041 or anything that is not JSON, is left to it line by line. tests/destinations/local/index/test_terms.py compares the
   two; names and rules are the same in both. */

#include "../_json.h"

enum { INDEXED = 1, MEASURED = 2, SHOWN = 4, ID = 8, LABEL = 16, COLUMN = 32, ALONE = 64, DURATION = 128 };
enum { PLACE = 256 }; /* the places are what is above */
enum { MAX_DEPTH = 60, MAX_PATH = 1000, MAX_WORD = 64, MAX_WORD_BYTES = 4 * MAX_WORD, MAX_SIZE = 64, MAX_ID = 28 };
enum { MAX_KEY = 500, MAX_EXPONENT = 2, MAX_NUMBER = 200 }; /* digits: Python says what is too great to be a number */

typedef struct {
    const char *name;
    int uses;
} Field;

/* A `COLUMN`, and each object that has columns, stands `ALONE`: in a line that has it twice, only the last one counts. */
static const Field FIELDS[] = {
    {"tags", INDEXED}, {"span.id", INDEXED}, {"event.id", INDEXED | ID}, {"trace.id", INDEXED}, {"url.path", INDEXED},
    {"parent.id", INDEXED}, {"http.request.id", INDEXED}, {"event.duration", MEASURED | DURATION | ALONE | 23 * PLACE}, {"message", SHOWN},
    {"url.full", SHOWN}, {"error.type", SHOWN}, {"db.statement", SHOWN}, {"error.message", SHOWN},
    {"error.stack_trace", SHOWN}, {"service.name", INDEXED | COLUMN | 0 * PLACE},
    {"service.version", COLUMN | 1 * PLACE}, {"service.environment", COLUMN | 2 * PLACE},
    {"log.level", INDEXED | COLUMN | 3 * PLACE}, {"log.logger", INDEXED | COLUMN | 4 * PLACE},
    {"http.route", INDEXED | COLUMN | 5 * PLACE}, {"http.request.method", INDEXED | COLUMN | 6 * PLACE},
    {"http.response.status_code", INDEXED | MEASURED | COLUMN | 7 * PLACE},
    {"event.outcome", INDEXED | COLUMN | 8 * PLACE}, {"event.dataset", COLUMN | 9 * PLACE},
    {"event.action", INDEXED | COLUMN | 10 * PLACE}, {"processor.event", INDEXED | COLUMN | 11 * PLACE},
    {"span.kind", COLUMN | 12 * PLACE}, {"transaction.type", COLUMN | 13 * PLACE}, {"service", ALONE | 14 * PLACE},
    {"log", ALONE | 15 * PLACE}, {"http", ALONE | 16 * PLACE}, {"http.request", ALONE | 17 * PLACE},
    {"http.response", ALONE | 18 * PLACE}, {"event", ALONE | 19 * PLACE}, {"processor", ALONE | 20 * PLACE},
    {"span", ALONE | 21 * PLACE}, {"transaction", ALONE | 22 * PLACE},
};

enum { FIELD_COUNT = sizeof FIELDS / sizeof *FIELDS, MAX_FIELD = 63 };

/* The fields by the last five bits of their first letter, and their length: the first of them, and of each the next one,
   as numbers from 1; 0 is none. */
static byte first_field[32][MAX_FIELD + 1], next_field[FIELD_COUNT + 1];

static void
make_field_table(void)
{
    for (int number = 1; number <= FIELD_COUNT; number++) {
        const char *name = FIELDS[number - 1].name;
        byte *first = &first_field[name[0] & 31][strlen(name)];
        next_field[number] = *first;
        *first = (byte)number;
    }
}

/* A set of numbers, never 0. */
typedef struct {
    uint64_t *slots;
    size_t size, used;
} Numbers;

typedef struct {
    char *data;
    size_t length, size;
} Buffer;

typedef struct {
    Reader in;
    byte path[MAX_PATH];
    Buffer text;    /* the terms so far */
    Buffer plain;   /* a string without its escapes */
    Buffer key;     /* of a line: for each value of a column its letter, the JSON and a newline */
    uint32_t alone; /* the places of what the line has had */
    int durations;  /* that a line has, and the last of them, where it is a whole number */
    int is_whole;
    int64_t duration_ns;
    Numbers hashes; /* of fields, and of words that follow each other */
    Numbers words;  /* where in `text` each word begins, and how long it is */
    PyObject *number;
} Collector;

static uint32_t crc_tables[4][256];

static void
make_crc_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
        crc_tables[0][i] = crc;
    }
    for (int table = 1; table < 4; table++)
        for (int i = 0; i < 256; i++) {
            uint32_t crc = crc_tables[table - 1][i];
            crc_tables[table][i] = crc_tables[0][crc & 255] ^ (crc >> 8);
        }
}

/* CRC-32 as zlib has it; `crc` is that of what goes before. */
static uint32_t
crc_of(uint32_t crc, const byte *data, size_t length)
{
    crc = ~crc;
    for (; length >= 4; data += 4, length -= 4) {
        crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = crc_tables[3][crc & 255] ^ crc_tables[2][crc >> 8 & 255] ^ crc_tables[1][crc >> 16 & 255]
            ^ crc_tables[0][crc >> 24];
    }
    for (; length > 0; data++, length--)
        crc = crc_tables[0][(crc ^ *data) & 255] ^ (crc >> 8);
    return ~crc;
}

static int
reserve(Buffer *buffer, size_t more)
{
    if (buffer->length + more <= buffer->size)
        return READ;
    size_t size = 2 * (buffer->length + more) + 1024;
    char *data = PyMem_Realloc(buffer->data, size);
    if (data == NULL) {
        PyErr_NoMemory();
        return FAILED;
    }
    buffer->data = data;
    buffer->size = size;
    return READ;
}

static int
grow(Numbers *set, uint64_t (*hash)(const Collector *, uint64_t), const Collector *collector)
{
    if (2 * set->used < set->size)
        return READ;
    size_t size = set->size ? 2 * set->size : 1024;
    uint64_t *slots = PyMem_Calloc(size, sizeof *slots);
    if (slots == NULL) {
        PyErr_NoMemory();
        return FAILED;
    }
    for (size_t i = 0; i < set->size; i++)
        if (set->slots[i] != 0) {
            size_t slot = hash(collector, set->slots[i]) & (size - 1);
            while (slots[slot] != 0)
                slot = (slot + 1) & (size - 1);
            slots[slot] = set->slots[i];
        }
    PyMem_Free(set->slots);
    set->slots = slots;
    set->size = size;
    return READ;
}

static uint64_t
same(const Collector *collector, uint64_t number)
{
    (void)collector;
    return number;
}

/* Writes the term of a hash: its hexadecimal digits, as `%x` has them. */
static size_t
put_hash(char *out, uint32_t crc)
{
    char *begin = out;
    int shift = 28;
    while (shift > 0 && crc >> shift == 0)
        shift -= 4;
    *out++ = '=';
    for (; shift >= 0; shift -= 4)
        *out++ = "0123456789abcdef"[crc >> shift & 15];
    *out++ = ' ';
    return (size_t)(out - begin);
}

static int
add_hash(Collector *collector, uint32_t crc)
{
    Numbers *set = &collector->hashes;
    uint64_t number = (uint64_t)crc | (uint64_t)1 << 32;
    if (grow(set, same, collector) < 0)
        return FAILED;
    size_t slot = number & (set->size - 1);
    for (; set->slots[slot] != 0; slot = (slot + 1) & (set->size - 1))
        if (set->slots[slot] == number)
            return READ;
    set->slots[slot] = number;
    set->used++;
    if (reserve(&collector->text, 16) < 0)
        return FAILED;
    collector->text.length += put_hash(collector->text.data + collector->text.length, crc);
    return READ;
}

static uint32_t
word_hash(const byte *word, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ word[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static uint64_t
hash_of_kept(const Collector *collector, uint64_t kept)
{
    return word_hash((const byte *)collector->text.data + (kept >> 10), (size_t)(kept & 1023));
}

static int
add_word(Collector *collector, const byte *word, size_t length)
{
    Numbers *set = &collector->words;
    Buffer *text = &collector->text;
    if (grow(set, hash_of_kept, collector) < 0 || reserve(text, length + 1) < 0)
        return FAILED;
    size_t slot = word_hash(word, length) & (set->size - 1);
    for (; set->slots[slot] != 0; slot = (slot + 1) & (set->size - 1)) {
        uint64_t kept = set->slots[slot];
        if ((kept & 1023) == length && memcmp(text->data + (kept >> 10), word, length) == 0)
            return READ;
    }
    set->slots[slot] = (uint64_t)text->length << 10 | length;
    set->used++;
    memcpy(text->data + text->length, word, length);
    text->length += length;
    text->data[text->length++] = ' ';
    return READ;
}

/* The word that went before, for the term of the two. */
typedef struct {
    uint32_t crc;
    int is_there;
} Before;

static int
add_next_word(Collector *collector, Before *before, const byte *word, size_t length)
{
    if (before->is_there) {
        uint32_t crc = crc_of(crc_of(before->crc, (const byte *)" ", 1), word, length);
        if (add_hash(collector, crc) < 0)
            return FAILED;
    }
    before->crc = crc_of(0, word, length);
    before->is_there = 1;
    return add_word(collector, word, length);
}

static int
is_word_byte(byte c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int
add_ascii_words(Collector *collector, const byte *at, const byte *end)
{
    Before before = {0, 0};
    byte word[MAX_WORD];
    for (;;) {
        size_t length = 0;
        while (at < end && !is_word_byte(*at))
            at++;
        if (at == end)
            return READ;
        for (; at < end && is_word_byte(*at); at++)
            if (length < MAX_WORD)
                word[length++] = *at >= 'A' && *at <= 'Z' ? *at | 0x20 : *at;
        if (add_next_word(collector, &before, word, length) < 0)
            return FAILED;
    }
}

static int
add_other_word(Collector *collector, Before *before, PyObject *text, Py_ssize_t begin, Py_ssize_t end)
{
    Py_ssize_t length;
    PyObject *word = PyUnicode_Substring(text, begin, end < begin + MAX_WORD ? end : begin + MAX_WORD);
    const char *data = word ? PyUnicode_AsUTF8AndSize(word, &length) : NULL;
    int result = data ? add_next_word(collector, before, (const byte *)data, (size_t)length) : FAILED;
    Py_XDECREF(word);
    return result;
}

static int
add_other_words(Collector *collector, const byte *begin, const byte *end)
{
    Before before = {0, 0};
    PyObject *text = PyUnicode_DecodeUTF8((const char *)begin, end - begin, "strict");
    PyObject *small = text ? PyObject_CallMethod(text, "lower", NULL) : NULL;
    int result = small ? READ : FAILED;
    Py_ssize_t length = small ? PyUnicode_GET_LENGTH(small) : 0;
    for (Py_ssize_t at = 0; at < length && result == READ;) {
        Py_ssize_t first = at;
        while (at < length && Py_UNICODE_ISALNUM(PyUnicode_READ_CHAR(small, at)))
            at++;
        if (at > first)
            result = add_other_word(collector, &before, small, first, at);
        else
            at++;
    }
    Py_XDECREF(text);
    Py_XDECREF(small);
    return result;
}

static int
uses_of(const byte *path, size_t length)
{
    if (length >= 7 && memcmp(path, "labels.", 7) == 0)
        return LABEL | INDEXED | MEASURED | SHOWN;
    if (length == 0 || length > MAX_FIELD)
        return 0;
    for (int number = first_field[path[0] & 31][length]; number; number = next_field[number])
        if (memcmp(FIELDS[number - 1].name, path, length) == 0)
            return FIELDS[number - 1].uses;
    return 0;
}

/* Adds what a value is found by. `size` is NULL for what is not a number. */
static int
add_leaf(Collector *collector, size_t path, int uses, const byte *begin, const byte *end, int is_ascii, const int *size)
{
    uint32_t crc = crc_of(0, collector->path, path);
    if (uses & LABEL && add_hash(collector, crc) < 0)
        return FAILED;
    if (uses & INDEXED) {
        size_t length = (size_t)(end - begin);
        if (uses & ID && length > MAX_ID)
            length = MAX_ID;
        if (add_hash(collector, crc_of(crc_of(crc, (const byte *)"=", 1), begin, length)) < 0)
            return FAILED;
    }
    if (uses & MEASURED && size != NULL) {
        char digits[16];
        int length = snprintf(digits, sizeof digits, "~%d", *size);
        if (add_hash(collector, crc_of(crc, (const byte *)digits, (size_t)length)) < 0)
            return FAILED;
    }
    if (!(uses & SHOWN))
        return READ;
    return is_ascii ? add_ascii_words(collector, begin, end) : add_other_words(collector, begin, end);
}

static int
read_text(Collector *collector, size_t path, int uses)
{
    String string;
    int result = read_string(&collector->in, &string);
    if (result != READ || !uses)
        return result;
    if (uses & ID && string.has_high)
        return UNREAD;
    if (string.has_escapes) {
        Buffer *plain = &collector->plain;
        plain->length = 0;
        if (reserve(plain, (size_t)(string.end - string.begin) + 1) < 0)
            return FAILED;
        string.end = (const byte *)plain->data + unescape((byte *)plain->data, &string);
        string.begin = (const byte *)plain->data;
    }
    return add_leaf(collector, path, uses, string.begin, string.end, !string.has_high, NULL);
}

static int
add_other_number(Collector *collector, size_t path, int uses, const byte *begin, const byte *end)
{
    PyObject *text = NULL;
    int size, result = FAILED;
    Py_ssize_t length;
    PyObject *both = PyObject_CallFunction(collector->number, "y#", (const char *)begin, (Py_ssize_t)(end - begin));
    if (both != NULL && PyArg_ParseTuple(both, "Ui", &text, &size)) {
        const char *data = PyUnicode_AsUTF8AndSize(text, &length);
        if (data != NULL)
            result = add_leaf(collector, path, uses, (const byte *)data, (const byte *)data + length, 1, &size);
    }
    Py_XDECREF(both);
    return result;
}

static void
note_duration(Collector *collector, const Number *number)
{
    int is_negative = number->digits > number->begin;
    collector->is_whole = number->end == number->whole && number->whole - number->digits <= 18
        && !(is_negative && *number->digits == '0');
    if (collector->is_whole)
        collector->duration_ns = is_negative ? -(int64_t)whole_of(number) : (int64_t)whole_of(number);
}

static int
read_size(Collector *collector, size_t path, int uses)
{
    Number number;
    if (read_number(&collector->in, &number) != READ || number.exponent_digits > MAX_EXPONENT
        || number.end - number.begin > MAX_NUMBER)
        return UNREAD;
    if (!uses)
        return READ;
    if (uses & DURATION)
        note_duration(collector, &number);
    if (number.end != number.whole || number.whole - number.digits > 18
        || (*number.digits == '0' && number.digits > number.begin))
        return add_other_number(collector, path, uses, number.begin, number.end);
    int size = 0;
    for (uint64_t whole = whole_of(&number); whole; whole >>= 1)
        size++;
    size = *number.begin == '-' ? -size : size;
    return add_leaf(collector, path, uses, number.begin, number.end, 1, &size);
}

static int
read_name(Collector *collector, size_t path, int uses, const char *name, int is_value)
{
    const byte *begin = collector->in.at;
    int result = read_word(&collector->in, name);
    return result == READ && uses && is_value ? add_leaf(collector, path, uses, begin, collector->in.at, 1, NULL) : result;
}

static int read_value(Collector *collector, size_t path, int uses, int depth);

/* Reads what stands between brackets; in an object each value has a name before it, which goes on the path. */
static int
read_parts(Collector *collector, size_t path, int uses, int depth)
{
    int is_object = *collector->in.at++ == '{';
    byte close = is_object ? '}' : ']';
    if (is_object && depth > 0)
        collector->path[path++] = '.';
    skip_blanks(&collector->in);
    if (collector->in.at < collector->in.end && *collector->in.at == close) {
        collector->in.at++;
        return READ;
    }
    for (;;) {
        size_t inner = path;
        skip_blanks(&collector->in);
        if (is_object) {
            String key;
            if (collector->in.at == collector->in.end || *collector->in.at != '"')
                return UNREAD;
            int result = read_string(&collector->in, &key);
            if (result != READ)
                return result;
            size_t length = (size_t)(key.end - key.begin);
            if (key.has_escapes || path + length + 2 > MAX_PATH)
                return UNREAD;
            memcpy(collector->path + path, key.begin, length);
            inner = path + length;
            skip_blanks(&collector->in);
            if (collector->in.at == collector->in.end || *collector->in.at++ != ':')
                return UNREAD;
            skip_blanks(&collector->in);
            uses = uses_of(collector->path, inner);
            if (uses & (COLUMN | ALONE)) {
                uint32_t place = (uint32_t)1 << uses / PLACE;
                if (collector->alone & place)
                    return UNREAD;
                collector->alone |= place;
            }
        }
        int result = read_value(collector, inner, uses, depth + 1);
        if (result != READ)
            return result;
        skip_blanks(&collector->in);
        if (collector->in.at == collector->in.end)
            return UNREAD;
        byte next = *collector->in.at++;
        if (next == close)
            return READ;
        if (next != ',')
            return UNREAD;
    }
}

static int
read_leaf(Collector *collector, size_t path, int uses)
{
    switch (*collector->in.at) {
    case '"':
        return read_text(collector, path, uses);
    case 't':
        return read_name(collector, path, uses, "true", 1);
    case 'f':
        return read_name(collector, path, uses, "false", 1);
    case 'n':
        return read_name(collector, path, uses, "null", 0);
    }
    return read_size(collector, path, uses);
}

static int
add_to_key(Collector *collector, int uses, const byte *begin)
{
    Buffer *key = &collector->key;
    size_t length = (size_t)(collector->in.at - begin);
    if (reserve(key, length + 2) < 0)
        return FAILED;
    key->data[key->length++] = (char)('a' + uses / PLACE);
    memcpy(key->data + key->length, begin, length);
    key->length += length;
    key->data[key->length++] = '\n';
    return READ;
}

static int
read_value(Collector *collector, size_t path, int uses, int depth)
{
    const byte *begin = collector->in.at;
    if (begin == collector->in.end || depth > MAX_DEPTH)
        return UNREAD;
    if (*begin == '{' || *begin == '[')
        return read_parts(collector, path, uses, depth);
    collector->durations += (uses & DURATION) != 0;
    int result = read_leaf(collector, path, uses);
    return result == READ && uses & COLUMN && *begin != 'n' ? add_to_key(collector, uses, begin) : result;
}

static int
read_line(Collector *collector, PyObject *line)
{
    collector->in.at = (const byte *)PyBytes_AS_STRING(line);
    collector->in.end = collector->in.at + PyBytes_GET_SIZE(line);
    collector->key.length = 0;
    collector->alone = 0;
    collector->durations = collector->is_whole = 0;
    skip_blanks(&collector->in);
    if (collector->in.at == collector->in.end || *collector->in.at != '{')
        return UNREAD;
    int result = read_parts(collector, 0, 0, 0);
    if (result != READ)
        return result;
    skip_blanks(&collector->in);
    return collector->in.at == collector->in.end ? READ : UNREAD;
}

/* Adds to a list, and takes what it adds. */
static int
append(PyObject *list, PyObject *one)
{
    int result = one ? PyList_Append(list, one) : FAILED;
    Py_XDECREF(one);
    return result;
}

static PyObject *
make_key(const Collector *collector)
{
    const Buffer *key = &collector->key;
    return key->length > MAX_KEY ? Py_NewRef(Py_None) : PyBytes_FromStringAndSize(key->data, (Py_ssize_t)key->length);
}

static PyObject *
make_duration(const Collector *collector)
{
    int is_known = collector->durations == 1 && collector->is_whole;
    return is_known ? PyLong_FromLongLong(collector->duration_ns) : Py_NewRef(Py_None);
}

/* The lines that are left are in a list, by their index. */
static int
read_lines(Collector *collector, PyObject *lines, PyObject *left, PyObject *keys, PyObject *durations)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines); i++) {
        PyObject *line = PyList_GET_ITEM(lines, i);
        if (!PyBytes_Check(line)) {
            PyErr_SetString(PyExc_TypeError, "a line is bytes");
            return FAILED;
        }
        Py_INCREF(line);
        int result = read_line(collector, line);
        Py_DECREF(line);
        if (result == UNREAD) {
            collector->durations = 0;
            result = append(left, PyLong_FromSsize_t(i));
        }
        if (result < 0 || append(keys, make_key(collector)) < 0 || append(durations, make_duration(collector)) < 0)
            return FAILED;
    }
    return READ;
}

static PyObject *
collect(PyObject *module, PyObject *args)
{
    PyObject *lines, *number, *found = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &lines, &number))
        return NULL;
    PyObject *left = PyList_New(0), *keys = PyList_New(0), *durations = PyList_New(0);
    Collector *collector = PyMem_Calloc(1, sizeof *collector);
    if (collector == NULL)
        PyErr_NoMemory();
    if (left != NULL && keys != NULL && durations != NULL && collector != NULL) {
        collector->number = number;
        if (read_lines(collector, lines, left, keys, durations) == READ) {
            Py_ssize_t length = (Py_ssize_t)collector->text.length;
            found = Py_BuildValue("s#OOO", collector->text.data ? collector->text.data : "",
                                  length ? length - 1 : 0, left, keys, durations);
        }
        PyMem_Free(collector->text.data);
        PyMem_Free(collector->plain.data);
        PyMem_Free(collector->key.data);
        PyMem_Free(collector->hashes.slots);
        PyMem_Free(collector->words.slots);
    }
    PyMem_Free(collector);
    Py_XDECREF(left);
    Py_XDECREF(keys);
    Py_XDECREF(durations);
    return found;
}

static PyMethodDef methods[] = {
    {"collect", collect, METH_VARARGS,
     "Return the terms of a list of lines, with a blank between two, the indexes of the lines that were not read,\n"
     "the key of each line, None for one that is too long, and the `event.duration` of each, None where it is not one\n"
     "whole number."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_terms", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__terms(void)
{
    make_json_table();
    make_crc_tables();
    make_field_table();
    return PyModule_Create(&definition);
}
