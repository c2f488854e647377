//! `ledgerkit verify`.

use crate::arguments::VerifyOptions;
use crate::error::CliError;
use crate::files;
use crate::output::Output;
use crate::proof_file::{self, Content, ProofFile, ProofFileError};
use ledger_core::{ContractId, ProofError, TrustRoot, VerifiedCheckpoint, checkpoint, codec};
use ledger_traceability::timeline::{TimelineError, timeline};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(options: &VerifyOptions, output: Output) -> Result<(), CliError> {
    let path = &options.file;
    let malformed = |error| CliError::ProofFile { path: path.clone(), error };
    let bytes = files::read(path, proof_file::MAX_BYTES)?;
    if is_page(&bytes) {
        return crate::page::run(options, &bytes, output);
    }
    let file = ProofFile::parse(&bytes).map_err(malformed)?;
    let root = match (&options.trust, &file.trust_root) {
        (Some(trust), _) => files::read_trust(trust)?,
        (None, Some(own)) => {
            files::trust(own).map_err(|(root, genesis)| CliError::NoTrust { path: path.clone(), root, genesis })?
        }
        (None, None) => return Err(malformed(ProofFileError::Missing("trust_root"))),
    };
    let verified = checkpoint::verify_bytes(&root, &file.checkpoint)
        .map_err(|error| CliError::Untrusted { path: path.clone(), error: Box::new(error) })?;
    let proven =
        proven(&file, &root, options.contract).map_err(|reason| CliError::Refused { path: path.clone(), reason })?;
    answer(output, options, &root, &verified, &proven)
}

/// A page begins as HTML does; a proof file is JSON.
fn is_page(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

/// What the file proves, for programs and for people.
struct Proven {
    value: Value,
    text: String,
}

fn proven(file: &ProofFile, root: &TrustRoot, contract: Option<ContractId>) -> Result<Proven, String> {
    let root = codec::encode(root);
    match &file.content {
        Content::Checkpoint | Content::Proof(_) if contract.is_some() => {
            Err("--contract is for traces, and this is none".to_owned())
        }
        Content::Checkpoint => Ok(Proven { value: Value::Null, text: String::new() }),
        Content::Proof(proof) => {
            let text = ledger_verifier::verify(proof, &file.checkpoint, &root);
            // The same words that a browser gets; a refusal's are the error's own.
            let text = text.map_err(|_| refusal(proof, &file.checkpoint, &root))?;
            let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let text = format!("{}\n", serde_json::to_string_pretty(&value).map_err(|error| error.to_string())?);
            Ok(Proven { value, text })
        }
        Content::Trace(trace) => {
            let shown = timeline(&root, &file.checkpoint, trace).map_err(|error: TimelineError| error.to_string())?;
            if let Some(expected) = contract.filter(|expected| *expected != shown.contract) {
                return Err(TimelineError::OtherContract { contract: shown.contract, expected }.to_string());
            }
            let warnings: Vec<String> = shown.warnings.iter().map(|warning| warning.text.clone()).collect();
            let value = json!({
                "proven": "trace",
                "item": shown.item.to_string(),
                "events": shown.lines.len(),
                "proofs_verified": shown.proofs_verified,
                "warnings": warnings,
                "timeline": shown.to_string(),
            });
            Ok(Proven { value, text: shown.to_string() })
        }
    }
}

fn refusal(proof: &[u8], checkpoint: &[u8], root: &[u8]) -> String {
    let error: Option<ProofError> = ledger_core::verify(proof, checkpoint, root).err();
    error.map_or_else(|| "this program can't show this kind of proof".to_owned(), |error| error.to_string())
}

fn answer(
    output: Output,
    options: &VerifyOptions,
    root: &TrustRoot,
    checkpoint: &VerifiedCheckpoint,
    proven: &Proven,
) -> Result<(), CliError> {
    let (header, own_word) = (checkpoint.header(), options.trust.is_none());
    let value = json!({
        "verified": true,
        "trust": if own_word { "the file's own word" } else { "given" },
        "chain": root.chain().to_string(),
        "name": root.genesis.name.as_str(),
        "checkpoint": {
            "height": header.height.to_string(),
            "digest": header.digest().to_string(),
            "timestamp": header.timestamp.to_string(),
            "history": { "size": header.history.size.to_string(), "root": header.history.root.to_string() },
        },
        "proven": proven.value,
    });
    let mut text = String::new();
    // Writing to a string doesn't fail.
    let _ = writeln!(text, "chain       {} ({})", root.chain(), root.genesis.name.as_str().escape_debug());
    let _ = writeln!(text, "checkpoint  block {}, history of {} blocks", header.height, header.history.size);
    let _ = match own_word {
        true => writeln!(
            text,
            "trust       THE FILE'S OWN WORD: it brings its trust root along, so this shows only that the file agrees with \
             itself.\n            Get the genesis or a trust root from somebody you trust, and give it with --trust."
        ),
        false => writeln!(text, "trust       the trust root that was given"),
    };
    let _ = match proven.text.is_empty() {
        true => writeln!(text, "verified    the checkpoint; the file proves nothing else"),
        false => writeln!(text, "verified    the checkpoint, and against it:\n\n{}", proven.text.trim_end()),
    };
    output.answer(&value, &text)
}
