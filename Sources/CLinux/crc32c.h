#ifndef TOLLGATE_CLINUX_CRC32C_H
#define TOLLGATE_CLINUX_CRC32C_H

// CRC32C of 64-bit little-endian words by the processor's own instruction.
//
// Written as one-instruction assembly: a function with a target attribute
// could not be inlined into callers that are compiled for the baseline.

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>

/// 1 where the processor has the instruction (SSE4.2).
static inline int linux_crc32c_is_supported(void) {
    unsigned int a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2) != 0;
}

/// Advances the register (not inverted) by one word. Only where supported.
static inline uint64_t linux_crc32c_word(uint64_t state, uint64_t word) {
    __asm__("crc32q %1, %0" : "+r"(state) : "rm"(word));
    return state;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

static inline int linux_crc32c_is_supported(void) {
    return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; // HWCAP_CRC32
}

static inline uint64_t linux_crc32c_word(uint64_t state, uint64_t word) {
    uint32_t next = (uint32_t)state;
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(next) : "r"(word));
    return next;
}

#else

static inline int linux_crc32c_is_supported(void) { return 0; }

/// Never called: there is no such instruction that we know of.
static inline uint64_t linux_crc32c_word(uint64_t state, uint64_t word) {
    (void)word;
    return state;
}

#endif

/// Advances the register by `count` words. Only where supported.
static inline uint64_t linux_crc32c_words(uint64_t state, const uint64_t *words, size_t count) {
    for (size_t index = 0; index < count; index++) {
        state = linux_crc32c_word(state, words[index]);
    }
    return state;
}

#endif
