/* Philox4x32-10: random numbers as a function of a counter and a key (Salmon et al., Parallel random numbers: as easy
 * as 1, 2, 3, SC 2011, section 3.3). Included once for each instruction set. */
#ifndef RNNFAST_RANDOM_H
#define RNNFAST_RANDOM_H
#include <stdint.h>

#define PHILOX_BATCH 16
#define PHILOX_ROUNDS 10

/* numbers[w][j] = word w at the counter (first + j, c1, c2, c3). A batch of counters, for the compiler to vectorise. */
static inline void philox(uint32_t numbers[4][PHILOX_BATCH], uint32_t first, uint32_t c1, uint32_t c2, uint32_t c3,
                          uint64_t key) {
    uint32_t *restrict x0 = numbers[0], *restrict x1 = numbers[1];
    uint32_t *restrict x2 = numbers[2], *restrict x3 = numbers[3];
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int j = 0; j < PHILOX_BATCH; j++) {
        x0[j] = first + (uint32_t)j;
        x1[j] = c1;
        x2[j] = c2;
        x3[j] = c3;
    }
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        for (int j = 0; j < PHILOX_BATCH; j++) {
            uint64_t a = (uint64_t)x0[j] * 0xD2511F53u, b = (uint64_t)x2[j] * 0xCD9E8D57u;
            x0[j] = (uint32_t)(b >> 32) ^ x1[j] ^ k0;
            x2[j] = (uint32_t)(a >> 32) ^ x3[j] ^ k1;
            x1[j] = (uint32_t)b;
            x3[j] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}
#endif
