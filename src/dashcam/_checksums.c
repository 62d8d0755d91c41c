/* The CRC-32 of many events at once, and the first and the last time, for statements (statement.py).

   The module is optional: without a compiler, `zlib` does the same, at five times the time.
   tests/test_checksums.py compares the two. */

#include "_ends.h"
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_FOLDING 1
#endif

typedef unsigned char byte;

enum { SLICES = 8, BLOCK = 64, QUARTER = 16, TIME_AT = 15, TIME_BYTES = 27 };

static uint32_t tables[SLICES][256]; /* the CRC of a byte, and of a byte with 1 to 7 zeros behind it */

static void
make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        tables[0][i] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++)
        for (int i = 0; i < 256; i++)
            tables[slice][i] = tables[slice - 1][i] >> 8 ^ tables[0][tables[slice - 1][i] & 255];
}

/* Goes on with a CRC, eight bytes at a time. */
static uint32_t
by_tables(uint32_t crc, const byte *at, const byte *end)
{
    for (; end - at >= SLICES; at += SLICES) {
        uint32_t next = 0;
        for (int i = 0; i < SLICES; i++)
            next ^= tables[SLICES - 1 - i][at[i] ^ (i < 4 ? crc >> 8 * i & 255 : 0)];
        crc = next;
    }
    for (; at < end; at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
    return crc;
}

#ifdef HAS_FOLDING
/* Folds two halves of a remainder over the bytes behind them. */
__attribute__((target("pclmul,sse4.1"))) static __m128i
fold(__m128i remainder, __m128i constants, __m128i next)
{
    __m128i low = _mm_clmulepi64_si128(remainder, constants, 0x00);
    __m128i high = _mm_clmulepi64_si128(remainder, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

static __m128i
load(const byte *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

/* Goes on with a CRC over 64 bytes or more, a multiple of 16: Gopal et al., "Fast CRC Computation for Generic
   Polynomials Using PCLMULQDQ Instruction", Intel 2009, with its constants for the polynomial of gzip. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t
by_folding(uint32_t crc, const byte *at, const byte *end)
{
    const __m128i over_64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4), over_16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i over_8 = _mm_set_epi64x(0, 0x163cd6124), reduce = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i low_words = _mm_set_epi32(0, -1, 0, -1);
    __m128i parts[4];
    for (int i = 0; i < 4; i++)
        parts[i] = load(at + QUARTER * i);
    parts[0] = _mm_xor_si128(parts[0], _mm_cvtsi32_si128((int)crc));
    for (at += BLOCK; end - at >= BLOCK; at += BLOCK)
        for (int i = 0; i < 4; i++)
            parts[i] = fold(parts[i], over_64, load(at + QUARTER * i));
    __m128i rest = parts[0];
    for (int i = 1; i < 4; i++)
        rest = fold(rest, over_16, parts[i]);
    for (; at < end; at += QUARTER)
        rest = fold(rest, over_16, load(at));
    rest = _mm_xor_si128(_mm_srli_si128(rest, 8), _mm_clmulepi64_si128(rest, over_16, 0x10));
    __m128i low = _mm_clmulepi64_si128(_mm_and_si128(rest, low_words), over_8, 0x00);
    rest = _mm_xor_si128(_mm_srli_si128(rest, 4), low);
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(rest, low_words), reduce, 0x10);
    low = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_words), reduce, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(rest, low), 1);
}
#endif

static uint32_t
checksum(const byte *at, const byte *end, int is_folded)
{
    uint32_t crc = UINT32_MAX;
#ifdef HAS_FOLDING
    if (is_folded && end - at >= BLOCK) {
        const byte *middle = at + (end - at) / QUARTER * QUARTER;
        crc = by_folding(crc, at, middle);
        at = middle;
    }
#else
    (void)is_folded;
#endif
    return ~by_tables(crc, at, end);
}

/* The time that an event begins with, or as much of it as there is. */
typedef struct {
    const byte *at;
    size_t length;
} Time;

static Time
time_of(const byte *at, const byte *end)
{
    size_t length = (size_t)(end - at);
    length = length < TIME_AT ? 0 : length - TIME_AT;
    return (Time){at + (length ? TIME_AT : 0), length < TIME_BYTES ? length : TIME_BYTES};
}

/* Below, at or above zero as one time is before another in the order of bytes. */
static int
compare(Time one, Time other)
{
    int found = memcmp(one.at, other.at, one.length < other.length ? one.length : other.length);
    return found ? found : (one.length > other.length) - (one.length < other.length);
}

static PyObject *
sum_up(const byte *text, const uint32_t *ends, Py_ssize_t count, int with_vectors)
{
    PyObject *sums = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(uint32_t));
    char *out = sums ? PyBytes_AS_STRING(sums) : NULL;
    Time first = {text, 0}, last = {text, 0};
    const byte *at = text;
    for (Py_ssize_t i = 0; out != NULL && i < count; i++) {
        const byte *end = text + ends[i] - 1;
        uint32_t crc = checksum(at, end, with_vectors);
        memcpy(out + i * (Py_ssize_t)sizeof crc, &crc, sizeof crc);
        Time time = time_of(at, end);
        first = i == 0 || compare(time, first) < 0 ? time : first;
        last = compare(time, last) > 0 ? time : last;
        at = end + 1;
    }
    return sums ? Py_BuildValue("Ny#y#", sums, first.at, (Py_ssize_t)first.length, last.at, (Py_ssize_t)last.length)
                : NULL;
}

static PyObject *
checksums(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "", "with_vectors", NULL};
    const byte *text;
    Py_ssize_t length;
    Py_buffer ends;
    PyObject *made = NULL;
    int with_vectors = 1;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "y#y*|$p", names, &text, &length, &ends, &with_vectors))
        return NULL;
#ifdef HAS_FOLDING
    with_vectors = with_vectors && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
    Py_ssize_t count = ends.len / (Py_ssize_t)sizeof(uint32_t);
    if (are_ends(&ends, 0, length))
        made = sum_up(text, ends.buf, count, with_vectors);
    PyBuffer_Release(&ends);
    return made;
}

static PyMethodDef methods[] = {
    {"checksums", (PyCFunction)(void (*)(void))checksums, METH_VARARGS | METH_KEYWORDS,
     "Return the CRC-32 of each line of a text, in four bytes of the machine's order, and the first and the last of their\n"
     "times; with vector instructions where there are some."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_checksums", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__checksums(void)
{
    make_tables();
    return PyModule_Create(&definition);
}
