// The token of examples/contracts/token in C: the part of its interface without allowances, pausing and payments to many.
// State, events, answers and refusals are the same, byte for byte.
#include "ledgerkit.h"

enum { ACCOUNT = 32, ROOM = 1024 };

static uint8_t arguments[ROOM];

// All of the arguments.
static struct reader read_arguments(void) {
    size_t length = host_arguments_len();
    if (length > ROOM) REFUSE(BAD_ARGUMENTS, "the arguments can't be read");
    host_arguments(arguments, 0, length);
    return (struct reader){arguments, length, false};
}

static void end_arguments(const struct reader *in) {
    if (in->failed || in->left) REFUSE(BAD_ARGUMENTS, "the arguments can't be read");
}

static void answer_unsigned(uint64_t value) {
    uint8_t bytes[9];
    struct writer out = {bytes, 0};
    put_unsigned(&out, value);
    host_return(bytes, out.length);
}

// Storage.

static const uint8_t CURRENCY[1] = {'c'}, ISSUED[1] = {'i'}, OWNER[1] = {0xf0};

static void balance_key(uint8_t key[1 + ACCOUNT], const uint8_t *account) {
    key[0] = 'b';
    copy(key + 1, account, ACCOUNT);
}

// The number under a key; 0 where there is none.
static unsigned __int128 stored(const uint8_t *key, size_t key_length) {
    uint8_t value[17];
    int64_t length = host_get(key, key_length);
    if (length < 0) return 0;
    if ((size_t)length > sizeof value) __builtin_trap();
    host_result(value, 0, (size_t)length);
    struct reader in = {value, (size_t)length, false};
    unsigned __int128 number = take_unsigned(&in);
    if (in.failed || in.left) __builtin_trap();
    return number;
}

static uint64_t balance_of(const uint8_t *account) {
    uint8_t key[1 + ACCOUNT];
    balance_key(key, account);
    return (uint64_t)stored(key, sizeof key);
}

static void set_balance(const uint8_t *account, uint64_t balance) {
    uint8_t key[1 + ACCOUNT], value[9];
    struct writer out = {value, 0};
    balance_key(key, account);
    if (!balance) {
        host_delete(key, sizeof key);
        return;
    }
    put_unsigned(&out, balance);
    host_put(key, sizeof key, value, out.length);
}

// A signed number is stored with its sign in the lowest bit: 0, -1, 1, -2 ... are 0, 1, 2, 3 ...
static void put_signed(struct writer *out, uint64_t amount, bool negative) {
    unsigned __int128 doubled = (unsigned __int128)amount << 1;
    put_unsigned(out, negative && amount ? doubled - 1 : doubled);
}

// What was issued is the supply with its sign turned.
static uint64_t supply_of(void) {
    return (uint64_t)((stored(ISSUED, sizeof ISSUED) + 1) >> 1);
}

static void set_supply(uint64_t supply) {
    uint8_t value[17];
    struct writer out = {value, 0};
    put_signed(&out, supply, true);
    host_put(ISSUED, sizeof ISSUED, value, out.length);
}

// Postings. An account of NULL is the issuer's.

static void debit(const uint8_t *account, uint64_t amount) {
    if (!account) {
        uint64_t supply;
        if (__builtin_add_overflow(supply_of(), amount, &supply)) REFUSE(3, "the supply would be over 64 bits");
        set_supply(supply);
        return;
    }
    uint64_t balance = balance_of(account);
    if (balance < amount) REFUSE(1, "the balance is less than the amount");
    set_balance(account, balance - amount);
}

static void credit(const uint8_t *account, uint64_t amount) {
    if (!account) {
        set_supply(supply_of() - amount);
        return;
    }
    // No balance is over the supply, and that was checked.
    set_balance(account, balance_of(account) + amount);
}

static void put_leg(struct writer *out, const uint8_t *account, uint64_t amount, bool negative) {
    put_byte(out, account != NULL);
    if (account) put_bytes(out, account, ACCOUNT);
    put_signed(out, amount, negative);
}

static void post(const uint8_t *from, const uint8_t *to, uint64_t amount) {
    uint8_t data[1 + 2 * (1 + ACCOUNT + 17)];
    struct writer out = {data, 0};
    if (!amount) REFUSE(4, "an amount is more than zero");
    debit(from, amount);
    credit(to, amount);
    put_unsigned(&out, 2);
    put_leg(&out, from, amount, true);
    put_leg(&out, to, amount, false);
    host_emit("posted", 6, data, out.length);
}

// Methods.

EXPORT("construct") void construct(void) {
    uint8_t owner[ACCOUNT];
    struct reader in = read_arguments();
    size_t length = in.left;
    take(&in, take_u64(&in));
    uint64_t letters = take_u64(&in);
    const uint8_t *symbol = take(&in, letters);
    take(&in, 1);
    end_arguments(&in);
    bool is_symbol = letters >= 3 && letters <= 5;
    for (uint64_t at = 0; is_symbol && at < letters; at++) {
        uint8_t small = symbol[at] | 0x20;
        is_symbol = small >= 'a' && small <= 'z';
    }
    if (!is_symbol) REFUSE(5, "a symbol has three to five letters");
    host_caller(owner);
    host_put(OWNER, sizeof OWNER, owner, ACCOUNT);
    host_emit("owner_changed", 13, owner, ACCOUNT);
    host_put(CURRENCY, sizeof CURRENCY, arguments, length);
}

EXPORT("call_mint") void mint(void) {
    uint8_t caller[ACCOUNT], owner[ACCOUNT];
    struct reader in = read_arguments();
    const uint8_t *to = take(&in, ACCOUNT);
    uint64_t amount = take_u64(&in);
    end_arguments(&in);
    host_caller(caller);
    if (host_get(OWNER, sizeof OWNER) != ACCOUNT) __builtin_trap();
    host_result(owner, 0, ACCOUNT);
    if (!same(owner, caller, ACCOUNT)) REFUSE(0xffff0001u, "only the owner may do this");
    post(NULL, to, amount);
}

EXPORT("call_burn") void burn(void) {
    uint8_t caller[ACCOUNT];
    struct reader in = read_arguments();
    uint64_t amount = take_u64(&in);
    end_arguments(&in);
    host_caller(caller);
    post(caller, NULL, amount);
}

EXPORT("call_transfer") void transfer(void) {
    uint8_t caller[ACCOUNT];
    struct reader in = read_arguments();
    const uint8_t *to = take(&in, ACCOUNT);
    uint64_t amount = take_u64(&in);
    end_arguments(&in);
    host_caller(caller);
    post(caller, to, amount);
}

EXPORT("call_balance") void balance(void) {
    struct reader in = read_arguments();
    const uint8_t *account = take(&in, ACCOUNT);
    end_arguments(&in);
    answer_unsigned(balance_of(account));
}

EXPORT("call_supply") void supply(void) {
    struct reader in = read_arguments();
    end_arguments(&in);
    answer_unsigned(supply_of());
}

EXPORT("call_currency") void currency(void) {
    uint8_t value[ROOM];
    struct reader in = read_arguments();
    end_arguments(&in);
    int64_t length = host_get(CURRENCY, sizeof CURRENCY);
    if (length < 0 || length > ROOM) __builtin_trap();
    host_result(value, 0, (size_t)length);
    host_return(value, (size_t)length);
}
