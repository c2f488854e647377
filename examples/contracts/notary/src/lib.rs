//! Notarised documents: that a document existed at a time, who vouched for it, and whether it still holds. The chain sees
//! digests, never the documents.
#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use ledger_contract_sdk::{AccountId, Map, OrderedMap, Result, contract, ensure, event, host, record, refusals};

contract! {
    /// Documents that existed at a time, and who vouches for them.
    pub contract Notary = "notary" {
        construct();
        methods {
            /// Records a document by its digest; it may take the place of one that the caller recorded before.
            write fn record_document(digest: [u8; 32], title: String, replaces: Option<[u8; 32]>);
            /// Vouches for a document, as a witness does.
            write fn attest(digest: [u8; 32]);
            /// Says that a document of the caller's doesn't hold any more.
            write fn revoke(digest: [u8; 32]);
            /// What is known of a document.
            read fn document(digest: [u8; 32]) -> Option<Document>;
            /// Who vouched for a document and when, behind the account named, at most 100.
            read fn witnesses(digest: [u8; 32], after: Option<AccountId>, limit: u32) -> Vec<(AccountId, u64)>;
            /// Documents of an account, in the order in which they were recorded, from a number on, at most 100.
            read fn documents(by: AccountId, from: u64, limit: u32) -> Vec<[u8; 32]>;
        }
        events { Recorded, Attested, Revoked }
        refusals { Error }
    }
}

record! {
    /// What is known of a document.
    pub struct Document {
        /// Who recorded it.
        pub by: AccountId,
        /// What it is called.
        pub title: String,
        /// When: the block's time, in ms since 1970.
        pub at: u64,
        /// In which block.
        pub height: u64,
        /// The document whose place it took.
        pub replaces: Option<[u8; 32]>,
        /// Whether it holds.
        pub standing: Standing,
    }
}

record! {
    /// Whether a document holds.
    #[derive(Copy)]
    pub enum Standing {
        /// It does.
        Valid = 0,
        /// Another took its place.
        Replaced {
            /// Which.
            by: [u8; 32],
        } = 1,
        /// It was revoked.
        Revoked {
            /// When, in ms since 1970.
            at: u64,
        } = 2,
    }
}

event! {
    /// A document was recorded.
    pub struct Recorded = "recorded" {
        /// Its digest.
        pub digest: [u8; 32],
        /// By whom.
        pub by: AccountId,
    }
}

event! {
    /// Somebody vouched for a document.
    pub struct Attested = "attested" {
        /// Its digest.
        pub digest: [u8; 32],
        /// Who.
        pub by: AccountId,
    }
}

event! {
    /// A document doesn't hold any more.
    pub struct Revoked = "revoked" {
        /// Its digest.
        pub digest: [u8; 32],
    }
}

refusals! {
    /// Why the notary refuses.
    pub enum Error {
        /// It was recorded before.
        AlreadyRecorded = 1 => "the document was recorded before",
        /// It wasn't recorded.
        Unknown = 2 => "the document wasn't recorded",
        /// It is somebody else's.
        NotRecorder = 3 => "the document was recorded by somebody else",
        /// It holds no more.
        NotValid = 4 => "the document doesn't hold any more",
        /// The caller vouched for it before, or recorded it.
        AlreadyAttested = 5 => "the caller vouches for the document already",
        /// A title has at most 200 bytes.
        LongTitle = 6 => "a title has at most 200 bytes",
    }
}

const DOCUMENTS: Map<[u8; 32], Document> = Map::new(b'd');
const WITNESSES: OrderedMap<([u8; 32], AccountId), u64> = OrderedMap::new(b'w');
const COUNTS: Map<AccountId, u64> = Map::new(b'n');
const BY_AUTHOR: OrderedMap<(AccountId, u64), [u8; 32]> = OrderedMap::new(b'a');

const MAX_PAGE: u32 = 100;

fn construct() -> Result {
    Ok(())
}

fn record_document(digest: [u8; 32], title: String, replaces: Option<[u8; 32]>) -> Result {
    let (by, at) = (host::caller(), host::timestamp());
    ensure(title.len() <= 200, Error::LongTitle)?;
    ensure(!DOCUMENTS.contains(&digest), Error::AlreadyRecorded)?;
    if let Some(earlier) = replaces {
        let mut replaced = own(&earlier)?;
        replaced.standing = Standing::Replaced { by: digest };
        DOCUMENTS.set(&earlier, &replaced);
    }
    let document = Document { by, title, at, height: host::height(), replaces, standing: Standing::Valid };
    DOCUMENTS.set(&digest, &document);
    let number = COUNTS.get_or_default(&by);
    BY_AUTHOR.set(&(by, number), &digest);
    COUNTS.set(&by, &(number + 1));
    Recorded { digest, by }.emit();
    Ok(())
}

fn attest(digest: [u8; 32]) -> Result {
    let by = host::caller();
    let document = DOCUMENTS.get(&digest).ok_or(Error::Unknown)?;
    ensure(document.standing == Standing::Valid, Error::NotValid)?;
    ensure(document.by != by && !WITNESSES.contains(&(digest, by)), Error::AlreadyAttested)?;
    WITNESSES.set(&(digest, by), &host::timestamp());
    Attested { digest, by }.emit();
    Ok(())
}

fn revoke(digest: [u8; 32]) -> Result {
    let mut document = own(&digest)?;
    document.standing = Standing::Revoked { at: host::timestamp() };
    DOCUMENTS.set(&digest, &document);
    Revoked { digest }.emit();
    Ok(())
}

/// A document of the caller's that holds.
fn own(digest: &[u8; 32]) -> Result<Document> {
    let document = DOCUMENTS.get(digest).ok_or(Error::Unknown)?;
    ensure(document.by == host::caller(), Error::NotRecorder)?;
    ensure(document.standing == Standing::Valid, Error::NotValid)?;
    Ok(document)
}

fn document(digest: [u8; 32]) -> Result<Option<Document>> {
    Ok(DOCUMENTS.get(&digest))
}

fn witnesses(digest: [u8; 32], after: Option<AccountId>, limit: u32) -> Result<Vec<(AccountId, u64)>> {
    let found = match after {
        Some(after) => WITNESSES.under_after(&digest, &(digest, after)),
        None => WITNESSES.under(&digest),
    };
    Ok(found.first(limit.min(MAX_PAGE)).map(|((_, witness), at)| (witness, at)).collect())
}

fn documents(by: AccountId, from: u64, limit: u32) -> Result<Vec<[u8; 32]>> {
    let found = BY_AUTHOR.range((by, from)..=(by, u64::MAX));
    Ok(found.first(limit.min(MAX_PAGE)).map(|(_, digest)| digest).collect())
}
