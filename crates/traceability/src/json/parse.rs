//! The reader: RFC 8259, strict, with bounds.

use super::{Json, Members};

/// How much a document may make the reader build.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Arrays and objects inside each other. Default 128.
    pub depth: usize,
    /// Values in all. Default 4,000,000, which is about 65,000 events of ordinary size.
    pub values: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: 128, values: 4_000_000 }
    }
}

/// Why bytes aren't a JSON value within the bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes aren't UTF-8.
    #[error("not UTF-8 text: byte {at} starts no character")]
    NotText {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// The text breaks JSON's grammar.
    #[error("not JSON: line {line}, column {column}: {what}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// What was expected or found.
        what: &'static str,
    },
    /// More nesting than the bound allows.
    #[error("line {line}: nested deeper than {limit} levels")]
    TooDeep {
        /// Line, counted from 1.
        line: usize,
        /// The bound.
        limit: usize,
    },
    /// More values than the bound allows.
    #[error("line {line}: more than {limit} JSON values in one document")]
    TooMany {
        /// Line, counted from 1.
        line: usize,
        /// The bound.
        limit: usize,
    },
}

pub(super) fn parse(bytes: &[u8], bounds: &Bounds) -> Result<Json, ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|error| ParseError::NotText { at: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0, bounds, values: 0 };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("text after the end of the document")),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Offset of the next byte; always at a character's start.
    at: usize,
    bounds: &'a Bounds,
    values: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn line(&self) -> usize {
        self.text.bytes().take(self.at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn fault(&self, what: &'static str) -> ParseError {
        let before = self.text.get(..self.at).unwrap_or("");
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        ParseError::Syntax { line: self.line(), column, what }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, ParseError> {
        if !self.rest().starts_with(word) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json, ParseError> {
        self.values += 1;
        if self.values > self.bounds.values {
            return Err(ParseError::TooMany { line: self.line(), limit: self.bounds.values });
        }
        match self.peek() {
            Some(b'{') => self.object(self.deeper(depth)?),
            Some(b'[') => self.list(self.deeper(depth)?),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.fault("expected a value")),
            None => Err(self.fault("the document ends where a value should be")),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, ParseError> {
        if depth >= self.bounds.depth {
            return Err(ParseError::TooDeep { line: self.line(), limit: self.bounds.depth });
        }
        Ok(depth + 1)
    }

    fn object(&mut self, depth: usize) -> Result<Json, ParseError> {
        self.at += 1;
        let mut members = Members::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a member name in double quotes"));
            }
            let name = self.string()?;
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.fault("expected `:` after the member name"));
            }
            self.skip_space();
            let value = self.value(depth)?;
            members.insert(name, value);
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.fault("expected `,` or `}`"));
            }
            self.skip_space();
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, ParseError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Json::List(items));
            }
            if !self.eat(b',') {
                return Err(self.fault("expected `,` or `]`"));
            }
            self.skip_space();
        }
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fault("expected a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json, ParseError> {
        let start = self.at;
        self.eat(b'-');
        if self.eat(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.fault("a number may not start with a zero"));
            }
        } else {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(Json::Number(self.text.get(start..self.at).unwrap_or("").into()))
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
            text.push_str(rest.get(..plain).unwrap_or(""));
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(_) => return Err(self.fault("a control character must be escaped in a string")),
                None => return Err(self.fault("the document ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let escaped = self.peek();
        let plain = match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.fault("no such escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, ParseError> {
        let high = self.four_digits()?;
        let code = match high {
            0xd800..=0xdbff => {
                if !self.rest().starts_with("\\u") {
                    return Err(self.fault("half of a surrogate pair"));
                }
                self.at += 2;
                let low = self.four_digits()?;
                if !(0xdc00..=0xdfff).contains(&low) {
                    return Err(self.fault("half of a surrogate pair"));
                }
                0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| self.fault("half of a surrogate pair"))
    }

    fn four_digits(&mut self) -> Result<u32, ParseError> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Err(self.fault("expected four hexadecimal digits"));
        };
        self.at += 4;
        Ok(code)
    }
}
