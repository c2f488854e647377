//! The normal form of an event, and its injective encoding.

use std::collections::BinaryHeap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;
use sha2::{Digest as _, Sha256};

use super::order::{CBV, Field, Is, WEB};
use crate::epcis::decimal::Digits;
use crate::epcis::{Item, time};
use crate::json::{Json, Members};

/// Prefixes that every EPCIS context binds.
pub(super) const PREFIXES: &[(&str, &str)] = &[
    ("cbvmda", "urn:epcglobal:cbv:mda"),
    ("gs1", WEB),
    ("cbv", CBV),
    ("epcis", "https://ref.gs1.org/epcis/"),
    ("rdfs", RDFS),
];
pub(super) const RDFS: &str = "http://www.w3.org/2000/01/rdf-schema#";

/// A part of the normal form.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The namespace of an extension's name.
    pub(super) namespace: Option<Arc<Namespace>>,
    pub(super) name: String,
    pub(super) value: Value,
    /// Fields in the standard's order, or items of a list.
    pub(super) parts: Vec<Node>,
    pub(super) extensions: Vec<Node>,
    /// Whether `parts` is a list whose order says nothing.
    pub(super) unordered: bool,
}

/// A namespace. Many names may share a long one, so it is kept once, and its digest stands for it in the encoding.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) uri: String,
    digest: [u8; 32],
}

impl Namespace {
    fn new(uri: &str) -> Arc<Self> {
        Arc::new(Self { uri: uri.to_owned(), digest: Sha256::digest(uri).into() })
    }
}

#[derive(Debug, Default)]
pub(super) enum Value {
    #[default]
    None,
    /// An array of which the standard says nothing.
    Array,
    Text(String),
    Number(String),
    Truth(bool),
    Null,
    Time(Timestamp),
}

/// What holds where a part of an event stands.
pub(super) struct Scope<'a> {
    /// Prefixes in their order with their namespaces, as bound here.
    bound: Vec<(&'a str, Arc<Namespace>)>,
    /// What is bound further out.
    outer: Option<&'a Scope<'a>>,
    /// For times that have none.
    offset: Offset,
}

impl<'a> Scope<'a> {
    /// What holds in an event with this context.
    pub(super) fn new(context: Option<&'a Json>, offset: Offset) -> Self {
        let mut scope = Self { bound: Vec::new(), outer: None, offset };
        PREFIXES.iter().for_each(|(prefix, uri)| scope.set(prefix, uri));
        if let Some(context) = context {
            scope.bind(context);
        }
        scope
    }

    fn bind(&mut self, context: &'a Json) {
        match context {
            Json::Object(members) => {
                for (prefix, uri) in members {
                    if let Json::Text(uri) = uri {
                        self.set(prefix, uri);
                    }
                }
            }
            Json::List(items) => items.iter().for_each(|item| self.bind(item)),
            _ => {}
        }
    }

    fn find(&self, prefix: &str) -> Result<usize, usize> {
        self.bound.binary_search_by(|(bound, _)| (*bound).cmp(prefix))
    }

    fn set(&mut self, prefix: &'a str, uri: &str) {
        let namespace = Namespace::new(uri);
        match self.find(prefix) {
            Ok(at) => {
                if let Some(bound) = self.bound.get_mut(at) {
                    bound.1 = namespace;
                }
            }
            Err(at) => self.bound.insert(at, (prefix, namespace)),
        }
    }

    fn namespace(&self, prefix: &str) -> Option<Arc<Namespace>> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if let Some((_, found)) = here.find(prefix).ok().and_then(|at| here.bound.get(at)) {
                return Some(Arc::clone(found));
            }
            scope = here.outer;
        }
        None
    }
}

/// The fields of an object in their order, and what else it has.
pub(super) fn record(members: &Members, fields: &'static [Field], left_out: &[&str], scope: &Scope<'_>) -> Node {
    let parts = fields.iter().filter_map(|field| Some(node(field.name, members.get(field.name)?, &field.is, scope)));
    let known = |name: &str| fields.iter().any(|field| field.name == name) || left_out.contains(&name);
    let others = members.iter().filter(|(name, _)| !known(name));
    Node { parts: parts.collect(), extensions: extensions(others, scope), ..Node::default() }
}

pub(super) fn node(name: &str, value: &Json, is: &Is, scope: &Scope<'_>) -> Node {
    let mut node = match (is, value) {
        (Is::Time, Json::Text(text)) => match time::instant(text.trim(), scope.offset) {
            Some(instant) => Node { value: Value::Time(instant), ..Node::default() },
            None => Node { value: Value::Text(text.clone()), ..Node::default() },
        },
        (Is::Word(base, kind), Json::Text(text)) => {
            Node { value: Value::Text(word(text.trim(), base, kind)), ..Node::default() }
        }
        (Is::Record(fields), Json::Object(members)) => record(members, fields, &[], scope),
        (Is::List(item, is), Json::List(items)) => {
            let parts = items.iter().map(|value| self::node(item, value, is, scope)).collect();
            Node { parts, unordered: true, ..Node::default() }
        }
        (Is::Extensions, Json::Object(members)) => {
            Node { extensions: extensions(members.iter(), scope), ..Node::default() }
        }
        (_, value) => loose(value, scope),
    };
    name.clone_into(&mut node.name);
    node
}

/// A value of which the standard says nothing.
pub(super) fn loose(value: &Json, scope: &Scope<'_>) -> Node {
    let value = match value {
        Json::Object(members) => {
            // A context inside holds for what is inside.
            let Some(context) = members.get("@context") else {
                return Node { extensions: extensions(members.iter(), scope), ..Node::default() };
            };
            let mut scope = Scope { bound: Vec::new(), outer: Some(scope), offset: scope.offset };
            scope.bind(context);
            return Node { extensions: extensions(members.iter(), &scope), ..Node::default() };
        }
        Json::List(items) => {
            let parts = items.iter().map(|item| loose(item, scope)).collect();
            return Node { parts, value: Value::Array, ..Node::default() };
        }
        Json::Text(text) => Value::Text(text_of(text)),
        Json::Number(number) => Value::Number(number_of(number)),
        Json::Bool(truth) => Value::Truth(*truth),
        Json::Null => Value::Null,
    };
    Node { value, ..Node::default() }
}

pub(super) fn extensions<'a>(members: impl Iterator<Item = (&'a String, &'a Json)>, scope: &Scope<'_>) -> Vec<Node> {
    let members = members.filter(|(name, _)| *name != "@context");
    members
        .map(|(name, value)| {
            let mut node = loose(value, scope);
            (node.namespace, node.name) = named(name, scope);
            node
        })
        .collect()
}

/// The namespace and the local name of a member.
fn named(name: &str, scope: &Scope<'_>) -> (Option<Arc<Namespace>>, String) {
    match name.split_once(':') {
        Some((prefix, local)) => match scope.namespace(prefix) {
            Some(namespace) => (Some(namespace), local.to_owned()),
            None => (None, name.to_owned()),
        },
        // A term that the context itself defines.
        None => (scope.namespace(name), name.to_owned()),
    }
}

/// The URI of a vocabulary's word, which may be given bare, as a compact URI or as a URN of the first edition.
pub(super) fn word(text: &str, base: &str, kind: &str) -> String {
    if text.is_empty() || text.contains(':') { text_of(text) } else { format!("{base}{kind}{text}") }
}

/// A text in canonical form, if it is an identifier or a word of GS1's.
pub(super) fn text_of(text: &str) -> String {
    let text = text.trim();
    for (urn, kind) in [("bizstep", "BizStep-"), ("disp", "Disp-"), ("btt", "BTT-"), ("sdt", "SDT-"), ("er", "ER-")] {
        let known = text.strip_prefix("urn:epcglobal:cbv:").and_then(|rest| rest.strip_prefix(urn)?.strip_prefix(':'));
        if let Some(word) = known {
            return format!("{CBV}{kind}{word}");
        }
    }
    for (prefix, namespace) in [("gs1:", WEB), ("cbv:", CBV), ("epcis:", "https://ref.gs1.org/epcis/")] {
        if let Some(word) = text.strip_prefix(prefix) {
            return format!("{namespace}{word}");
        }
    }
    Item::new(text).into_string()
}

/// The digits that an exponent may add; what is larger or smaller keeps its exponent.
pub(super) const MAX_ZEROS: i64 = 64;

/// A number without zeros that say nothing, exact.
pub(super) fn number_of(text: &str) -> String {
    let Some(Digits { negative, digits, exponent }) = Digits::of(text) else { return text.to_owned() };
    if digits.is_empty() {
        return "0".to_owned();
    }
    let mut number = if negative { "-".to_owned() } else { String::new() };
    let plain = |digits: &[u8]| digits.iter().map(|digit| char::from(b'0'.saturating_add(*digit))).collect::<String>();
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let places = count.saturating_add(exponent);
    if exponent > MAX_ZEROS || places < -MAX_ZEROS {
        number.push_str(&format!("{}e{exponent}", plain(&digits)));
    } else if exponent >= 0 {
        number.push_str(&plain(&digits));
        number.push_str(&zeros(exponent));
    } else if places > 0 {
        let (whole, part) = digits.split_at_checked(usize::try_from(places).unwrap_or(0)).unwrap_or((&digits, &[]));
        number.push_str(&format!("{}.{}", plain(whole), plain(part)));
    } else {
        number.push_str(&format!("0.{}{}", zeros(-places), plain(&digits)));
    }
    number
}

impl Node {
    /// The encoding: each text with its length, each list with its count. Of a list without an order the items' digests stand there, in
    /// their order, so that what is nested deep isn't sorted again on each level.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match &self.namespace {
            None => out.push(0),
            Some(namespace) => {
                out.push(1);
                out.extend(namespace.digest);
            }
        }
        encode_text(&self.name, out);
        match &self.value {
            Value::None => out.push(0),
            Value::Text(text) => {
                out.push(1);
                encode_text(text, out);
            }
            Value::Number(number) => {
                out.push(2);
                encode_text(number, out);
            }
            Value::Truth(truth) => out.extend([3, u8::from(*truth)]),
            Value::Null => out.push(4),
            Value::Array => out.push(6),
            Value::Time(instant) => {
                out.push(5);
                out.extend(instant.as_nanosecond().to_be_bytes());
            }
        }
        encode_list(&self.parts, self.unordered, out);
        // The order of an object's members says nothing.
        encode_list(&self.extensions, true, out);
    }
}

fn encode_count(count: usize, out: &mut Vec<u8>) {
    out.extend(u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_count(text.len(), out);
    out.extend(text.as_bytes());
}

fn encode_list(nodes: &[Node], unordered: bool, out: &mut Vec<u8>) {
    encode_count(nodes.len(), out);
    out.push(u8::from(unordered));
    if !unordered || nodes.len() < 2 {
        nodes.iter().for_each(|node| node.encode(out));
        return;
    }
    let mut bytes = Vec::new();
    // A heap, since it takes far less code than sorting, which a module in WebAssembly pays for by the byte.
    let mut digests: BinaryHeap<[u8; 32]> = BinaryHeap::with_capacity(nodes.len());
    for node in nodes {
        bytes.clear();
        node.encode(&mut bytes);
        digests.push(Sha256::digest(&bytes).into());
    }
    while let Some(digest) = digests.pop() {
        out.extend(digest);
    }
}
