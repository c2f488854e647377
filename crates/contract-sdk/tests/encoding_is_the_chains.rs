//! The SDK's encoding is byte for byte that of `ledger_core::codec`, both ways, and as strict.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use ledger_contract_sdk::codec::{decode, encode};
use ledger_contract_sdk::record;
use ledger_core::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use proptest::prelude::*;

/// What the chain's codec knows as it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
struct Theirs {
    byte: u8,
    short: u16,
    word: u32,
    long: u64,
    huge: u128,
    signed: i64,
    vast: i128,
    flag: bool,
    choice: Option<u32>,
    items: List<Bytes>,
    name: Text,
    id: [u8; 32],
    pair: (u64, Text),
    variant: TheirChoice,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
enum TheirChoice {
    Nothing,
    Number { number: u64 },
    Both { name: Text, number: u64 },
}

impl Format for Theirs {
    const NAME: &'static str = "sample";
    const LIMIT: usize = 1 << 20;
}

record! {
    /// The same as a contract declares it.
    pub struct Ours {
        pub byte: u8,
        pub short: u16,
        pub word: u32,
        pub long: u64,
        pub huge: u128,
        pub signed: i64,
        pub vast: i128,
        pub flag: bool,
        pub choice: Option<u32>,
        pub items: Vec<Vec<u8>>,
        pub name: String,
        pub id: [u8; 32],
        pub pair: (u64, String),
        pub variant: OurChoice,
    }
}

record! {
    /// The same as a contract declares it.
    pub enum OurChoice {
        Nothing = 0,
        Number { number: u64 } = 1,
        Both { name: String, number: u64 } = 2,
    }
}

/// Numbers of every length that an encoding has.
fn numbers() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

fn ours() -> impl Strategy<Value = Ours> {
    let variant = prop_oneof![
        Just(OurChoice::Nothing),
        numbers().prop_map(|number| OurChoice::Number { number }),
        (".{0,9}", numbers()).prop_map(|(name, number)| OurChoice::Both { name, number }),
    ];
    let small = (any::<u8>(), any::<u16>(), any::<u32>(), numbers(), any::<bool>(), any::<Option<u32>>());
    let wide = (any::<u128>(), 0..128_u32, any::<i64>(), any::<i128>(), 0..128_u32);
    let sized = (any::<Vec<Vec<u8>>>(), ".{0,300}", any::<[u8; 32]>(), (numbers(), ".{0,9}"), variant);
    (small, wide, sized).prop_map(|(small, wide, sized)| {
        let (byte, short, word, long, flag, choice) = small;
        let (huge, less, signed, vast, smaller) = wide;
        let (items, name, id, pair, variant) = sized;
        let (huge, vast) = (huge >> less, vast >> smaller);
        Ours { byte, short, word, long, huge, signed, vast, flag, choice, items, name, id, pair, variant }
    })
}

fn theirs(ours: &Ours) -> Theirs {
    let Ours { byte, short, word, long, huge, signed, vast, flag, choice, items, name, id, pair, variant } =
        ours.clone();
    Theirs {
        byte,
        short,
        word,
        long,
        huge,
        signed,
        vast,
        flag,
        choice,
        items: items.into_iter().map(Bytes::from).collect(),
        name: name.into(),
        id,
        pair: (pair.0, pair.1.into()),
        variant: match variant {
            OurChoice::Nothing => TheirChoice::Nothing,
            OurChoice::Number { number } => TheirChoice::Number { number },
            OurChoice::Both { name, number } => TheirChoice::Both { name: name.into(), number },
        },
    }
}

proptest! {
    #[test]
    fn both_encode_a_value_alike_and_read_each_other(ours in ours()) {
        let bytes = encode(&ours);
        prop_assert_eq!(&bytes, &codec::encode(&theirs(&ours)));
        prop_assert_eq!(codec::decode::<Theirs>(&bytes).unwrap(), theirs(&ours));
        prop_assert_eq!(decode::<Ours>(&bytes), Some(ours));
    }

    #[test]
    fn both_refuse_the_same_damage(ours in ours(), place: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut bytes = encode(&ours);
        let place = place.index(bytes.len());
        bytes[place] = value;
        if value % 4 == 0 {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let found = decode::<Ours>(&bytes);
        prop_assert_eq!(found.as_ref().map(theirs), codec::decode::<Theirs>(&bytes).ok());
    }

    #[test]
    fn both_read_any_bytes_alike(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0xf8..=0xff_u8, 0..3_u8], 0..40)) {
        macro_rules! alike {
            ($($ours:ty, $theirs:ty;)*) => {$({
                #[derive(Debug, PartialEq, Encode, Decode)]
                #[bincode(crate = "ledger_core::codec::wire")]
                struct One($theirs);

                impl Format for One {
                    const NAME: &'static str = "one";
                    const LIMIT: usize = 1 << 10;
                }

                let theirs = codec::decode::<One>(&bytes).ok().map(|one| codec::encode(&one));
                prop_assert_eq!(decode::<$ours>(&bytes).map(|ours| encode(&ours)), theirs);
            })*};
        }
        alike! {
            u16, u16; u32, u32; u64, u64; u128, u128; i16, i16; i32, i32; i64, i64; i128, i128; bool, bool;
            String, Text; Vec<u8>, Bytes; Vec<u64>, List<u64>; Option<u64>, Option<u64>; (u8, bool), (u8, bool);
        }
    }
}

#[test]
fn a_length_that_the_input_does_not_back_is_refused() {
    assert_eq!(decode::<Vec<u64>>(&encode(&(u64::MAX / 2))), None);
    assert_eq!(decode::<String>(&[5, b'a']), None);
}
