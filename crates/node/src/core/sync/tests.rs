use super::*;
use ledger_core::{Genesis, HEADER_VERSION, SignedTransaction, TransactionBuilder, finality};
use ledger_crypto::{MemorySigner, Signer};
use std::collections::VecDeque;

const DAY: u64 = 86_400_000;

fn key(number: u8) -> PublicKey {
    MemorySigner::from_seed([number; 32]).public_key()
}

/// Certificates of one owner will do: what they sign is checked elsewhere.
struct Desk {
    genesis: Genesis,
    finality: Box<dyn Finality>,
    serving: Serving,
    sync: Sync,
}

impl Desk {
    fn new() -> Self {
        let genesis = Genesis::solo("test", key(1), Timestamp(0));
        let config = CoreConfig { sync: SyncConfig { window: 64, ..SyncConfig::default() }, ..CoreConfig::default() };
        let finality = finality::of(&genesis).unwrap();
        let sync = Sync::new(&config, genesis.rules.max_block_bytes as usize);
        Desk { genesis, finality, serving: Serving::default(), sync }
    }

    fn hear(&mut self, now: u64, from: PublicKey, bytes: &[u8]) -> Option<(Checking, Vec<SignatureCheck>)> {
        let around = (&mut self.serving, &*self.finality);
        self.sync.received(Timestamp(now), from, bytes, &self.genesis.header(), around, &mut Vec::new())
    }

    /// Reads so many of these blocks from height 1 on.
    fn open(&self, count: u64, blocks: &[SyncBlock]) -> Vec<Fetched> {
        let around = (&self.genesis.header(), &*self.finality);
        self.sync.open(Height(1), count, blocks.to_vec().into(), around).unwrap().0
    }

    fn is_banned(&self, now: u64, peer: &PublicKey) -> bool {
        self.sync.peers.get(peer).unwrap().banned_until > Timestamp(now)
    }

    /// Empty blocks from height 1 on.
    fn blocks(&self, count: u64) -> Vec<SyncBlock> {
        self.blocks_of(count, &[])
    }

    /// Blocks of these transactions from height 1 on.
    fn blocks_of(&self, count: u64, transactions: &[SignedTransaction]) -> Vec<SyncBlock> {
        let mut parent = self.genesis.header();
        let transactions_root = Block::transactions_root(transactions);
        let block = |_| {
            let history = parent.history;
            let header = Header {
                version: HEADER_VERSION,
                height: parent.height.next(),
                parent: parent.digest(),
                transactions_root,
                history,
                ..parent.clone()
            };
            parent = header.clone();
            let payload = Bytes::from(codec::encode(&Block { header, transactions: transactions.to_vec().into() }));
            SyncBlock { payload, certificate: Bytes::from(vec![7; 64]) }
        };
        (0..count).map(block).collect()
    }

    /// What is asked of whom.
    fn pump(&mut self, now: u64) -> Vec<(PublicKey, Height, u64)> {
        let mut effects = Vec::new();
        self.sync.pump(Timestamp(now), Height::GENESIS, (false, 0), &mut effects);
        asked_in(effects)
    }
}

/// What is asked of whom.
fn asked_in(effects: Vec<Effect>) -> Vec<(PublicKey, Height, u64)> {
    let asked = effects.into_iter().map(|effect| match effect {
        Effect::Send { to, bytes, .. } => match codec::decode(&bytes).unwrap() {
            SyncMessage::GetBlocks { from, count } => (to, from, count),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    });
    asked.collect()
}

#[test]
fn whoever_is_left_out_stays_so_when_it_connects_again() {
    let (mut desk, peer) = (Desk::new(), key(2));
    desk.sync.connected(peer);
    assert!(desk.hear(DAY, peer, b"nonsense").is_none() && desk.is_banned(DAY, &peer));
    let until = DAY + desk.sync.config.ban_ms;
    for now in [DAY + 1, until - 1] {
        desk.sync.disconnected(Timestamp(now), &peer);
        desk.sync.connected(peer);
        assert!(desk.is_banned(now, &peer));
    }
    desk.sync.disconnected(Timestamp(until), &peer);
    assert!(desk.sync.gone.is_empty(), "what is over isn't remembered");
    desk.sync.connected(peer);
    assert!(!desk.is_banned(until, &peer));
    // Anybody may have any number of keys.
    for number in 0..u64::try_from(MAX_GONE).unwrap() + 9 {
        let mut bytes = [3; 32];
        bytes.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
        let peer = PublicKey::new(bytes);
        desk.sync.connected(peer);
        desk.hear(until + number, peer, b"nonsense");
        desk.sync.disconnected(Timestamp(until + number), &peer);
    }
    assert_eq!(desk.sync.gone.len(), MAX_GONE);
}

#[test]
fn an_answer_that_comes_late_to_a_shorter_question_bans_nobody() {
    let (mut desk, [slow, other]) = (Desk::new(), [key(2), key(3)]);
    for peer in [slow, other] {
        desk.sync.connected(peer);
        desk.sync.peers.get_mut(&peer).unwrap().height = Height(40);
    }
    desk.sync.aim(Timestamp(DAY), Height(40));
    let [(first, Height(1), 40)] = desk.pump(DAY)[..] else { panic!("one question for all") };
    // Nobody answers in time, and meanwhile block 11 has come from elsewhere.
    let late = desk.sync.config.timeout_ms;
    let blocks = desk.blocks(40);
    let eleventh = desk.open(11, &blocks).pop().unwrap();
    desk.sync.fetched.insert(Height(11), eleventh);
    desk.pump(DAY + late);
    desk.sync.peers.values_mut().for_each(|peer| (peer.asked, peer.slow_until) = (None, Timestamp(0)));
    let again = desk.pump(DAY + 2 * late);
    assert!(again.contains(&(first, Height(1), 10)), "{again:?}");
    // The answer to the first question is not what was asked for the second time.
    let answer = codec::encode(&SyncMessage::Blocks { from: Height(1), blocks: blocks.into() });
    let Some((Checking::Blocks { blocks, .. }, checks)) = desk.hear(DAY + 2 * late + 1, first, &answer) else {
        panic!("it is of use")
    };
    assert_eq!((blocks.len(), checks.len()), (10, 10));
    assert!(!desk.is_banned(DAY + 2 * late + 1, &first));
}

/// Catches up with eight peers that all have the blocks, and answer one at a time, the last one asked or the first. What is
/// taken in waits for execution for a while.
struct Fetching<'a> {
    desk: Desk,
    blocks: &'a [SyncBlock],
    asked: Vec<(PublicKey, Height, u64)>,
    checking: Vec<Checking>,
    finalized: Height,
    waiting: VecDeque<usize>,
    /// The heights that were given.
    given: Vec<u64>,
    /// The most bytes at once.
    most: usize,
}

impl Fetching<'_> {
    fn new(blocks: &[SyncBlock], memory_bytes: usize) -> Fetching<'_> {
        let mut genesis = Genesis::solo("test", key(1), Timestamp(0));
        genesis.rules.max_block_bytes = 128 << 10;
        let config = SyncConfig { batch: 4, max_bytes: 100_000, memory_bytes, ..SyncConfig::default() };
        let config = CoreConfig { sync: config, ..CoreConfig::default() };
        let sync = Sync::new(&config, genesis.rules.max_block_bytes as usize);
        let mut desk = Desk { sync, ..Desk::new() };
        for peer in (10..18).map(key) {
            desk.sync.connected(peer);
            desk.sync.peers.get_mut(&peer).unwrap().height = Height(blocks.len() as u64);
        }
        desk.sync.aim(Timestamp(DAY), Height(blocks.len() as u64));
        Fetching {
            desk,
            blocks,
            asked: Vec::new(),
            checking: Vec::new(),
            finalized: Height::GENESIS,
            waiting: VecDeque::new(),
            given: Vec::new(),
            most: 0,
        }
    }

    fn backlog(&self) -> usize {
        self.waiting.iter().sum()
    }

    /// Asks for what there is room for, and counts what is here or on its way.
    fn pump(&mut self) {
        let mut effects = Vec::new();
        self.desk.sync.pump(Timestamp(DAY), self.finalized, (false, self.backlog()), &mut effects);
        self.asked.extend(asked_in(effects));
        let of = |blocks: &Vec<Fetched>| blocks.iter().map(Fetched::bytes).sum::<usize>();
        let checked = self.checking.iter().map(|checking| match checking {
            Checking::Blocks { blocks, .. } => of(blocks),
            other => panic!("{}", matches!(other, Checking::Status { .. })),
        });
        let kept: usize = self.desk.sync.fetched.values().map(Fetched::bytes).sum();
        let asked = self.asked.iter().map(|(_, from, count)| of_answer(self.answer(*from, *count)));
        self.most = self.most.max(asked.chain(checked).sum::<usize>() + kept + self.backlog());
    }

    /// What a peer gives that has a larger bound than this node: all that it was asked for.
    fn answer(&self, from: Height, count: u64) -> &[SyncBlock] {
        let first = usize::try_from(from.0 - 1).unwrap();
        self.blocks.get(first..(first + usize::try_from(count).unwrap()).min(self.blocks.len())).unwrap()
    }

    /// One thing happens. Whether anything could.
    fn go_on(&mut self, number: usize) -> bool {
        self.pump();
        let latest = !number.is_multiple_of(3);
        if number.is_multiple_of(2) && !self.asked.is_empty() {
            let index = if latest { self.asked.len() - 1 } else { 0 };
            let (peer, from, count) = self.asked.remove(index);
            let blocks = self.answer(from, count).to_vec();
            let bytes = codec::encode(&SyncMessage::Blocks { from, blocks: blocks.into() });
            let tip = self.desk.genesis.header();
            let around = (&mut self.desk.serving, &*self.desk.finality);
            let found = self.desk.sync.received(Timestamp(DAY), peer, &bytes, &tip, around, &mut Vec::new());
            self.checking.extend(found.map(|(checking, _)| checking));
            self.given.extend((from.0..).take(usize::try_from(count).unwrap()));
        } else if number % 5 != 1 && !self.checking.is_empty() {
            let checking = self.checking.remove(if latest { self.checking.len() - 1 } else { 0 });
            assert!(self.desk.sync.checked(Timestamp(DAY), checking, &[true], self.finalized).is_none());
        } else if let Some(fetched) = self.desk.sync.next(self.finalized, self.waiting.len() as u64) {
            assert_eq!(fetched.block.header.height, self.finalized.next());
            self.finalized = self.finalized.next();
            self.waiting.push_back(fetched.bytes());
        } else if self.waiting.pop_front().is_none() {
            return !self.asked.is_empty() || !self.checking.is_empty();
        }
        true
    }
}

fn of_answer(blocks: &[SyncBlock]) -> usize {
    // More isn't read of it.
    blocks.iter().map(|block| block.payload.len() + block.certificate.len()).sum::<usize>().min(BLOCKS_READ)
}

/// What is read of an answer at the most: a block of 128 KiB and the longest certificate.
const BLOCKS_READ: usize = (128 << 10) + (512 << 10);

#[test]
fn large_blocks_are_fetched_within_the_bytes_that_they_may_take() {
    let code = vec![7; 100 << 10];
    let transaction = TransactionBuilder::deploy(Desk::new().genesis.chain(), "native", code, Vec::new());
    let transaction = transaction.sequence(0, 0).sign(&MemorySigner::from_seed([1; 32])).unwrap();
    let blocks = Desk::new().blocks_of(48, &[transaction]);
    let all: usize = blocks.iter().map(|block| block.payload.len()).sum();
    let mut most = Vec::new();
    for bound in [usize::MAX, 3 << 20, 2 << 20, 1 << 20] {
        let mut fetching = Fetching::new(&blocks, bound);
        let mut number = 0;
        while fetching.go_on(number) || fetching.finalized < Height(48) {
            number += 1;
            assert!(number < 5_000, "it stands still at {} with {bound} bytes", fetching.finalized);
        }
        assert_eq!(fetching.finalized, Height(48));
        fetching.given.sort_unstable();
        assert_eq!(fetching.given, Vec::from_iter(1..=48), "each block is given once");
        assert!(fetching.most <= bound, "{} of {bound} bytes", fetching.most);
        most.push(fetching.most);
    }
    // Without a bound it would have been more than any of these, and a bound isn't kept by doing nothing.
    let [free, large, .., small] = most[..] else { panic!("{most:?}") };
    assert!(free > 3 << 20 && all > 4 << 20 && large > 2 << 20 && small >= 400 << 10, "{most:?}");
}

#[test]
fn an_answer_in_which_a_block_is_too_long_is_no_answer() {
    let code = vec![7; 200 << 10];
    let transaction = TransactionBuilder::deploy(Desk::new().genesis.chain(), "native", code, Vec::new());
    let transaction = transaction.sequence(0, 0).sign(&MemorySigner::from_seed([1; 32])).unwrap();
    let blocks = Desk::new().blocks_of(1, &[transaction]);
    let mut fetching = Fetching::new(&blocks, usize::MAX);
    fetching.pump();
    let (peer, ..) = *fetching.asked.first().unwrap();
    assert!(fetching.go_on(0));
    assert!(fetching.checking.is_empty() && fetching.desk.is_banned(DAY, &peer));
}

#[test]
fn what_is_under_check_is_asked_for_again_only_if_it_is_false() {
    let mut desk = Desk::new();
    for peer in [key(2), key(3)] {
        desk.sync.connected(peer);
        desk.sync.peers.get_mut(&peer).unwrap().height = Height(10);
    }
    desk.sync.aim(Timestamp(DAY), Height(10));
    let [(peer, Height(1), 10)] = desk.pump(DAY)[..] else { panic!("one question for all") };
    // It gives four of ten.
    let answer = SyncMessage::Blocks { from: Height(1), blocks: desk.blocks(4).into() };
    let (checking, _) = desk.hear(DAY, peer, &codec::encode(&answer)).unwrap();
    let [(_, Height(5), 6)] = desk.pump(DAY)[..] else { panic!("what is missing") };
    assert_eq!(desk.pump(DAY), []);
    assert!(desk.sync.checked(Timestamp(DAY), checking, &[false], Height::GENESIS).is_none());
    // What it was asked for meanwhile isn't waited for either.
    let [(again, Height(1), 10)] = desk.pump(DAY)[..] else { panic!("all of it") };
    assert!(desk.is_banned(DAY, &peer) && again != peer);
}
