//! What transactions bring along for the lifecycle of contracts and for commits: any bytes, and what could mean something.

use super::ledgers::{Ledger, account, alice, apply_everywhere, bob, label, ledgers, sign};
use super::{below, bytes, one_of};
use arbitrary::Unstructured;
use ledger_contracts::lifecycle::{Description, Instantiate, Metadata, Upgrade, Upload, WritePolicy};
use ledger_contracts::record::{ContractRecord, code_digest};
use ledger_contracts::wasm::WASM;
use ledger_contracts::{LIFECYCLE, NATIVE, UpgradePolicy};
use ledger_core::codec::{self, Bytes, Format, List, Text};
use ledger_core::transaction::{Body, DeployBody, Endorsement, ReadWriteSet};
use ledger_core::{
    Action, ContractId, Execution, Key, KeyRange, Order, SignedTransaction, StateView, Status, Transaction,
    TransactionBuilder, Version,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Names of keys that contracts here have, and some that they don't.
const NAMES: [&[u8]; 5] = [b"a", b"founder", b"migrated", b"", b"zz"];
/// Methods of the lifecycle contract.
const METHODS: [&str; 7] = ["upload", "instantiate", "upgrade", "pause", "resume", "describe", "nothing"];

/// What a script works on.
#[derive(Clone)]
struct World {
    ledgers: Vec<Ledger>,
    contracts: Vec<ContractId>,
    seen: Vec<String>,
}

/// Some transactions, in blocks of one or several. Each has a receipt; what succeeded was in its canonical encoding, and
/// allowed by policies and reads that still held, looked up here by other means; no contract changes but by leave.
pub(crate) fn run(input: &[u8]) -> Vec<String> {
    let mut input = Unstructured::new(input);
    static WORLD: LazyLock<World> = LazyLock::new(World::new);
    let mut world = WORLD.clone();
    for _ in 0..1 + below(&mut input, 6) {
        let count = one_of(&mut input, &[1, 1, 1, 2, 3]);
        let block: Vec<_> = (0..count).map(|_| world.transaction(&mut input)).collect();
        world.apply(&block);
    }
    world.seen
}

fn codes() -> &'static [(&'static str, Vec<u8>)] {
    static CODES: LazyLock<Vec<(&'static str, Vec<u8>)>> = LazyLock::new(|| {
        let module = |text: &str| wat::parse_str(text).unwrap();
        vec![
            (NATIVE, b"friend".to_vec()),
            (NATIVE, b"ally".to_vec()),
            (WASM, module(r#"(module (func (export "call_n")))"#)),
            (WASM, module(r#"(module (func (export "construct")) (func (export "migrate")))"#)),
            (WASM, module(r#"(module (func $f unreachable) (start $f) (func (export "migrate")))"#)),
            (WASM, b"\0asm\x01\0\0\0nothing".to_vec()),
            (NATIVE, b"nobody".to_vec()),
        ]
    });
    &CODES
}

fn endorsers() -> &'static [MemorySigner] {
    static ENDORSERS: LazyLock<Vec<MemorySigner>> = LazyLock::new(|| {
        let mut signers: Vec<_> = (11..14).map(|seed| MemorySigner::from_seed([seed; 32])).collect();
        signers.sort_by_key(Signer::public_key);
        signers
    });
    &ENDORSERS
}

impl World {
    fn new() -> Self {
        let (ledgers, residents) = ledgers();
        let mut world = World { ledgers, contracts: vec![residents.friend], seen: Vec::new() };
        let keys = endorsers().iter().map(Signer::public_key).collect();
        let made = [
            (UpgradePolicy::Owner(account(alice())), WritePolicy::Accounts(List::from(vec![account(bob())]))),
            (UpgradePolicy::Authority(residents.friend), WritePolicy::Endorsed { keys, least: 2 }),
        ];
        let chain = world.ledgers[0].ledger.chain();
        for (runtime, code) in &codes()[..4] {
            let upload = codec::encode(&Upload { runtime: Text::from(*runtime), code: Bytes::from(code.clone()) });
            let upload = TransactionBuilder::call(chain, LIFECYCLE, "upload", upload);
            let upload = sign(&mut world.ledgers, bob(), &upload);
            apply_everywhere(&mut world.ledgers, &[upload]);
        }
        for (policy, writes) in made {
            let (runtime, code) = (Text::from(NATIVE), code_digest(b"friend"));
            let metadata = Metadata { writes, ..Metadata::default() };
            let made = codec::encode(&Instantiate { runtime, code, policy, metadata, arguments: Bytes::default() });
            let made = TransactionBuilder::call(chain, LIFECYCLE, "instantiate", made);
            let made = sign(&mut world.ledgers, bob(), &made);
            let result = apply_everywhere(&mut world.ledgers, &[made]).results.remove(0);
            world.contracts.push(ContractId(Digest::new((*result.receipt.output).try_into().unwrap())));
        }
        world
    }

    fn state(&self) -> &dyn StateView {
        &self.ledgers[0].ledger.state
    }

    /// The next transaction, for a block that may have others.
    fn transaction(&mut self, input: &mut Unstructured<'_>) -> SignedTransaction {
        let signer = one_of(input, &[alice(), bob()]);
        let chain = self.ledgers[0].ledger.chain();
        let lifecycle =
            |method: &str, arguments: Vec<u8>| TransactionBuilder::call(chain, LIFECYCLE, method, arguments);
        let builder = match below(input, 14) {
            0 => lifecycle(one_of(input, &METHODS), bytes(input, 300)),
            1 => {
                let content = bytes(input, 300);
                return self.with_content(signer, Action::Commit { endorsements: List::new() }, content);
            }
            2 => {
                let runtime = Text::from(one_of(input, &[NATIVE, WASM, "", "else"]));
                let content = bytes(input, 300);
                return self.with_content(signer, Action::Deploy { runtime }, content);
            }
            3 => {
                let (runtime, code) = one_of(input, codes());
                TransactionBuilder::deploy(chain, runtime, code, one_of(input, &[b"".to_vec(), b"refuse".to_vec()]))
            }
            4 => {
                let (runtime, code) = one_of(input, codes());
                lifecycle("upload", damaged(input, &Upload { runtime: Text::from(runtime), code: Bytes::from(code) }))
            }
            5 | 6 => {
                let (method, arguments) = self.making(input);
                lifecycle(method, arguments)
            }
            7 => {
                let method = one_of(input, &["pause", "pause", "resume", "describe"]);
                lifecycle(method, self.contract(input).0.as_bytes().to_vec())
            }
            8 | 9 => {
                // By a contract, which some others have as their authority.
                let (method, arguments) = match below(input, 2) {
                    0 => self.making(input),
                    _ => (one_of(input, &["pause", "resume"]), self.contract(input).0.as_bytes().to_vec()),
                };
                let length = u8::try_from(method.len()).unwrap();
                let arguments = [&[length], method.as_bytes(), &arguments].concat();
                let other = self.contract(input);
                TransactionBuilder::call(chain, one_of(input, &[self.contracts[0], other]), "manage", arguments)
            }
            10 => {
                let method = one_of(input, &["put", "get", "refuse", "n"]);
                TransactionBuilder::call(chain, self.contract(input), method, [b"a".to_vec(), bytes(input, 8)].concat())
            }
            _ => return self.commit(input, signer),
        };
        sign(&mut self.ledgers, signer, &builder)
    }

    fn contract(&self, input: &mut Unstructured<'_>) -> ContractId {
        let strangers = [LIFECYCLE, ledger_core::state::SYSTEM, ContractId(Digest::new([9; 32]))];
        match below(input, 8) {
            0 => one_of(input, &strangers),
            _ => one_of(input, &self.contracts),
        }
    }

    /// An instantiation or an upgrade, and its arguments.
    fn making(&self, input: &mut Unstructured<'_>) -> (&'static str, Vec<u8>) {
        let (runtime, code) = one_of(input, codes());
        let (runtime, code) = (Text::from(runtime), code_digest(&code));
        let arguments = Bytes::from(one_of(input, &[b"".as_slice(), b"refuse", b"burn", b"x"]));
        let metadata = metadata(input);
        if below(input, 2) == 0 {
            let owner = UpgradePolicy::Owner(one_of(input, &[account(alice()), account(bob())]));
            let authority = UpgradePolicy::Authority(self.contract(input));
            let policy = one_of(input, &[UpgradePolicy::Immutable, owner, authority]);
            ("instantiate", damaged(input, &Instantiate { runtime, code, policy, metadata, arguments }))
        } else {
            let metadata = (below(input, 2) == 0).then_some(metadata);
            let contract = self.contract(input);
            ("upgrade", damaged(input, &Upgrade { contract, runtime, code, metadata, arguments }))
        }
    }

    /// A commit whose reads are, mostly, what the state says, endorsed by some.
    fn commit(&mut self, input: &mut Unstructured<'_>, signer: &'static MemorySigner) -> SignedTransaction {
        let version = |input: &mut Unstructured<'_>, found: Option<Version>| match below(input, 8) {
            0 => Some(Version { height: ledger_core::Height(below(input, 9) as u64), index: 0 }),
            1 => None,
            _ => found,
        };
        let (mut reads, mut ranges, mut writes) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        for _ in 0..below(input, 3) {
            let key = self.key(input);
            let found = self.state().get(&key).unwrap().map(|found| found.version);
            reads.insert(key, version(input, found));
        }
        for _ in 0..below(input, 2) {
            let range = KeyRange {
                namespace: self.contract(input),
                from: Bytes::from(one_of(input, &NAMES)),
                to: one_of(input, &[None, Some(Bytes::from(b"g".as_slice()))]),
            };
            let there = self.state().scan(&range).map(|entry| entry.unwrap());
            let there: Vec<_> = there.map(|(key, found)| (key, found.version)).collect();
            let there = there.into_iter().filter_map(|(key, found)| Some((key, version(input, Some(found))?)));
            ranges.push((range, there.collect()));
        }
        for _ in 0..1 + below(input, 3) {
            let value = one_of(input, &[Some(Bytes::from(b"committed".as_slice())), None]);
            writes.insert(self.key(input), value);
        }
        let set = ReadWriteSet {
            reads: reads.into_iter().collect(),
            ranges: List::from(ranges),
            writes: writes.into_iter().collect(),
        };
        let content = damaged(input, &set);
        let bare = self.envelope(signer, Action::Commit { endorsements: List::new() }, &content);
        let mut endorsements = Vec::new();
        for endorser in endorsers() {
            match below(input, 8) {
                0 => {}
                1 => {
                    let endorsement = Endorsement::sign(&bare, &endorsers()[0]).unwrap();
                    endorsements.push(Endorsement { key: endorser.public_key(), ..endorsement });
                }
                _ => endorsements.push(Endorsement::sign(&bare, endorser).unwrap()),
            }
        }
        self.with_content(signer, Action::Commit { endorsements: List::from(endorsements) }, content)
    }

    fn key(&self, input: &mut Unstructured<'_>) -> Key {
        Key::new(self.contract(input), one_of(input, &NAMES))
    }

    /// The next transaction of a signer, unsigned.
    fn envelope(&self, signer: &MemorySigner, action: Action, content: &[u8]) -> Transaction {
        let ledger = &self.ledgers[0].ledger;
        // What the builder gives the next transaction, with another action.
        let next = ledger.clone().sign(signer, TransactionBuilder::call(ledger.chain(), LIFECYCLE, "", Vec::new()));
        let next = next.unwrap().transaction;
        assert!(matches!(next.order, Order::Sequence { lane: 0, .. }));
        Transaction { action, body: body(content).digest(), ..next }
    }

    /// Signs a transaction with any content.
    fn with_content(&mut self, signer: &'static MemorySigner, action: Action, content: Vec<u8>) -> SignedTransaction {
        let envelope = self.envelope(signer, action, &content);
        // The number counts as used on all ledgers.
        let chain = self.ledgers[0].ledger.chain();
        sign(&mut self.ledgers, signer, &TransactionBuilder::call(chain, LIFECYCLE, "", Vec::new()));
        envelope.sign(signer, body(&content)).unwrap()
    }

    fn apply(&mut self, block: &[SignedTransaction]) {
        let before = self.ledgers[0].ledger.clone();
        let records: Vec<_> = self.contracts.iter().map(|contract| record(&before.state, contract).unwrap()).collect();
        let execution = apply_everywhere(&mut self.ledgers, block);
        for (signed, result) in block.iter().zip(&execution.results) {
            let succeeded = result.receipt.succeeded();
            let what = name(&signed.transaction.action);
            self.seen.push(format!("{what} {}", label(&result.receipt.status)));
            let canonical = decodes(&signed.transaction.action, signed.content().unwrap());
            assert!(canonical || !succeeded, "{what} succeeded with something else than its encoding");
            if succeeded && block.len() == 1 && matches!(signed.transaction.action, Action::Commit { .. }) {
                committed(&before.state, signed, &execution);
            }
        }
        for (contract, old) in self.contracts.iter().zip(&records) {
            let new = record(self.state(), contract).unwrap();
            self.changed(old, &new, block, &execution);
        }
        let made = execution.results.iter().flat_map(|result| result.events.iter());
        let made = made.filter(|event| event.contract == LIFECYCLE && event.topic.as_str() == "instantiated");
        let made: Vec<_> = made.map(|event| ContractId(Digest::new(event.data[..32].try_into().unwrap()))).collect();
        self.contracts.extend(made);
        let deployed = block.iter().zip(&execution.results).filter(|(signed, result)| {
            matches!(signed.transaction.action, Action::Deploy { .. }) && result.receipt.succeeded()
        });
        self.contracts.extend(deployed.map(|(signed, _)| ContractId::deployed_by(&signed.id())));
        let ledger = &self.ledgers[0].ledger;
        for contract in &self.contracts {
            let told = ledger.simulate(account(alice()), LIFECYCLE, "describe", contract.0.as_bytes()).unwrap();
            assert_eq!(told.status, Status::Succeeded);
            let told: Description = codec::decode(&told.output).unwrap();
            assert_eq!(Some(told.record), record(&ledger.state, contract));
        }
    }

    /// A contract's record changes only if somebody did something whom its policy names.
    fn changed(&self, old: &ContractRecord, new: &ContractRecord, block: &[SignedTransaction], execution: &Execution) {
        if old == new {
            return;
        }
        assert_eq!((old.policy, old.deployer, old.height), (new.policy, new.deployer, new.height));
        let results = block.iter().zip(&execution.results).filter(|(_, result)| result.receipt.succeeded());
        let mut by = results.map(|(signed, _)| &signed.transaction);
        let allowed = match old.policy {
            UpgradePolicy::Immutable => false,
            UpgradePolicy::Owner(owner) => by.any(|transaction| {
                transaction.account == owner
                    && matches!(&transaction.action, Action::Call { contract, .. } if *contract == LIFECYCLE)
            }),
            UpgradePolicy::Authority(authority) => by.any(
                |transaction| matches!(&transaction.action, Action::Call { contract, .. } if *contract == authority),
            ),
        };
        assert!(allowed, "{old:?} became {new:?}");
    }
}

fn body(content: &[u8]) -> Body {
    Body { salt: [0; 16], content: Bytes::from(content) }
}

/// An encoding, now and then with a byte changed or cut off.
fn damaged<T: Format>(input: &mut Unstructured<'_>, value: &T) -> Vec<u8> {
    let mut encoded = codec::encode(value);
    let at = |input: &mut Unstructured<'_>, encoded: &[u8]| below(input, encoded.len());
    match below(input, 12) {
        10 => {
            let at = at(input, &encoded);
            encoded[at] ^= u8::try_from(1 + below(input, 255)).unwrap();
        }
        11 => {
            let at = at(input, &encoded);
            encoded.truncate(at);
        }
        _ => {}
    }
    encoded
}

fn metadata(input: &mut Unstructured<'_>) -> Metadata {
    let keys: Vec<_> = endorsers().iter().take(below(input, 4)).map(Signer::public_key).collect();
    let mut accounts = vec![account(alice()), account(bob())];
    accounts.sort();
    if below(input, 8) == 0 {
        accounts.reverse();
    }
    let endorsed = WritePolicy::Endorsed { least: u32::try_from(below(input, 4)).unwrap(), keys: List::from(keys) };
    let writes = one_of(input, &[WritePolicy::None, WritePolicy::Accounts(List::from(accounts)), endorsed]);
    let long = one_of(input, &[0, 10, 512, 513]);
    let version = one_of(input, &[1, 1, 1, 2]);
    Metadata { version, source: Text::from("s".repeat(long).as_str()), writes, ..Metadata::default() }
}

fn record(state: &dyn StateView, contract: &ContractId) -> Option<ContractRecord> {
    let found = state.get(&Key::contract(contract)).unwrap()?;
    Some(codec::decode(&found.value).unwrap_or_else(|error| panic!("the state holds a broken record: {error}")))
}

fn name(action: &Action) -> String {
    match action {
        Action::Deploy { .. } => "deploy".to_owned(),
        Action::Commit { .. } => "commit".to_owned(),
        Action::Call { contract, method } if *contract == LIFECYCLE => method.as_str().to_owned(),
        Action::Call { .. } => "call".to_owned(),
    }
}

/// Whether `content` is what the action needs. What decodes encodes to the same bytes.
fn decodes(action: &Action, content: &[u8]) -> bool {
    fn is<T: Format>(content: &[u8]) -> bool {
        codec::decode::<T>(content).is_ok_and(|value| {
            assert_eq!(codec::encode(&value), content, "{} has two encodings", T::NAME);
            true
        })
    }
    match action {
        Action::Deploy { .. } => is::<DeployBody>(content),
        Action::Commit { .. } => is::<ReadWriteSet>(content),
        Action::Call { contract, method } if *contract == LIFECYCLE => match method.as_str() {
            "upload" => is::<Upload>(content),
            "instantiate" => is::<Instantiate>(content),
            "upgrade" => is::<Upgrade>(content),
            "pause" | "resume" | "describe" => content.len() == 32,
            _ => false,
        },
        Action::Call { .. } => true,
    }
}

/// A commit that succeeded, alone in its block: every read is what the state said, the contracts let it, and what it writes
/// is written.
fn committed(before: &dyn StateView, signed: &SignedTransaction, execution: &Execution) {
    let set: ReadWriteSet = codec::decode(signed.content().unwrap()).unwrap();
    for (key, seen) in &set.reads {
        assert_eq!(before.get(key).unwrap().map(|found| found.version), *seen, "{key:?}");
    }
    for (range, seen) in &set.ranges {
        let there = before.scan(range).map(|entry| entry.unwrap());
        let there: Vec<_> = there.map(|(key, found)| (key, found.version)).collect();
        assert_eq!(seen[..], there[..]);
    }
    for (key, value) in &set.writes {
        let written = execution.writes.iter().find(|write| write.key == *key);
        // Deleting what isn't there changes nothing.
        let nothing = value.is_none() && before.get(key).unwrap().is_none();
        assert!(nothing || written.is_some_and(|write| write.value == *value), "{key:?}");
        assert!(!record(before, &key.namespace).unwrap().paused);
        let metadata = before.get(&ledger_contracts::record::metadata_key(&key.namespace)).unwrap();
        let metadata: Metadata =
            metadata.map_or_else(Metadata::default, |metadata| codec::decode(&metadata.value).unwrap());
        let allowed = match metadata.writes {
            WritePolicy::None => false,
            WritePolicy::Accounts(accounts) => accounts.contains(&signed.transaction.account),
            WritePolicy::Endorsed { keys, least } => {
                let Action::Commit { endorsements } = &signed.transaction.action else { panic!() };
                let over = signed.transaction.endorsed();
                let valid = |key: &&ledger_crypto::PublicKey| {
                    let mut theirs = endorsements.iter().filter(|endorsement| endorsement.key == **key);
                    theirs.any(|endorsement| ledger_crypto::verify(&endorsement.check(&over)).is_ok())
                };
                keys.iter().filter(valid).count() >= least as usize
            }
        };
        assert!(allowed, "nobody may write {key:?} so");
    }
}
