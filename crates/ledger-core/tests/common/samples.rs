//! The values that the golden files pin. They are spelled out here, in files named as here, and in `docs/format.md`.

use super::bft::{self, Network};
use super::chain::{self, Chain, note, signer};
use ledger_core::codec::{self, Bytes, Encode, List};
use ledger_core::state::tree;
use ledger_core::*;
use ledger_crypto::merkle::{self, Blake3, TreeHasher};
use ledger_crypto::{Digest, Domain, MemorySigner, PublicKey, Signature, Signer};

/// A golden file: its name and its entries.
pub struct File {
    pub name: &'static str,
    pub entries: Vec<(String, Vec<u8>)>,
}

impl File {
    fn new(name: &'static str) -> Self {
        File { name, entries: Vec::new() }
    }

    fn value<T: Encode>(&mut self, name: &str, value: &T) -> &mut Self {
        self.bytes(name, codec::encode(value))
    }

    fn bytes(&mut self, name: &str, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.entries.push((name.to_owned(), bytes.as_ref().to_vec()));
        self
    }
}

/// Every file there is.
pub fn files() -> Vec<File> {
    let chain = chain::notes();
    vec![
        primitives(),
        keys(),
        genesis(&chain),
        transactions(&chain),
        receipts(&chain),
        blocks(&chain),
        state(&chain),
        checkpoints(&chain),
        proofs(&chain),
        finality(),
        epochs(),
        snapshots(&chain),
    ]
}

fn filled(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

/// What a signature covers: 32 bytes of prefix, the domain padded to 32 bytes, the message.
fn preimage(domain: Domain, message: &[u8]) -> Vec<u8> {
    let mut bytes = b"ledgerkit ed25519 signature v0 \0".to_vec();
    bytes.extend_from_slice(domain.name().as_bytes());
    bytes.resize(64, 0);
    bytes.extend_from_slice(message);
    bytes
}

fn primitives() -> File {
    let mut file = File::new("primitives");
    for number in [0, 250, 251, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        file.value(&format!("integer {number}"), &number);
    }
    file.value("bytes 07 08", &Bytes::from(vec![7, 8]))
        .value("text \"né\"", &codec::Text::from("né"))
        .value("list of integers 1, 300", &List::from(vec![1u64, 300]))
        .value("option none", &None::<u64>)
        .value("option of integer 5", &Some(5u64))
        .bytes("hash domain \"ledgerkit.1.body\", message \"abc\"", ledger_crypto::hash(domains::BODY, b"abc"))
        .bytes("merkle leaf \"abc\" (BLAKE3)", Blake3::leaf(b"abc"))
        .bytes("merkle node (BLAKE3) of 01…, 02…", Blake3::node(&filled(1), &filled(2)))
        .bytes("merkle root (BLAKE3) of nothing", merkle::root::<Blake3>(&[]))
        .bytes(
            "merkle root (BLAKE3) of leaf hashes 01…, 02…, 03…",
            merkle::root::<Blake3>(&[filled(1), filled(2), filled(3)]),
        )
        .bytes(
            "list root, domain \"ledgerkit.1.events\", of leaf hashes 01…, 02…, 03…",
            list_root::commit(domains::EVENTS, &[filled(1), filled(2), filled(3)]),
        )
        .bytes("list root, domain \"ledgerkit.1.events\", of nothing", list_root::commit(domains::EVENTS, &[]))
        .bytes("history leaf of header digest 01…, outcome digest 02…", history::leaf(&filled(1), &filled(2)))
        .value("history head, empty", &HistoryHead::EMPTY);
    file
}

fn keys() -> File {
    let mut file = File::new("keys");
    for (name, seed) in [("owner", 1), ("author A", 2), ("author B", 3)] {
        let key = signer(seed).public_key();
        file.bytes(&format!("{name}: seed"), [seed; 32])
            .bytes(&format!("{name}: public key"), key.as_bytes())
            .bytes(&format!("{name}: account"), AccountId::of_ed25519(&key).0);
    }
    file
}

fn genesis(chain: &Chain) -> File {
    let mut only = chain.genesis.clone();
    only.rules.deployers = Deployers::Only(vec![AccountId(filled(1))].into());
    let mut file = File::new("genesis");
    file.value("genesis", &chain.genesis)
        .bytes("genesis: chain id", chain.id().0)
        .value("genesis with deployers", &only)
        .bytes("genesis with deployers: chain id", only.chain().0)
        .value("genesis header", &chain.genesis.header())
        .bytes("genesis header: digest", chain.genesis.header().digest())
        .value("genesis outcome", &chain.genesis.outcome())
        .bytes("genesis outcome: digest", chain.genesis.outcome().digest());
    file
}

fn signed(file: &mut File, name: &str, signed: &SignedTransaction) {
    let id = signed.id();
    let Witness::Ed25519 { signature, .. } = &signed.witness;
    file.value(&format!("{name}: transaction"), &signed.transaction)
        .bytes(&format!("{name}: id"), id.0)
        .bytes(&format!("{name}: signature preimage"), preimage(domains::SIGN_TRANSACTION, id.0.as_ref()))
        .bytes(&format!("{name}: signature"), signature)
        .value(&format!("{name}: body"), signed.body.as_ref().unwrap())
        .bytes(&format!("{name}: body digest"), signed.body.as_ref().unwrap().digest())
        .value(&format!("{name}: signed transaction"), signed)
        .value(&format!("{name}: leaf"), &signed.leaf())
        .bytes(&format!("{name}: leaf hash"), signed.leaf().hash());
}

fn transactions(chain: &Chain) -> File {
    let mut file = File::new("transaction");
    let deploy = &chain.blocks[1].transactions[0];
    signed(&mut file, "deploy", deploy);
    file.bytes("deploy: contract id", ContractId::deployed_by(&deploy.id()).0);
    signed(&mut file, "call", &chain.blocks[2].transactions[0]);
    let mut redacted = chain.blocks[2].transactions[0].clone();
    redacted.body = None;
    file.value("call: signed transaction, redacted", &redacted);
    signed(&mut file, "commit", &commit(chain.id(), &signer(2)));
    let endorsed = commit(chain.id(), &signer(2)).transaction.endorsed();
    file.value("commit: read-write set", &read_write_set())
        .bytes("commit: what endorsers sign", endorsed)
        .bytes("commit: endorsement preimage", preimage(domains::SIGN_ENDORSEMENT, endorsed.as_ref()));
    file
}

fn read_write_set() -> ReadWriteSet {
    let version = Version { height: Height(2), index: 1 };
    let range = |to: Option<&[u8]>| KeyRange {
        namespace: chain::contract(),
        from: Bytes::from(b"a".as_slice()),
        to: to.map(Bytes::from),
    };
    ReadWriteSet {
        reads: vec![(note("rye"), Some(version)), (note("oat"), None)].into(),
        ranges: vec![(range(Some(b"b")), List::new()), (range(None), vec![(note("rye"), version)].into())].into(),
        writes: vec![(note("rye"), None), (note("oat"), Some(Bytes::from(b"meal".as_slice())))].into(),
    }
}

fn commit(chain: ChainId, signer: &MemorySigner) -> SignedTransaction {
    let body = Body { salt: [0xc0; 16], content: Bytes::from(codec::encode(&read_write_set())) };
    let endorsement = Endorsement { key: PublicKey::new([4; 32]), signature: Signature::new([5; 64]) };
    let transaction = Transaction {
        version: transaction::TRANSACTION_VERSION,
        chain,
        account: AccountId::of_ed25519(&signer.public_key()),
        order: Order::Unordered,
        expires_at: Some(chain::BEGINNING.plus(60_000)),
        fuel_limit: Fuel(1_000_000),
        fee: 0,
        action: Action::Commit { endorsements: vec![endorsement].into() },
        body: body.digest(),
    };
    transaction.sign(signer, body).unwrap()
}

fn receipts(chain: &Chain) -> File {
    let mut file = File::new("receipt");
    let result = &chain.results[2][0];
    file.value("receipt", &result.receipt)
        .bytes("receipt: leaf hash", result.receipt.leaf())
        .value("transaction result", result);
    for (index, event) in result.events.iter().enumerate() {
        file.value(&format!("event {index}"), event).bytes(&format!("event {index}: leaf hash"), event.leaf());
    }
    file.value("status: succeeded", &Status::Succeeded);
    let failures = [
        ("out of fuel", Failure::OutOfFuel { limit: Fuel(1_000) }),
        ("refused", Failure::Refused { code: 9, message: "no".into() }),
        ("trapped", Failure::Trapped { message: "division by zero".into() }),
        ("unknown contract", Failure::UnknownContract { contract: ContractId(filled(7)) }),
        ("unknown method", Failure::UnknownMethod { method: "fly".into() }),
        ("unknown runtime", Failure::UnknownRuntime { runtime: "jvm".into() }),
        ("invalid code", Failure::InvalidCode { message: "empty".into() }),
        ("invalid body", Failure::InvalidBody { message: "short".into() }),
        ("redacted", Failure::Redacted),
        ("limit", Failure::Limit { what: "key".into(), size: 2_000, limit: 1_024 }),
        ("conflict", Failure::Conflict { message: "rye".into() }),
        ("forbidden", Failure::Forbidden { what: "deploy".into() }),
        ("unsupported", Failure::Unsupported { what: "commit".into() }),
    ];
    for (name, failure) in failures {
        file.value(&format!("status: failed, {name}"), &Status::Failed(failure));
    }
    let rejections = [
        ("out of order", Rejection::OutOfOrder { lane: 1, expected: 2, found: 300 }),
        ("expired", Rejection::Expired { expired_at: Timestamp(5), now: Timestamp(6) }),
        ("wrong key", Rejection::WrongKey { key: PublicKey::new([8; 32]) }),
        ("duplicate", Rejection::Duplicate),
        ("unsupported", Rejection::Unsupported { what: "unordered".into() }),
        ("block fuel", Rejection::BlockFuel { left: Fuel(1), limit: Fuel(2) }),
        ("too distant", Rejection::TooDistant { expires_at: Timestamp(7), latest: Timestamp(6) }),
    ];
    for (name, rejection) in rejections {
        file.value(&format!("status: rejected, {name}"), &Status::Rejected(rejection));
    }
    file
}

fn blocks(chain: &Chain) -> File {
    let mut file = File::new("block");
    for height in [1, 2] {
        let (block, outcome) = (&chain.blocks[height], &chain.outcomes[height]);
        file.value(&format!("header {height}"), &block.header)
            .bytes(&format!("header {height}: digest"), block.digest())
            .value(&format!("outcome {height}"), outcome)
            .bytes(&format!("outcome {height}: digest"), outcome.digest())
            .bytes(&format!("history leaf {height}"), history::leaf(&block.digest(), &outcome.digest()));
    }
    file.value("block 1", &chain.blocks[1]);
    let mut sealed = chain.blocks[1].header.clone();
    sealed.seal = Bytes::from(vec![1, 2, 3]);
    file.value("header with seal", &sealed);
    let mut validators = chain.outcomes[1].clone();
    validators.validators = vec![ValidatorUpdate { key: PublicKey::new([6; 32]), weight: Weight(300) }].into();
    file.value("outcome with validators", &validators).bytes("outcome with validators: digest", validators.digest());
    file
}

fn state(chain: &Chain) -> File {
    let mut file = File::new("state");
    let key = note("tea");
    let (old, new) = (&chain.states[2][&key], &chain.states[3][&key]);
    file.value("key", &key).bytes("key: bytes", key.to_bytes());
    for (name, value) in [("first value", old), ("second value", new)] {
        let (digest, mut message, mut leaf) = (tree::value_digest(&value.value), Vec::new(), Vec::new());
        tree::value_message(&value.value, &mut message);
        tree::leaf_message(&key.to_bytes(), value.version, value.predecessor.as_ref(), &digest, &mut leaf);
        file.value(name, value)
            .bytes(&format!("{name}: value message"), message)
            .bytes(&format!("{name}: value digest"), digest)
            .bytes(&format!("{name}: leaf message"), leaf)
            .bytes(&format!("{name}: leaf"), value.leaf(&key));
    }
    file.bytes("sequence key of account 01…, lane 258: bytes", Key::sequence(&AccountId(filled(1)), 258).to_bytes())
        .bytes(
            "unordered key of transaction 01…, expiry 258: bytes",
            Key::unordered(Timestamp(258), &TransactionId(filled(1))).to_bytes(),
        )
        .bytes("contract key of contract 01…: bytes", Key::contract(&ContractId(filled(1))).to_bytes())
        .bytes("node of 01…, 02…", tree::node(&filled(1), &filled(2)))
        .bytes("root of no keys", tree::EMPTY)
        .bytes("root after block 1 (one key)", chain.outcomes[1].state_root)
        .bytes("root after block 2 (five keys)", chain.outcomes[2].state_root);
    file
}

fn checkpoints(chain: &Chain) -> File {
    let mut file = File::new("checkpoint");
    let checkpoint = chain.checkpoint(4);
    let pinned = TrustRoot { pinned: Some(chain.head(3)), ..chain.trust() };
    file.value("checkpoint at the genesis", &chain.checkpoint(0))
        .value("checkpoint at 4", &checkpoint)
        .bytes("checkpoint at 4: header digest", checkpoint.header.digest())
        .bytes("checkpoint at 4: signature preimage", preimage(domains::SIGN_SOLO, checkpoint.header.digest().as_ref()))
        .bytes("checkpoint at 4: signature", &checkpoint.certificate)
        .value("trust root", &chain.trust())
        .value("trust root with pinned head", &pinned);
    file
}

fn snapshots(chain: &Chain) -> File {
    let mut file = File::new("snapshot");
    let (manifest, chunks) = chain.snapshot(4, &[note("rye")]);
    file.value("manifest at 3, in two chunks", &manifest).bytes("manifest at 3: digest", manifest.digest());
    for (index, chunk) in chunks.iter().enumerate() {
        file.bytes(&format!("chunk {index}"), chunk)
            .bytes(&format!("chunk {index}: digest"), snapshot::chunk_digest(chunk));
    }
    file
}

/// Proofs against the checkpoint at height 4, whose history has 4 leaves: blocks 0 to 3.
pub fn golden_proofs(chain: &Chain) -> Vec<(&'static str, Proof)> {
    let shown = chain.transaction_proof(2, 0, 4);
    let hidden = TransactionProof { body: None, ..chain.transaction_proof(2, 2, 4) };
    vec![
        ("transaction", Proof::Transaction(shown)),
        ("transaction without body", Proof::Transaction(hidden)),
        ("receipt", Proof::Receipt(chain.receipt_proof(2, 2, 4))),
        ("event", Proof::Event(chain.event_proof(2, 0, 1, 4))),
        ("state present", Proof::State(chain.state_proof(&note("tea"), 4))),
        ("state absent, between keys", Proof::State(chain.state_proof(&note("rye"), 4))),
        ("state absent, after all keys", Proof::State(chain.state_proof(&note("zzz"), 4))),
        ("history", Proof::History(chain.consistency(3, 4))),
        ("range of all notes", Proof::Range(chain.range_proof(&all_notes(), 4))),
        ("range of some notes", Proof::Range(chain.range_proof(&KeyRange::prefix(chain::contract(), b"index/"), 4))),
        ("range without notes", Proof::Range(chain.range_proof(&KeyRange::prefix(chain::contract(), b"j"), 4))),
        ("past state", Proof::Past(PastProof::State(chain.past_state(&note("tea"), 2, 4)))),
        ("past range", Proof::Past(PastProof::Range(chain.past_range(&all_notes(), 2, 4)))),
        ("values", Proof::ValueHistory(chain.value_history(&note("tea"), 9, 4))),
    ]
}

/// Every key of the contract of [`chain::notes`].
pub fn all_notes() -> KeyRange {
    KeyRange { namespace: chain::contract(), from: Bytes::default(), to: None }
}

fn proofs(chain: &Chain) -> File {
    let mut file = File::new("proof");
    for (name, proof) in golden_proofs(chain) {
        file.value(name, &proof);
    }
    file
}

/// Certificates and evidence of a network of four validators.
fn finality() -> File {
    let mut file = File::new("finality");
    let network = Network::new("four notes", &[(1, 1), (2, 1), (3, 2), (4, 3)]);
    let (chain, epoch, view, digest) = (ChainId(filled(1)), Epoch(2), View(300), filled(2));
    for (name, vote) in [
        ("notarize", BftVote::Notarize(digest)),
        ("nullify", BftVote::Nullify),
        ("finalize", BftVote::Finalize(digest)),
    ] {
        file.bytes(&format!("vote subject: {name}"), vote.message(chain, epoch, view));
    }
    let headers = network.headers(3);
    let (signed, certified) = (&headers[2], &headers[1]);
    let alone = network.certificate(signed, View(7), &[1, 3, 4], &[]);
    let descends = network.certificate(certified, View(7), &[1, 3, 4], std::slice::from_ref(signed));
    let vote = BftVote::Finalize(signed.digest());
    file.bytes("validator set", network.set.to_bytes())
        .value("genesis", &network.genesis)
        .value("header 3", signed)
        .bytes("header 3: digest", signed.digest())
        .bytes(
            "header 3: signature preimage of view 7",
            preimage(domains::SIGN_FINALIZE, &vote.message(network.genesis.chain(), Epoch(0), View(7))),
        )
        .value("certificate of header 3", &alone)
        .value("certificate of header 2 by header 3", &descends)
        .value("evidence", &bft::equivocation(&network, 2));
    file
}

/// A chain of four validators, whose third epoch has one proof's worth of everything.
///
/// ```text
/// 0  genesis, epoch 0: validators 1, 2, 3, 4 with weights 1, 1, 2, 3
/// 1  changes the validators: 1 leaves, 5 comes with weight 2
/// 2  closes epoch 0
/// 3  epoch 1: author A's note
/// 4  changes the validators: 2 has weight 3
/// 5  closes epoch 1
/// 6… epoch 2, empty
/// ```
pub fn changing() -> Chain {
    let mut chain = Chain::of_validators("four notes", &[(1, 1), (2, 1), (3, 2), (4, 3)]);
    let transaction = TransactionBuilder::call(chain.id(), chain::contract(), "put", b"tea=green".to_vec())
        .sequence(0, 0)
        .salt([0xd0; 16])
        .sign(&signer(2))
        .unwrap();
    chain.change_validators(bft::updates(&[(1, 0), (5, 2)]));
    chain.append(vec![chain::Entry {
        writes: vec![(note("tea"), Some(b"green".to_vec()))],
        ..chain::Entry::succeeded(transaction)
    }]);
    chain.change_validators(bft::updates(&[(2, 3)]));
    for _ in 6..9 {
        chain.append(Vec::new());
    }
    chain
}

fn epochs() -> File {
    let mut file = File::new("epochs");
    let chain = changing();
    let known = TrustedValidators {
        epoch: Epoch(1),
        validators: chain.networks[1].set.as_slice().to_vec().into(),
        known_at: chain::BEGINNING.plus(3_000),
    };
    let trusting = TrustingPeriod { now: chain::BEGINNING.plus(60_000), period_ms: 14 * 24 * 3_600_000 };
    let later = TrustRoot { validators: Some(known), trusting: Some(trusting), ..chain.trust() };
    file.value("trust root", &chain.trust())
        .value("trust root with validators of epoch 1 and a trusting period", &later)
        .value("epoch change 0", &chain.epoch_change(0))
        .value("epoch change 1", &chain.epoch_change(1))
        .bytes("validator set of epoch 2", chain.networks[2].set.to_bytes())
        .bytes("checkpoint at 8, bundle", chain.bundle(8).to_bytes())
        .value("state present at 8", &Proof::State(chain.state_proof(&note("tea"), 8)));
    file
}
