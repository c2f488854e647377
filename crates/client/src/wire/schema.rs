//! JSON schemas (2020-12, the dialect of OpenAPI 3.1) of the wire types, stated by the types themselves.

use super::{Base64, Hex, U64};
use ledger_core::{AccountId, ChainId, ContractId, TransactionId};
use ledger_crypto::{Digest, PublicKey};
use serde_json::{Map, Value, json};

/// A type that says what its JSON looks like.
pub trait Schema {
    /// The schema where the type is used: a reference for those that have a name.
    fn schema() -> Value;

    /// Adds the type's own definition, and those that it refers to, under their names.
    fn define(_definitions: &mut Map<String, Value>) {}
}

macro_rules! leaf {
    ($($type:ty => $schema:expr;)+) => {$(
        impl Schema for $type {
            fn schema() -> Value {
                $schema
            }
        }
    )+};
}

/// 32 bytes as hex.
fn digest(what: &str) -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{64}$", "description": what})
}

leaf! {
    U64 => json!({"type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$", "description": "a 64-bit number in decimal digits"});
    Hex => json!({"type": "string", "pattern": "^([0-9a-f]{2})*$", "description": "bytes as lower-case hex"});
    Base64 => json!({"type": "string", "contentEncoding": "base64"});
    u16 => json!({"type": "integer", "minimum": 0, "maximum": u16::MAX});
    u32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    bool => json!({"type": "boolean"});
    Box<str> => json!({"type": "string"});
    String => json!({"type": "string"});
    Digest => digest("32 bytes as lower-case hex");
    PublicKey => digest("an Ed25519 public key as lower-case hex");
    ChainId => digest("a chain's id");
    AccountId => digest("an account's id");
    ContractId => digest("a contract's id");
    TransactionId => digest("a transaction's id");
}

impl<T: Schema> Schema for Option<T> {
    fn schema() -> Value {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }

    fn define(definitions: &mut Map<String, Value>) {
        T::define(definitions);
    }
}

impl<T: Schema> Schema for Vec<T> {
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }

    fn define(definitions: &mut Map<String, Value>) {
        T::define(definitions);
    }
}

/// A reference to the definition called `name`.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The lines of a doc comment as one text.
pub(crate) fn described(lines: &[&str]) -> String {
    lines.concat().trim().to_owned()
}

/// A field's name without the mark of a raw identifier.
pub(crate) fn plain(name: &str) -> &str {
    name.trim_start_matches("r#")
}

/// Defines a struct together with its schema, so that neither can drift from the other.
macro_rules! wire {
    ($($(#[doc = $doc:literal])+ pub struct $name:ident {
        $($(#[doc = $field_doc:literal])+ pub $field:ident: $type:ty,)+
    })+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[doc = $field_doc])+ pub $field: $type,)+
        }

        impl $crate::wire::schema::Schema for $name {
            fn schema() -> serde_json::Value {
                $crate::wire::schema::reference(stringify!($name))
            }

            fn define(definitions: &mut serde_json::Map<String, serde_json::Value>) {
                if definitions.contains_key(stringify!($name)) {
                    return;
                }
                let mut properties = serde_json::Map::new();
                $(
                    let mut property = <$type as $crate::wire::schema::Schema>::schema();
                    if let Some(property) = property.as_object_mut() {
                        let text = $crate::wire::schema::described(&[$($field_doc),+]);
                        property.insert("description".to_owned(), text.into());
                    }
                    properties.insert($crate::wire::schema::plain(stringify!($field)).to_owned(), property);
                )+
                let definition = serde_json::json!({
                    "type": "object",
                    "description": $crate::wire::schema::described(&[$($doc),+]),
                    "properties": properties,
                    "required": [$($crate::wire::schema::plain(stringify!($field))),+],
                });
                definitions.insert(stringify!($name).to_owned(), definition);
                $(<$type as $crate::wire::schema::Schema>::define(definitions);)+
            }
        }
    )+};
}
pub(crate) use wire;

/// Defines an enum of plain names together with its schema.
macro_rules! names {
    ($(#[doc = $doc:literal])+ pub enum $name:ident {
        $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The name in JSON and queries.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }

            /// Reads a name.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::wire::schema::Schema for $name {
            fn schema() -> serde_json::Value {
                $crate::wire::schema::reference(stringify!($name))
            }

            fn define(definitions: &mut serde_json::Map<String, serde_json::Value>) {
                let definition = serde_json::json!({
                    "type": "string",
                    "description": $crate::wire::schema::described(&[$($doc),+]),
                    "enum": [$($text),+],
                });
                definitions.insert(stringify!($name).to_owned(), definition);
            }
        }
    };
}
pub(crate) use names;
