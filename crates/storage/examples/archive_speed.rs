//! How small the archive makes blocks, and how fast it takes and gives them: signed transfers and signed documents with
//! their receipts and events, on a real folder. `cargo run --release -p ledger-storage --example archive_speed [folder]`
//!
//! Signatures, keys and digests are random bytes and don't compress; what does are documents, zeros and repeated fields.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ledger_core::{
    AccountId, ChainId, ContractId, Event, Fuel, Height, Receipt, SignedTransaction, Status, TransactionBuilder,
    TransactionResult, codec,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use ledger_storage::archive::{Archive, ArchiveConfig, Entry};
use ledger_storage::disk::RealDisk;
use ledger_storage::log::LogId;

/// Transactions in all.
const TRANSACTIONS: u64 = 60_000;
/// Accounts that sign.
const ACCOUNTS: u8 = 200;
const READS: u64 = 2_000;

type Failure = Box<dyn Error>;

/// A plain generator (xorshift): the same blocks in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Clone, Copy)]
enum Load {
    /// Transfers of a token: an account and an amount.
    Transfers,
    /// What happened to goods, as JSON of about 500 bytes.
    Documents,
}

fn arguments(load: Load, dice: &mut Dice, to: &AccountId) -> Vec<u8> {
    match load {
        Load::Transfers => {
            let amount = u128::from(dice.roll(10_000));
            [to.0.as_bytes().as_slice(), &amount.to_le_bytes()].concat()
        }
        Load::Documents => format!(
            r#"{{"type":"ObjectEvent","action":"OBSERVE","bizStep":"shipping","disposition":"in_transit",
            "epcList":["urn:epc:id:sgtin:0614141.107346.{}","urn:epc:id:sgtin:0614141.107346.{}"],
            "eventTime":"2026-03-{:02}T{:02}:{:02}:{:02}.000Z","eventTimeZoneOffset":"-05:00",
            "readPoint":{{"id":"urn:epc:id:sgln:0614141.00777.{}"}},"bizLocation":{{"id":"urn:epc:id:sgln:0614141.00888.0"}},
            "bizTransactionList":[{{"type":"po","bizTransaction":"http://transaction.example.com/po/{}"}}]}}"#,
            dice.roll(1 << 40),
            dice.roll(1 << 40),
            1 + dice.roll(28),
            dice.roll(24),
            dice.roll(60),
            dice.roll(60),
            dice.roll(50),
            dice.roll(1 << 30),
        )
        .into_bytes(),
    }
}

/// Encoded transactions and results.
fn made(load: Load, chain: ChainId) -> Result<Vec<(SignedTransaction, TransactionResult)>, Failure> {
    let signers: Vec<MemorySigner> = (0..ACCOUNTS).map(|seed| MemorySigner::from_seed([seed; 32])).collect();
    let contract = ContractId(Digest::new([9; 32]));
    let mut dice = Dice(88_172_645_463_325_252);
    let mut made = Vec::new();
    for number in 0..TRANSACTIONS {
        let pick = usize::try_from(dice.roll(ACCOUNTS.into()))?;
        let other = usize::try_from(dice.roll(ACCOUNTS.into()))?;
        let (Some(from), Some(to)) = (signers.get(pick), signers.get(other)) else { continue };
        let data = arguments(load, &mut dice, &AccountId::of_ed25519(&to.public_key()));
        let (method, topic) = match load {
            Load::Transfers => ("transfer", "transferred"),
            Load::Documents => ("capture", "captured"),
        };
        let call = TransactionBuilder::call(chain, contract, method, data.clone()).sequence(0, number / 200);
        let transaction = call.sign(from)?;
        // A transfer tells of itself whole; a document's event names its transaction.
        let told = match load {
            Load::Transfers => data,
            Load::Documents => transaction.id().0.as_bytes().to_vec(),
        };
        let event = Event { contract, topic: topic.into(), data: told.into() };
        let receipt = Receipt {
            transaction: transaction.id(),
            index: 0,
            status: Status::Succeeded,
            fuel_used: Fuel(20_000 + dice.roll(500)),
            output: Vec::new().into(),
            event_count: 1,
            events_root: event.leaf(),
        };
        made.push((transaction, TransactionResult { receipt, events: vec![event].into() }));
    }
    Ok(made)
}

fn measure(folder: &Path, name: &str, load: Load, block: usize) -> Result<(), Failure> {
    let chain = ChainId(Digest::new([1; 32]));
    let blocks: Vec<(Vec<u8>, Vec<u8>)> = made(load, chain)?
        .chunks(block)
        .map(|chunk| {
            let transactions = chunk.iter().flat_map(|(transaction, _)| codec::encode(transaction)).collect();
            (transactions, chunk.iter().flat_map(|(_, result)| codec::encode(result)).collect())
        })
        .collect();
    let certificate: Vec<u8> = (0..64_u8).map(|byte| byte.wrapping_mul(167)).collect();
    let mut archive = Archive::open(Arc::new(RealDisk::open(folder)?), LogId::new([7; 32]), ArchiveConfig::default())?;
    let started = Instant::now();
    for ((block, results), height) in blocks.iter().zip(1..) {
        let height = Height(height);
        archive.append(&Entry { chain, height, block, certificate: &certificate, results })?;
    }
    archive.seal()?;
    let (written, counters) = (started.elapsed(), archive.counters());
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let reader = archive.reader();
    let started = Instant::now();
    let mut read = 0;
    for height in (1..=blocks.len() as u64).map(Height) {
        read += (reader.block(chain, height)?.block.len() + reader.results(chain, height)?.len()) as u64;
    }
    let in_order = started.elapsed();
    let mut dice = Dice(1);
    let started = Instant::now();
    for _ in 0..READS {
        reader.block(chain, Height(1 + dice.roll(blocks.len() as u64)))?;
    }
    let at_random = started.elapsed();
    println!(
        "{name}, {block} a block: {:.1} MiB to {:.1} MiB ({:.2} to 1); sealed with sync at {:.0} MiB/s; read in order at \
         {:.0} MiB/s; a block at random in {:.0} us",
        mib(counters.raw_bytes),
        mib(counters.sealed_bytes),
        counters.raw_bytes as f64 / counters.sealed_bytes as f64,
        mib(counters.raw_bytes) / written.as_secs_f64(),
        mib(read) / in_order.as_secs_f64(),
        at_random.as_secs_f64() * 1e6 / READS as f64,
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or_else(|| temporary.path().to_path_buf(), Into::into);
    if RealDisk::open(folder.join("probe"))?.is_volatile() {
        println!("{} lies in memory: syncs cost nothing there", folder.display());
    }
    let runs = [
        ("transfers", Load::Transfers, 1_000),
        ("transfers", Load::Transfers, 10),
        ("documents", Load::Documents, 1_000),
        ("documents", Load::Documents, 10),
    ];
    for (index, (name, load, block)) in runs.into_iter().enumerate() {
        measure(&folder.join(format!("run-{index}")), name, load, block)?;
    }
    Ok(())
}
