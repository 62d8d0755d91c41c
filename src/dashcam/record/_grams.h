/* Where many words can be in a text: a few letters of each, looked for at all places of a block at once.

   A gram is the rarest three or four letters in a row that a word has. The grams are spread over 16 sets; of each place
   in a gram, a set knows which upper and lower halves of a byte its grams have there. Where the processor can look up
   half a byte in a table, 32 places are asked at once (as "Teddy" of Hyperscan does it); elsewhere each place is asked
   in a table of bits. A place that passes may hold no gram; no gram is missed. */

#include <stdint.h>
#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_AVX2_CODE
#include <immintrin.h>
#endif

enum { GRAM = 4, BLOCK = 32, SETS = 16, BLOCK_BYTES = BLOCK + GRAM - 1 };

typedef unsigned char byte;

typedef struct Grams {
    byte lower[2][GRAM][16], upper[2][GRAM][16];      /* by half a byte: a bit for each of eight sets */
    uint16_t lower_halves[SETS][GRAM], upper_halves[SETS][GRAM]; /* the same by set: a bit for each half */
    uint64_t bits[1024]; /* of the first three letters of each gram, and of three from its second letter on */
    uint32_t (*candidates)(const struct Grams *, const byte *block);
} Grams;

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

static uint32_t
bit(const uint64_t *bits, uint32_t letters)
{
    uint32_t h = hash(letters);
    return (uint32_t)(bits[h >> 6] >> (h & 63) & 1);
}

static void
set_bit(uint64_t *bits, uint32_t letters)
{
    uint32_t h = hash(letters);
    bits[h >> 6] |= (uint64_t)1 << (h & 63);
}

/* The places of a block at which a gram can begin, a bit each: every second place is asked whether one begins there or
   at the place before. */
static uint32_t
portable_candidates(const Grams *grams, const byte *block)
{
    uint64_t met = (uint64_t)bit(grams->bits, letters_at(block + BLOCK)) << BLOCK;
    for (int i = 0; i < BLOCK; i += 8) {
        uint64_t eight = 0x2020202020202020u; /* one load, on most machines; in lower case */
        for (int j = 0; j < 8; j++)
            eight |= (uint64_t)block[i + j] << 8 * j;
        uint32_t a = bit(grams->bits, (uint32_t)eight), b = bit(grams->bits, (uint32_t)(eight >> 16));
        uint32_t c = bit(grams->bits, (uint32_t)(eight >> 32)), d = bit(grams->bits, letters_at(block + i + 6));
        met |= (uint64_t)(a | b << 2 | c << 4 | d << 6) << i;
    }
    return (uint32_t)(met | met >> 1);
}

#ifdef HAS_AVX2_CODE
__attribute__((target("avx2"))) static __m256i
table_of(const byte *halves)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)halves));
}

__attribute__((target("avx2"))) static uint32_t
avx2_candidates(const Grams *grams, const byte *block)
{
    const __m256i half = _mm256_set1_epi8(15);
    __m256i first = _mm256_set1_epi8(-1), second = first; /* the sets that are still possible, at each place */
    for (int i = 0; i < GRAM; i++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(block + i));
        __m256i lower = _mm256_and_si256(bytes, half), upper = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half);
        first = _mm256_and_si256(first, _mm256_shuffle_epi8(table_of(grams->lower[0][i]), lower));
        first = _mm256_and_si256(first, _mm256_shuffle_epi8(table_of(grams->upper[0][i]), upper));
        second = _mm256_and_si256(second, _mm256_shuffle_epi8(table_of(grams->lower[1][i]), lower));
        second = _mm256_and_si256(second, _mm256_shuffle_epi8(table_of(grams->upper[1][i]), upper));
    }
    __m256i none = _mm256_cmpeq_epi8(_mm256_or_si256(first, second), _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(none);
}
#endif

static void
choose_candidates(Grams *grams, int with_vectors)
{
    grams->candidates = portable_candidates;
#ifdef HAS_AVX2_CODE
    if (with_vectors && __builtin_cpu_supports("avx2"))
        grams->candidates = avx2_candidates;
#endif
    (void)with_vectors;
}

/* How often a letter is met in a thousand bytes of JSON with English in it. */
static int
share_of(int c)
{
    static const byte of_letter[26] = {60, 12, 28, 30, 90, 18, 16, 30, 54, 2,  6, 32, 22,
                                       52, 58, 20, 1,  50, 50, 68, 24, 8, 12, 3, 14, 1};
    if (c >= 'a' && c <= 'z')
        return of_letter[c - 'a'];
    return c == ' ' ? 110 : c == '"' ? 40 : c >= '0' && c <= '9' ? 10 : c > ' ' ? 4 : 1;
}

static float
share_of_letters(const byte *letters, int count)
{
    float share = 1;
    for (int i = 0; i < count; i++)
        share *= (float)share_of(letters[i] | 0x20) / 1000;
    return share;
}

/* The upper halves of a letter: two, if its case does not matter. */
static unsigned
upper_halves(byte c, int is_exact)
{
    int is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return 1u << (c >> 4) | (is_letter && !is_exact ? 1u << ((c ^ 0x20) >> 4) : 0);
}

/* The share of places that pass a set, with a gram more if one is given. */
static double
passing(const Grams *grams, int set, const byte *gram, int count, int is_exact)
{
    double share = 1;
    for (int i = 0; i < GRAM && (gram == NULL || i < count); i++) {
        unsigned lower = grams->lower_halves[set][i], upper = grams->upper_halves[set][i];
        if (gram != NULL) {
            lower |= 1u << (gram[i] & 15);
            upper |= upper_halves(gram[i], is_exact);
        }
        int per_mille = 0;
        for (unsigned high = upper; high != 0; high &= high - 1)
            for (unsigned low = lower; low != 0; low &= low - 1)
                per_mille += share_of(__builtin_ctz(high) << 4 | __builtin_ctz(low));
        share *= per_mille / 1000.0;
    }
    return share;
}

/* The set in which a gram lets the fewest places more pass. */
static int
best_set(const Grams *grams, const byte *gram, int count, int is_exact)
{
    int best = 0;
    double least = 2;
    for (int set = 0; set < SETS; set++) {
        double more = passing(grams, set, gram, count, is_exact) - passing(grams, set, NULL, 0, 0);
        if (more < least) {
            least = more;
            best = set;
        }
    }
    return best;
}

static void
add_gram(Grams *grams, int set, const byte *gram, int count, int is_exact)
{
    set_bit(grams->bits, letters_at(gram));
    if (count > 3)
        set_bit(grams->bits, letters_at(gram + 1));
    else /* two of three letters decide; any may stand behind them */
        for (uint32_t behind = 0; behind < 256; behind++)
            set_bit(grams->bits, letters_at(gram) >> 8 | (0x20u | behind) << 16);
    for (int i = 0; i < GRAM; i++) {
        grams->lower_halves[set][i] |= i < count ? 1u << (gram[i] & 15) : 0xFFFF;
        grams->upper_halves[set][i] |= i < count ? upper_halves(gram[i], is_exact) : 0xFFFF;
        for (int half = 0; half < 16; half++) {
            grams->lower[set / 8][i][half] |= (grams->lower_halves[set][i] >> half & 1) << set % 8;
            grams->upper[set / 8][i][half] |= (grams->upper_halves[set][i] >> half & 1) << set % 8;
        }
    }
}
