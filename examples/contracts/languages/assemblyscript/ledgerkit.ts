// The host interface `ledgerkit.1` for guests in AssemblyScript, as far as a contract commonly needs it, and the chain's
// encoding over buffers that never move.

// @ts-ignore: decorator
@external("ledgerkit.1", "arguments") export declare function hostArguments(to: usize, offset: usize, length: usize): void;
// @ts-ignore: decorator
@external("ledgerkit.1", "arguments_len") export declare function hostArgumentsLength(): usize;
// @ts-ignore: decorator
@external("ledgerkit.1", "result") export declare function hostResult(to: usize, offset: usize, length: usize): void;
// @ts-ignore: decorator
@external("ledgerkit.1", "get") export declare function hostGet(key: usize, keyLength: usize): i64;
// @ts-ignore: decorator
@external("ledgerkit.1", "put") export declare function hostPut(key: usize, keyLength: usize, value: usize, length: usize): void;
// @ts-ignore: decorator
@external("ledgerkit.1", "delete") export declare function hostDelete(key: usize, keyLength: usize): void;
// @ts-ignore: decorator
@external("ledgerkit.1", "emit") export declare function hostEmit(topic: usize, topicLength: usize, data: usize, length: usize): void;
// @ts-ignore: decorator
@external("ledgerkit.1", "caller") export declare function hostCaller(to: usize): void;
// @ts-ignore: decorator
@external("ledgerkit.1", "return") export declare function hostReturn(from: usize, length: usize): void;
// @ts-ignore: decorator
@external("ledgerkit.1", "refuse") export declare function hostRefuse(code: u32, message: usize, length: usize): void;

export const BAD_ARGUMENTS: u32 = 0xffff_ffff;

/** Ends the call; the host doesn't come back. */
export function refuse(code: u32, words: string): void {
  const bytes = String.UTF8.encode(words);
  hostRefuse(code, changetype<usize>(bytes), bytes.byteLength);
  unreachable();
}

/** The code and words for arguments that can't be read. */
export function refuseArguments(): void {
  refuse(BAD_ARGUMENTS, "the arguments can't be read");
}

/** Bytes that are read from the front. What is missing or wrong is noted in `failed`, and read as zero. */
export class Reader {
  failed: bool = false;
  /** The upper half of the last number, which only numbers of 16 bytes have. */
  high: u64 = 0;

  constructor(public at: usize, public left: usize) {}

  take(length: usize): usize {
    if (length > this.left) {
      this.failed = true;
      this.left = 0;
      return 0;
    }
    const taken = this.at;
    this.at += length;
    this.left -= length;
    return taken;
  }

  /** An unsigned integer: one byte, or a mark and 2, 4, 8 or 16 bytes, never longer than it has to be. */
  number(): u64 {
    this.high = 0;
    const mark = this.take(1);
    if (this.failed) return 0;
    const first = load<u8>(mark);
    if (first <= 250) return first;
    if (first == 255) {
      this.failed = true;
      return 0;
    }
    const at = this.take(<usize>2 << (first - 251));
    if (this.failed) return 0;
    if (first == 251) {
      const value = <u64>load<u16>(at);
      this.failed = value < 251;
      return value;
    }
    if (first == 252) {
      const value = <u64>load<u32>(at);
      this.failed = value < 1 << 16;
      return value;
    }
    const value = load<u64>(at);
    if (first == 253) {
      this.failed = value < <u64>1 << 32;
    } else {
      this.high = load<u64>(at, 8);
      this.failed = this.high == 0;
    }
    return value;
  }

  u64(): u64 {
    const value = this.number();
    if (this.high) this.failed = true;
    return value;
  }

  /** Where a length leads. */
  sized(): usize {
    const length = this.u64();
    if (length > this.left) {
      this.failed = true;
      return 0;
    }
    return this.take(<usize>length);
  }
}

/** Bytes that are written behind each other, into room that is large enough. */
export class Writer {
  length: usize = 0;

  constructor(public from: usize) {}

  byte(value: u8): void {
    store<u8>(this.from + this.length++, value);
  }

  bytes(from: usize, length: usize): void {
    memory.copy(this.from + this.length, from, length);
    this.length += length;
  }

  number(low: u64, high: u64 = 0): void {
    const to = this.from + this.length;
    if (high) {
      store<u8>(to, 254);
      store<u64>(to, low, 1);
      store<u64>(to, high, 9);
      this.length += 17;
    } else if (low <= 250) {
      this.byte(<u8>low);
    } else if (low < 1 << 16) {
      store<u8>(to, 251);
      store<u16>(to, <u16>low, 1);
      this.length += 3;
    } else if (low < <u64>1 << 32) {
      store<u8>(to, 252);
      store<u32>(to, <u32>low, 1);
      this.length += 5;
    } else {
      store<u8>(to, 253);
      store<u64>(to, low, 1);
      this.length += 9;
    }
  }

  /** A signed number with its sign in the lowest bit: 0, -1, 1, -2 ... are 0, 1, 2, 3 ... */
  signed(amount: u64, negative: bool): void {
    let low = amount << 1;
    let high = amount >> 63;
    if (negative && amount) {
      if (!low) high -= 1;
      low -= 1;
    }
    this.number(low, high);
  }
}
