//! A chain that is notarized but not final stops growing at its bound, and is final as soon as votes get through.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use ledger_consensus::BftConfig;
use ledger_consensus::bft::wire::{Envelope, Message};
use ledger_core::{BftCertificate, BftVote, Lane, codec};
use net::Net;

#[test]
fn at_the_bound_leaders_repeat_the_last_block() {
    let config = BftConfig { max_unfinalized: 5, ..BftConfig::default() };
    let mut net = Net::new(1, &[1; 4], &config);
    // Nobody hears anybody's finalize votes, so blocks are notarized only.
    net.drops = Some(|lane, bytes| {
        lane == Lane::Votes
            && codec::decode::<Envelope>(bytes).is_ok_and(|envelope| match envelope.message {
                Message::Vote(vote) => matches!(vote.vote, BftVote::Finalize(_)),
                _ => false,
            })
    });
    net.run_for(3_000);
    assert_eq!(net.height(), 0, "nothing is final");
    let most = net.nodes.iter().map(|node| node.given.len()).max().unwrap();
    assert_eq!(most, 1 + 5, "the genesis, and as many as may be unfinalized");
    net.drops = None;
    assert!(net.reaches(5, 200), "{}", net.height());
    let (_, _, first) = &net.chain[&1];
    let certificate: BftCertificate = codec::decode(first).unwrap();
    assert_eq!(certificate.descendants.len(), 4, "the first is final by descent");
    assert!(net.reaches(50, 3_000));
    net.assert_sound();
}

#[test]
fn a_lost_payload_is_asked_for() {
    let mut net = Net::new(1, &[1; 4], &BftConfig::default());
    net.drops = Some(|lane, _| lane == Lane::Payloads);
    net.run_for(1_000);
    assert_eq!(net.height(), 0);
    net.drops = None;
    assert!(net.reaches(10, 3_000), "{}", net.height());
    net.assert_sound();
}

#[test]
fn a_block_that_validators_refuse_costs_no_timeout() {
    let config = BftConfig::default();
    let mut net = Net::new(1, &[1; 4], &config);
    net.nodes[1].lies = true;
    net.refused = Some(1);
    net.run_for(5_000);
    for node in net.honest() {
        let pause = node.times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(pause <= 80, "a pause of {pause} ms");
    }
    net.assert_sound();
}
