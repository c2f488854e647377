//! What a page carries besides its events: trust root, checkpoint and proofs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger_traceability::json::{Bounds, Json};
use ledger_traceability::timeline::Piece;
use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use crate::{FORMAT, MAX_PAGE_BYTES, PageError, escape, not_a_page};

/// How hard to compress, 0 to 10. Most of the proofs is digests, which nothing makes smaller: harder takes longer and saves less than a hundredth.
const LEVEL: u8 = 6;

/// Length, event and place of a piece.
const PREFIX: usize = 12;

/// What stands in the data element, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) item: String,
    pub(crate) trust_root: Vec<u8>,
    pub(crate) checkpoint: Vec<u8>,
    pub(crate) pieces: Vec<Piece>,
    /// The pages of other items, by item.
    pub(crate) pages: BTreeMap<String, String>,
}

pub(crate) fn compressed(bytes: &[u8], level: u8) -> String {
    BASE64.encode(compress_to_vec_zlib(bytes, level))
}

impl Data {
    /// JSON for the inside of a script element.
    pub(crate) fn to_json(&self) -> String {
        let text = |text: &str| Json::Text(text.to_owned());
        let pages = self.pages.iter().map(|(item, page)| (item.clone(), text(page))).collect();
        let members = [
            ("format", text(FORMAT)),
            ("item", text(&self.item)),
            ("trust_root", Json::Text(BASE64.encode(&self.trust_root))),
            ("checkpoint", Json::Text(BASE64.encode(&self.checkpoint))),
            ("proofs", Json::Text(compressed(&joined(&self.pieces), LEVEL))),
            ("pages", Json::Object(pages)),
        ];
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        escape::script(&Json::Object(members).to_string())
    }

    pub(crate) fn from_json(json: &str) -> Result<Self, PageError> {
        let value = Json::parse(json.as_bytes(), &Bounds::default());
        let value = value.map_err(|error| not_a_page(format!("its data is not JSON: {error}")))?;
        let text = |name: &str| {
            let text = value.get(name).and_then(Json::as_text);
            text.ok_or_else(|| not_a_page(format!("its data has no `{name}`")))
        };
        let format = text("format")?;
        if format != FORMAT {
            return Err(not_a_page(format!("its format is `{}`, not `{FORMAT}`", format.escape_debug())));
        }
        let bytes = |name: &'static str| {
            let bytes = BASE64.decode(text(name)?);
            bytes.map_err(|error| not_a_page(format!("`{name}` is not Base64: {error}")))
        };
        let proofs = decompress_to_vec_zlib_with_limit(&bytes("proofs")?, MAX_PAGE_BYTES);
        let proofs = proofs.map_err(|error| not_a_page(format!("its proofs can't be unpacked: {error}")))?;
        let pages = value.get("pages").and_then(Json::as_object).into_iter().flatten();
        let pages = pages.filter_map(|(item, page)| Some((item.clone(), page.as_text()?.to_owned())));
        Ok(Data {
            item: text("item")?.to_owned(),
            trust_root: bytes("trust_root")?,
            checkpoint: bytes("checkpoint")?,
            pieces: split(&proofs).ok_or_else(|| not_a_page("its proofs are cut off"))?,
            pages: pages.collect(),
        })
    }
}

/// Each piece as its length, 1 + the number of its event or 0, where the event belongs (4 bytes each, little-endian), and its bytes.
fn joined(pieces: &[Piece]) -> Vec<u8> {
    let word = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = Vec::new();
    for piece in pieces {
        let (event, at) = piece.event.map_or((0, 0), |(event, at)| (event.saturating_add(1), at));
        [piece.bytes.len(), event, at].into_iter().for_each(|value| bytes.extend(word(value)));
        bytes.extend(&piece.bytes);
    }
    bytes
}

fn split(mut bytes: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (prefix, rest) = bytes.split_at_checked(PREFIX)?;
        let word = |at: usize| {
            let word = prefix.get(at..)?.first_chunk()?;
            usize::try_from(u32::from_le_bytes(*word)).ok()
        };
        let (length, event, at) = (word(0)?, word(4)?, word(8)?);
        let (piece, rest) = rest.split_at_checked(length)?;
        pieces.push(Piece { bytes: piece.to_vec(), event: event.checked_sub(1).map(|event| (event, at)) });
        bytes = rest;
    }
    Some(pieces)
}
