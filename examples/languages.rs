//! Contracts in several languages on one chain: deployed and called alike, and compared by size, fuel and time.
//! `cargo run --release --example languages`, with `--features wasmtime` on both engines.
//!
//! Every token makes the same 1,000 transfers in one block; the others do one thing of theirs. Time is that of the executor:
//! signatures are checked elsewhere, and the state is in memory.
//!
//! With `-- --trace`, no times: what one transfer of each token does, call by call, and where the fuel of all calls goes.

use ledger_contract_sdk::{self as sdk, Call};
use ledger_example_loyalty::Loyalty;
use ledger_example_notary::Notary;
use ledger_example_provenance::Provenance;
use ledger_example_swap::Swap;
use ledger_example_titles::Titles;
use ledger_example_token::{Currency, Token};
use ledger_example_voting::Voting;
use ledgerkit::contracts::testing::{Recorder, TestLedger};
use ledgerkit::contracts::token::{Grant, mint_arguments};
use ledgerkit::contracts::trace::Names;
use ledgerkit::contracts::wasm::{WASM, WasmRuntime};
use ledgerkit::contracts::{self as contracts, LedgerExecutor, NATIVE, NativeRuntime};
use ledgerkit::core::{AccountId, ContractId, TransactionBuilder};
use ledgerkit::crypto::{MemorySigner, Signer};
use std::error::Error;
use std::time::Instant;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Transfers in the block that is measured.
const TRANSFERS: u64 = 1_000;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("contracts/fixtures/", $name, ".wasm"))
    };
}

/// A contract as a row of the table.
struct Row {
    contract: &'static str,
    language: &'static str,
    bytes: usize,
    deploy_fuel: u64,
    call: &'static str,
    fuel: u64,
    micros: f64,
}

struct Bench {
    ledger: TestLedger,
    owner: MemorySigner,
    rows: Vec<Row>,
    /// What there is to see of the calls, and what contracts are called there, if they are traced.
    traced: Option<(Recorder, Names)>,
}

/// The method and the encoded arguments of a call.
type Invocation = (&'static str, Vec<u8>);

fn invocation<T>(call: &Call<T>) -> Invocation {
    (call.method(), call.arguments().to_vec())
}

/// An account as contracts know it.
fn known(account: AccountId) -> sdk::AccountId {
    sdk::AccountId(*account.0.as_bytes())
}

impl Bench {
    /// Deploys code, prepares it by some calls, and measures a block of `count` others.
    fn measure(
        &mut self,
        (contract, language): (&'static str, &'static str),
        (runtime, code): (&str, &[u8]),
        arguments: Vec<u8>,
        before: &[Invocation],
        (measured, count): (Invocation, u64),
    ) -> Result {
        let chain = self.ledger.chain();
        let deployment = TransactionBuilder::deploy(chain, runtime, code.to_vec(), arguments)
            .fuel_limit(self.ledger.rules.max_transaction_fuel);
        let deployed = self.ledger.submit(&self.owner, deployment)?.receipt;
        let id = ContractId::deployed_by(&deployed.transaction);
        if !deployed.succeeded() {
            return Err(format!("{contract} in {language}: {:?}", deployed.status).into());
        }
        for (method, arguments) in before {
            let receipt = self.ledger.call(&self.owner, id, method, arguments)?.receipt;
            if !receipt.succeeded() {
                return Err(format!("{method} of {contract} in {language}: {:?}", receipt.status).into());
            }
        }
        let (method, arguments) = measured;
        let mut transactions = Vec::new();
        for _ in 0..count {
            let call = TransactionBuilder::call(chain, id, method, arguments.clone());
            transactions.push(self.ledger.sign(&self.owner, call)?);
        }
        let block = self.ledger.block(transactions.clone());
        let start = Instant::now();
        let execution = match &self.traced {
            // Executed twice, it would be counted twice.
            Some(_) => self.ledger.apply(transactions.clone())?,
            None => self.ledger.execute_block(&block)?,
        };
        let elapsed = start.elapsed();
        let failed = execution.results.iter().find(|result| !result.receipt.succeeded());
        if let Some(failed) = failed {
            return Err(format!("{method} of {contract} in {language}: {:?}", failed.receipt.status).into());
        }
        if self.traced.is_none() {
            self.ledger.apply(transactions)?;
        }
        if let Some((recorder, names)) = &mut self.traced {
            *names = core::mem::take(names).with(id, format!("{contract} ({language})"));
            if let Some(trace) = recorder.last().filter(|_| contract == "token") {
                println!("{}\n", trace.tree(names));
            }
        }
        self.rows.push(Row {
            contract,
            language,
            bytes: code.len(),
            deploy_fuel: deployed.fuel_used.0,
            call: method,
            fuel: execution.fuel_used.0 / count,
            micros: elapsed.as_secs_f64() * 1e6 / count as f64,
        });
        Ok(())
    }

    fn tokens(&mut self) -> Result {
        let owner = AccountId::of_ed25519(&self.owner.public_key());
        let receiver = AccountId::of_ed25519(&MemorySigner::from_seed([2; 32]).public_key());
        let grant = |account, amount| Grant { account, amount };
        let mint = ("mint", mint_arguments(&[grant(owner, 1_000_000)]));
        let transfer = ("transfer", grant(receiver, 1).to_bytes().to_vec());
        let native = (NATIVE, contracts::Token::NAME.as_bytes());
        let transfers = if self.traced.is_some() { 1 } else { TRANSFERS };
        self.measure(("token", "Rust, native"), native, Vec::new(), &[mint], (transfer, transfers))?;
        let modules: [(&str, &[u8]); 3] = [
            ("Rust", fixture!("token")),
            ("C", fixture!("token_c")),
            ("AssemblyScript", fixture!("token_assemblyscript")),
        ];
        for (language, module) in modules {
            let currency = Currency { name: "Euro".into(), symbol: "EUR".into(), decimals: 2 };
            let token = Token(sdk::ContractId([0; 32]));
            let mint = invocation(&token.mint(known(owner), 1_000_000));
            let transfer = invocation(&token.transfer(known(receiver), 1));
            let arguments = Token::constructor(currency);
            self.measure(("token", language), (WASM, module), arguments, &[mint], (transfer, transfers))?;
        }
        Ok(())
    }

    fn others(&mut self) -> Result {
        let nowhere = sdk::ContractId([0; 32]);
        let owner = known(AccountId::of_ed25519(&self.owner.public_key()));
        let titles = Titles(nowhere);
        let registrar = invocation(&titles.set_registrar(owner, true));
        let register = invocation(&titles.register("plot 7".into(), owner, [1; 32]));
        let loyalty = Loyalty(nowhere);
        let shop = invocation(&loyalty.set_shop(owner, true));
        let award = invocation(&loyalty.award(owner, 10));
        let voting = Voting(nowhere);
        let weigh = invocation(&voting.set_weight(owner, 3));
        let later = self.ledger.timestamp.0 + 1_000_000;
        let propose = invocation(&voting.propose("Now?".into(), vec!["yes".into(), "no".into()], later));
        let record = invocation(&Notary(nowhere).record_document([7; 32], "deed".into(), None));
        let grow = invocation(&Provenance(nowhere).originate("lot 1".into(), "tea".into(), 5, "hill".into()));
        let offered = invocation(&Swap(nowhere).offered(0));
        let mut one = |contract, module: &[u8], arguments, before: &[Invocation], measured| {
            self.measure((contract, "Rust"), (WASM, module), arguments, before, (measured, 1))
        };
        one("titles", fixture!("titles"), Titles::constructor(), &[registrar], register)?;
        one("loyalty", fixture!("loyalty"), Loyalty::constructor(30), &[shop], award)?;
        one("voting", fixture!("voting"), Voting::constructor(1), &[weigh], propose)?;
        one("notary", fixture!("notary"), Notary::constructor(), &[], record)?;
        one("provenance", fixture!("provenance"), Provenance::constructor(), &[], grow)?;
        one("swap", fixture!("swap"), Swap::constructor(), &[], offered)?;
        Ok(())
    }

    fn print(&self) {
        if let Some((recorder, names)) = &self.traced {
            println!("{}", recorder.profile().table(names));
            return;
        }
        println!(
            "{:<11} {:<15} {:>8} {:>12} {:<16} {:>9} {:>8}",
            "contract", "language", "bytes", "deploy fuel", "call", "fuel", "µs"
        );
        for row in &self.rows {
            let Row { contract, language, bytes, deploy_fuel, call, fuel, micros } = row;
            let bytes = if *language == "Rust, native" { "–".to_owned() } else { bytes.to_string() };
            println!("{contract:<11} {language:<15} {bytes:>8} {deploy_fuel:>12} {call:<16} {fuel:>9} {micros:>8.1}");
        }
    }
}

fn compare(engine: &str, runtime: WasmRuntime) -> Result {
    let native = NativeRuntime::new().with(contracts::Token);
    let executor = LedgerExecutor::default().with(native).with(runtime);
    let (ledger, traced) = if std::env::args().any(|argument| argument == "--trace") {
        let recorder = Recorder::new(executor);
        (TestLedger::new(recorder.clone()), Some((recorder, Names::new())))
    } else {
        (TestLedger::new(executor), None)
    };
    let mut bench = Bench { ledger, owner: MemorySigner::from_seed([1; 32]), rows: Vec::new(), traced };
    println!("WebAssembly on {engine}");
    bench.tokens()?;
    bench.others()?;
    bench.print();
    Ok(())
}

fn main() -> Result {
    compare("wasmi", WasmRuntime::wasmi()?)?;
    #[cfg(feature = "wasmtime")]
    compare("wasmtime", WasmRuntime::wasmtime(contracts::wasm::WasmtimeConfig::at_once())?)?;
    Ok(())
}
