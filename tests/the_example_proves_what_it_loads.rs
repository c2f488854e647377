//! The chain-of-origin example, from its command line to its report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../examples/chain_of_origin/agreement.rs"]
mod agreement;
#[path = "../examples/chain_of_origin/arguments.rs"]
mod arguments;
#[path = "../examples/chain_of_origin/book.rs"]
mod book;
#[path = "../examples/chain_of_origin/documents.rs"]
mod documents;
#[path = "../examples/chain_of_origin/fault.rs"]
mod fault;
#[path = "../examples/chain_of_origin/ledger.rs"]
mod ledger;
#[path = "../examples/chain_of_origin/machine.rs"]
mod machine;
#[path = "../examples/chain_of_origin/member.rs"]
mod member;
#[path = "../examples/chain_of_origin/nearest.rs"]
mod nearest;
#[path = "../examples/chain_of_origin/network.rs"]
mod network;
#[path = "../examples/chain_of_origin/owner.rs"]
mod owner;
#[path = "../examples/chain_of_origin/pages.rs"]
mod pages;
#[path = "../examples/chain_of_origin/parties.rs"]
mod parties;
#[path = "../examples/processes/mod.rs"]
mod processes;
#[path = "../examples/chain_of_origin/progress.rs"]
mod progress;
#[path = "../examples/chain_of_origin/report.rs"]
mod report;
#[path = "../examples/chain_of_origin/run.rs"]
mod run;
#[path = "../examples/chain_of_origin/tamper.rs"]
mod tamper;

use std::path::Path;

use processes::Program;

use ledger_core::{Genesis, Timestamp, TrustRoot, codec};
use ledger_crypto::{MemorySigner, Signer as _};
use ledger_trace_page::check;
use ledger_traceability::epcis::Item;
use ledger_traceability::json::{Bounds, Json};
use ledger_traceability::timeline::{ContractCode, TimelineError, timeline, timeline_of};

const BLEND: &str = "https://id.gs1.org/01/09521300000039/10/R40";

struct Run {
    status: u8,
    out: String,
    err: String,
}

/// The members' processes are this test program, told to run one test.
fn program() -> Program {
    Program { arguments: ["a_member_of_the_network", "--exact", "--nocapture", "--"].map(Into::into).into() }
}

/// Not a test by itself: what a member's process runs.
#[test]
fn a_member_of_the_network() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [.., child, address, token] = arguments.as_slice()
        && child == processes::CHILD
    {
        std::process::exit(processes::run::<member::MemberProcess>(address, token).into());
    }
}

/// Runs the example with one owner, where it isn't told otherwise.
fn example(arguments: &[&str]) -> Run {
    let nodes: &[&str] = if arguments.contains(&"--nodes") { &[] } else { &["--nodes", "1"] };
    with(&[nodes, arguments].concat())
}

/// Runs the example with these arguments.
fn with(arguments: &[&str]) -> Run {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = arguments.iter().map(|argument| (*argument).into()).collect();
    let status = run::run(arguments, &program(), &mut out, &mut err);
    Run { status, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn report(path: &Path) -> Json {
    Json::parse(&std::fs::read(path).unwrap(), &Bounds::default()).unwrap()
}

fn figure(report: &Json, name: &str) -> f64 {
    let value = name.split('.').fold(report, |value, part| value.get(part).unwrap_or_else(|| panic!("no {name}")));
    value.as_number().unwrap().parse().unwrap()
}

/// An event about `item` by a party of its own.
fn seen(item: &str) -> String {
    format!(
        r#"{{"type": "ObjectEvent", "eventTime": "2026-01-01T00:00:00Z", "eventTimeZoneOffset": "+00:00", "action": "OBSERVE",
            "epcList": ["{item}"], "sourceList": [{{"type": "owning_party", "source": "urn:x:party"}}]}}"#
    )
}

fn document(events: &[String]) -> String {
    format!(
        r#"{{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", "type": "EPCISDocument",
            "schemaVersion": "2.0", "creationDate": "2026-01-01T00:00:00Z", "epcisBody": {{"eventList": [{}]}}}}"#,
        events.join(",")
    )
}

#[test]
fn the_coffee_is_traced_and_a_second_run_goes_on_where_the_first_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("report.json"));
    let arguments = ["--data", text(&data), "--report", text(&file)];
    let first = example(&arguments);
    assert_eq!((first.status, first.err.as_str()), (0, ""));
    assert!(first.out.contains("Timeline of (01)09521300000039(10)R40"), "{}", first.out);
    assert!(first.out.contains("! WARNING  blend of 2"));
    let measured = report(&file);
    for (name, least) in [
        ("events", 400.0),
        ("transactions", 400.0),
        ("blocks", 2.0),
        ("final_ms_p50", 0.001),
        ("final_ms_p99", 0.001),
        ("transactions_per_s", 1.0),
        ("trace.events", 16.0),
        ("trace.proofs_verified", 60.0),
        ("checkpoint.size", 2.0),
    ] {
        assert!(figure(&measured, name) >= least, "{name} in {measured}");
    }
    assert_eq!(figure(&measured, "refused"), 0.0);
    assert!(figure(&measured, "final_ms_p50") <= figure(&measured, "final_ms_p99"));
    assert_eq!(measured.get("trace").unwrap().get("lot").unwrap().as_text(), Some(BLEND));
    assert_eq!(measured.get("state_root").unwrap().as_text().unwrap().len(), 64);

    let second = example(&arguments);
    assert_eq!(second.status, 0, "{}", second.err);
    let again = report(&file);
    assert_eq!(figure(&again, "events"), figure(&measured, "events"));
    assert_eq!(figure(&again, "transactions"), 0.0);
    assert_eq!(again.get("state_root"), measured.get("state_root"));
    let timeline = |run: &Run| run.out.split_once("Timeline of").unwrap().1.to_owned();
    assert_eq!(timeline(&second), timeline(&first));

    // Each fault of the document is found, and found by the lot that the help text names for it.
    for (lot, warning) in [
        ("9521303.000003.R07", "to 41.2 °C, mean 21.4 °C, allowed 10 to 30 °C"),
        ("9521303.000003.R19", "to 36.8 °C, mean 20.2 °C, allowed 10 to 30 °C"),
        ("9521300.000003.R12", "received 8 days after the promised time"),
        ("9521303.000003.R23", "expired 20 days before this roasting"),
        ("9521302.000003.R30", "split: "),
    ] {
        let shown = example(&["--data", text(&data), "--lot", &format!("urn:epc:class:lgtin:{lot}")]);
        assert_eq!(shown.status, 0, "{lot}: {}", shown.err);
        let warnings: Vec<&str> = shown.out.lines().filter(|line| line.starts_with("! WARNING")).collect();
        assert!(warnings.len() == 1 && warnings[0].contains(warning), "{lot}: {warnings:?}");
        assert!(arguments::HELP.contains(lot));
    }
    let unknown = example(&["--data", text(&data), "--lot", "urn:epc:class:lgtin:9521300.000003.R49"]);
    assert_eq!(unknown.status, 1);
    assert!(unknown.err.contains("--lot urn:epc:class:lgtin:9521300.000003.R49: no event"), "{}", unknown.err);
    assert!(unknown.err.contains(BLEND), "{}", unknown.err);
}

#[test]
fn changed_evidence_and_foreign_trust_roots_show_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(example(&["--data", text(folder.path())]).status, 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = ledger::Ledger::open(folder.path(), 1, machine::Machine::Native, &program()).await.unwrap();
        let in_use =
            std::thread::scope(|scope| scope.spawn(|| example(&["--data", text(folder.path())])).join().unwrap());
        assert_eq!(in_use.status, 1);
        assert!(in_use.err.starts_with("error: --data "), "{}", in_use.err);

        let evidence = ledger.prove(&Item::new(BLEND)).await.unwrap();
        let show = |root: &[u8], checkpoint: &[u8], proof: &[u8]| {
            timeline(root, checkpoint, proof).map(|shown| shown.lines.len())
        };
        assert_eq!(show(&evidence.trust_root, &evidence.checkpoint, &evidence.proof).unwrap(), 18);
        for at in (0..evidence.proof.len()).step_by(evidence.proof.len() / 97) {
            let mut changed = evidence.proof.clone();
            changed[at] ^= 0x10;
            assert!(show(&evidence.trust_root, &evidence.checkpoint, &changed).is_err(), "byte {at}");
        }
        let stranger = MemorySigner::from_seed([1; 32]).public_key();
        let foreign = codec::encode(&TrustRoot::new(Genesis::solo("chain of origin", stranger, Timestamp(0))));
        assert!(show(&foreign, &evidence.checkpoint, &evidence.proof).is_err());
        ledger.close().await.unwrap();
    });
}

/// The history that was shown, without what belongs to one ledger alone: where blocks ended, and the roots.
fn history(run: &Run) -> String {
    let (_, shown) = run.out.split_once("Timeline of").unwrap();
    let (mut history, mut before) = (String::new(), "");
    for word in shown.split_whitespace() {
        match before {
            "block" | "transaction" => history.push_str(word.trim_start_matches(|digit: char| digit.is_ascii_digit())),
            "checkpoint" | "root" => {}
            _ => history.push_str(word),
        }
        history.push(' ');
        before = word;
    }
    history
}

#[test]
fn the_contract_as_a_module_tells_the_same_history() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("report.json"));
    let native = example(&[]);
    // Looking for the longest history takes a module long without optimisation: both are told.
    let wasm = ["--runtime", "wasm", "--lot", BLEND];
    let module = example(&[wasm.as_slice(), &["--data", text(&data), "--report", text(&file)]].concat());
    let network = with(&wasm);
    for run in [&native, &module, &network] {
        assert_eq!((run.status, run.err.as_str()), (0, ""), "{}", run.out);
    }
    assert!(history(&native).contains("! WARNING blend of 2"), "{}", native.out);
    assert_eq!(history(&module), history(&native));
    assert_eq!(history(&network), history(&native));
    assert_eq!(report(&file).get("runtime").unwrap().as_text(), Some("wasm"));

    // A ledger keeps the contract that it began with, and a verifier takes only the code that he knows for it.
    let other = example(&["--data", text(&data)]);
    assert!(other.status == 1 && other.err.contains("use --runtime wasm"), "{}", other.err);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = ledger::Ledger::open(&data, 1, machine::Machine::Wasm, &program()).await.unwrap();
        let evidence = ledger.prove(&Item::new(BLEND)).await.unwrap();
        let show = |code| timeline_of(code, &evidence.trust_root, &evidence.checkpoint, &evidence.proof);
        assert_eq!(show(machine::Machine::Wasm.code()).unwrap().lines.len(), 18);
        for code in [ContractCode::Native, ContractCode::Module([7; 32])] {
            assert!(matches!(show(code), Err(TimelineError::WrongContract { .. })), "{code:?}");
        }
        ledger.close().await.unwrap();
    });
}

#[test]
fn a_bad_document_is_refused_whole_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (events, data, file) =
        (folder.path().join("events"), folder.path().join("data"), folder.path().join("report.json"));
    std::fs::create_dir_all(events.join("inner")).unwrap();
    let bad = seen("urn:x:bad-lot").replace("2026-01-01T", "soon");
    std::fs::write(events.join("inner/bad.JSON"), document(&[seen("urn:x:good-but-refused"), bad])).unwrap();
    std::fs::write(events.join("good.jsonld"), document(&[seen("urn:x:good-lot")])).unwrap();
    std::fs::write(events.join("twice.json"), document(&[seen("urn:x:good-lot"), seen("urn:x:other")])).unwrap();
    std::fs::write(events.join("notes.txt"), "not looked at").unwrap();
    let arguments = ["--events", text(&events), "--data", text(&data), "--report", text(&file)];
    let run = example(&arguments);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.err.contains("bad.JSON: event 2 (eventList[1]): eventTime: "), "{}", run.err);
    let measured = report(&file);
    let figures = ["events", "transactions", "refused"].map(|name| figure(&measured, name));
    assert_eq!(figures, [3.0, 3.0, 1.0]);
    let refused = example(&["--events", text(&events), "--data", text(&data), "--lot", "urn:x:good-but-refused"]);
    assert_eq!(refused.status, 1, "no event of a refused document is stored");
    // The same event out of two documents is one event.
    let good = example(&["--events", text(&events), "--data", text(&data), "--lot", "urn:x:good-lot"]);
    assert!(good.out.contains("\n1 events, "), "{}", good.out);
}

#[test]
fn pages_of_all_items_are_written_whole_whatever_these_are_called() {
    let folder = tempfile::tempdir().unwrap();
    let (events, data) = (folder.path().join("events.json"), folder.path().join("data"));
    let long = format!("urn:x:{}", "a".repeat(400));
    let hostile = [
        "urn:x:../../up",
        "urn:x:con",
        "urn:x:CON",
        "urn:x:%2e%2e%2fup",
        "urn:x:stra\u{df}e",
        "urn:x:a/b\\\\c",
        long.as_str(),
    ];
    std::fs::write(&events, document(&hostile.map(seen))).unwrap();
    let page = folder.path().join("trace.html");
    let arguments = ["--events", text(&events), "--data", text(&data), "--page", text(&page), "--all"];
    let run = example(&arguments);
    assert_eq!((run.status, run.err.as_str()), (0, ""), "{}", run.out);
    let pages = folder.path().join("pages");
    let names = || {
        let mut names: Vec<String> =
            std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let written = names();
    // A page of each, an index, nothing else; and nothing anywhere else.
    assert_eq!(written.len(), hostile.len() + 1, "{written:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    let index = std::fs::read_to_string(pages.join("index.html")).unwrap();
    let mut items = std::collections::BTreeSet::new();
    for name in written.iter().filter(|name| *name != "index.html") {
        assert!(index.contains(&format!("href=\"{name}\"")), "{name}");
        let verdict = check(&std::fs::read_to_string(pages.join(name)).unwrap(), None).unwrap();
        assert!(verdict.holds(), "{name}: {:?}", verdict.faults());
        items.insert(verdict.item);
    }
    assert_eq!(items.len(), hostile.len());

    // Into a folder that is there: what is there is replaced, and what is not of these pages stays.
    std::fs::write(pages.join("mine.txt"), "mine").unwrap();
    std::fs::write(pages.join("index.html"), "old").unwrap();
    assert_eq!(example(&arguments).status, 0);
    assert_eq!(names().len(), written.len() + 1);
    assert_eq!(std::fs::read_to_string(pages.join("mine.txt")).unwrap(), "mine");
    assert_ne!(std::fs::read_to_string(pages.join("index.html")).unwrap(), "old");

    // Where no page can be, that is said before anything is loaded.
    for (place, said) in
        [("none/trace.html", "there is no folder"), ("pages", "it is a folder"), ("trace.html/x", "there is no folder")]
    {
        let (fresh, place) = (folder.path().join("fresh"), folder.path().join(place));
        let run = example(&["--events", text(&events), "--data", text(&fresh), "--page", text(&place)]);
        assert_eq!(run.status, 1, "{}", run.out);
        assert!(run.err.starts_with(&format!("error: --page {}: {said}", place.display())), "{}", run.err);
        assert!(!run.out.contains("recorded"), "{}", run.out);
    }
}

#[test]
fn a_report_is_written_when_everything_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (events, file) = (folder.path().join("bad.json"), folder.path().join("report.json"));
    std::fs::write(&events, "{").unwrap();
    let data = folder.path().join("data");
    let run = example(&["--events", text(&events), "--data", text(&data), "--report", text(&file)]);
    assert_eq!(run.status, 1);
    assert!(run.err.contains("bad.json: not JSON: line 1, column 2"), "{}", run.err);
    let measured = report(&file);
    for (name, expected) in
        [("events", 0.0), ("transactions", 0.0), ("refused", 1.0), ("trace.events", 0.0), ("final_ms_p99", 0.0)]
    {
        assert_eq!(figure(&measured, name), expected, "{name}");
    }
    assert_eq!(measured.get("trace").unwrap().get("lot"), Some(&Json::Null));
    assert!(figure(&measured, "checkpoint.size") >= 1.0);
    let missing = example(&["--events", "/no/such/file", "--report", text(&file)]);
    assert_eq!(missing.status, 1);
    assert!(missing.err.contains("--events /no/such/file: "), "{}", missing.err);
}

#[test]
fn a_wrong_command_line_is_told_by_the_option() {
    for (arguments, error) in [
        (vec!["--lto", "x"], "error: there is no option `--lto`"),
        (vec!["coffee"], "error: there is no option `coffee`"),
        (vec!["--lot"], "error: --lot needs a value"),
        (vec!["--data="], "error: --data needs a value"),
        (vec!["--lot=a", "--lot", "b"], "error: --lot is given twice"),
        (vec!["--nodes", "0"], "error: --nodes: `0` is not 1 to 32"),
        (vec!["--nodes", "four"], "error: --nodes: `four` is not 1 to 32"),
        (vec!["--runtime", "jvm"], "error: --runtime: `jvm` is not native or wasm"),
        (vec!["--runtime", "wasm", "--runtime=wasm"], "error: --runtime is given twice"),
        (vec!["--nodes", "3", "--kill"], "error: --kill needs at least 4 nodes"),
        (vec!["--kill=yes"], "error: there is no option `--kill=yes`"),
    ] {
        let run = with(&arguments);
        assert_eq!(run.status, 2, "{arguments:?}");
        assert!(run.err.starts_with(error), "{arguments:?}: {}", run.err);
    }
    let help = with(&["--help"]);
    assert_eq!((help.status, help.out.as_str()), (0, arguments::HELP));
    assert!(help.out.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn four_members_agree_and_one_may_be_killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("report.json"));
    let alone = example(&["--lot", "urn:epc:class:lgtin:9521300.000003.R40"]);
    // A second network runs beside the first: neither has fixed ports.
    let (first, beside) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| with(&["--nodes", "4"]));
        (with(&["--kill", "--data", text(&data), "--report", text(&file)]), beside.join().unwrap())
    });
    assert_eq!((first.status, first.err.as_str()), (0, ""), "{}", first.out);
    assert_eq!((beside.status, beside.err.as_str()), (0, ""), "{}", beside.out);
    assert!(first.out.contains("\nkilled       exporter (SIGKILL)"), "{}", first.out);
    assert!(first.out.contains("\nagreed       4 of 4 stand at block "), "{}", first.out);
    let measured = report(&file);
    for (name, expected) in [("nodes", 4.0), ("killed", 1.0), ("refused", 0.0)] {
        assert_eq!(figure(&measured, name), expected, "{name} in {measured}");
    }
    assert_eq!(figure(&measured, "events"), figure(&measured, "transactions"));
    assert!(figure(&measured, "caught_up_ms") > 0.0);
    assert_eq!(measured.get("roots_equal"), Some(&Json::Bool(true)));
    // What is proven doesn't depend on who keeps the ledger: but for the chain, the timelines are the same.
    let lines =
        |run: &Run| run.out.lines().filter(|line| line.starts_with("! WARNING")).map(str::to_owned).collect::<Vec<_>>();
    assert!(!lines(&first).is_empty());
    assert_eq!(lines(&first), lines(&alone));

    // The same members go on with the same folder, and nothing is stored twice.
    let again = with(&["--data", text(&data), "--report", text(&file)]);
    assert_eq!((again.status, again.err.as_str()), (0, ""), "{}", again.out);
    assert_eq!(figure(&report(&file), "transactions"), 0.0);
    assert_eq!(report(&file).get("state_root"), measured.get("state_root"));
    for (nodes, said) in [("5", "use --nodes 4"), ("1", "it holds a network")] {
        let other = with(&["--nodes", nodes, "--data", text(&data)]);
        assert!(other.status == 1 && other.err.contains(said), "{}", other.err);
    }
}

#[test]
fn a_byte_that_was_changed_behind_the_ledger_s_back_is_caught_by_node_light_client_and_page() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = example(&["--tamper", "--data", text(&data)]);
    assert_eq!(run.status, 0, "{}", run.err);
    let tampered = run.out.split_once("tampered ").unwrap().1;
    let (_, rest) = tampered.split_once("of the event of block ").unwrap();
    let (block, _) = rest.split_once(',').unwrap();
    for told in [
        format!("at height {block} isn't what was written"),
        format!("light client refuses the proof of block {block}: "),
        format!("the event of block {block} turns red:"),
    ] {
        assert!(tampered.contains(&told), "{told} in {tampered}");
    }
    // The folder stays as it was changed: nobody opens it by mistake.
    assert_eq!(example(&["--nodes", "1", "--data", text(&data)]).status, 1);
    assert_eq!(example(&["--tamper", "--nodes", "4"]).status, 2);
}
