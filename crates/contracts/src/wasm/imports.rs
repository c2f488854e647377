//! What the host gives a guest: the functions of the module `ledgerkit.1`.

use wasmparser::ValType;

/// The import module. Its number is the version of the interface.
pub const MODULE: &str = "ledgerkit.1";

/// Calls a macro with the name, parameters and result of every import.
macro_rules! for_each_import {
    ($each:ident) => {
        $each! {
            "arguments" arguments(to: i32, offset: i32, len: i32);
            "arguments_len" arguments_len() -> i32;
            "result" result(to: i32, offset: i32, len: i32);
            "result_len" result_len() -> i32;
            "get" get(key: i32, key_len: i32) -> i64;
            "put" put(key: i32, key_len: i32, value: i32, value_len: i32);
            "delete" delete(key: i32, key_len: i32);
            "scan" scan(from: i32, from_len: i32, to: i32, to_len: i32, limit: i32) -> i32;
            "emit" emit(topic: i32, topic_len: i32, data: i32, data_len: i32);
            "caller" caller(to: i32);
            "contract" contract(to: i32);
            "chain" chain(to: i32);
            "transaction" transaction(to: i32) -> i32;
            "height" height() -> i64;
            "timestamp" timestamp() -> i64;
            "is_read_only" is_read_only() -> i32;
            "fuel_left" fuel_left() -> i64;
            "charge" charge(fuel: i64);
            "hash_blake3" hash_blake3(from: i32, len: i32, to: i32);
            "hash_sha256" hash_sha256(from: i32, len: i32, to: i32);
            "verify_ed25519" verify_ed25519(key: i32, message: i32, message_len: i32, signature: i32) -> i32;
            "call" call(
                contract: i32, method: i32, method_len: i32, arguments: i32, arguments_len: i32, fuel: i64, flags: i32
            ) -> i64;
            "return" give(from: i32, len: i32);
            "refuse" refuse(code: i32, message: i32, message_len: i32);
        }
    };
}
pub(super) use for_each_import;

macro_rules! define_signature {
    ($($name:literal $function:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        /// The names of all imports.
        pub const IMPORTS: &[&str] = &[$($name),*];

        /// The parameters and results of an import, if there is one by that name.
        pub(super) fn signature(module: &str, name: &str) -> Option<(&'static [ValType], &'static [ValType])> {
            if module != MODULE {
                return None;
            }
            match name {
                $( $name => Some((&[$(<$ty as Value>::TYPE),*], &[$(<$result as Value>::TYPE)?])), )*
                _ => None,
            }
        }
    };
}
for_each_import!(define_signature);

/// A Rust type that stands for one of WebAssembly's.
trait Value {
    const TYPE: ValType;
}

impl Value for i32 {
    const TYPE: ValType = ValType::I32;
}

impl Value for i64 {
    const TYPE: ValType = ValType::I64;
}
