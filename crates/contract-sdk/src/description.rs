//! What a contract offers, as data that its source gives: for clients, explorers, and the chain's record of the contract.
//!
//! [`contract!`](crate::contract) makes an [`Interface`] of the declarations that it also dispatches by, so the two can't
//! differ. It is a constant that no guest carries: it costs no byte of the module. [`Interface::to_json`] is the form to
//! publish.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A type that an interface can name.
pub trait Described {
    /// The type.
    const TYPE: Type;
}

/// A type, as clients in any language need to know it to encode a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// 0 or 1.
    Bool,
    /// An unsigned integer of so many bits.
    Unsigned(u8),
    /// A signed integer of so many bits.
    Signed(u8),
    /// So many bytes, without a length.
    Bytes(usize),
    /// UTF-8.
    Text,
    /// Any number of items.
    List(&'static Type),
    /// One value, or none.
    Option(&'static Type),
    /// Values behind each other; none is `()`.
    Tuple(&'static [Type]),
    /// 32 bytes that have a meaning: `account` or `contract`.
    Id(&'static str),
    /// Named fields.
    Record(&'static Record),
    /// One of several.
    Choice(&'static Choice),
}

/// A type with fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The type's name.
    pub name: &'static str,
    /// What it is.
    pub docs: &'static [&'static str],
    /// Its fields, in the order of their encoding.
    pub fields: &'static [Field],
}

/// A field, or an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
}

/// A type of several variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The type's name.
    pub name: &'static str,
    /// What it is.
    pub docs: &'static [&'static str],
    /// Its variants.
    pub variants: &'static [Variant],
}

/// A variant of a [`Choice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its number in the encoding.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// Its fields, in the order of their encoding.
    pub fields: &'static [Field],
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodDescription {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub docs: &'static [&'static str],
    /// Whether it only reads.
    pub reads_only: bool,
    /// Its arguments, in the order of their encoding.
    pub arguments: &'static [Field],
    /// What it answers.
    pub returns: Type,
}

/// A reason to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalDescription {
    /// Its name.
    pub name: &'static str,
    /// Its number in receipts.
    pub code: u32,
    /// Its words in receipts.
    pub message: &'static str,
}

/// What a contract offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The contract's name.
    pub name: &'static str,
    /// What it is.
    pub docs: &'static [&'static str],
    /// The constructor's arguments.
    pub constructor: &'static [Field],
    /// The arguments of the migration from an earlier version, where there is one.
    pub migration: Option<&'static [Field]>,
    /// The methods.
    pub methods: &'static [MethodDescription],
    /// The topics of its events, and what each carries.
    pub events: &'static [(&'static str, Type)],
    /// Why it refuses.
    pub refusals: &'static [&'static [RefusalDescription]],
}

impl Interface {
    /// The interface as JSON: indented by two, keys in a fixed order, a line feed at the end.
    pub fn to_json(&self) -> String {
        let mut types = BTreeMap::new();
        let mut root = Vec::new();
        root.push(("name", text(self.name)));
        root.push(("about", about(self.docs)));
        root.push(("constructor", fields(self.constructor, &mut types)));
        if let Some(arguments) = self.migration {
            root.push(("migration", fields(arguments, &mut types)));
        }
        let methods = self.methods.iter().map(|method| {
            object([
                ("name", text(method.name)),
                ("about", about(method.docs)),
                ("reads_only", Json::Plain(format!("{}", method.reads_only))),
                ("arguments", fields(method.arguments, &mut types)),
                ("returns", text(&name(&method.returns, &mut types))),
            ])
        });
        root.push(("methods", Json::List(methods.collect())));
        let events = self
            .events
            .iter()
            .map(|(topic, carries)| object([("topic", text(topic)), ("carries", text(&name(carries, &mut types)))]));
        root.push(("events", Json::List(events.collect())));
        let refusals = self.refusals.iter().flat_map(|all| all.iter()).map(|refusal| {
            object([
                ("name", text(refusal.name)),
                ("code", Json::Plain(format!("{}", refusal.code))),
                ("message", text(refusal.message)),
            ])
        });
        root.push(("refusals", Json::List(refusals.collect())));
        root.push(("types", Json::List(types.into_values().flatten().collect())));
        let mut out = String::new();
        Json::Object(root).write(0, &mut out);
        out.push('\n');
        out
    }
}

/// JSON that knows its layout: objects and lists of objects spread over lines, everything else stays on one.
enum Json {
    Plain(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    fn write(&self, depth: usize, out: &mut String) {
        match self {
            Json::Plain(text) => out.push_str(text),
            Json::List(items) => spread(items, ['[', ']'], depth, out, |item, out| item.write(depth + 1, out)),
            Json::Object(fields) => spread(fields, ['{', '}'], depth, out, |(name, value), out| {
                out.push_str(&format!("\"{name}\": "));
                value.write(depth + 1, out);
            }),
        }
    }
}

fn spread<T>(items: &[T], marks: [char; 2], depth: usize, out: &mut String, write: impl Fn(&T, &mut String)) {
    let [open, close] = marks;
    out.push(open);
    for (place, item) in items.iter().enumerate() {
        out.push_str(if place == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(depth + 1));
        write(item, out);
    }
    if !items.is_empty() {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
    out.push(close);
}

fn text(value: &str) -> Json {
    let mut out = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    Json::Plain(out)
}

fn about(lines: &[&str]) -> Json {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    text(lines.join(" ").trim())
}

fn object<const N: usize>(fields: [(&'static str, Json); N]) -> Json {
    Json::Object(Vec::from(fields))
}

/// The types that have names, with their descriptions once they are known.
type Types = BTreeMap<&'static str, Option<Json>>;

fn fields(fields: &[Field], types: &mut Types) -> Json {
    let one = |field: &Field| object([("name", text(field.name)), ("type", text(&name(&field.kind, types)))]);
    Json::List(fields.iter().map(one).collect())
}

/// How a type is called; those that it is made of are described on the way.
fn name(kind: &Type, types: &mut Types) -> String {
    match kind {
        Type::Bool => String::from("bool"),
        Type::Unsigned(bits) => format!("u{bits}"),
        Type::Signed(bits) => format!("i{bits}"),
        Type::Bytes(count) => format!("[{count}]"),
        Type::Text => String::from("text"),
        Type::List(Type::Unsigned(8)) => String::from("bytes"),
        Type::List(item) => format!("list<{}>", name(item, types)),
        Type::Option(item) => format!("{}?", name(item, types)),
        Type::Tuple(items) => {
            let items: Vec<String> = items.iter().map(|item| name(item, types)).collect();
            format!("({})", items.join(", "))
        }
        Type::Id(of) => String::from(*of),
        Type::Record(record) => {
            if !types.contains_key(record.name) {
                types.insert(record.name, None);
                let parts = fields(record.fields, types);
                let described = object([("name", text(record.name)), ("about", about(record.docs)), ("fields", parts)]);
                types.insert(record.name, Some(described));
            }
            String::from(record.name)
        }
        Type::Choice(choice) => {
            if !types.contains_key(choice.name) {
                types.insert(choice.name, None);
                let variants = choice.variants.iter().map(|variant| {
                    let number = Json::Plain(format!("{}", variant.number));
                    object([
                        ("name", text(variant.name)),
                        ("number", number),
                        ("fields", fields(variant.fields, types)),
                    ])
                });
                let variants = Json::List(variants.collect());
                let described =
                    object([("name", text(choice.name)), ("about", about(choice.docs)), ("variants", variants)]);
                types.insert(choice.name, Some(described));
            }
            String::from(choice.name)
        }
    }
}
