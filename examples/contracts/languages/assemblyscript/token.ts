// The token of examples/contracts/token in AssemblyScript: the part of its interface without allowances, pausing and
// payments to many. State, events, answers and refusals are the same, byte for byte.

import {
  Reader,
  Writer,
  hostArguments,
  hostArgumentsLength,
  hostCaller,
  hostDelete,
  hostEmit,
  hostGet,
  hostPut,
  hostResult,
  hostReturn,
  refuse,
  refuseArguments,
} from "./ledgerkit";

const ACCOUNT: usize = 32;
const ROOM: usize = 1024;

const given = memory.data(1024);
const value = memory.data(1024);
const key = memory.data(33);
const caller = memory.data(32);
const data = memory.data(128);

const CURRENCY: u8 = 0x63; // c
const ISSUED: u8 = 0x69; // i
const BALANCE: u8 = 0x62; // b
const OWNER: u8 = 0xf0;

/** All of the arguments. */
function read(): Reader {
  const length = hostArgumentsLength();
  if (length > ROOM) refuseArguments();
  hostArguments(given, 0, length);
  return new Reader(given, length);
}

function end(input: Reader): void {
  if (input.failed || input.left) refuseArguments();
}

function answer(amount: u64): void {
  const out = new Writer(value);
  out.number(amount);
  hostReturn(value, out.length);
}

function fieldKey(place: u8): usize {
  store<u8>(key, place);
  return 1;
}

function balanceKey(account: usize): usize {
  store<u8>(key, BALANCE);
  memory.copy(key + 1, account, ACCOUNT);
  return 33;
}

/** What is stored under the key, in `value`; its length, or -1. */
function fetch(keyLength: usize): i64 {
  const length = hostGet(key, keyLength);
  if (length > <i64>ROOM) unreachable();
  if (length > 0) hostResult(value, 0, <usize>length);
  return length;
}

function balanceOf(account: usize): u64 {
  const length = fetch(balanceKey(account));
  if (length < 0) return 0;
  const input = new Reader(value, <usize>length);
  const balance = input.u64();
  if (input.failed || input.left) unreachable();
  return balance;
}

function setBalance(account: usize, balance: u64): void {
  const keyLength = balanceKey(account);
  if (!balance) {
    hostDelete(key, keyLength);
    return;
  }
  const out = new Writer(value);
  out.number(balance);
  hostPut(key, keyLength, value, out.length);
}

/** What was issued is the supply with its sign turned: twice the supply less one, or zero. */
function supplyOf(): u64 {
  const length = fetch(fieldKey(ISSUED));
  if (length < 0) return 0;
  const input = new Reader(value, <usize>length);
  const low = input.number();
  if (input.failed || input.left) unreachable();
  return (low >> 1 | input.high << 63) + (low & 1);
}

function setSupply(supply: u64): void {
  const out = new Writer(value);
  out.signed(supply, true);
  hostPut(key, fieldKey(ISSUED), value, out.length);
}

// Postings. An account at address 0 is the issuer's.

function debit(account: usize, amount: u64): void {
  if (!account) {
    const supply = supplyOf() + amount;
    if (supply < amount) refuse(3, "the supply would be over 64 bits");
    setSupply(supply);
    return;
  }
  const balance = balanceOf(account);
  if (balance < amount) refuse(1, "the balance is less than the amount");
  setBalance(account, balance - amount);
}

function credit(account: usize, amount: u64): void {
  if (!account) {
    setSupply(supplyOf() - amount);
  } else {
    // No balance is over the supply, and that was checked.
    setBalance(account, balanceOf(account) + amount);
  }
}

function leg(out: Writer, account: usize, amount: u64, negative: bool): void {
  out.byte(account ? 1 : 0);
  if (account) out.bytes(account, ACCOUNT);
  out.signed(amount, negative);
}

function emit(topic: string, from: usize, length: usize): void {
  const bytes = String.UTF8.encode(topic);
  hostEmit(changetype<usize>(bytes), bytes.byteLength, from, length);
}

function post(from: usize, to: usize, amount: u64): void {
  if (!amount) refuse(4, "an amount is more than zero");
  debit(from, amount);
  credit(to, amount);
  const out = new Writer(data);
  out.number(2);
  leg(out, from, amount, true);
  leg(out, to, amount, false);
  emit("posted", data, out.length);
}

function isLetter(byte: u8): bool {
  const small = byte | 0x20;
  return small >= 0x61 && small <= 0x7a;
}

export function construct(): void {
  const input = read();
  const length = input.left;
  input.sized();
  const symbol = input.sized();
  const letters = input.at - symbol;
  input.take(1);
  end(input);
  let isSymbol = letters >= 3 && letters <= 5;
  for (let at: usize = 0; isSymbol && at < letters; at++) isSymbol = isLetter(load<u8>(symbol + at));
  if (!isSymbol) refuse(5, "a symbol has three to five letters");
  hostCaller(caller);
  hostPut(key, fieldKey(OWNER), caller, ACCOUNT);
  emit("owner_changed", caller, ACCOUNT);
  hostPut(key, fieldKey(CURRENCY), given, length);
}

export function call_mint(): void {
  const input = read();
  const to = input.take(ACCOUNT);
  const amount = input.u64();
  end(input);
  hostCaller(caller);
  if (fetch(fieldKey(OWNER)) != <i64>ACCOUNT) unreachable();
  if (memory.compare(value, caller, ACCOUNT)) refuse(0xffff_0001, "only the owner may do this");
  post(0, to, amount);
}

export function call_burn(): void {
  const input = read();
  const amount = input.u64();
  end(input);
  hostCaller(caller);
  post(caller, 0, amount);
}

export function call_transfer(): void {
  const input = read();
  const to = input.take(ACCOUNT);
  const amount = input.u64();
  end(input);
  hostCaller(caller);
  post(caller, to, amount);
}

export function call_balance(): void {
  const input = read();
  const account = input.take(ACCOUNT);
  end(input);
  answer(balanceOf(account));
}

export function call_supply(): void {
  end(read());
  answer(supplyOf());
}

export function call_currency(): void {
  end(read());
  const length = fetch(fieldKey(CURRENCY));
  if (length < 0) unreachable();
  hostReturn(value, <usize>length);
}
