//! What a contract can notice of a chain, the mock host shows: rollback, read-only calls, who calls, the stack of calls.
#![allow(clippy::unwrap_used, missing_docs)]

use core::cmp::Reverse;
use ledger_contract_sdk::mock::{Chain, Failure, Receipt, account};
use ledger_contract_sdk::{
    AccountId, BAD_ARGUMENTS, Cell, ContractId, Counter, OrderedMap, Refusal, Result, contract, event, host,
};

contract! {
    /// Does what a test needs to see done.
    pub contract Probe = "probe" {
        construct(word: String);
        migrate(word: String);
        methods {
            write fn put(number: u64, word: String);
            read fn word() -> Option<String>;
            write fn refuse_after(word: String);
            write fn panic_after(word: String);
            write fn burn(fuel: u64);
            read fn who() -> (AccountId, ContractId);
            read fn list(from: u64, to: u64) -> Vec<u64>;
            read fn newest() -> Vec<u64>;
            write fn number() -> u64;
            write fn try_other(other: ContractId, word: String) -> u64;
            write fn enter(other: ContractId) -> u64;
            write fn lend(other: ContractId, fuel: u64, burn: u64) -> u64;
        }
        events { Told }
    }
}

event! {
    /// Something was told.
    pub struct Told = "told" {
        /// What.
        pub word: String,
    }
}

const WORD: Cell<String> = Cell::new(1);
const LIST: OrderedMap<u64, String> = OrderedMap::new(2);
const NEWEST: OrderedMap<(bool, Reverse<u64>), u64> = OrderedMap::new(0xff);
const NUMBERS: Counter = Counter::new(3);

fn construct(word: String) -> Result {
    if word == "no" {
        return Err(Refusal::new(7, "no"));
    }
    WORD.set(&word);
    Ok(())
}

fn migrate(word: String) -> Result {
    construct(word)
}

fn put(number: u64, word: String) -> Result {
    LIST.set(&number, &word);
    NEWEST.set(&(true, Reverse(number)), &number);
    Told { word }.emit();
    Ok(())
}

fn word() -> Result<Option<String>> {
    Ok(WORD.get())
}

fn refuse_after(word: String) -> Result {
    WORD.set(&word);
    Told { word }.emit();
    host::refuse(9, "after all")
}

fn panic_after(word: String) -> Result {
    WORD.set(&word);
    host::trap("on purpose")
}

fn burn(fuel: u64) -> Result {
    host::charge(fuel);
    Ok(())
}

fn who() -> Result<(AccountId, ContractId)> {
    Ok((host::caller(), host::contract()))
}

fn list(from: u64, to: u64) -> Result<Vec<u64>> {
    Ok(LIST.range(from..to).page(3).map(|(number, _)| number).collect())
}

fn newest() -> Result<Vec<u64>> {
    Ok(NEWEST.under(&true).map(|(_, number)| number).collect())
}

fn number() -> Result<u64> {
    Ok(NUMBERS.next())
}

/// The other's refusal, after a write of one's own.
fn try_other(other: ContractId, word: String) -> Result<u64> {
    WORD.set(&word);
    Ok(Probe(other).refuse_after(word).run().unwrap_err().code)
}

/// What the other, which is this one, says to being entered again.
fn enter(other: ContractId) -> Result<u64> {
    let (caller, contract) = Probe(other).who().run()?;
    assert_eq!((caller, contract), (host::contract().into(), other));
    Ok(Probe(other).put(0, String::new()).run().unwrap_err().code)
}

fn lend(other: ContractId, fuel: u64, burn: u64) -> Result<u64> {
    Ok(Probe(other).burn(burn).fuel(fuel).run().err().map_or(0, |error| error.code))
}

fn deployed() -> (Chain, Probe) {
    let mut chain = Chain::new();
    let probe = Probe(chain.deploy(account(1), &CONTRACT, Probe::constructor("first".into())).unwrap());
    (chain, probe)
}

fn stored(chain: &Chain, probe: Probe) -> String {
    chain.query(account(1), probe.word()).unwrap().unwrap()
}

#[test]
fn a_failed_call_leaves_nothing() {
    let (mut chain, probe) = deployed();
    let failure = chain.call(account(1), probe.refuse_after("x".into())).unwrap_err();
    assert_eq!(failure, Failure::Refused(Refusal::new(9, "after all")));
    let failure = chain.call(account(1), probe.panic_after("x".into())).unwrap_err();
    assert_eq!(failure, Failure::Trapped("on purpose".into()));
    assert_eq!(stored(&chain, probe), "first");
    assert!(chain.events().is_empty());
}

#[test]
fn a_called_contract_that_fails_takes_back_its_own_only() {
    let (mut chain, probe) = deployed();
    let other = chain.deploy(account(1), &CONTRACT, Probe::constructor("other".into())).unwrap();
    let Receipt { answer, events } = chain.call(account(1), probe.try_other(other, "mine".into())).unwrap();
    assert_eq!((answer, events.len()), (9, 0));
    assert_eq!((stored(&chain, probe), stored(&chain, Probe(other))), ("mine".into(), "other".into()));
    let nobody = ContractId([0; 32]);
    let answer = chain.call(account(1), probe.try_other(nobody, "mine".into())).unwrap().answer;
    assert_eq!(answer, (1 << 32) + 3);
}

#[test]
fn a_running_contract_is_entered_read_only() {
    let (mut chain, probe) = deployed();
    let answer = chain.call(account(1), probe.enter(probe.0)).unwrap().answer;
    assert_eq!(answer, (1 << 32) + 11);
}

#[test]
fn a_limit_of_fuel_ends_the_callee_only() {
    let (mut chain, probe) = deployed();
    let other = chain.deploy(account(1), &CONTRACT, Probe::constructor("other".into())).unwrap();
    chain.fuel_limit = 100;
    let lend = |chain: &mut Chain, fuel, burn| chain.call(account(1), probe.lend(other, fuel, burn));
    assert_eq!(lend(&mut chain, 50, 50).unwrap().answer, 0);
    assert_eq!(lend(&mut chain, 50, 51).unwrap().answer, 1 << 32);
    assert_eq!(lend(&mut chain, 500, 101).unwrap_err(), Failure::OutOfFuel { limit: 100 });
}

#[test]
fn reads_change_nothing_and_queries_forget() {
    let (mut chain, probe) = deployed();
    let other = chain.deploy(account(1), &CONTRACT, Probe::constructor("other".into())).unwrap();
    assert_eq!(chain.query(account(1), probe.number()).unwrap(), 0);
    assert_eq!(chain.call(account(1), probe.number()).unwrap().answer, 0);
    assert_eq!(chain.call(account(1), probe.number()).unwrap().answer, 1);
    assert_eq!(chain.inside(probe.0, || NUMBERS.count()).unwrap(), 2);
    assert_eq!(chain.inside(other, || NUMBERS.count()).unwrap(), 0);
    let written = chain.inside(probe.0, || WORD.clear()).unwrap_err();
    assert_eq!(written, Failure::Forbidden("write in a read-only call"));
}

#[test]
fn maps_are_walked_in_order_across_pages() {
    let (mut chain, probe) = deployed();
    for number in [5, 1, 300, 2, 9, 70_000, 8, 7, 6, 4, 3] {
        chain.call(account(1), probe.put(number, "x".into())).unwrap();
    }
    let list = |from, to| chain.query(account(1), probe.list(from, to)).unwrap();
    assert_eq!(list(0, u64::MAX), [1, 2, 3, 4, 5, 6, 7, 8, 9, 300, 70_000]);
    assert_eq!(list(2, 8), [2, 3, 4, 5, 6, 7]);
    assert!(list(8, 2).is_empty());
    let newest = chain.query(account(1), probe.newest()).unwrap();
    assert_eq!(newest, [70_000, 300, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn arguments_of_another_shape_are_refused() {
    let (mut chain, probe) = deployed();
    for arguments in [&b""[..], &[5, 1], &[5, 1, b'a', 0], &[251, 5, 0, 0]] {
        let failure = chain.call_raw(account(1), probe.0, "put", arguments).unwrap_err();
        assert!(matches!(failure, Failure::Refused(Refusal { code: BAD_ARGUMENTS, .. })), "{failure}");
    }
    let unknown = chain.call_raw(account(1), probe.0, "nothing", b"").unwrap_err();
    assert_eq!(unknown, Failure::UnknownMethod("nothing".into()));
    let too_long = chain.call(account(1), probe.put(1, "x".repeat(1 << 20))).unwrap_err();
    assert!(matches!(too_long, Failure::Limit { .. }), "{too_long}");
}

#[test]
fn constructors_and_migrations_that_fail_change_nothing() {
    let (mut chain, probe) = deployed();
    assert!(chain.deploy(account(1), &CONTRACT, Probe::constructor("no".into())).is_err());
    let arguments = Probe::constructor("no".into());
    assert!(chain.upgrade(account(1), probe.0, &CONTRACT, arguments).is_err());
    assert_eq!(stored(&chain, probe), "first");
    chain.upgrade(account(1), probe.0, &CONTRACT, Probe::constructor("second".into())).unwrap();
    assert_eq!(stored(&chain, probe), "second");
}

#[test]
fn signatures_are_verified_as_the_chain_does() {
    let (chain, probe) = deployed();
    // RFC 8032, section 7.1, test 2.
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap()).collect()
    };
    let key = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").try_into().unwrap();
    let signature: [u8; 64] = hex(concat!(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ))
    .try_into()
    .unwrap();
    let verified = chain.inside(probe.0, || {
        let weak = [1; 1].into_iter().chain([0; 31]).collect::<Vec<u8>>().try_into().unwrap();
        [
            host::verify_ed25519(&key, &[0x72], &signature),
            host::verify_ed25519(&key, &[0x73], &signature),
            host::verify_ed25519(&weak, &[0x72], &signature),
        ]
    });
    assert_eq!(verified.unwrap(), [true, false, false]);
    assert_eq!(host::sha256(b"abc").to_vec(), hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_eq!(host::blake3(b"").to_vec(), hex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"));
}
