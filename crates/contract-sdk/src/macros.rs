//! Declarations: what would be written twice otherwise, once for the compiler and once for clients.

/// Declares a type that a contract stores, takes or gives: a `struct` with named fields, or an `enum` with a number for each
/// variant. It implements [`Encode`](crate::codec::Encode), [`Decode`](crate::codec::Decode) and
/// [`Described`](crate::description::Described), and derives `Clone`, `Debug`, `PartialEq`, `Eq` and what is asked for
/// beyond that.
///
/// A `struct` is encoded as its fields in order; an `enum` as the variant's number (`u32`), then its fields. Numbers that
/// begin at 0 and rise by one are what `ledger_core`'s derived types have.
///
/// ```
/// ledger_contract_sdk::record! {
///     /// Where a parcel is.
///     #[derive(Copy)]
///     pub enum Place {
///         /// Not sent yet.
///         Warehouse = 0,
///         /// Somewhere between.
///         Transit {
///             /// Who has it.
///             carrier: ledger_contract_sdk::AccountId,
///         } = 1,
///     }
/// }
/// assert_eq!(ledger_contract_sdk::codec::encode(&Place::Warehouse), [0]);
/// ```
#[macro_export]
macro_rules! record {
    (
        $(#[doc = $docs:literal])*
        $(#[derive($($derive:ident),+)])?
        pub struct $name:ident {
            $($(#[doc = $field_docs:literal])* pub $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[doc = $docs])*
        #[derive(Clone, Debug, PartialEq, Eq $($(, $derive)+)?)]
        pub struct $name {
            $($(#[doc = $field_docs])* pub $field: $type),*
        }

        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut $crate::alloc::vec::Vec<u8>) {
                $($crate::codec::Encode::encode(&self.$field, out);)*
            }
        }

        impl $crate::codec::Decode for $name {
            fn decode(input: &mut $crate::codec::Reader<'_>) -> ::core::option::Option<Self> {
                ::core::option::Option::Some($name { $($field: $crate::codec::Decode::decode(input)?),* })
            }
        }

        impl $crate::description::Described for $name {
            const TYPE: $crate::description::Type = $crate::description::Type::Record(&$crate::description::Record {
                name: ::core::stringify!($name),
                docs: &[$($docs),*],
                fields: $crate::fields!($($field: $type),*),
            });
        }
    };
    (
        $(#[doc = $docs:literal])*
        $(#[derive($($derive:ident),+)])?
        pub enum $name:ident {
            $(
                $(#[doc = $variant_docs:literal])*
                $variant:ident $({ $($(#[doc = $field_docs:literal])* $field:ident: $type:ty),* $(,)? })? = $number:literal
            ),* $(,)?
        }
    ) => {
        $(#[doc = $docs])*
        #[derive(Clone, Debug, PartialEq, Eq $($(, $derive)+)?)]
        pub enum $name {
            $($(#[doc = $variant_docs])* $variant $({ $($(#[doc = $field_docs])* $field: $type),* })?),*
        }

        impl $crate::codec::Encode for $name {
            fn encode(&self, out: &mut $crate::alloc::vec::Vec<u8>) {
                match self {
                    $($name::$variant { $($($field),*)? } => {
                        $crate::codec::Encode::encode(&{ const NUMBER: u32 = $number; NUMBER }, out);
                        $($($crate::codec::Encode::encode($field, out);)*)?
                    })*
                }
            }
        }

        impl $crate::codec::Decode for $name {
            fn decode(input: &mut $crate::codec::Reader<'_>) -> ::core::option::Option<Self> {
                match <u32 as $crate::codec::Decode>::decode(input)? {
                    $($number => ::core::option::Option::Some($name::$variant {
                        $($($field: $crate::codec::Decode::decode(input)?),*)?
                    }),)*
                    _ => ::core::option::Option::None,
                }
            }
        }

        impl $crate::description::Described for $name {
            const TYPE: $crate::description::Type = $crate::description::Type::Choice(&$crate::description::Choice {
                name: ::core::stringify!($name),
                docs: &[$($docs),*],
                variants: &[$($crate::description::Variant {
                    number: $number,
                    name: ::core::stringify!($variant),
                    fields: $crate::fields!($($($field: $type),*)?),
                }),*],
            });
        }
    };
}

/// Declares an [`Event`](crate::Event): a [`record!`](crate::record) with a topic.
///
/// ```
/// ledger_contract_sdk::event! {
///     /// Somebody was greeted.
///     pub struct Greeted = "greeted" {
///         /// Who.
///         pub who: ledger_contract_sdk::AccountId,
///     }
/// }
/// ```
#[macro_export]
macro_rules! event {
    (
        $(#[doc = $docs:literal])*
        $(#[derive($($derive:ident),+)])?
        pub struct $name:ident = $topic:literal { $($fields:tt)* }
    ) => {
        $crate::record! {
            $(#[doc = $docs])*
            $(#[derive($($derive),+)])?
            pub struct $name { $($fields)* }
        }

        impl $crate::Event for $name {
            const TOPIC: &'static str = $topic;
        }

        impl $name {
            /// Tells it.
            pub fn emit(&self) {
                $crate::Event::emit(self);
            }
        }
    };
}

/// Declares why a contract refuses: an `enum` whose variants have the codes and words of receipts, and become a
/// [`Refusal`](crate::Refusal) by `?`.
///
/// ```
/// ledger_contract_sdk::refusals! {
///     /// Why nobody is greeted.
///     pub enum Error {
///         /// There are no words.
///         Speechless = 1 => "a greeting has words",
///     }
/// }
/// assert_eq!(ledger_contract_sdk::Refusal::from(Error::Speechless).code, 1);
/// ```
#[macro_export]
macro_rules! refusals {
    (
        $(#[doc = $docs:literal])*
        pub enum $name:ident {
            $($(#[doc = $variant_docs:literal])* $variant:ident = $code:literal => $message:literal),* $(,)?
        }
    ) => {
        $(#[doc = $docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name {
            $($(#[doc = $variant_docs])* $variant = $code),*
        }

        impl $name {
            /// All of them, as receipts name them.
            pub const ALL: &'static [$crate::description::RefusalDescription] =
                &[$($crate::description::RefusalDescription {
                    name: ::core::stringify!($variant),
                    code: $code,
                    message: $message,
                }),*];
        }

        impl ::core::convert::From<$name> for $crate::Refusal {
            fn from(refusal: $name) -> Self {
                match refusal {
                    $($name::$variant => $crate::Refusal {
                        code: $code,
                        message: $crate::alloc::borrow::Cow::Borrowed($message),
                    }),*
                }
            }
        }
    };
}

/// Declares what a contract offers, and makes of it
/// - the exports of the module: `construct`, `migrate`, and `call_` with each method's name;
/// - [`Interface`](crate::description::Interface) and entries for the [mock host](crate::mock), both in a constant `CONTRACT`;
/// - a client with the methods, as [`interface!`](crate::interface) makes it, and `constructor`, which encodes the
///   constructor's arguments.
///
/// Each name stands for a function in scope with those arguments, which gives a [`Result`](crate::Result) of the answer:
/// see the front page for an example. `read` methods are called read-only by the client.
#[macro_export]
macro_rules! contract {
    (
        $(#[doc = $docs:literal])*
        pub contract $client:ident = $name:literal {
            construct($($made:ident: $made_type:ty),* $(,)?);
            $(migrate($($old:ident: $old_type:ty),* $(,)?);)?
            methods {
                $(
                    $(#[doc = $method_docs:literal])*
                    $kind:ident fn $method:ident($($argument:ident: $type:ty),* $(,)?) $(-> $answer:ty)?;
                )*
            }
            $(events { $($event:ty),* $(,)? })?
            $(refusals { $($refusal:ty),* $(,)? })?
        }
    ) => {
        $crate::interface! {
            $(#[doc = $docs])*
            pub interface $client {
                $($(#[doc = $method_docs])* $kind fn $method($($argument: $type),*) $(-> $answer)?;)*
            }
        }

        impl $client {
            /// The encoded arguments of the constructor.
            pub fn constructor($($made: $made_type),*) -> $crate::alloc::vec::Vec<u8> {
                $crate::arguments!($($made: $made_type),*)
            }
        }

        /// The contract: its interface, and how it is entered.
        pub const CONTRACT: $crate::Definition = $crate::Definition {
            interface: $crate::description::Interface {
                name: $name,
                docs: &[$($docs),*],
                constructor: $crate::fields!($($made: $made_type),*),
                migration: $crate::optional!($($crate::fields!($($old: $old_type),*))?),
                methods: &[$($crate::description::MethodDescription {
                    name: ::core::stringify!($method),
                    docs: &[$($method_docs),*],
                    reads_only: $crate::kind!($kind, true, false),
                    arguments: $crate::fields!($($argument: $type),*),
                    returns: <$crate::answer!($($answer)?) as $crate::description::Described>::TYPE,
                }),*],
                events: &[$($((
                    <$event as $crate::Event>::TOPIC,
                    <$event as $crate::description::Described>::TYPE,
                )),*)?],
                refusals: &[$($(<$refusal>::ALL),*)?],
            },
            construct: $crate::handler!(construct($($made: $made_type),*) -> ()),
            migrate: $crate::optional!($($crate::handler!(migrate($($old: $old_type),*) -> ()))?),
            methods: &[$((
                ::core::stringify!($method),
                $crate::handler!($method($($argument: $type),*) -> $crate::answer!($($answer)?)),
            )),*],
        };

        $crate::export!("construct", construct($($made: $made_type),*) -> ());
        $($crate::export!("migrate", migrate($($old: $old_type),*) -> ());)?
        $($crate::export!(
            ::core::concat!("call_", ::core::stringify!($method)),
            $method($($argument: $type),*) -> $crate::answer!($($answer)?)
        );)*
    };
}

/// Declares a client for a contract that is written elsewhere: a type around its id, with a method that gives a
/// [`Call`](crate::Call) for each of its methods.
///
/// ```
/// use ledger_contract_sdk::{AccountId, ContractId};
///
/// ledger_contract_sdk::interface! {
///     /// What is needed of a token.
///     pub interface Token {
///         /// Moves an amount of the caller's.
///         write fn transfer(to: AccountId, amount: u128);
///         /// What an account has.
///         read fn balance(account: AccountId) -> u128;
///     }
/// }
///
/// let call = Token(ContractId([7; 32])).balance(AccountId([1; 32]));
/// assert_eq!((call.method(), call.arguments()), ("balance", [1; 32].as_slice()));
/// ```
#[macro_export]
macro_rules! interface {
    (
        $(#[doc = $docs:literal])*
        pub interface $client:ident {
            $(
                $(#[doc = $method_docs:literal])*
                $kind:ident fn $method:ident($($argument:ident: $type:ty),* $(,)?) $(-> $answer:ty)?;
            )*
        }
    ) => {
        $(#[doc = $docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $client(pub $crate::ContractId);

        impl $client {
            $(
                $(#[doc = $method_docs])*
                pub fn $method(&self, $($argument: $type),*) -> $crate::Call<$crate::answer!($($answer)?)> {
                    let arguments = $crate::arguments!($($argument: $type),*);
                    let call = $crate::Call::new(self.0, ::core::stringify!($method), arguments);
                    $crate::kind!($kind, call.read_only(), call)
                }
            )*
        }
    };
}

/// One thing for methods that only read, another for those that write.
#[doc(hidden)]
#[macro_export]
macro_rules! kind {
    (read, $reads:expr, $writes:expr) => {
        $reads
    };
    (write, $reads:expr, $writes:expr) => {
        $writes
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! answer {
    () => {
        ()
    };
    ($type:ty) => {
        $type
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! optional {
    () => {
        ::core::option::Option::None
    };
    ($value:expr) => {
        ::core::option::Option::Some($value)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! fields {
    ($($name:ident: $type:ty),*) => {
        &[$($crate::description::Field {
            name: ::core::stringify!($name),
            kind: <$type as $crate::description::Described>::TYPE,
        }),*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! arguments {
    ($($name:ident: $type:ty),*) => {{
        #[allow(unused_mut)]
        let mut arguments = $crate::alloc::vec::Vec::new();
        $(<$type as $crate::codec::Encode>::encode(&$name, &mut arguments);)*
        arguments
    }};
}

/// A function from encoded arguments to the encoded answer.
#[doc(hidden)]
#[macro_export]
macro_rules! handler {
    ($function:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {{
        fn handle(arguments: &[u8]) -> $crate::Result<$crate::alloc::vec::Vec<u8>> {
            // Before an argument takes the name.
            let function = $function;
            #[allow(unused_mut)]
            let mut input = $crate::codec::Reader::new(arguments);
            $(
                let ::core::option::Option::Some($argument) = <$type as $crate::codec::Decode>::decode(&mut input) else {
                    return ::core::result::Result::Err($crate::Refusal::bad_arguments());
                };
            )*
            if !input.is_empty() {
                return ::core::result::Result::Err($crate::Refusal::bad_arguments());
            }
            let answer: $answer = function($($argument),*)?;
            ::core::result::Result::Ok($crate::codec::encode(&answer))
        }
        handle
    }};
}

/// An export of the module that enters a function. Natively there are no exports: several contracts may be linked together.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    ($name:expr, $function:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            // An export's name could be one that the linker knows already; these aren't.
            #[allow(unsafe_code)]
            #[unsafe(export_name = $name)]
            extern "C" fn export() {
                $crate::enter($crate::handler!($function($($argument: $type),*) -> $answer));
            }
        };
    };
}
