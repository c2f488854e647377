//! Text, serde and bincode forms of digests, keys and signatures: raw, exact and canonical.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use bincode::config;
use ledger_crypto::{Digest, HexError, PublicKey, Signature};
use proptest::prelude::*;

macro_rules! laws {
    ($module:ident, $name:ident, $length:literal) => {
        mod $module {
            use super::*;

            proptest! {
                #[test]
                fn hex_text_is_lower_case_and_exact(head in any::<[u8; 32]>()) {
                    let mut bytes = [0; $length];
                    bytes[..32].copy_from_slice(&head);
                    let value = $name::new(bytes);
                    prop_assert_eq!(value.as_bytes(), &bytes);
                    let text = value.to_string();
                    let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    prop_assert_eq!(&text, &expected);
                    prop_assert_eq!(text.parse::<$name>(), Ok(value));
                    let length = HexError::Length { expected: 2 * $length, found: 2 * $length - 1 };
                    prop_assert_eq!(text[1..].parse::<$name>(), Err(length));
                    if text.bytes().any(|digit| digit.is_ascii_alphabetic()) {
                        prop_assert!(text.to_uppercase().parse::<$name>().is_err());
                    }
                    let debug = format!("{value:?}");
                    prop_assert_eq!(debug, format!("{}({text})", stringify!($name)));
                }

                #[test]
                fn serde_is_hex_where_people_read_it(head in any::<[u8; 32]>()) {
                    let mut bytes = [0; $length];
                    bytes[..32].copy_from_slice(&head);
                    let value = $name::new(bytes);
                    let json = serde_json::to_string(&value).unwrap();
                    prop_assert_eq!(&json, &format!("\"{value}\""));
                    prop_assert_eq!(serde_json::from_str::<$name>(&json).unwrap(), value);
                }

                #[test]
                fn bincode_is_the_bytes_and_nothing_else(head in any::<[u8; 32]>()) {
                    let mut bytes = [0; $length];
                    bytes[..32].copy_from_slice(&head);
                    let value = $name::new(bytes);
                    let encoded = bincode::encode_to_vec(value, config::standard()).unwrap();
                    prop_assert_eq!(&encoded[..], &bytes[..]);
                    let (decoded, read) = bincode::decode_from_slice::<$name, _>(&encoded, config::standard()).unwrap();
                    prop_assert_eq!((decoded, read), (value, $length));
                    let (decoded, read) =
                        bincode::borrow_decode_from_slice::<$name, _>(&encoded, config::standard()).unwrap();
                    prop_assert_eq!((decoded, read), (value, $length));
                    prop_assert!(bincode::decode_from_slice::<$name, _>(&encoded[1..], config::standard()).is_err());
                }
            }

            #[test]
            fn wrong_json_is_refused() {
                let digit = format!("\"{}g\"", "0".repeat(2 * $length - 1));
                for wrong in ["\"\"", "\"00\"", "7", "null", &digit] {
                    assert!(serde_json::from_str::<$name>(wrong).is_err(), "{wrong}");
                }
            }
        }
    };
}

laws!(digest, Digest, 32);
laws!(public_key, PublicKey, 32);
laws!(signature, Signature, 64);

#[test]
fn a_wrong_digit_is_named_by_its_place() {
    for position in 0..64 {
        let mut text = "0".repeat(64);
        text.replace_range(position..=position, "x");
        assert_eq!(text.parse::<Digest>(), Err(HexError::Digit { position }));
    }
    // 64 bytes of text that aren't 64 characters.
    assert_eq!("é".repeat(32).parse::<Digest>(), Err(HexError::Digit { position: 0 }));
}

#[test]
fn values_order_as_their_bytes_do() {
    let (mut low, mut high) = ([0xff; 32], [0; 32]);
    (low[0], high[0]) = (0, 1);
    assert!(Digest::new(low) < Digest::new(high));
    assert!(Digest::ZERO < Digest::new(low));
}
