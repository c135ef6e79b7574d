/* Philox4x32-10: random numbers as a function of a counter and a key (Salmon et al., Parallel random numbers: as easy
 * as 1, 2, 3, SC 2011, section 3.3). Included once for each instruction set. */
#ifndef RNNFAST_RANDOM_H
#define RNNFAST_RANDOM_H
#include <stdint.h>
#include <string.h>

#define PHILOX_BATCH 16
#define PHILOX_ROUNDS 10

#ifndef VECTOR_BYTES
typedef uint64_t wide;
#define multiply_words(a, b) ((uint64_t)(uint32_t)(a) * (uint32_t)(b))
#endif

/* numbers[4 j + w] = word w at the counter (first + j, c1, c2, c3). The upper halves of lanes may be anything. */
static inline void philox(uint32_t numbers[4 * PHILOX_BATCH], uint32_t first, uint32_t c1, uint32_t c2, uint32_t c3,
                          uint64_t key) {
    enum { LANES_64 = sizeof(wide) / sizeof(uint64_t) };
    uint64_t counters[PHILOX_BATCH], words[4][PHILOX_BATCH];
    for (int j = 0; j < PHILOX_BATCH; j++) counters[j] = first + (uint32_t)j;
    for (int j = 0; j < PHILOX_BATCH; j += LANES_64) {
        uint64_t k0 = key, k1 = key >> 32;
        wide x0, x1 = c1 - (wide){0}, x2 = c2 - (wide){0}, x3 = c3 - (wide){0};
        memcpy(&x0, counters + j, sizeof x0);
        for (int round = 0; round < PHILOX_ROUNDS; round++) {
            const wide a = multiply_words(x0, UINT64_C(0xD2511F53) - (wide){0});
            const wide b = multiply_words(x2, UINT64_C(0xCD9E8D57) - (wide){0});
            x0 = (b >> 32) ^ x1 ^ k0;
            x2 = (a >> 32) ^ x3 ^ k1;
            x1 = b;
            x3 = a;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        memcpy(words[0] + j, &x0, sizeof x0);
        memcpy(words[1] + j, &x1, sizeof x1);
        memcpy(words[2] + j, &x2, sizeof x2);
        memcpy(words[3] + j, &x3, sizeof x3);
    }
    for (int j = 0; j < PHILOX_BATCH; j++)
        for (int w = 0; w < 4; w++) numbers[4 * j + w] = (uint32_t)words[w][j];
}
#endif
