//! Key bytes stand in the order of the keys, come back as the keys, and none begins another's.
#![allow(clippy::indexing_slicing)]

use core::cmp::Reverse;
use core::fmt::Debug;
use ledger_contract_sdk::AccountId;
use ledger_contract_sdk::codec::Reader;
use ledger_contract_sdk::key::OrderedKey;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

fn bytes<K: OrderedKey>(key: &K) -> Vec<u8> {
    let mut out = Vec::new();
    key.write(&mut out);
    out
}

fn check<K: OrderedKey + Ord + Debug>(a: &K, b: &K) -> Result<(), TestCaseError> {
    let (first, second) = (bytes(a), bytes(b));
    prop_assert_eq!(first.cmp(&second), a.cmp(b));
    prop_assert!(a == b || !second.starts_with(&first));
    let mut input = Reader::new(&first);
    let read = K::read(&mut input);
    prop_assert_eq!(read.as_ref(), Some(a));
    prop_assert!(input.is_empty());
    Ok(())
}

/// Bytes in which zeros and their escapes are common.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..6)
}

proptest! {
    #[test]
    fn integers(a: (u8, u32, u64), b: (u8, u32, u64), c: (i16, i64), d: (i16, i64), e: (u128, i128), f: (u128, i128)) {
        check(&a, &b)?;
        check(&c, &d)?;
        check(&e, &f)?;
        check(&(c.0, a.1), &(c.0, b.1))?;
        check(&(i32::from(c.0), true), &(i32::from(d.0), false))?;
    }

    #[test]
    fn texts_and_what_follows_them(a in texts(), b in texts(), c in texts(), d: u16, e: u16) {
        check(&a, &b)?;
        check(&(a.clone(), d), &(a.clone(), e))?;
        check(&(a.clone(), c.clone(), d), &(b.clone(), c, e))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        check(&text(&a), &text(&b))?;
    }

    #[test]
    fn reversed(a in texts(), b in texts(), c: u64, d: u64, id: [u8; 32]) {
        check(&Reverse(a), &Reverse(b))?;
        check(&(AccountId(id), Reverse(c)), &(AccountId(id), Reverse(d)))?;
        check(&Reverse(Reverse(c)), &Reverse(Reverse(d)))?;
    }

    #[test]
    fn what_is_no_key_is_not_read_as_another(found in texts()) {
        let mut input = Reader::new(&found);
        if let Some(key) = <(Vec<u8>, bool)>::read(&mut input) {
            let read = found.len() - input.rest().len();
            prop_assert_eq!(bytes(&key), &found[..read]);
        }
    }
}
