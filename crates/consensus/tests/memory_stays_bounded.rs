//! Whatever a validator sends, the others' memory stays bounded and the chain goes on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use ledger_consensus::bft::wire::{self, Finalization, Message, Proposal, Quorum, Vote};
use ledger_consensus::{BftConfig, Input};
use ledger_core::{BftVote, Epoch, Header, Lane, Signed, View, codec};
use ledger_crypto::{Digest, Signature, Signer};
use net::driver::empty_block;
use net::{MockSigner, Net};
use peak_alloc::PeakAlloc;
use std::sync::Arc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const LIAR: usize = 3;

/// Something hostile from the liar: some of it signed by itself, most of it not.
fn hostile(net: &mut Net) -> (Lane, Arc<[u8]>) {
    let (chain, epoch) = (net.genesis.chain(), Epoch(0));
    let key = net.nodes[LIAR].key;
    let near = net.nodes[0].times.len() as u64;
    let far = net.rng.next();
    let ahead = net.rng.below(200);
    let view = View(match net.rng.below(4) {
        0 => far,
        1 => near.saturating_sub(ahead),
        _ => near + ahead,
    });
    let mut noise = [0; 64];
    noise.iter_mut().for_each(|byte| *byte = net.rng.next().to_le_bytes()[0]);
    let digest = Digest::new(noise[..32].try_into().unwrap());
    let vote = match net.rng.below(3) {
        0 => BftVote::Notarize(digest),
        1 => BftVote::Nullify,
        _ => BftVote::Finalize(digest),
    };
    let own = MockSigner(key).sign(vote.domain(), &vote.message(chain, epoch, view)).unwrap();
    let signature = if net.rng.percent(70) { own } else { Signature::new(noise) };
    let votes = |count: u16| (0..count).map(|validator| Signed { validator, signature }).collect::<Vec<_>>();
    let parent = Header { height: ledger_core::Height(near), ..net.genesis.header() };
    let block = empty_block(&net.genesis, &parent, far % 100_000, LIAR);
    let header = block.header.clone();
    let message = match net.rng.below(10) {
        0 => return (Lane::Votes, noise.to_vec().into()),
        1 => return (Lane::Payloads, codec::encode(&block).into()),
        2 => return (Lane::Payloads, vec![7; 1 << 20].into()),
        3 => {
            let vote = BftVote::Notarize(header.digest());
            let signature = MockSigner(key).sign(vote.domain(), &vote.message(chain, epoch, view)).unwrap();
            Message::Proposal(Proposal { view, parent_view: View(near), header, signature })
        }
        4 => Message::Quorum(Quorum { view, vote, votes: votes(4).into() }),
        5 => Message::Quorum(Quorum { view, vote, votes: votes(900).into() }),
        6 => Message::Finalization(Finalization { header, view, votes: votes(4).into() }),
        7 => Message::Wanted { blocks: vec![net.nodes[0].tip.digest(); 40].into() },
        8 => Message::Missing { from: view },
        _ => Message::Vote(Vote { view, vote, signature }),
    };
    (Lane::Votes, wire::encode(epoch, message))
}

#[test]
fn under_a_flood_of_hostile_messages() {
    let mut net = Net::new(7, &[1; 4], &BftConfig::default());
    net.nodes[LIAR].lies = true;
    net.crash(LIAR, None);
    net.run_for(3_000);
    let flood = |net: &mut Net, count: usize| {
        for _ in 0..count {
            let (lane, bytes) = hostile(net);
            let from = net.nodes[LIAR].key;
            for to in 0..3 {
                net.feed(to, Input::Message { from, lane, bytes: Arc::clone(&bytes) });
            }
            net.run_for(1);
        }
        // What the world around the engines keeps is not the engines'.
        net.nodes.iter_mut().for_each(|node| node.log.retain(|record| record.height > node.tip.height));
        net.evidence.clear();
        net.chain.clear();
    };
    flood(&mut net, 3_000);
    let (height, before) = (net.height(), MEMORY.current_usage());
    flood(&mut net, 15_000);
    let grown = MEMORY.current_usage().saturating_sub(before);
    // What is kept of a view is dropped with it, so that this doesn't depend on how much was sent.
    assert!(grown < 6 << 20, "{grown} bytes more");
    assert!(net.height() > height + 90, "{} blocks in 15 s", net.height() - height);
    net.assert_sound();
}
