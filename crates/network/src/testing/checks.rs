//! The checks of the suite.

use super::{World, config, messages};
use crate::config::FRAME_OVERHEAD;
use crate::inbox::Inbox;
use crate::report::PeerReport;
use crate::seam::{Admission, Delivery, JoinError, SendError, Transport};
use ledger_core::{ChainId, Lane};
use ledger_crypto::{Digest, PublicKey};
use std::sync::Arc;

type Check<W> = fn(&mut W) -> Result<(), String>;

pub(super) fn all<W: World>() -> [(&'static str, Check<W>); 10] {
    [
        ("messages keep their order within a lane and name their true sender", order::<W>),
        ("who isn't admitted by both ends is neither heard nor reached", not_admitted::<W>),
        ("a chain is joined once, left by dropping its inbox, and joined again", joining::<W>),
        ("a message of a lane's limit passes and a longer one is refused by name", too_long::<W>),
        ("a reader that pauses bounds what its peer can send, and delays no other lane", back_pressure::<W>),
        ("votes that nobody reads give way to newer ones and are counted", votes_give_way::<W>),
        ("losing and regaining a connection is told at both ends", reconnection::<W>),
        ("chains between the same peers don't mix", two_chains::<W>),
        ("an admission that is withdrawn cuts off, and can be given again", admission_change::<W>),
        ("what went through is counted for each peer and lane", metrics::<W>),
    ]
}

macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

const X: ChainId = ChainId(Digest::new([1; 32]));
const Y: ChainId = ChainId(Digest::new([2; 32]));

struct Node {
    transport: Arc<dyn Transport>,
    key: PublicKey,
    inbox: Option<Inbox>,
    seen: Vec<Delivery>,
}

impl Node {
    fn join(&mut self, chain: ChainId, admission: Admission) -> Result<(), String> {
        self.inbox = Some(self.transport.join(chain, admission).map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Reads all that is there.
    fn read(&mut self) {
        while let Some(delivery) = self.inbox.as_mut().and_then(Inbox::try_recv) {
            self.seen.push(delivery);
        }
    }

    fn has(&self, delivery: &Delivery) -> bool {
        self.seen.contains(delivery)
    }

    fn send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, bytes: &[u8]) -> Result<(), SendError> {
        self.transport.send(chain, to, lane, bytes.into())
    }

    fn report(&self, peer: &PublicKey) -> Option<PeerReport> {
        self.transport.peers().into_iter().find(|report| report.peer == *peer)
    }
}

fn nodes<W: World>(world: &W) -> Result<[Node; 3], String> {
    let nodes = world.transports().into_iter().map(|transport| Node {
        key: transport.local(),
        transport,
        inbox: None,
        seen: Vec::new(),
    });
    nodes.collect::<Vec<_>>().try_into().map_err(|_| "the world hasn't three transports".to_owned())
}

fn keys(nodes: &[Node]) -> Vec<PublicKey> {
    nodes.iter().map(|node| node.key).collect()
}

/// Reads at all nodes until `done` holds.
fn until<W: World>(
    world: &mut W,
    nodes: &mut [Node],
    what: &str,
    mut done: impl FnMut(&[Node]) -> bool,
) -> Result<(), String> {
    let settled = world.settle(&mut || {
        nodes.iter_mut().for_each(Node::read);
        done(nodes)
    });
    let seen = || nodes.iter().map(|node| (node.key, &node.seen)).collect::<Vec<_>>();
    if settled { Ok(()) } else { Err(format!("{what} never came; seen: {:?}", seen())) }
}

/// Three nodes in chain X, all connected.
fn connected<W: World>(world: &mut W) -> Result<[Node; 3], String> {
    let mut nodes = nodes(world)?;
    let all = keys(&nodes);
    for node in &mut nodes {
        node.join(X, Admission::members(all.clone()))?;
    }
    until(world, &mut nodes, "a connection between all", |nodes| {
        nodes.iter().all(|node| all.iter().filter(|key| **key != node.key).all(|key| linked(node, key)))
    })?;
    Ok(nodes)
}

/// Whether the last that the node was told of the peer's connection is that it is there.
fn linked(node: &Node, peer: &PublicKey) -> bool {
    let last = node.seen.iter().rev().find(|delivery| match delivery {
        Delivery::Connected(of) | Delivery::Disconnected(of) => of == peer,
        Delivery::Message { .. } => false,
    });
    matches!(last, Some(Delivery::Connected(_)))
}

fn order<W: World>(world: &mut W) -> Result<(), String> {
    let [first, second, third] = connected(world)?;
    let expected = |lane: Lane| (0..5_u8).map(move |number| vec![lane as u8, number]);
    for lane in Lane::ALL {
        for message in expected(lane) {
            for (from, to) in [(&first, &second), (&third, &second), (&second, &first)] {
                from.send(&X, &to.key, lane, &message).map_err(|error| error.to_string())?;
            }
        }
    }
    let mut nodes = [first, second, third];
    let counts = [20, 40, 0];
    until(world, &mut nodes, "all messages", |nodes| {
        nodes.iter().zip(counts).all(|(node, count)| messages(&node.seen).len() >= count)
    })?;
    let [first, second, third] = nodes;
    for (to, from) in [(&second, first.key), (&second, third.key), (&first, second.key)] {
        for lane in Lane::ALL {
            let came: Vec<_> = to
                .seen
                .iter()
                .filter_map(|delivery| match delivery {
                    Delivery::Message { from: of, lane: through, bytes } if *of == from && *through == lane => {
                        Some(bytes.to_vec())
                    }
                    _ => None,
                })
                .collect();
            ensure!(came == expected(lane).collect::<Vec<_>>(), "lane {lane} from {from}: {came:?}");
        }
        let told = to.seen.iter().position(|delivery| *delivery == Delivery::Connected(from));
        let spoke = to.seen.iter().position(|seen| matches!(seen, Delivery::Message { from: of, .. } if *of == from));
        ensure!(told < spoke, "a message of {from} came before it was connected");
    }
    ensure!(messages(&third.seen).is_empty(), "somebody else got {:?}", third.seen);
    Ok(())
}

fn not_admitted<W: World>(world: &mut W) -> Result<(), String> {
    let mut nodes = nodes(world)?;
    let all = keys(&nodes);
    let [first, second, third] = &mut nodes;
    for node in [&mut *first, &mut *second] {
        node.join(X, Admission::members(all.iter().copied().take(2)))?;
    }
    third.join(X, Admission::members(all.clone()))?;
    let (to_first, to_third) = (first.key, third.key);
    let (one, other) = (first.key, second.key);
    until(world, &mut nodes, "the members' connection", |nodes| {
        nodes.iter().any(|node| node.key == one && linked(node, &other))
            && nodes.iter().any(|node| node.key == other && linked(node, &one))
    })?;
    let [first, _, third] = &nodes;
    let refused = third.send(&X, &to_first, Lane::Votes, b"let me in");
    ensure!(
        refused == Err(SendError::NotConnected { chain: X, to: to_first }),
        "the stranger's message gave {refused:?}"
    );
    let refused = first.send(&X, &to_third, Lane::Votes, b"secret");
    ensure!(refused == Err(SendError::NotAdmitted { chain: X, to: to_third }), "a secret was sent: {refused:?}");
    first.send(&X, &other, Lane::Votes, b"hello").map_err(|error| error.to_string())?;
    until(world, &mut nodes, "the member's message", |nodes| {
        nodes.iter().any(|node| !messages(&node.seen).is_empty())
    })?;
    let [first, second, third] = &nodes;
    ensure!(third.seen.is_empty(), "the stranger was told {:?}", third.seen);
    let strange = |node: &Node| node.has(&Delivery::Connected(to_third));
    ensure!(!strange(first) && !strange(second), "the stranger is connected");
    Ok(())
}

fn joining<W: World>(world: &mut W) -> Result<(), String> {
    let mut nodes = connected(world)?;
    let all = keys(&nodes);
    let [first, second, _] = &mut nodes;
    let again = first.transport.join(X, Admission::default()).err();
    ensure!(again == Some(JoinError::AlreadyJoined(X)), "joining twice gave {again:?}");
    let unknown = first.transport.admit(&Y, Admission::default());
    ensure!(unknown == Err(JoinError::NotJoined(Y)), "admitting to an unknown chain gave {unknown:?}");
    let unknown = first.send(&Y, &second.key, Lane::Votes, b"");
    ensure!(unknown == Err(SendError::UnknownChain(Y)), "sending for an unknown chain gave {unknown:?}");
    let (one, other) = (first.key, second.key);
    first.inbox = None;
    let left = first.send(&X, &other, Lane::Votes, b"");
    ensure!(left == Err(SendError::UnknownChain(X)), "sending for a chain that was left gave {left:?}");
    until(world, &mut nodes, "the loss of who left", |nodes| {
        nodes.iter().all(|node| node.key == one || node.has(&Delivery::Disconnected(one)))
    })?;
    let [first, _, _] = &mut nodes;
    first.seen.clear();
    first.join(X, Admission::members(all))?;
    until(world, &mut nodes, "the connection with who came back", |nodes| {
        nodes.iter().all(|node| node.key == one || linked(node, &one))
            && nodes.iter().any(|node| node.key == one && linked(node, &other))
    })
}

fn too_long<W: World>(world: &mut W) -> Result<(), String> {
    let mut nodes = connected(world)?;
    let [first, second, _] = &nodes;
    let other = second.key;
    for lane in Lane::ALL {
        let limit = config().lanes.get(lane).frame_bytes;
        let refused = first.send(&X, &other, lane, &vec![7; limit + 1]);
        ensure!(refused == Err(SendError::TooLong { lane, size: limit + 1, limit }), "lane {lane} gave {refused:?}");
        first.send(&X, &other, lane, &vec![lane as u8; limit]).map_err(|error| error.to_string())?;
        first.send(&X, &other, lane, &[]).map_err(|error| error.to_string())?;
    }
    until(world, &mut nodes, "the longest and the shortest messages", |nodes| {
        nodes.iter().any(|node| node.key == other && messages(&node.seen).len() == 8)
    })?;
    let [_, second, _] = &nodes;
    for lane in Lane::ALL {
        let limit = config().lanes.get(lane).frame_bytes;
        let length = |delivery: &Delivery| match delivery {
            Delivery::Message { lane: of, bytes, .. } if *of == lane => Some(bytes.len()),
            _ => None,
        };
        let lengths: Vec<_> = second.seen.iter().filter_map(length).collect();
        ensure!(lengths == [limit, 0], "lane {lane} delivered {lengths:?}");
    }
    Ok(())
}

fn back_pressure<W: World>(world: &mut W) -> Result<(), String> {
    const MESSAGE: usize = 8 << 10;
    let mut nodes = connected(world)?;
    let [first, second, _] = &nodes;
    let (sender, other) = (first.transport.clone(), second.key);
    let limits = *config().lanes.get(Lane::Payloads);
    // Nobody reads: the queues at both ends and what is under way take so many, and no more.
    let bound = 2 * limits.queue_bytes / (MESSAGE + FRAME_OVERHEAD) + world.under_way_bytes() / MESSAGE + 3;
    let mut sent = 0_usize;
    let mut full = None;
    let mut idle = 0;
    world.settle(&mut || {
        idle += 1;
        loop {
            let mut message = vec![0; MESSAGE];
            message.splice(..8, (sent as u64).to_be_bytes());
            match sender.send(&X, &other, Lane::Payloads, message.into()) {
                Ok(()) => (sent, idle) = (sent + 1, 0),
                Err(error) => {
                    full = Some(error);
                    break;
                }
            }
            if sent > bound {
                break;
            }
        }
        // Nothing has moved on for many looks. An end too early would only make the bound easier to keep.
        idle > 500 || sent > bound
    });
    ensure!(sent <= bound, "{sent} messages of {MESSAGE} bytes were taken, more than {bound}");
    ensure!(matches!(full, Some(SendError::QueueFull { lane: Lane::Payloads, .. })), "not full, but {full:?}");
    sender.send(&X, &other, Lane::Votes, (*b"urgent").into()).map_err(|error| error.to_string())?;
    let [_, second, _] = &mut nodes;
    let mut first_message = None;
    let urgent = world.settle(&mut || {
        let arrived = sender.peers().iter().any(|report| report.peer == other && report.lanes.votes.frames_out > 0)
            && second.transport.peers().iter().any(|report| report.lanes.votes.frames_in > 0);
        if arrived && first_message.is_none() {
            first_message = second.inbox.as_mut().and_then(Inbox::try_recv);
        }
        arrived
    });
    ensure!(urgent, "the vote never came through");
    ensure!(
        matches!(&first_message, Some(Delivery::Message { lane: Lane::Votes, .. })),
        "the vote isn't the first to be read, but {first_message:?}"
    );
    until(world, &mut nodes, "all that was taken", |nodes| {
        nodes.iter().any(|node| node.key == other && messages(&node.seen).len() >= sent)
    })?;
    let [_, second, _] = &nodes;
    let numbers: Vec<_> = messages(&second.seen)
        .iter()
        .filter_map(|message| message.first_chunk().copied().map(u64::from_be_bytes))
        .collect();
    ensure!(numbers == (0..sent as u64).collect::<Vec<_>>(), "lost or out of order: {numbers:?}");
    sender.send(&X, &other, Lane::Payloads, (*b"goes on").into()).map_err(|error| error.to_string())?;
    Ok(())
}

fn votes_give_way<W: World>(world: &mut W) -> Result<(), String> {
    const VOTES: u64 = 2_000;
    let nodes = connected(world)?;
    let [first, mut second, _] = nodes;
    for number in 0..VOTES {
        first.send(&X, &second.key, Lane::Votes, &number.to_be_bytes()).map_err(|error| error.to_string())?;
    }
    let (mut dropped, mut last) = (0, None);
    let mut came = Vec::new();
    world.settle(&mut || {
        let out = first.report(&second.key).map_or(0, |report| report.drops.votes_out);
        let taken_in = second.report(&first.key).map_or(0, |report| report.lanes.votes.frames_in);
        dropped = out;
        if out + taken_in < VOTES {
            return false;
        }
        second.read();
        true
    });
    let queue = config().lanes.get(Lane::Votes).queue_frames;
    for message in messages(&second.seen) {
        last = message.first_chunk().copied().map(u64::from_be_bytes);
        came.extend(last);
    }
    dropped += second.report(&first.key).map_or(0, |report| report.drops.votes_in);
    ensure!(last == Some(VOTES - 1), "the newest vote isn't the last that came, but {last:?}");
    ensure!(came.is_sorted(), "out of order: {came:?}");
    ensure!(came.len() <= queue, "{} votes waited, more than {queue}", came.len());
    ensure!(came.len() as u64 + dropped == VOTES, "{} came and {dropped} were dropped of {VOTES}", came.len());
    Ok(())
}

fn reconnection<W: World>(world: &mut W) -> Result<(), String> {
    let mut nodes = connected(world)?;
    let (one, other) = {
        let [first, second, _] = &mut nodes;
        first.seen.clear();
        second.seen.clear();
        (first.key, second.key)
    };
    world.disconnect(0, 1);
    until(world, &mut nodes, "the loss of the connection", |nodes| {
        nodes.iter().any(|node| node.key == one && node.has(&Delivery::Disconnected(other)))
            && nodes.iter().any(|node| node.key == other && node.has(&Delivery::Disconnected(one)))
    })?;
    let [first, _, third] = &nodes;
    let lost = first.send(&X, &other, Lane::Votes, b"anyone?");
    ensure!(lost == Err(SendError::NotConnected { chain: X, to: other }), "sending to who is gone gave {lost:?}");
    third.send(&X, &other, Lane::Votes, b"still here").map_err(|error| error.to_string())?;
    world.connect(0, 1);
    until(world, &mut nodes, "the connection", |nodes| {
        nodes.iter().any(|node| node.key == one && linked(node, &other))
            && nodes.iter().any(|node| node.key == other && linked(node, &one))
    })?;
    let [first, _, _] = &nodes;
    first.send(&X, &other, Lane::Votes, b"again").map_err(|error| error.to_string())?;
    until(world, &mut nodes, "a message after it", |nodes| {
        nodes.iter().any(|node| node.key == other && messages(&node.seen).iter().any(|bytes| **bytes == *b"again"))
    })?;
    let [first, _, _] = &nodes;
    let report = first.report(&other).ok_or("no report of a connected peer")?;
    ensure!(report.connections >= 2, "{} connections are counted", report.connections);
    ensure!(report.last_error.is_some(), "the loss left no word");
    Ok(())
}

fn two_chains<W: World>(world: &mut W) -> Result<(), String> {
    let mut nodes = connected(world)?;
    let (one, other) = (nodes.iter().map(|node| node.key).next(), nodes.iter().map(|node| node.key).nth(1));
    let (Some(one), Some(other)) = (one, other) else { return Err("no keys".into()) };
    let [first, second, third] = &mut nodes;
    let only_two = Admission::members([one, other]);
    let mut at_first = first.transport.join(Y, only_two.clone()).map_err(|error| error.to_string())?;
    let mut at_second = second.transport.join(Y, only_two).map_err(|error| error.to_string())?;
    let (mut one_told, mut other_told) = (false, false);
    let both = world.settle(&mut || {
        one_told |= at_first.try_recv() == Some(Delivery::Connected(other));
        other_told |= at_second.try_recv() == Some(Delivery::Connected(one));
        one_told && other_told
    });
    ensure!(both, "the second chain never connected");
    let denied = third.send(&Y, &one, Lane::Votes, b"y");
    ensure!(denied == Err(SendError::UnknownChain(Y)), "who isn't in the chain sent: {denied:?}");
    first.send(&Y, &other, Lane::Sync, b"y").map_err(|error| error.to_string())?;
    first.send(&X, &other, Lane::Sync, b"x").map_err(|error| error.to_string())?;
    let mut of_y = Vec::new();
    let came = world.settle(&mut || {
        second.read();
        of_y.extend(at_second.try_recv());
        !of_y.is_empty() && !messages(&second.seen).is_empty()
    });
    ensure!(came, "a message of one of the chains never came");
    ensure!(messages(&of_y).iter().all(|bytes| **bytes == *b"y"), "chain Y got {of_y:?}");
    ensure!(messages(&second.seen).iter().all(|bytes| **bytes == *b"x"), "chain X got {:?}", second.seen);
    Ok(())
}

fn admission_change<W: World>(world: &mut W) -> Result<(), String> {
    let mut nodes = connected(world)?;
    let all = keys(&nodes);
    let [first, second, _] = &mut nodes;
    let (one, other) = (first.key, second.key);
    second.send(&X, &one, Lane::Gossip, b"too late").map_err(|error| error.to_string())?;
    let arrived = world.settle(&mut || first.report(&other).is_some_and(|report| report.lanes.gossip.frames_in == 1));
    ensure!(arrived, "the message never came");
    let without: Vec<_> = all.iter().copied().filter(|key| *key != other).collect();
    first.transport.admit(&X, Admission::members(without)).map_err(|error| error.to_string())?;
    first.read();
    ensure!(first.has(&Delivery::Disconnected(other)), "the loss wasn't told at once");
    ensure!(messages(&first.seen).is_empty(), "a message of who was cut off came: {:?}", first.seen);
    let refused = first.send(&X, &other, Lane::Votes, b"");
    ensure!(refused == Err(SendError::NotAdmitted { chain: X, to: other }), "sending there gave {refused:?}");
    until(world, &mut nodes, "the loss at the other end", |nodes| {
        nodes.iter().any(|node| node.key == other && node.has(&Delivery::Disconnected(one)))
    })?;
    let [first, _, _] = &nodes;
    first.transport.admit(&X, Admission::members(all)).map_err(|error| error.to_string())?;
    until(world, &mut nodes, "the connection", |nodes| {
        nodes.iter().any(|node| node.key == one && linked(node, &other))
            && nodes.iter().any(|node| node.key == other && linked(node, &one))
    })
}

fn metrics<W: World>(world: &mut W) -> Result<(), String> {
    let mut nodes = connected(world)?;
    let [first, second, _] = &nodes;
    let (one, other) = (first.key, second.key);
    for (lane, length) in Lane::ALL.into_iter().zip([100, 2_000, 30, 4_000]) {
        for _ in 0..3 {
            first.send(&X, &other, lane, &vec![0; length]).map_err(|error| error.to_string())?;
        }
    }
    until(world, &mut nodes, "all messages", |nodes| {
        nodes.iter().any(|node| node.key == other && messages(&node.seen).len() == 12)
    })?;
    let [first, second, third] = &nodes;
    let mut out = None;
    let counted = world.settle(&mut || {
        out = first.report(&other);
        out.as_ref().is_some_and(|report| Lane::ALL.iter().all(|lane| report.lanes.get(*lane).frames_out == 3))
    });
    ensure!(counted, "what was sent isn't counted: {out:?}");
    let (Some(out), Some(taken)) = (out, second.report(&one)) else { return Err("no report".into()) };
    for (lane, length) in Lane::ALL.into_iter().zip([100, 2_000, 30, 4_000]) {
        let (sent, came) = (out.lanes.get(lane), taken.lanes.get(lane));
        ensure!(sent.bytes_out == 3 * length, "lane {lane}: {sent:?} of {length} bytes each");
        ensure!((came.frames_in, came.bytes_in) == (3, 3 * length), "lane {lane}: {came:?}");
        ensure!(sent.queued_out == 0 && came.queued_in == 0, "lane {lane}: something still waits");
    }
    ensure!(out.connected_since.is_some() && out.connections >= 1, "not connected: {out:?}");
    let idle = third.report(&one).ok_or("no report of an idle peer")?;
    ensure!(idle.lanes == crate::PerLane::default(), "counted what went elsewhere: {idle:?}");
    Ok(())
}
