use super::*;
use ledger_core::{Genesis, HEADER_VERSION, finality};
use ledger_crypto::{MemorySigner, Signer};

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
        Desk { genesis, finality, serving: Serving::default(), sync: Sync::new(&config) }
    }

    fn hear(&mut self, now: u64, from: PublicKey, bytes: &[u8]) -> Option<(Checking, Vec<SignatureCheck>)> {
        let around = (&mut self.serving, &*self.finality);
        self.sync.received(Timestamp(now), from, bytes, &self.genesis.header(), around, &mut Vec::new())
    }

    fn is_banned(&self, now: u64, peer: &PublicKey) -> bool {
        self.sync.peers.get(peer).unwrap().banned_until > Timestamp(now)
    }

    /// Empty blocks from height 1 on.
    fn blocks(&self, count: u64) -> Vec<SyncBlock> {
        let mut parent = self.genesis.header();
        let block = |_| {
            let history = parent.history;
            let header = Header {
                version: HEADER_VERSION,
                height: parent.height.next(),
                parent: parent.digest(),
                transactions_root: Block::transactions_root(&[]),
                history,
                ..parent.clone()
            };
            parent = header.clone();
            let payload = Bytes::from(codec::encode(&Block { header, transactions: List::new() }));
            SyncBlock { payload, certificate: Bytes::from(vec![7; 64]) }
        };
        (0..count).map(block).collect()
    }

    /// What is asked of whom.
    fn pump(&mut self, now: u64) -> Vec<(PublicKey, Height, u64)> {
        let mut effects = Vec::new();
        self.sync.pump(Timestamp(now), Height::GENESIS, false, &mut effects);
        let asked = effects.into_iter().map(|effect| match effect {
            Effect::Send { to, bytes, .. } => match codec::decode(&bytes).unwrap() {
                SyncMessage::GetBlocks { from, count } => (to, from, count),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        asked.collect()
    }
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
    let (fetched, _) =
        Sync::open(Height(1), 11, blocks.clone().into(), (&desk.genesis.header(), &*desk.finality)).unwrap();
    let eleventh = fetched.into_iter().next_back().unwrap();
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
