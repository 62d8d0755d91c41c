/* The search for words at which a secret can begin, at the speed of memory.

   The module is optional: without a compiler, PythonSearch in secret_words.py does the same, more slowly.
   tests/record/test_speedups.py compares the two; names and rules are the same in both.

   Where a word's gram can be (_grams.h), the words that have it are compared in full, and their neighbours looked at. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#include "_grams.h"

enum { NAME, WEAK_NAME, TOKEN, ADDRESS, SCHEME, ANYWHERE, INSERT };
enum { MAX_NAME = 48, MAX_SKIPPED = 16, MAX_ADDRESS = 512, MAX_PROSE = 64, MIN_RUN = 6, MIN_TOKEN = 8 };
enum { LONG_RUN = 20, MAX_DIGITS = 64, MAX_BACKSLASHES = 32, MAX_COLUMNS = 2200, MAX_ROWS = 4200 };
enum { MAX_WORDS = 4000, MAX_LETTERS = 32, BUCKETS = 1024, NO_SET = 255 };

typedef struct {
    byte letters[MAX_LETTERS];
    byte length, kind, gram, set; /* where its gram begins, and the gram's set */
    float share; /* of the places in a text that may have the gram */
    /* In its bucket, of those that begin alike the longest first; -1 at the end. */
    short next_by_start, next_by_gram, next_by_neighbour;
} Word;

typedef struct {
    PyObject_HEAD
    Grams grams;
    uint64_t starts[1024]; /* of the first three letters of each word */
    short by_start[BUCKETS], by_gram[BUCKETS];
    short by_neighbour[BUCKETS]; /* by the gram and the letter before it: seventy words have one of "pass" */
    Word *words;
} Search;

/* A place that was looked for from another one on. */
typedef struct {
    Py_ssize_t from, at;
} Found;

/* What is looked for behind many words is looked for once: the end of a user, "values", texts in the rest of a string. */
typedef struct {
    const byte *data;
    Py_ssize_t length;
    int is_json;
    Found user_end, values, no_text;
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

/* The letters stand there in any case; they are given in lower case. */
static int
is_folded(const Text *text, Py_ssize_t index, const char *letters)
{
    int i = 0;
    while (letters[i] != 0 && lower(at(text, index + i)) == (byte)letters[i])
        i++;
    return letters[i] == 0;
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
run(const Text *text, Py_ssize_t begin, int longest)
{
    Py_ssize_t end = begin;
    while (end < begin + longest && is_run_byte(at(text, end)))
        end++;
    return end - begin;
}

static int
is_at_sign(const Text *text, Py_ssize_t i)
{
    byte c = at(text, i);
    return c == '@' || (c == '%' && (starts_with(text, i, "%40") || starts_with(text, i, "%2540")));
}

/* Where to begin to look for the first place at or behind another one. */
static Py_ssize_t
resume(const Found *found, Py_ssize_t from)
{
    return from >= found->from && from <= found->at ? found->at : from;
}

static int
has_user(Text *text, Py_ssize_t begin)
{
    Py_ssize_t limit = Py_MIN(text->length, begin + MAX_ADDRESS), i = resume(&text->user_end, begin);
    while (i < limit && !is_at_sign(text, i) && !is_blank(text->data[i]) && !is_one_of(text->data[i], "\"'<>"))
        i++;
    text->user_end = (Found){begin, i};
    return i < limit && is_at_sign(text, i);
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
    Py_ssize_t length = run(text, begin, LONG_RUN);
    int is_odd = length == LONG_RUN;
    for (Py_ssize_t i = begin; i < begin + length; i++)
        is_odd |= is_digit(text->data[i])
            || (i + 1 < begin + length && is_lower(text->data[i]) && is_upper(text->data[i + 1]));
    return begin > end && length >= MIN_RUN && is_odd;
}

/* What is masked; a field that is, as JSON: the mask alone, or with the twelve digits of a hash. */
static int
is_masked(const Text *text, Py_ssize_t begin)
{
    int digits = 0, is_field = text->is_json && at(text, begin) == '"';
    Py_ssize_t i = begin;
    while (i < begin + MAX_BACKSLASHES && at(text, i) == '\\')
        i++;
    i = is_quote(at(text, i)) ? i + 1 : begin;
    if (!starts_with(text, i, "***") || !is_field)
        return starts_with(text, i, "***");
    for (i += 3; digits < 12 && is_one_of(at(text, i), "0123456789abcdef"); i++)
        digits++;
    return (digits == 0 || digits == 12) && at(text, i) == '"';
}

/* The end of a flag, or of nothing; where it begins if it is neither. */
static Py_ssize_t
literal_end(const Text *text, Py_ssize_t i)
{
    static const char *const literals[] = {"null", "true", "false", "None", "True", "False"};
    for (size_t which = 0; which < sizeof literals / sizeof *literals; which++)
        if (starts_with(text, i, literals[which]))
            return i + (Py_ssize_t)strlen(literals[which]);
    return i;
}

/* Of a name that is more than its word, and not one of a code: `max_tokens`. */
static int
is_count(const Text *text, Py_ssize_t tail, Py_ssize_t tail_end)
{
    Py_ssize_t letter = tail;
    while (letter < tail_end && is_digit(text->data[letter]))
        letter++;
    return letter < tail_end && !(tail_end - tail >= 4 && is_folded(text, tail_end - 4, "code"));
}

/* A number of many, a flag, nothing, or what is masked: `max_tokens=512`, `"password":null`. */
static int
is_harmless_value(const Text *text, Py_ssize_t sign, Py_ssize_t tail, Py_ssize_t tail_end)
{
    if (starts_with(text, sign, "::"))
        return 1;
    Py_ssize_t begin = sign + 1;
    while (begin < sign + 1 + MAX_SKIPPED && is_one_of(at(text, begin), "=> \t"))
        begin++;
    if (is_masked(text, begin))
        return 1;
    Py_ssize_t end = literal_end(text, begin);
    if (end == begin && is_count(text, tail, tail_end) && is_digit(at(text, begin)))
        while (end < begin + MAX_DIGITS && (is_digit(at(text, end)) || at(text, end) == '.'))
            end++;
    if (end == begin || (text->is_json && starts_with(text, end, "\\u"))) /* a control character goes on with the value */
        return 0;
    return end >= text->length || is_blank(text->data[end]) || is_one_of(text->data[end], ",;&}])\"'\\");
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

/* Where the sign is that a backslash escapes; in JSON, two are one of the text, which escapes, too. */
static Py_ssize_t
escaped_at(const Text *text, Py_ssize_t i)
{
    i++;
    if (text->is_json && at(text, i) == '\\' && at(text, i + 1) != '"')
        i += at(text, i + 1) == '\\' ? 2 : 1;
    return i;
}

static int
is_assigned(const Text *text, Py_ssize_t begin, Py_ssize_t end)
{
    Py_ssize_t tail = end, head = begin;
    while (tail < end + MAX_NAME && is_name_byte(at(text, tail)))
        tail++;
    while (head > begin - MAX_NAME && head > 0 && is_name_byte(text->data[head - 1]))
        head--;
    if (text->is_json && at(text, head - 1) == '\\' && is_one_of(at(text, head), "nrtbfu")) {
        Py_ssize_t letters = at(text, head) == 'u' ? 5 : 1; /* of an escape: they are no part of the name */
        head += head + letters <= begin ? letters : 0;
    }
    byte before = at(text, head - 1);
    if (starts_with(text, head, "--") || before == '<' || (before == ':' && is_in_tag(text, head - 1)))
        return 1;
    int has_blank = 0, has_quote = 0;
    Py_ssize_t i = tail;
    for (int skipped = 0; skipped < MAX_SKIPPED; skipped++, i++) {
        byte c = at(text, i);
        if (c == '\\') {
            i = escaped_at(text, i);
            byte escaped = at(text, i);
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
    if (starts_with(text, i, "</") || is_folded(text, i, "value"))
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

/* The end of a text, or of a string of JSON. */
static int
is_end(const Text *text, Py_ssize_t i)
{
    return i >= text->length || (text->is_json && text->data[i] == '"' && at(text, i - 1) != '\\');
}

/* A text in single or double quotes, or %27, stands in the rows from a place on; none does before `no_text.at`. */
static int
has_text(Text *text, Py_ssize_t begin)
{
    Py_ssize_t i = resume(&text->no_text, begin);
    Py_ssize_t limit = text->is_json ? text->length : Py_MIN(text->length, begin + MAX_ROWS);
    while (i < limit && !is_one_of(text->data[i], "\"'") && !starts_with(text, i, "%2"))
        i++;
    text->no_text = (Found){begin, i};
    return i < limit && !is_end(text, i);
}

/* Rows of an INSERT follow, and in them or behind them a text: those of placeholders have none. */
static int
has_row(Text *text, Py_ssize_t end)
{
    Py_ssize_t i = resume(&text->values, end);
    Py_ssize_t limit = text->is_json ? text->length : Py_MIN(text->length, end + MAX_COLUMNS);
    while (i < limit && !is_end(text, i) && !is_folded(text, i, "values"))
        i++;
    text->values = (Found){end, i};
    return i < limit && !is_end(text, i) && has_text(text, i + 6);
}

static int
is_allowed(Text *text, Py_ssize_t begin, Py_ssize_t end, int kind)
{
    switch (kind) {
    case NAME:
        return is_assigned(text, begin, end);
    case WEAK_NAME:
        return begins_part(text, begin) && !is_letter(at(text, end)) && is_assigned(text, begin, end);
    case TOKEN:
        return begins_part(text, begin) && run(text, end, MIN_TOKEN) == MIN_TOKEN;
    case ADDRESS:
        return has_user(text, end);
    case SCHEME:
        return has_credentials(text, end);
    case INSERT:
        return has_row(text, end);
    }
    return 1;
}

static int
is_at(const Word *word, Text *text, Py_ssize_t begin)
{
    if (begin + word->length > text->length)
        return 0;
    int i = 0;
    while (i < word->length
           && (word->kind == TOKEN ? text->data[begin + i] : lower(text->data[begin + i])) == word->letters[i])
        i++;
    return i == word->length && is_allowed(text, begin, begin + word->length, word->kind);
}

static const Word *
word_at(const Search *search, Text *text, Py_ssize_t begin)
{
    if (begin + 3 > text->length || !bit(search->starts, letters_at(text->data + begin)))
        return NULL;
    short which = search->by_start[hash(letters_at(text->data + begin)) % BUCKETS];
    for (; which >= 0; which = search->words[which].next_by_start)
        if (is_at(&search->words[which], text, begin))
            return &search->words[which];
    return NULL;
}

/* Of a gram and the byte before it, if that is one of the word. */
static uint32_t
neighbour_bucket(const byte *gram, int is_inside)
{
    return (hash(letters_at(gram)) + (is_inside ? 61 * (gram[-1] | 0x20u) : 0)) % BUCKETS;
}

static int
has_word_of(const Search *search, short which, Text *text, Py_ssize_t start, Py_ssize_t place)
{
    for (; which >= 0; which = search->words[which].next_by_neighbour) {
        const Word *word = &search->words[which];
        Py_ssize_t begin = place - word->gram;
        if (begin >= start && (text->data[begin] | 0x20) == (word->letters[0] | 0x20) && is_at(word, text, begin))
            return 1;
    }
    return 0;
}

static int
has_word_around(const Search *search, Text *text, Py_ssize_t start, Py_ssize_t place)
{
    const byte *gram = text->data + place;
    return has_word_of(search, search->by_neighbour[neighbour_bucket(gram, 0)], text, start, place)
        || (place > start && has_word_of(search, search->by_neighbour[neighbour_bucket(gram, 1)], text, start, place));
}

/* The place of the first gram of a word that is there; -1 if there is none. */
static Py_ssize_t
first_gram(const Search *search, Text *text, Py_ssize_t start)
{
    byte padded[BLOCK_BYTES] = {0};
    uint16_t found[MAX_BLOCKS * BLOCK + USUAL];
    Py_ssize_t last = text->length - 3, places; /* where a word of three letters can stand */
    for (Py_ssize_t begin = start; begin < last; begin += places) {
        places = Py_MIN(last - begin, begin == start ? BLOCK : MAX_PLACES); /* the next word is often near */
        const byte *part = text->data + begin;
        if (places < BLOCK && last - start >= BLOCK) { /* some are asked again */
            begin = last - BLOCK;
            part = text->data + begin;
        } else if (places < BLOCK) {
            memcpy(padded, part, (size_t)(text->length - begin));
            part = padded;
        }
        places = Py_MAX(places, BLOCK);
        int count = find_grams(&search->grams, part, (int)places, found);
        for (int i = 0; i < count && begin + found[i] <= last; i++)
            if (has_word_around(search, text, start, begin + found[i]))
                return begin + found[i];
    }
    return last >= start && has_word_around(search, text, start, last) ? last : -1;
}

static Text
text_of(PyObject *bytes, int is_json)
{
    const Found nothing = {0, -1};
    const byte *data = (const byte *)PyBytes_AS_STRING(bytes);
    return (Text){data, PyBytes_GET_SIZE(bytes), is_json, nothing, nothing, nothing};
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
    Text text = text_of(arguments[0], 0);
    start = Py_MIN(Py_MAX(start, 0), text.length);
    Py_ssize_t gram = first_gram(self, &text, start);
    /* Another word can begin before that gram's, and have its own behind it. */
    for (begin = gram > start + MAX_LETTERS ? gram - MAX_LETTERS : start; begin <= gram; begin++) {
        const Word *word = word_at(self, &text, begin);
        if (word != NULL)
            return Py_BuildValue("nni", begin, begin + word->length, (int)word->kind);
    }
    Py_RETURN_NONE;
}

static PyObject *
in_json(Search *self, PyObject *body)
{
    if (!PyBytes_Check(body)) {
        PyErr_SetString(PyExc_TypeError, "in_json takes bytes");
        return NULL;
    }
    Text text = text_of(body, 1);
    return PyBool_FromLong(first_gram(self, &text, 0) >= 0);
}

static int
gram_length(const Word *word)
{
    return word->length < GRAM ? word->length : GRAM;
}

/* A word whose gram has these letters, or NULL; one that has a set, if that is asked for. */
static const Word *
word_of_gram(const Search *search, const byte *gram, int count, int with_set)
{
    short which = search->by_gram[hash(letters_at(gram)) % BUCKETS];
    for (; which >= 0; which = search->words[which].next_by_gram) {
        const Word *word = &search->words[which];
        int i = 0;
        while (i < count && lower(word->letters[word->gram + i]) == lower(gram[i]))
            i++;
        if (i == count && gram_length(word) == count && (!with_set || word->set != NO_SET))
            return word;
    }
    return NULL;
}

/* The gram of a word: one that another word has too, else the rarest. */
static void
choose_gram(Search *search, Word *word)
{
    int count = gram_length(word), is_shared = 0;
    word->set = NO_SET;
    word->share = 2;
    for (int at = 0; at + count <= word->length && !is_shared; at++) {
        float share = share_of_letters(word->letters + at, count);
        is_shared = word_of_gram(search, word->letters + at, count, 0) != NULL;
        if (is_shared || share < word->share) {
            word->share = share;
            word->gram = (byte)at;
        }
    }
}

static void
link_by_gram(Search *search, Word *word)
{
    choose_gram(search, word);
    word->next_by_gram = -1;
    short *link = &search->by_gram[hash(letters_at(word->letters + word->gram)) % BUCKETS];
    while (*link >= 0)
        link = &search->words[*link].next_by_gram;
    *link = (short)(word - search->words);
    short *first = &search->by_neighbour[neighbour_bucket(word->letters + word->gram, word->gram > 0)];
    word->next_by_neighbour = *first;
    *first = (short)(word - search->words);
}

static void
add_to_set(Search *search, Word *word)
{
    const byte *gram = word->letters + word->gram;
    int length = gram_length(word), is_exact = word->kind == TOKEN;
    const Word *other = word_of_gram(search, gram, length, 1);
    word->set = other != NULL ? other->set : (byte)best_set(&search->grams, gram, length, is_exact);
    add_gram(&search->grams, word->set, gram, length, is_exact);
}

static void
link_by_start(Search *search, Word *word)
{
    uint32_t first = letters_at(word->letters);
    set_bit(search->starts, first);
    short *link = &search->by_start[hash(first) % BUCKETS];
    while (*link >= 0 && search->words[*link].length >= word->length)
        link = &search->words[*link].next_by_start;
    word->next_by_start = *link;
    *link = (short)(word - search->words);
}

static int
compare_lengths(const void *one, const void *other)
{
    const Word *a = *(Word *const *)one, *b = *(Word *const *)other;
    return a->length != b->length ? a->length - b->length : (a > b) - (a < b);
}

static int
compare_shares(const void *one, const void *other)
{
    float a = (*(Word *const *)one)->share, b = (*(Word *const *)other)->share;
    return (a < b) - (a > b);
}

/* Short words first: longer ones that hold them share their gram. Then the grams that are met most: the sets are empty. */
static int
add_words(Search *search, Py_ssize_t count)
{
    Word **sorted = PyMem_New(Word *, (size_t)count + 1);
    if (sorted == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        sorted[i] = &search->words[i];
        link_by_start(search, sorted[i]);
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_lengths);
    for (Py_ssize_t i = 0; i < count; i++)
        link_by_gram(search, sorted[i]);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_shares);
    for (Py_ssize_t i = 0; i < count; i++)
        add_to_set(search, sorted[i]);
    PyMem_Free(sorted);
    return 1;
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
    if (length < 3 || length > MAX_LETTERS || kind < NAME || kind > INSERT) {
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
new_search(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"", "with_vectors", NULL};
    PyObject *given;
    int with_vectors = 1;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|$p", names, &given, &with_vectors))
        return NULL;
    PyObject *items = PySequence_Tuple(given); /* a kind's __index__ may change a list */
    if (items == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    Search *search = (Search *)type->tp_alloc(type, 0);
    if (search != NULL && count <= MAX_WORDS)
        search->words = PyMem_New(Word, (size_t)count + 1);
    if (search == NULL || search->words == NULL) {
        Py_DECREF(items);
        Py_XDECREF(search);
        return count > MAX_WORDS ? PyErr_Format(PyExc_ValueError, "too many words") : PyErr_NoMemory();
    }
    begin_grams(&search->grams, with_vectors);
    memset(search->by_start, -1, sizeof search->by_start);
    memset(search->by_gram, -1, sizeof search->by_gram);
    memset(search->by_neighbour, -1, sizeof search->by_neighbour);
    int is_taken = 1;
    for (Py_ssize_t i = 0; is_taken && i < count; i++)
        is_taken = take_word(&search->words[i], PyTuple_GET_ITEM(items, i));
    Py_DECREF(items);
    if (!is_taken || !add_words(search, count)) {
        Py_DECREF(search);
        return is_taken ? PyErr_NoMemory() : NULL;
    }
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

static PyType_Spec spec = {"dashcam.record._words.Search", sizeof(Search), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};

static int
add_type(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Search", type);
    Py_XDECREF(type);
    return failed;
}

/* A search never changes once it is made, and nothing of this module belongs to no interpreter. */
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, add_type},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_words", .m_slots = module_slots};

PyMODINIT_FUNC
PyInit__words(void)
{
    return PyModuleDef_Init(&module);
}
