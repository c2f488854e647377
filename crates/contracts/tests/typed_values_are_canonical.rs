//! The typed helpers read back what they wrote, and say so when there is something else.
#![allow(clippy::unwrap_used)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::{BAD_ARGUMENTS, Contract, Host, LedgerExecutor, NATIVE, NativeRuntime, Trap, decode_arguments};
use ledger_core::codec::{self, Decode, Encode, Format, List, Text};
use ledger_core::{Failure, Status};
use ledger_crypto::MemorySigner;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
struct Note {
    title: Text,
    lines: List<Text>,
}

impl Format for Note {
    const NAME: &'static str = "note";
    const LIMIT: usize = 1 << 10;
}

struct Notes;

impl Contract for Notes {
    fn name(&self) -> &str {
        "notes"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            "write" => {
                let note: Note = decode_arguments(arguments)?;
                host.put_value(note.title.as_bytes(), &note)?;
                host.emit_value("written", &note)?;
            }
            "write anything" => host.put(b"title", arguments)?,
            "read" => {
                return Ok(host.get_value::<Note>(arguments)?.map(|note| codec::encode(&note)).unwrap_or_default());
            }
            "count" => return Ok(host.scan_prefix(arguments, 10)?.len().to_le_bytes().to_vec()),
            _ => return Err(Trap::UnknownMethod),
        }
        Ok(Vec::new())
    }
}

#[test]
fn what_was_put_is_got_what_is_not_there_is_none_and_what_is_else_breaks_the_call() {
    let alice = MemorySigner::from_seed([1; 32]);
    let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Notes)));
    let notes = ledger.deploy(&alice, NATIVE, b"notes", b"").unwrap();
    let mut call = |method: &str, arguments: &[u8]| ledger.call(&alice, notes, method, arguments).unwrap();

    let note = codec::encode(&Note { title: "title".into(), lines: vec!["one".into(), "two".into()].into() });
    assert_eq!(*call("write", &note).events.first().unwrap().data, note);
    assert_eq!(*call("read", b"title").receipt.output, note);
    assert_eq!(*call("read", b"another").receipt.output, []);
    assert_eq!(*call("count", b"ti").receipt.output, 1usize.to_le_bytes());
    assert_eq!(*call("count", b"tj").receipt.output, 0usize.to_le_bytes());

    let mut longer = note.clone();
    longer.push(0);
    for arguments in [&note[1..], &longer, b""] {
        let expected = Failure::Refused { code: BAD_ARGUMENTS, message: "the arguments are not a note".into() };
        assert_eq!(call("write", arguments).receipt.status, Status::Failed(expected));
    }

    call("write anything", b"something else");
    let expected = Failure::Trapped { message: "the state holds something else than a note".into() };
    assert_eq!(call("read", b"title").receipt.status, Status::Failed(expected));
}
