//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::machine::Machine;

pub(crate) const HELP: &str = "\
Traces a product from farm to cup: records supply-chain events on a ledger of its own, then proves
the history of a lot.

usage: cargo run --release --example chain_of_origin -- [options]

  --events PATH   an EPCIS 2.0 document (JSON or JSON-LD), or a folder of them, searched with its
                  subfolders for .json and .jsonld files. Without this option: 42 lots of coffee
                  that come with the example.
  --lot ID        whose history to show: a lot, item or container, as URN or GS1 Digital Link.
                  Without this option: the lot with the longest history.
  --data DIR      where the ledger is kept. A second run with the same folder goes on with it;
                  events that are there already are not stored again. Without this option: a fresh
                  folder, which is named at the start.
  --nodes N       how many members keep the ledger, 1 to 32 (default 4): each is a process with its
                  own key, folder and port, started by this one. With 1 the ledger has one owner.
  --runtime NAME  what runs the contract: native (default), which is linked into the members, or
                  wasm, which is the same contract as a WebAssembly module that is deployed with
                  the ledger. The history is the same; its proof names another contract.
  --kill          kills one member (SIGKILL) in the middle and starts it again later; needs 4 nodes.
  --tamper        changes one stored byte in the end, behind the ledger's back, and shows that the
                  node, a light client and the page each refuse it; for a ledger with one owner,
                  so --nodes is 1 with it.
  --page FILE     where to write the lot's page, one file that verifies itself when a browser opens
                  it, offline (default: trace.html in the ledger's folder).
  --all           also writes a page of each lot and an index, into the folder `pages` beside it.
  --report FILE   also writes what was measured, as JSON.
  --help          this text.

Lots of the coffee that are worth a look, to be written with urn:epc:class:lgtin: in front:
  9521303.000003.R07, 9521303.000003.R19   got too warm at sea
  9521300.000003.R12                       came late
  9521303.000003.R23                       was roasted after its grade had expired
  9521302.000003.R30                       is half of a split lot
  9521300.000003.R40                       is a blend; it has the longest history

What happens: each event becomes a transaction, signed by the party that recorded it and handed to
the member that it belongs to: farm cooperative, exporter, roaster or retailer. It is final when a
checkpoint commits to it that more than two thirds of the members have signed (with --nodes 1, the
owner). In the end all members have to stand at the same block, history and state. The history of
the lot is then built from three things alone, the trust root, the checkpoint and the proofs; what
isn't proven isn't shown.

This is a demonstration: the keys of members and parties are made from a seed that stands in the
source, so anybody could sign in their names. Don't keep real records with it.

A document that breaks the standard is refused whole, with the event and field that are wrong; the
others are loaded. Exit status: 0 when documents were loaded and the history was proven, 1 when
something failed (all documents refused, unknown lot, folder in use), 2 for a wrong command line.
";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Run(Options),
}

/// How to do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) events: Option<PathBuf>,
    pub(crate) lot: Option<String>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) page: Option<PathBuf>,
    pub(crate) all: bool,
    pub(crate) nodes: usize,
    pub(crate) machine: Machine,
    pub(crate) kill: bool,
    pub(crate) tamper: bool,
}

/// The most members: they share one machine.
const MAX_NODES: usize = 32;
/// The fewest members of which one may be lost.
const KILL_NODES: usize = 4;

impl Default for Options {
    fn default() -> Self {
        let machine = Machine::default();
        let (page, all) = (None, false);
        let (kill, tamper) = (false, false);
        Options { events: None, lot: None, data: None, report: None, page, all, nodes: 4, machine, kill, tamper }
    }
}

/// Reads the arguments, the program's name not included; the error is a sentence that names the option.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options::default();
    let (mut nodes, mut machine) = (None, None);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, attached) = split(&argument);
        let name = match name.to_str() {
            Some("--help" | "-h") => return Ok(Command::Help),
            Some("--kill") if attached.is_none() => {
                options.kill = true;
                continue;
            }
            Some("--tamper") if attached.is_none() => {
                options.tamper = true;
                continue;
            }
            Some("--all") if attached.is_none() => {
                options.all = true;
                continue;
            }
            Some(name @ ("--events" | "--lot" | "--data" | "--report" | "--page" | "--nodes" | "--runtime")) => name,
            _ => return Err(format!("there is no option `{}`", argument.to_string_lossy())),
        };
        let value = attached.or_else(|| arguments.next()).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| format!("{name} needs a value"))?;
        let taken = match name {
            "--events" => options.events.replace(value.into()).is_some(),
            "--data" => options.data.replace(value.into()).is_some(),
            "--page" => options.page.replace(value.into()).is_some(),
            "--report" => options.report.replace(value.into()).is_some(),
            "--nodes" => nodes.replace(number_of_nodes(&value)?).is_some(),
            "--runtime" => machine.replace(machine_named(&value)?).is_some(),
            _ => {
                let lot = value.into_string().map_err(|_| format!("{name}: the ID is not UTF-8 text"))?;
                options.lot.replace(lot).is_some()
            }
        };
        if taken {
            return Err(format!("{name} is given twice"));
        }
    }
    options.nodes = nodes.unwrap_or(if options.tamper { 1 } else { options.nodes });
    if options.tamper && options.nodes != 1 {
        return Err("--tamper needs --nodes 1: the others would only outvote a member whose folder was changed".into());
    }
    options.machine = machine.unwrap_or(options.machine);
    if options.kill && options.nodes < KILL_NODES {
        return Err(format!("--kill needs at least {KILL_NODES} nodes: fewer can't go on without one"));
    }
    Ok(Command::Run(options))
}

fn number_of_nodes(value: &OsStr) -> Result<usize, String> {
    let number = value.to_str().and_then(|text| text.parse().ok()).filter(|number| (1..=MAX_NODES).contains(number));
    number.ok_or_else(|| format!("--nodes: `{}` is not 1 to {MAX_NODES}", value.to_string_lossy()))
}

fn machine_named(value: &OsStr) -> Result<Machine, String> {
    let machine = value.to_str().and_then(Machine::named);
    machine.ok_or_else(|| format!("--runtime: `{}` is not native or wasm", value.to_string_lossy()))
}

/// `--name=value` as its two parts.
fn split(argument: &OsStr) -> (OsString, Option<OsString>) {
    match argument.to_str().and_then(|text| text.split_once('=')) {
        Some((name, value)) if name.starts_with("--") => (name.into(), Some(value.into())),
        _ => (argument.to_owned(), None),
    }
}
