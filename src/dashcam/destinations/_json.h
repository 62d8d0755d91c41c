/* Reads strings, numbers and words of JSON from the bytes of a line, for the parts in C that make something else of it.

   What is not read, as an escape \u0041 or anything that is not JSON, is UNREAD: the line is left to Python. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { FAILED = -1, UNREAD = 0, READ = 1 }; /* an exception is set; the line is left to Python; all is well */

typedef unsigned char byte;

typedef struct {
    const byte *at, *end;
} Reader;

/* What stands between two quotes. */
typedef struct {
    const byte *begin, *end;
    int has_escapes, has_high;
} String;

/* `digits` is behind the sign, `whole` the end of the digits before a point or an exponent. */
typedef struct {
    const byte *begin, *digits, *whole, *end;
    Py_ssize_t exponent_digits; /* 0 for an exponent below zero */
} Number;

static byte is_special[256]; /* in a string: what ends it, escapes, control characters, and what is not ASCII */

static void
make_json_table(void)
{
    for (int i = 0; i < 256; i++)
        is_special[i] = i < 0x20 || i >= 0x80 || i == '"' || i == '\\';
}

static void
skip_blanks(Reader *reader)
{
    while (reader->at < reader->end
           && (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

static int
is_utf8(const byte *begin, const byte *end)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)begin, end - begin, "strict");
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
            return FAILED;
        PyErr_Clear();
        return UNREAD;
    }
    Py_DECREF(text);
    return READ;
}

/* Returns where the next special byte of a string stands, or the end. */
static const byte *
skip_plain(const byte *at, const byte *end)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    /* Of eight bytes the highest bit is set in those that are special, and perhaps in some above the first of them. */
    const uint64_t ones = UINT64_MAX / 255;
    for (uint64_t word; end - at >= 8; at += 8) {
        memcpy(&word, at, 8);
        uint64_t quote = word ^ '"' * ones, escape = word ^ '\\' * ones;
        uint64_t special = ((word - 0x20 * ones) | (quote - ones) | (escape - ones) | word) & 0x80 * ones;
        if (special)
            return at + (__builtin_ctzll(special) >> 3);
    }
#endif
    while (at < end && !is_special[*at])
        at++;
    return at;
}

/* Reads a string whose first quote is next. */
static int
read_string(Reader *reader, String *string)
{
    const byte *at = reader->at + 1, *end = reader->end;
    *string = (String){at, at, 0, 0};
    for (;; at++) {
        at = skip_plain(at, end);
        if (at >= end || *at < 0x20)
            return UNREAD;
        if (*at == '"')
            break;
        if (*at == '\\') {
            string->has_escapes = 1;
            if (++at >= end || *at == 0 || strchr("\"\\/bfnrt", *at) == NULL)
                return UNREAD;
        } else {
            string->has_high = 1;
        }
    }
    string->end = at;
    reader->at = at + 1;
    return string->has_high ? is_utf8(string->begin, at) : READ;
}

/* Writes a string without its escapes, which takes no more room than it does; returns how much. */
static size_t
unescape(byte *out, const String *string)
{
    static const char escapes[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    byte *begin = out;
    for (const byte *at = string->begin; at < string->end; at++) {
        byte c = *at;
        if (c == '\\') {
            const char *escape = strchr(escapes, *++at);
            c = escape ? (byte)meanings[escape - escapes] : *at;
        }
        *out++ = c;
    }
    return (size_t)(out - begin);
}

static const byte *
skip_digits(const byte *at, const byte *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static int
read_number(Reader *reader, Number *number)
{
    const byte *begin = reader->at, *end = reader->end, *digits = begin + (*begin == '-');
    const byte *at = skip_digits(digits, end);
    *number = (Number){begin, digits, at, at, 0};
    if (at == digits || (*digits == '0' && at > digits + 1))
        return UNREAD;
    if (at < end && *at == '.') {
        const byte *first = ++at;
        if ((at = skip_digits(at, end)) == first)
            return UNREAD;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        const byte *first = at;
        if ((at = skip_digits(at, end)) == first)
            return UNREAD;
        number->exponent_digits = first[-1] == '-' ? 0 : at - first;
    }
    number->end = reader->at = at;
    return READ;
}

/* Returns a number of at most 19 digits, without its sign. */
static uint64_t
whole_of(const Number *number)
{
    uint64_t whole = 0;
    for (const byte *at = number->digits; at < number->whole; at++)
        whole = 10 * whole + (uint64_t)(*at - '0');
    return whole;
}

static int
read_word(Reader *reader, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return UNREAD;
    reader->at += length;
    return READ;
}
