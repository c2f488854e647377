// The host interface `ledgerkit.1` for guests in C, as far as a contract commonly needs it, and the chain's encoding.
//
// Build with clang and wasm-ld, without a C library: see build.sh beside this file.
#ifndef LEDGERKIT_H
#define LEDGERKIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("ledgerkit.1"), import_name(name)))
// A method is exported as `call_` and its name; the constructor as `construct`.
#define EXPORT(name) __attribute__((export_name(name)))

// Host functions. Addresses are of this module's memory; the host checks them.
IMPORT("arguments") void host_arguments(uint8_t *to, size_t offset, size_t length);
IMPORT("arguments_len") size_t host_arguments_len(void);
IMPORT("result") void host_result(uint8_t *to, size_t offset, size_t length);
// The length of the value, or -1 where there is none; `host_result` fetches it.
IMPORT("get") int64_t host_get(const uint8_t *key, size_t key_length);
IMPORT("put") void host_put(const uint8_t *key, size_t key_length, const uint8_t *value, size_t value_length);
IMPORT("delete") void host_delete(const uint8_t *key, size_t key_length);
IMPORT("emit") void host_emit(const char *topic, size_t topic_length, const uint8_t *data, size_t data_length);
IMPORT("caller") void host_caller(uint8_t *to);
IMPORT("return") void host_return(const uint8_t *from, size_t length);
IMPORT("refuse") _Noreturn void host_refuse(uint32_t code, const char *message, size_t length);

#define REFUSE(code, words) host_refuse((code), (words), sizeof(words) - 1)
#define BAD_ARGUMENTS 0xffffffffu

static inline void copy(uint8_t *to, const uint8_t *from, size_t length) {
    __builtin_memcpy(to, from, length);
}

static inline bool same(const uint8_t *a, const uint8_t *b, size_t length) {
    for (size_t at = 0; at < length; at++) {
        if (a[at] != b[at]) return false;
    }
    return true;
}

// Bytes that are read from the front. A reader that failed stays so; look at `failed` when all is read.
struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static inline const uint8_t *take(struct reader *in, size_t length) {
    static const uint8_t nothing[32];
    if (length > in->left) {
        in->failed = true;
        in->left = 0;
        return nothing;
    }
    const uint8_t *taken = in->at;
    in->at += length;
    in->left -= length;
    return taken;
}

// An unsigned integer: one byte, or a mark and 2, 4, 8 or 16 bytes, little-endian, never longer than it has to be.
static inline unsigned __int128 take_unsigned(struct reader *in) {
    uint8_t first = *take(in, 1);
    if (first <= 250) return first;
    if (first == 255) {
        in->failed = true;
        return 0;
    }
    unsigned width = 2u << (first - 251);
    // Only the mark of 16 bytes asks for so many, and 32 zero bytes stand in for what is missing.
    const uint8_t *bytes = take(in, width);
    unsigned __int128 value = 0;
    for (unsigned at = width; at-- > 0;) value = value << 8 | bytes[at];
    bool shorter = first == 251 ? value < 251 : first == 252 ? !(value >> 16) : first == 253 ? !(value >> 32) : !(value >> 64);
    if (shorter) in->failed = true;
    return value;
}

static inline uint64_t take_u64(struct reader *in) {
    unsigned __int128 value = take_unsigned(in);
    if (value >> 64) in->failed = true;
    return (uint64_t)value;
}

// Bytes that are written behind each other, into room that is large enough.
struct writer {
    uint8_t *bytes;
    size_t length;
};

static inline void put_bytes(struct writer *out, const uint8_t *bytes, size_t length) {
    copy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static inline void put_byte(struct writer *out, uint8_t byte) {
    out->bytes[out->length++] = byte;
}

static inline void put_unsigned(struct writer *out, unsigned __int128 value) {
    if (value <= 250) {
        put_byte(out, (uint8_t)value);
        return;
    }
    unsigned mark = value >> 64 ? 3 : value >> 32 ? 2 : value >> 16 ? 1 : 0;
    put_byte(out, (uint8_t)(251 + mark));
    for (unsigned at = 0; at < 2u << mark; at++, value >>= 8) put_byte(out, (uint8_t)value);
}

#endif
