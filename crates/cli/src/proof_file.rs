//! Proof files: a proof, the checkpoint that it is against, and what the chain begins with, in one JSON object.
//!
//! ```json
//! {"format": "ledgerkit proof 0", "proof": "…", "checkpoint": "…", "trust_root": "…"}
//! ```
//! | member | what it is |
//! |---|---|
//! | `format` | `ledgerkit proof 0`; may be absent |
//! | `proof` | an encoded [`Proof`](ledger_core::Proof); absent where only the checkpoint is shown |
//! | `trace` | instead of `proof`: an encoded [`TraceProof`](ledger_traceability::timeline::TraceProof) |
//! | `checkpoint` | an encoded [`CheckpointBundle`](ledger_core::CheckpointBundle): a checkpoint, alone or with the changes of validators that lead to it |
//! | `trust_root` | an encoded [`TrustRoot`](ledger_core::TrustRoot) or genesis: the file's own word, which a careful verifier replaces by their own; may be absent |
//!
//! Bytes are in Base64 (RFC 4648, with padding). Other members are not looked at. An answer of a node's API is a proof file as
//! it is: where `proof` is an object, proof and checkpoint are looked for in it; and `encoded` beside a `header` is a checkpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// The longest proof file, in bytes.
pub const MAX_BYTES: u64 = 128 << 20;

/// What `format` says.
pub const FORMAT: &str = "ledgerkit proof 0";

/// A proof file's content, in bytes that nobody has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// What is to be proven.
    pub content: Content,
    /// The checkpoint.
    pub checkpoint: Vec<u8>,
    /// The trust root, if the file brings one along.
    pub trust_root: Option<Vec<u8>>,
}

/// What a proof file is to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// An encoded [`Proof`](ledger_core::Proof).
    Proof(Vec<u8>),
    /// An encoded [`TraceProof`](ledger_traceability::timeline::TraceProof).
    Trace(Vec<u8>),
    /// The checkpoint alone.
    Checkpoint,
}

/// Why a file is no proof file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFileError {
    /// The text isn't JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// Another format, or another version of it.
    #[error("its format is `{0}`; this program reads `{FORMAT}`")]
    Format(String),
    /// A member is missing.
    #[error("it has no member `{0}`")]
    Missing(&'static str),
    /// Two members of which there may be one.
    #[error("it has a member `proof` and a member `trace`; a file proves one thing")]
    Twice,
    /// A member isn't bytes in Base64.
    #[error("its member `{name}` is not bytes in Base64: {reason}")]
    Base64 {
        /// The member.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl ProofFile {
    /// Reads a proof file.
    ///
    /// # Errors
    /// [`ProofFileError`].
    pub fn parse(text: &[u8]) -> Result<Self, ProofFileError> {
        let value: Value = serde_json::from_slice(text).map_err(|error| ProofFileError::Json(error.to_string()))?;
        match value.get("format") {
            None => {}
            Some(Value::String(format)) if format == FORMAT => {}
            Some(other) => return Err(ProofFileError::Format(other.as_str().unwrap_or("?").to_owned())),
        }
        // In a node's answer the proof stands beside what it proves.
        let value = match value.get("proof") {
            Some(proved @ Value::Object(_)) => proved,
            _ => &value,
        };
        let content = match (member(value, "proof")?, member(value, "trace")?) {
            (Some(_), Some(_)) => return Err(ProofFileError::Twice),
            (Some(proof), None) => Content::Proof(proof),
            (None, Some(trace)) => Content::Trace(trace),
            (None, None) => Content::Checkpoint,
        };
        let checkpoint = match member(value, "checkpoint")? {
            None if content == Content::Checkpoint => member(value, "encoded")?,
            found => found,
        };
        let checkpoint = checkpoint.ok_or(ProofFileError::Missing("checkpoint"))?;
        Ok(ProofFile { content, checkpoint, trust_root: member(value, "trust_root")? })
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut members = serde_json::Map::new();
        let mut put = |name: &str, text: String| members.insert(name.to_owned(), Value::String(text));
        put("format", FORMAT.to_owned());
        match &self.content {
            Content::Proof(proof) => drop(put("proof", BASE64.encode(proof))),
            Content::Trace(trace) => drop(put("trace", BASE64.encode(trace))),
            Content::Checkpoint => {}
        }
        put("checkpoint", BASE64.encode(&self.checkpoint));
        if let Some(root) = &self.trust_root {
            put("trust_root", BASE64.encode(root));
        }
        format!("{}\n", Value::Object(members))
    }
}

fn member(value: &Value, name: &'static str) -> Result<Option<Vec<u8>>, ProofFileError> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let bytes = BASE64.decode(text);
            bytes.map(Some).map_err(|error| ProofFileError::Base64 { name, reason: error.to_string() })
        }
        Some(_) => Err(ProofFileError::Base64 { name, reason: "it is no string".into() }),
    }
}
