//! A chain with a contract of one's own: composed, used, proven. `cargo run --release --example compose`

use ledgerkit::consensus::Solo;
use ledgerkit::contracts::{Contract, Host, NATIVE, NativeRuntime, Trap};
use ledgerkit::core::{ContractId, Genesis, Key, Proven, Timestamp, TransactionBuilder, codec};
use ledgerkit::crypto::{MemorySigner, Signer};
use ledgerkit::node::NodeBuilder;
use std::error::Error;

/// The contract: anyone may add to a counter.
struct Counter;

impl Contract for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        let stored = host.get(b"count")?.unwrap_or_default();
        let count = u64::from_le_bytes(stored.as_slice().try_into().unwrap_or_default());
        match (method, arguments) {
            ("count", []) => Ok(count.to_le_bytes().to_vec()),
            ("add", [step]) => {
                let sum = count.checked_add(u64::from(*step)).ok_or(Trap::refused(1, "the counter is full"))?;
                host.put(b"count", &sum.to_le_bytes())?;
                Ok(sum.to_le_bytes().to_vec())
            }
            _ => Err(Trap::UnknownMethod),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let owner = MemorySigner::from_seed([7; 32]);
    let genesis = Genesis::solo("compose", owner.public_key(), Timestamp(0));

    // The node: where it keeps things, what runs contracts, who orders.
    let node = NodeBuilder::new()
        .folder(&folder)? // the log on this disk, the views in fjall beside it
        .runtime(NativeRuntime::new().with(Counter))
        .start()
        .await?;
    let chain = node.chain(genesis, Solo::new(owner)).await?;

    // A client: deploy, call, wait until it can be proven.
    let alice = MemorySigner::from_seed([8; 32]);
    let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"counter".to_vec(), vec![]).sign(&alice)?;
    let deployed = chain.submit(deploy).await?.certified().await?;
    let contract = ContractId::deployed_by(&deployed.executed.id);
    let call = TransactionBuilder::call(chain.id(), contract, "add", vec![42]).sequence(0, 1).sign(&alice)?;
    let certified = chain.submit(call).await?.certified().await?;
    println!("42 added in block {}: {:?}", certified.executed.place.height, certified.executed.result.receipt.status);

    // A verifier, somewhere else: it sees bytes and trusts the genesis, nothing else.
    let (proof, checkpoint) = chain.prove_state(&Key::new(contract, b"count".as_slice()))?;
    let trust_root = codec::encode(&chain.trust_root());
    let proven = ledgerkit::core::verify(&codec::encode(&proof), &codec::encode(&*checkpoint), &trust_root)?;
    if let Proven::State { value: Some(value), at, .. } = proven {
        println!("proven after block {at}: the counter's bytes are {:?}, written in {}", value.value, value.version);
    }

    // The same against another chain's genesis is refused.
    let other = Genesis::solo("other", MemorySigner::from_seed([9; 32]).public_key(), Timestamp(0));
    let other = codec::encode(&ledgerkit::core::TrustRoot::new(other));
    let refused = ledgerkit::core::verify(&codec::encode(&proof), &codec::encode(&*checkpoint), &other);
    println!("against another genesis: {}", refused.err().map_or("accepted?!".into(), |error| error.to_string()));
    drop(chain);
    node.shutdown().await?;
    Ok(())
}
