//! Bearer tokens (RFC 6750) and what they allow.
//!
//! A token is known by its digest only, and is looked up by it: what a comparison's time tells is about digests, from
//! which no token follows.

use ledger_crypto::{Digest, Domain, HexError, hash};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const TOKEN: Domain = Domain::new("ledgerkit.0.api-token");

/// The most tokens of a file.
pub const MAX_TOKENS: usize = 4_096;

/// The longest file of tokens, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a token allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Reading what the chains hold, and metrics.
    pub read: bool,
    /// Handing in transactions, and asking where they stand.
    pub submit: bool,
    /// Seeing the network: peers and their addresses.
    pub admin: bool,
}

impl Rights {
    /// Every right.
    pub const ALL: Rights = Rights { read: true, submit: true, admin: true };

    /// Whether these rights suffice for `right`.
    pub fn allow(self, right: Right) -> bool {
        match right {
            Right::Public => true,
            Right::Read => self.read,
            Right::Submit => self.submit,
            Right::ReadOrSubmit => self.read || self.submit,
            Right::Admin => self.admin,
        }
    }
}

/// What a route asks of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing.
    Public,
    /// [`Rights::read`].
    Read,
    /// [`Rights::submit`].
    Submit,
    /// Either of the two.
    ReadOrSubmit,
    /// [`Rights::admin`].
    Admin,
}

/// Why tokens can't be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file can't be read.
    #[error("tokens can't be read from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is too long.
    #[error("{} has {size} bytes; a file of tokens has at most {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A line that isn't a token's digest and rights.
    #[error("line {line}: {reason}; a line has a token's digest and `read`, `submit`, `admin` with commas between")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// More than [`MAX_TOKENS`].
    #[error("there are more than {MAX_TOKENS} tokens")]
    TooMany,
    /// The operating system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// The tokens that a server knows.
#[derive(Clone, Debug, Default)]
pub struct Tokens(BTreeMap<Digest, Rights>);

impl Tokens {
    /// No tokens: a server without any serves the loopback only, and allows everything there.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a token.
    #[must_use]
    pub fn with(mut self, token: &str, rights: Rights) -> Self {
        self.0.insert(Tokens::digest(token), rights);
        self
    }

    /// A new token with 256 random bits, and the digest that a file of tokens names it by.
    ///
    /// # Errors
    /// [`TokenError::Random`].
    pub fn generate() -> Result<(String, Digest), TokenError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| TokenError::Random(error.to_string()))?;
        let token = format!("lk_{}", Digest::new(bytes));
        let digest = Tokens::digest(&token);
        Ok((token, digest))
    }

    /// What a token is known by.
    pub fn digest(token: &str) -> Digest {
        hash(TOKEN, token.as_bytes())
    }

    /// Reads a file of tokens: see [`Tokens::parse`].
    ///
    /// # Errors
    /// [`TokenError`] names the file or the line.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref().to_path_buf();
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(source) => return Err(TokenError::Read { path, source }),
        };
        if size > MAX_FILE_BYTES {
            return Err(TokenError::TooLong { path, size, limit: MAX_FILE_BYTES });
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => Tokens::parse(&text),
            Err(source) => Err(TokenError::Read { path, source }),
        }
    }

    /// Reads lines of a token's digest and its rights, `#` beginning a comment:
    ///
    /// ```
    /// use ledger_api::Tokens;
    /// let line = format!("{} read,submit # the roastery", Tokens::digest("secret"));
    /// assert!(Tokens::parse(&line)?.rights("secret").is_some_and(|rights| rights.submit && !rights.admin));
    /// # Ok::<(), ledger_api::TokenError>(())
    /// ```
    ///
    /// # Errors
    /// [`TokenError::Line`] names the line.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut tokens = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |reason: String| TokenError::Line { line: number, reason };
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(digest), Some(names), None) = (words.next(), words.next(), words.next()) else {
                return Err(wrong("it doesn't have two words".to_owned()));
            };
            let digest: Digest = digest.parse().map_err(|error: HexError| wrong(error.to_string()))?;
            let mut rights = Rights::default();
            for name in names.split(',') {
                match name {
                    "read" => rights.read = true,
                    "submit" => rights.submit = true,
                    "admin" => rights.admin = true,
                    other => return Err(wrong(format!("there is no right `{other}`"))),
                }
            }
            if tokens.insert(digest, rights).is_some() {
                return Err(wrong("the token was there before".to_owned()));
            }
            if tokens.len() > MAX_TOKENS {
                return Err(TokenError::TooMany);
            }
        }
        Ok(Tokens(tokens))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `token` allows; `None` when it isn't known.
    pub fn rights(&self, token: &str) -> Option<Rights> {
        self.of_digest(&Tokens::digest(token))
    }

    pub(crate) fn of_digest(&self, digest: &Digest) -> Option<Rights> {
        self.0.get(digest).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_wrong_line_is_named() {
        let digest = Tokens::digest("a");
        for (text, words) in [
            ("# a\n\nfoo".to_owned(), "line 3: it doesn't have two words"),
            (format!("{digest} read,write"), "line 1: there is no right `write`"),
            ("abc read".to_owned(), "line 1: hex text has 3 characters"),
            (format!("{digest} read\n{digest} read"), "line 2: the token was there before"),
        ] {
            let error = Tokens::parse(&text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn generated_tokens_differ_and_are_known_by_their_digest() {
        let ((one, digest), (other, _)) = (Tokens::generate().unwrap(), Tokens::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(Tokens::digest(&one), digest);
    }
}
