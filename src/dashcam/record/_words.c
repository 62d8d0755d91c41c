/* The search for words at which a secret can begin, at the speed of memory.

   The module is optional: without a compiler, PythonSearch in secret_words.py does the same, more slowly.
   tests/record/test_speedups.py compares the two; names and rules are the same in both.

   Every word has a bit for its first three letters and, as only every second place is looked at, one for the three from
   the second letter on. Where the bit of a place is set, the words that begin there are compared in full. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { NAME, WEAK_NAME, TOKEN, ADDRESS, SCHEME, ANYWHERE };
enum { MAX_NAME = 48, MAX_SKIPPED = 16, MAX_ADDRESS = 512, MAX_PROSE = 64, MAX_RUN = 100, MIN_RUN = 6, MIN_TOKEN = 8 };
enum { MAX_WORDS = 4000, BUCKETS = 1024 };

typedef unsigned char byte;

typedef struct {
    byte letters[32];
    byte length, kind;
    short next; /* in its bucket, longest first; -1 at the end */
} Word;

typedef struct {
    PyObject_HEAD
    uint64_t bits[1024];   /* of the first three letters, and of those that may be met before them */
    uint64_t starts[1024]; /* of the first three letters alone */
    short buckets[BUCKETS];
    Word *words;
} Search;

typedef struct {
    const byte *data;
    Py_ssize_t length;
    int is_json;
} Text;

static byte
at(const Text *text, Py_ssize_t index)
{
    return index >= 0 && index < text->length ? text->data[index] : 0;
}

static int is_digit(byte c) { return c >= '0' && c <= '9'; }
static int is_lower(byte c) { return c >= 'a' && c <= 'z'; }
static int is_upper(byte c) { return c >= 'A' && c <= 'Z'; }
static int is_letter(byte c) { return is_lower(c) || is_upper(c); }
static int is_name_byte(byte c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-'; }
static int is_blank(byte c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static int is_quote(byte c) { return c == '"' || c == '\'' || c == '`'; }
static int is_one_of(byte c, const char *set) { return c != 0 && strchr(set, c) != NULL; }
static int is_run_byte(byte c) { return is_name_byte(c) || is_one_of(c, ".~+/=%"); }
static byte lower(byte c) { return is_upper(c) ? c | 0x20 : c; }

static int
starts_with(const Text *text, Py_ssize_t index, const char *letters)
{
    Py_ssize_t count = (Py_ssize_t)strlen(letters);
    return index >= 0 && index + count <= text->length && memcmp(text->data + index, letters, (size_t)count) == 0;
}

/* No part of a name or a token goes on into the word; an escape before it is none. */
static int
begins_part(const Text *text, Py_ssize_t begin)
{
    byte before = at(text, begin - 1);
    return !(is_letter(before) || is_digit(before)) || at(text, begin - 2) == '\\' || at(text, begin - 3) == '%'
        || (at(text, begin - 6) == '\\' && at(text, begin - 5) == 'u')
        || (is_lower(before) && is_upper(at(text, begin)));
}

static Py_ssize_t
run(const Text *text, Py_ssize_t begin)
{
    Py_ssize_t end = begin;
    while (end < begin + MAX_RUN && is_run_byte(at(text, end)))
        end++;
    return end - begin;
}

static int
has_user(const Text *text, Py_ssize_t begin)
{
    for (Py_ssize_t i = begin; i < begin + MAX_ADDRESS && i < text->length; i++) {
        byte c = text->data[i];
        if (c == '@' || starts_with(text, i, "%40") || starts_with(text, i, "%2540"))
            return 1;
        if (is_blank(c) || is_one_of(c, "\"'<>"))
            return 0;
    }
    return 0;
}

/* A blank, or an encoded one, and a word that is none of prose. */
static int
has_credentials(const Text *text, Py_ssize_t end)
{
    Py_ssize_t begin = end;
    while (begin < end + MAX_SKIPPED) {
        byte c = at(text, begin);
        if (is_blank(c) || c == '+')
            begin++;
        else if (c == '\\')
            begin += 2;
        else if (c == '%')
            begin += 3;
        else
            break;
    }
    Py_ssize_t length = run(text, begin);
    int is_odd = length >= 20;
    for (Py_ssize_t i = begin; i < begin + length; i++)
        is_odd |= is_digit(text->data[i])
            || (i + 1 < begin + length && is_lower(text->data[i]) && is_upper(text->data[i + 1]));
    return begin > end && length >= MIN_RUN && is_odd;
}

/* A number of many, a flag, nothing, or what is masked: `max_tokens=512`, `"password":null`. */
static int
is_harmless_value(const Text *text, Py_ssize_t sign, Py_ssize_t tail, Py_ssize_t tail_end)
{
    static const char *const literals[] = {"null", "true", "false", "None", "True", "False", "\"***\""};
    if (starts_with(text, sign, "::"))
        return 1;
    Py_ssize_t i = sign + 1;
    while (is_one_of(at(text, i), "=> \t"))
        i++;
    int is_literal = 0;
    for (size_t which = 0; which < sizeof literals / sizeof *literals && !is_literal; which++)
        if (starts_with(text, i, literals[which])) {
            is_literal = 1;
            i += (Py_ssize_t)strlen(literals[which]);
        }
    if (!is_literal) {
        Py_ssize_t letter = tail;
        while (letter < tail_end && is_digit(text->data[letter]))
            letter++;
        int is_code = tail_end - tail >= 4 && lower(at(text, tail_end - 4)) == 'c' && lower(at(text, tail_end - 3)) == 'o'
            && lower(at(text, tail_end - 2)) == 'd' && lower(at(text, tail_end - 1)) == 'e';
        if (letter == tail_end || is_code || !is_digit(at(text, i)))
            return 0;
        while (is_digit(at(text, i)) || at(text, i) == '.')
            i++;
    }
    return i >= text->length || is_blank(text->data[i]) || is_one_of(text->data[i], ",;&}])\"'\\");
}

static int
has_digit(const Text *text, Py_ssize_t begin)
{
    int words = 0;
    for (Py_ssize_t i = begin; i < begin + MAX_PROSE && i < text->length; i++) {
        byte c = text->data[i];
        if (is_digit(c))
            return 1;
        words += is_blank(c);
        if (words == 2 || c == '"')
            return 0;
    }
    return 0;
}

static int
is_in_tag(const Text *text, Py_ssize_t colon)
{
    Py_ssize_t begin = colon;
    while (begin > colon - MAX_NAME && begin > 0 && is_name_byte(text->data[begin - 1]))
        begin--;
    return at(text, begin - 1) == '<';
}

/* A quoted text after a verb: `password is 'swordfish'`. */
static int
is_said(const Text *text, Py_ssize_t i)
{
    i += starts_with(text, i, "is") ? 2 : starts_with(text, i, "was") ? 3 : 0;
    i += at(text, i) == ':';
    return at(text, i) == ' ' && (is_quote(at(text, i + 1)) || at(text, i + 1) == '\\');
}

static int
is_assigned(const Text *text, Py_ssize_t begin, Py_ssize_t end)
{
    Py_ssize_t tail = end, head = begin;
    while (tail < end + MAX_NAME && is_name_byte(at(text, tail)))
        tail++;
    while (head > begin - MAX_NAME && head > 0 && is_name_byte(text->data[head - 1]))
        head--;
    byte before = at(text, head - 1);
    if (starts_with(text, head, "--") || before == '<' || (before == ':' && is_in_tag(text, head - 1)))
        return 1;
    int has_blank = 0, has_quote = 0;
    Py_ssize_t i = tail;
    for (; i < tail + MAX_SKIPPED; i++) {
        byte c = at(text, i);
        if (c == '\\') {
            byte escaped = at(text, ++i);
            if (escaped == 'u')
                return 1;
            has_blank |= is_one_of(escaped, "nrtbf");
            has_quote |= escaped == '"';
        } else if (text->is_json && c == '"') { /* the end of a name, or of a text */
            if (before == '"' && at(text, i + 1) == ',')
                return at(text, head - 2) == '[' || starts_with(text, i + 2, "\"value\"");
            if (at(text, ++i) != ':')
                return 0;
            break;
        } else if (is_blank(c)) {
            has_blank = 1;
        } else if (is_quote(c)) {
            if (has_blank)
                return 1;
            has_quote = 1;
        } else if (!is_one_of(c, ")]*"))
            break;
    }
    byte c = at(text, i);
    if (starts_with(text, i, "</"))
        return 1;
    if (lower(c) == 'v' && lower(at(text, i + 1)) == 'a' && lower(at(text, i + 2)) == 'l' && lower(at(text, i + 3)) == 'u'
        && lower(at(text, i + 4)) == 'e')
        return 1;
    if (c == '=' || c == ':')
        return !is_harmless_value(text, i, end, tail);
    if (c == ',')
        return has_quote;
    if (c == '(')
        return is_one_of(at(text, i + 1), "\"'\\") || has_digit(text, i);
    if (starts_with(text, i, "->") || is_said(text, i))
        return 1;
    return c == '>' || c == '%' || (has_blank && has_digit(text, i));
}

static int
is_allowed(const Text *text, Py_ssize_t begin, Py_ssize_t end, int kind)
{
    switch (kind) {
    case NAME:
        return is_assigned(text, begin, end);
    case WEAK_NAME:
        return begins_part(text, begin) && !is_letter(at(text, end)) && is_assigned(text, begin, end);
    case TOKEN:
        return begins_part(text, begin) && run(text, end) >= MIN_TOKEN;
    case ADDRESS:
        return has_user(text, end);
    case SCHEME:
        return has_credentials(text, end);
    }
    return 1;
}

/* Of three letters in lower case: the product leaves out what is above them. */
static uint32_t
hash(uint32_t letters)
{
    return letters * 0x9E377900u >> 16;
}

static uint32_t
letters_at(const byte *place)
{
    return 0x202020u | (uint32_t)place[0] | (uint32_t)place[1] << 8 | (uint32_t)place[2] << 16;
}

static unsigned
bit(const uint64_t *bits, uint32_t letters)
{
    uint32_t h = hash(letters);
    return (unsigned)(bits[h >> 6] >> (h & 63) & 1);
}

static void
set_bit(uint64_t *bits, uint32_t letters)
{
    uint32_t h = hash(letters);
    bits[h >> 6] |= (uint64_t)1 << (h & 63);
}

static const Word *
word_at(const Search *search, const Text *text, Py_ssize_t begin)
{
    if (begin + 3 > text->length || !bit(search->starts, letters_at(text->data + begin)))
        return NULL;
    short which = search->buckets[hash(letters_at(text->data + begin)) % BUCKETS];
    for (; which >= 0; which = search->words[which].next) {
        const Word *word = &search->words[which];
        if (begin + word->length > text->length)
            continue;
        int i = 0;
        while (i < word->length
               && (word->kind == TOKEN ? text->data[begin + i] : lower(text->data[begin + i])) == word->letters[i])
            i++;
        if (i == word->length && is_allowed(text, begin, begin + word->length, word->kind))
            return word;
    }
    return NULL;
}

static const Word *
first_word(const Search *search, const Text *text, Py_ssize_t from, Py_ssize_t to, Py_ssize_t *begin)
{
    for (*begin = from; *begin < to; ++*begin) {
        const Word *word = word_at(search, text, *begin);
        if (word != NULL)
            return word;
    }
    return NULL;
}

static const Word *
next_word(const Search *search, const Text *text, Py_ssize_t start, Py_ssize_t *begin)
{
    Py_ssize_t place = start;
    for (; place + 10 <= text->length; place += 8) {
        const byte *p = text->data + place;
        uint64_t eight = 0x2020202020202020u; /* one load, on most machines; in lower case */
        for (int i = 0; i < 8; i++)
            eight |= (uint64_t)p[i] << 8 * i;
        unsigned a = bit(search->bits, (uint32_t)eight), b = bit(search->bits, (uint32_t)(eight >> 16));
        unsigned c = bit(search->bits, (uint32_t)(eight >> 32)), d = bit(search->bits, letters_at(p + 6));
        if (!(a | b | c | d))
            continue;
        unsigned hits = a | b << 1 | c << 2 | d << 3;
        for (Py_ssize_t hit = place; hits; hit += 2, hits >>= 1)
            if (hits & 1) { /* of the word that begins here, or of a neighbour */
                const Word *word = first_word(search, text, hit > start ? hit - 1 : hit, hit + 2, begin);
                if (word != NULL)
                    return word;
            }
    }
    return first_word(search, text, place > start ? place - 1 : place, text->length, begin);
}

static PyObject *
find(Search *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "find takes bytes and where to begin");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(arguments[1]), begin;
    if (start == -1 && PyErr_Occurred())
        return NULL;
    Text text = {(const byte *)PyBytes_AS_STRING(arguments[0]), PyBytes_GET_SIZE(arguments[0]), 0};
    const Word *word = next_word(self, &text, start < 0 ? 0 : start, &begin);
    if (word == NULL)
        Py_RETURN_NONE;
    return Py_BuildValue("nni", begin, begin + word->length, (int)word->kind);
}

static PyObject *
in_json(Search *self, PyObject *body)
{
    if (!PyBytes_Check(body)) {
        PyErr_SetString(PyExc_TypeError, "in_json takes bytes");
        return NULL;
    }
    Py_ssize_t begin;
    Text text = {(const byte *)PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), 1};
    return PyBool_FromLong(next_word(self, &text, 0, &begin) != NULL);
}

static void
add_word(Search *search, short which)
{
    Word *word = &search->words[which];
    uint32_t first = letters_at(word->letters);
    set_bit(search->starts, first);
    set_bit(search->bits, first);
    if (word->length > 3)
        set_bit(search->bits, letters_at(word->letters + 1));
    else /* two of three letters decide; any may stand before them */
        for (uint32_t before = 0; before < 256; before++)
            set_bit(search->bits, 0x20u | before | first << 8);
    short *link = &search->buckets[hash(first) % BUCKETS];
    while (*link >= 0 && search->words[*link].length >= word->length)
        link = &search->words[*link].next;
    word->next = *link;
    *link = which;
}

static int
take_word(Word *word, PyObject *item)
{
    const char *letters;
    Py_ssize_t length;
    int kind;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a word is a tuple of its letters and its kind");
        return 0;
    }
    if (!PyArg_ParseTuple(item, "s#i", &letters, &length, &kind))
        return 0;
    if (length < 3 || length > (Py_ssize_t)sizeof word->letters || kind < NAME || kind > ANYWHERE) {
        PyErr_SetString(PyExc_ValueError, "a word has 3 to 32 letters and a kind");
        return 0;
    }
    word->length = (byte)length;
    word->kind = (byte)kind;
    for (Py_ssize_t i = 0; i < length; i++)
        word->letters[i] = kind == TOKEN ? (byte)letters[i] : lower((byte)letters[i]);
    return 1;
}

static PyObject *
new_search(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *given;
    if (!PyArg_ParseTuple(arguments, "O", &given))
        return NULL;
    PyObject *items = PySequence_Fast(given, "words are a sequence of pairs");
    if (items == NULL)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    Search *search = (Search *)type->tp_alloc(type, 0);
    if (search != NULL && count <= MAX_WORDS)
        search->words = PyMem_New(Word, (size_t)count + 1);
    if (search == NULL || search->words == NULL) {
        Py_DECREF(items);
        Py_XDECREF(search);
        return count > MAX_WORDS ? PyErr_Format(PyExc_ValueError, "too many words") : PyErr_NoMemory();
    }
    memset(search->buckets, -1, sizeof search->buckets);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!take_word(&search->words[i], PySequence_Fast_GET_ITEM(items, i))) {
            Py_DECREF(items);
            Py_DECREF(search);
            return NULL;
        }
        add_word(search, (short)i);
    }
    Py_DECREF(items);
    return (PyObject *)search;
}

static void
free_search(Search *search)
{
    PyTypeObject *type = Py_TYPE(search);
    PyMem_Free(search->words);
    type->tp_free(search);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"find", (PyCFunction)(void (*)(void))find, METH_FASTCALL, NULL},
    {"in_json", (PyCFunction)(void (*)(void))in_json, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, new_search},
    {Py_tp_dealloc, free_search},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"dashcam.record._words.Search", sizeof(Search), 0, Py_TPFLAGS_DEFAULT, slots};

static int
add_type(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Search", type);
    Py_XDECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, add_type}, {0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_words", .m_slots = module_slots};

PyMODINIT_FUNC
PyInit__words(void)
{
    return PyModuleDef_Init(&module);
}
