//! `ledgerkit verify trace.html`.

use std::fmt::Write as _;

use ledger_trace_page::{Verdict, check_contract};
use ledger_traceability::timeline::{Checked, ContractCode};
use serde_json::{Value, json};

use crate::arguments::VerifyOptions;
use crate::error::CliError;
use crate::files;
use crate::output::Output;

/// Checks a trace page as a browser would, and every byte of it.
pub(crate) fn run(options: &VerifyOptions, bytes: &[u8], output: Output) -> Result<(), CliError> {
    let path = &options.file;
    let refused = |reason: String| CliError::Refused { path: path.clone(), reason };
    let page = str::from_utf8(bytes).map_err(|error| refused(format!("the page is not UTF-8: {error}")))?;
    let trust = options.trust.as_ref().map(|trust| files::read_trust(trust)).transpose()?;
    let verdict = check_contract(page, trust.as_ref(), options.contract);
    let verdict = verdict.map_err(|error| CliError::Page { path: path.clone(), error })?;
    match &verdict.checked {
        Ok(checked) if verdict.holds() => output.answer(&value(&verdict, checked), &text(&verdict, checked)),
        _ => Err(refused(verdict.faults().join("\n  "))),
    }
}

fn code(checked: &Checked) -> String {
    match checked.code {
        ContractCode::Native => "linked into the nodes".to_owned(),
        ContractCode::Module(digest) => {
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("a WebAssembly module with the SHA-256 digest {digest}")
        }
    }
}

/// Whose word it is that this contract is the one that makes traces.
fn contract_trust(verdict: &Verdict, checked: &Checked) -> &'static str {
    match checked.code {
        _ if verdict.own_contract => "the file's own word",
        ContractCode::Native => "native",
        ContractCode::Module(_) => "given",
    }
}

fn value(verdict: &Verdict, checked: &Checked) -> Value {
    let header = checked.checkpoint.header();
    let lines = checked.lines.iter().flatten().map(|line| {
        json!({
            "event": line.key.to_string(),
            "time": line.event.time().to_string(),
            "included": line.included,
            "account": line.recorder.to_string(),
            "key": line.signed_by.to_string(),
            "transaction": line.transaction.to_string(),
            "block": line.place.height.to_string(),
            "index": line.place.index,
        })
    });
    json!({
        "verified": true,
        "trust": if verdict.own_word { "the file's own word" } else { "given" },
        "chain": verdict.root.chain().to_string(),
        "name": verdict.root.genesis.name.as_str(),
        "checkpoint": {
            "height": header.height.to_string(),
            "digest": header.digest().to_string(),
            "timestamp": header.timestamp.to_string(),
            "history": { "size": header.history.size.to_string(), "root": header.history.root.to_string() },
        },
        "proven": "page",
        "item": verdict.item,
        "contract": checked.contract.to_string(),
        "contract_trust": contract_trust(verdict, checked),
        "code": code(checked),
        "deployer": checked.deployer.to_string(),
        "state_root": checked.state_root.to_string(),
        "events": verdict.events,
        "lines": lines.collect::<Vec<_>>(),
    })
}

fn text(verdict: &Verdict, checked: &Checked) -> String {
    let (root, header) = (&verdict.root, checked.checkpoint.header());
    let mut text = String::new();
    // Writing to a string doesn't fail.
    let _ = writeln!(text, "page        the history of {}", checked.item.short().escape_debug());
    let _ = writeln!(text, "chain       {} ({})", root.chain(), root.genesis.name.as_str().escape_debug());
    let _ = writeln!(text, "checkpoint  block {}, history of {} blocks", header.height, header.history.size);
    let _ = writeln!(text, "contract    {}, {}", checked.contract, code(checked));
    if verdict.own_contract {
        let _ = writeln!(
            text,
            "            THE PAGE'S OWN CHOICE: whoever deployed this module chose its rules. Get the contract's ID from somebody \
             you trust,\n            and give it with --contract."
        );
    }
    let _ = match verdict.own_word {
        true => writeln!(
            text,
            "trust       THE PAGE'S OWN WORD: it brings its trust root along, so this shows only that the page agrees with \
             itself.\n            Get the genesis or a trust root from somebody you trust, and give it with --trust."
        ),
        false => writeln!(text, "trust       the trust root that was given"),
    };
    let _ = writeln!(text, "verified    {} lines, none left out, and every byte of the file:\n", verdict.events);
    for (index, line) in checked.lines.iter().flatten().enumerate() {
        let step = line.event.text("bizStep").unwrap_or("event").escape_debug().to_string();
        let account: String = line.recorder.to_string().chars().take(12).collect();
        let _ = writeln!(
            text,
            "{:>4}  {}  {step}{}: signed by account {account}…, block {}, transaction {}",
            index.saturating_add(1),
            line.event.time(),
            if line.included { "" } else { " (not part of this history)" },
            line.place.height,
            line.place.index
        );
    }
    text
}
