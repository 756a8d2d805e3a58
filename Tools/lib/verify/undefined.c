// Our C code under the undefined-behaviour sanitizer: every message type of what is served unpacks, packs and frees each
// input and mutations of it; then the shims. `undefined SEED ROUNDS FILE...`; see sanitizers.py.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CLinux/shim.h"
#include "CNGHTTP2/shim.h"
#include "CProtobufC/shim.h"
#include "CTollgate.h"

#define MESSAGE(name) &tollgate__##name##__descriptor
static const ProtobufCMessageDescriptor *const messages[] = {
    MESSAGE(v1__check_and_reserve_request), MESSAGE(v1__check_and_reserve_response),
    MESSAGE(v1__check_and_reserve_batch_request), MESSAGE(v1__check_and_reserve_batch_response),
    MESSAGE(v1__commit_request), MESSAGE(v1__commit_response),
    MESSAGE(v1__release_request), MESSAGE(v1__release_response),
    MESSAGE(v1__extend_request), MESSAGE(v1__extend_response),
    MESSAGE(v1__record_usage_request), MESSAGE(v1__record_usage_response),
    MESSAGE(v1__get_usage_request), MESSAGE(v1__get_usage_response),
    MESSAGE(v1__watch_usage_request), MESSAGE(v1__watch_usage_response),
    MESSAGE(internal__status), MESSAGE(internal__error_info), MESSAGE(internal__bad_request),
    MESSAGE(internal__retry_info), MESSAGE(internal__quota_failure), MESSAGE(internal__file_set),
    MESSAGE(internal__file_declaration),
    &grpc__health__v1__health_check_request__descriptor, &grpc__health__v1__health_check_response__descriptor,
    &grpc__health__v1__health_list_response__descriptor,
    &grpc__reflection__v1__server_reflection_request__descriptor,
    &grpc__reflection__v1__server_reflection_response__descriptor,
};
enum { message_count = sizeof messages / sizeof messages[0], most = 1 << 16 };

// SplitMix64.
static uint64_t state;
static uint64_t next(void) {
    uint64_t word = (state += 0x9E3779B97F4A7C15u);
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
}

static void fail(const char *text) {
    fprintf(stderr, "%s\n", text);
    exit(1);
}

static unsigned long long refused;

// How many message types take the bytes. What is taken is packed and unpacked again, which mostly works: an unknown field
// whose number 0 is written in two bytes is taken by protobuf-c, packed in one, and refused then. (The service never packs
// what it unpacked.)
static unsigned take(const uint8_t *bytes, size_t count) {
    unsigned taken = 0;
    for (size_t index = 0; index < message_count; index++) {
        ProtobufCMessage *message = protobuf_c_message_unpack(messages[index], NULL, count, bytes);
        if (message == NULL) continue;
        taken++;
        size_t size = protobuf_c_message_get_packed_size(message);
        uint8_t *packed = malloc(size + 1);
        if (packed == NULL) fail("no memory");
        if (protobuf_c_message_pack(message, packed) != size) fail("a message packs to another size");
        ProtobufCMessage *again = protobuf_c_message_unpack(messages[index], NULL, size, packed);
        if (again == NULL) refused++;
        protobuf_c_message_free_unpacked(again, NULL);
        protobuf_c_message_free_unpacked(message, NULL);
        free(packed);
    }
    return taken;
}

static size_t mutate(uint8_t *bytes, size_t count) {
    switch (next() % 4) {
    case 0: return count == 0 ? 0 : next() % count;
    case 1: bytes[count] = (uint8_t)next(); return count + 1;
    default:
        for (uint64_t times = next() % 4 + 1; times > 0 && count > 0; times--) bytes[next() % count] = (uint8_t)next();
        return count;
    }
}

static void shims(void) {
    uint64_t words[64];
    for (size_t index = 0; index < 64; index++) words[index] = next();
    if (linux_crc32c_is_supported()) {
        uint64_t whole = linux_crc32c_words(~0u, words, 64);
        uint64_t parts = linux_crc32c_words(linux_crc32c_words(~0u, words, 17), words + 17, 47);
        if (whole != parts) fail("a checksum depends on how its words are handed over");
    }
    uint32_t word = 1;
    linux_futex_wake(&word);
    linux_futex_wait(&word, 0, 1000000);
    linux_futex_wait(&word, 1, 1000000);
    if (linux_monotonic_nanoseconds() <= 0) fail("the clock stands still");
}

int main(int count, char **arguments) {
    if (count < 4) fail("undefined SEED ROUNDS FILE...");
    state = strtoull(arguments[1], NULL, 10);
    uint64_t rounds = strtoull(arguments[2], NULL, 10), inputs = 0, taken = 0;
    shims();
    static uint8_t original[most], bytes[most + 1];
    for (int index = 3; index < count; index++) {
        FILE *file = fopen(arguments[index], "r");
        if (file == NULL) fail(arguments[index]);
        size_t length = fread(original, 1, most, file);
        fclose(file);
        if (take(original, length) == 0) fail(arguments[index]);
        for (uint64_t round = 0; round < rounds; round++, inputs++) {
            memcpy(bytes, original, length);
            taken += take(bytes, mutate(bytes, length)) > 0;
        }
    }
    if (taken == 0) fail("nothing was ever accepted");
    if (refused > taken / 1000) fail("what was packed is refused");
    printf("figures: %d files, %llu mutations, %llu of them accepted (%llu not again), no report\n", count - 3,
           (unsigned long long)inputs, (unsigned long long)taken, refused);
    return 0;
}
