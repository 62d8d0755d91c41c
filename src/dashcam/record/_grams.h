/* Where many words can be in a text: a few letters of each, looked for at all places of a block at once.

   A gram is the rarest three or four letters in a row that a word has. The grams are spread over 16 sets; of each place
   in a gram, a set knows which upper and lower halves of a byte its grams have there. Where the processor can look up
   half a byte in a table, 32 places are asked at once (as "Teddy" of Hyperscan does it); elsewhere each place is asked
   in a table of bits. The places that pass are gathered without a branch for each, because the processor would guess
   most of them wrong, and asked for all their letters. A place that is left may hold no gram; no gram is missed. */

#include <stdint.h>
#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_AVX2_CODE
#include <immintrin.h>
#endif

enum { GRAM = 4, BLOCK = 64, SETS = 16, BLOCK_BYTES = BLOCK + GRAM - 1, MAX_BLOCKS = 16 };
enum { MAX_PLACES = MAX_BLOCKS * BLOCK, USUAL = 2 }; /* most blocks of prose have no more places that pass */

typedef unsigned char byte;

typedef struct Grams {
    byte lower[2][GRAM][16], upper[2][GRAM][16];      /* by half a byte: a bit for each of eight sets */
    uint16_t lower_halves[SETS][GRAM], upper_halves[SETS][GRAM]; /* the same by set: a bit for each half */
    byte shares[256];     /* share_of each byte */
    double passing[SETS]; /* the share of places that pass each set */
    uint64_t bits[1024]; /* of the first three letters of each gram, and of three from its second letter on */
    uint64_t whole[1024]; /* the same of all letters of each gram, and whatever stands behind one of three */
    void (*candidates)(const struct Grams *, const byte *text, int places, uint64_t *masks);
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

static uint32_t
hash_of_four(uint32_t letters)
{
    return letters * 0x9E3779B1u >> 16;
}

/* Whether a gram can begin at each of 32 places, a bit each: every second place is asked whether one begins there or at
   the place before. */
static uint32_t
half_a_block(const Grams *grams, const byte *block)
{
    uint64_t met = (uint64_t)bit(grams->bits, letters_at(block + 32)) << 32;
    for (int i = 0; i < 32; i += 8) {
        uint64_t eight = 0x2020202020202020u; /* one load, on most machines; in lower case */
        for (int j = 0; j < 8; j++)
            eight |= (uint64_t)block[i + j] << 8 * j;
        uint32_t a = bit(grams->bits, (uint32_t)eight), b = bit(grams->bits, (uint32_t)(eight >> 16));
        uint32_t c = bit(grams->bits, (uint32_t)(eight >> 32)), d = bit(grams->bits, letters_at(block + i + 6));
        met |= (uint64_t)(a | b << 2 | c << 4 | d << 6) << i;
    }
    return (uint32_t)(met | met >> 1);
}

/* Where a block of so many places begins: the last one has some of the one before, too. */
static int
begin_of(int block, int places)
{
    return block * BLOCK < places - BLOCK ? block * BLOCK : places - BLOCK;
}

/* The places of each block at which a gram can begin, a bit each. */
static void
portable_candidates(const Grams *grams, const byte *text, int places, uint64_t *masks)
{
    for (int i = 0; i * BLOCK < places; i++) {
        const byte *block = text + begin_of(i, places);
        masks[i] = half_a_block(grams, block) | (uint64_t)half_a_block(grams, block + 32) << 32;
    }
}

#ifdef HAS_AVX2_CODE
#define FOR_AVX2 __attribute__((target("avx2")))

FOR_AVX2 static __m256i
table_of(const byte *halves)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)halves));
}

FOR_AVX2 static uint32_t
places_with_any(__m256i one_half_of_sets, __m256i other_half)
{
    __m256i none = _mm256_cmpeq_epi8(_mm256_or_si256(one_half_of_sets, other_half), _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(none);
}

/* Two vectors, a and b, share each table that is loaded. */
FOR_AVX2 static void
avx2_candidates(const Grams *grams, const byte *text, int places, uint64_t *masks)
{
    const __m256i half = _mm256_set1_epi8(15);
    for (int which = 0; which * BLOCK < places; which++) {
        const byte *block = text + begin_of(which, places);
        __m256i a[2], b[2]; /* the sets that are still possible, at each place: the first eight, and the others */
        a[0] = a[1] = b[0] = b[1] = _mm256_set1_epi8(-1);
#pragma GCC unroll 1 /* or else GCC looks up all 32 vectors first, more than there are registers */
        for (int i = 0; i < GRAM; i++) {
            __m256i of_a = _mm256_loadu_si256((const __m256i *)(block + i));
            __m256i of_b = _mm256_loadu_si256((const __m256i *)(block + i + 32));
            __m256i lower_a = _mm256_and_si256(of_a, half), lower_b = _mm256_and_si256(of_b, half);
            __m256i upper_a = _mm256_and_si256(_mm256_srli_epi16(of_a, 4), half);
            __m256i upper_b = _mm256_and_si256(_mm256_srli_epi16(of_b, 4), half);
            for (int sets = 0; sets < 2; sets++) {
                __m256i lower = table_of(grams->lower[sets][i]), upper = table_of(grams->upper[sets][i]);
                a[sets] = _mm256_and_si256(a[sets], _mm256_shuffle_epi8(lower, lower_a));
                a[sets] = _mm256_and_si256(a[sets], _mm256_shuffle_epi8(upper, upper_a));
                b[sets] = _mm256_and_si256(b[sets], _mm256_shuffle_epi8(lower, lower_b));
                b[sets] = _mm256_and_si256(b[sets], _mm256_shuffle_epi8(upper, upper_b));
            }
        }
        masks[which] = places_with_any(a[0], a[1]) | (uint64_t)places_with_any(b[0], b[1]) << 32;
    }
}
#endif

/* Find at which of so many places of a text, a block or more, a gram can begin; return at how many. Some come twice. */
static int
find_grams(const Grams *grams, const byte *text, int places, uint16_t *found)
{
    uint64_t masks[MAX_BLOCKS];
    int count = 0, kept = 0;
    grams->candidates(grams, text, places, masks);
    for (int block = 0; block * BLOCK < places; block++) {
        uint64_t mask = masks[block];
        int begin = begin_of(block, places);
        for (int i = 0; i < USUAL; i++, mask &= mask - 1) {
            found[count] = (uint16_t)(begin + (mask != 0 ? __builtin_ctzll(mask) : 0));
            count += mask != 0;
        }
        for (; mask != 0; mask &= mask - 1)
            found[count++] = (uint16_t)(begin + __builtin_ctzll(mask));
    }
    for (int i = 0; i < count; i++) {
        uint16_t place = found[i];
        uint32_t h = hash_of_four(letters_at(text + place) | (0x20u | text[place + 3]) << 24);
        found[kept] = place;
        kept += (int)(grams->whole[h >> 6] >> (h & 63) & 1);
    }
    return kept;
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

/* Begin with no gram. */
static void
begin_grams(Grams *grams, int with_vectors)
{
    for (int c = 0; c < 256; c++)
        grams->shares[c] = (byte)share_of(c);
    grams->candidates = portable_candidates;
#ifdef HAS_AVX2_CODE
    if (with_vectors && __builtin_cpu_supports("avx2"))
        grams->candidates = avx2_candidates;
#endif
    (void)with_vectors;
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
            for (int low = 0; low < 16; low++)
                per_mille += (int)(lower >> low & 1) * grams->shares[__builtin_ctz(high) << 4 | low];
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
        double more = passing(grams, set, gram, count, is_exact) - grams->passing[set];
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
    for (uint32_t fourth = 0; fourth < 256; fourth++)
        if (count < GRAM || fourth == gram[3]) {
            uint32_t h = hash_of_four(letters_at(gram) | (0x20u | fourth) << 24);
            grams->whole[h >> 6] |= (uint64_t)1 << (h & 63);
        }
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
    grams->passing[set] = passing(grams, set, NULL, 0, 0);
}
