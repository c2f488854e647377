//! JSON with members in the order they were given, as people like to read it.

/// A JSON value whose members keep their order.
#[derive(Clone)]
pub(crate) enum Node {
    /// A number.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// An object.
    Object(Vec<(&'static str, Node)>),
}

/// A string.
pub(crate) fn text(text: impl Into<String>) -> Node {
    Node::Text(text.into())
}

/// A number.
pub(crate) fn number(number: impl ToString) -> Node {
    Node::Number(number.to_string())
}

/// An object.
pub(crate) fn object<const N: usize>(members: [(&'static str, Node); N]) -> Node {
    Node::Object(members.into())
}

/// An array.
pub(crate) fn list<const N: usize>(items: [Node; N]) -> Node {
    Node::List(items.into())
}

const WIDTH: usize = 118;

impl Node {
    /// The value over as few lines as fit the width, each level indented by one space.
    pub(crate) fn pretty(&self, indent: usize) -> String {
        let flat = self.flat();
        if indent + flat.chars().count() <= WIDTH {
            return flat;
        }
        let inner = " ".repeat(indent + 1);
        let (open, lines, close) = match self {
            Node::List(items) => ('[', items.iter().map(|item| item.pretty(indent + 1)).collect::<Vec<_>>(), ']'),
            Node::Object(members) => {
                let line = |(name, value): &(&str, Node)| {
                    let name = format!("{}: ", quoted(name));
                    let value = value.pretty(indent + 1);
                    name + &value
                };
                ('{', members.iter().map(line).collect(), '}')
            }
            _ => return flat,
        };
        format!("{open}\n{inner}{}\n{}{close}", lines.join(&format!(",\n{inner}")), " ".repeat(indent))
    }

    fn flat(&self) -> String {
        match self {
            Node::Number(number) => number.clone(),
            Node::Text(text) => quoted(text),
            Node::List(items) => format!("[{}]", items.iter().map(Node::flat).collect::<Vec<_>>().join(", ")),
            Node::Object(members) => {
                let members = members.iter().map(|(name, value)| format!("{}: {}", quoted(name), value.flat()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The texts here have no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
