//! The pool's laws, by hand and against random histories.

use super::*;
use ledger_core::{ChainId, ContractId, Fuel, Rules, TransactionBuilder};
use ledger_crypto::{Digest, MemorySigner, Signer};
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp(1_000);

fn transaction(sender: u8, lane: u64, number: u64, salt: u8) -> Arc<SignedTransaction> {
    let signer = MemorySigner::from_seed([sender; 32]);
    let (chain, contract) = (ChainId(Digest::ZERO), ContractId(Digest::ZERO));
    let builder = TransactionBuilder::call(chain, contract, "m", Vec::new()).sequence(lane, number).salt([salt; 16]);
    Arc::new(builder.fuel_limit(Fuel(1_000)).sign(&signer).unwrap())
}

fn account(sender: u8) -> AccountId {
    AccountId::of_ed25519(&MemorySigner::from_seed([sender; 32]).public_key())
}

/// Reserves and admits at once; gives the id.
fn add(pool: &mut Mempool, transaction: &Arc<SignedTransaction>, next: u64) -> Result<TransactionId, Refusal> {
    let id = transaction.id();
    pool.reserve(NOW, id, Arc::clone(transaction), 300)?;
    pool.admit(&id, next).map(|()| id)
}

fn take(pool: &mut Mempool) -> Vec<Arc<SignedTransaction>> {
    let taken = pool.take(NOW, &Rules::default(), usize::MAX, &Ahead::default()).transactions;
    pool.ordered(taken.iter().map(|(id, transaction)| (*id, &**transaction)));
    taken.into_iter().map(|(_, transaction)| transaction).collect()
}

fn unordered(sender: u8, salt: u8) -> Arc<SignedTransaction> {
    let (chain, contract) = (ChainId(Digest::ZERO), ContractId(Digest::ZERO));
    let builder = TransactionBuilder::call(chain, contract, "m", Vec::new()).unordered().expires_at(Timestamp(5_000));
    Arc::new(builder.salt([salt; 16]).fuel_limit(Fuel(1_000)).sign(&MemorySigner::from_seed([sender; 32])).unwrap())
}

fn ids(taken: &Taken) -> Vec<TransactionId> {
    taken.transactions.iter().map(|(id, _)| *id).collect()
}

#[test]
fn a_proposal_that_comes_to_nothing_takes_nothing() {
    let mut pool = Mempool::new(MempoolConfig::default());
    for number in 0..3 {
        add(&mut pool, &transaction(1, 0, number, 0), 0).unwrap();
    }
    add(&mut pool, &unordered(1, 1), 0).unwrap();
    let first = pool.take(NOW, &Rules::default(), usize::MAX, &Ahead::default());
    let second = pool.take(NOW, &Rules::default(), usize::MAX, &Ahead::default());
    assert_eq!(ids(&first).len(), 4);
    assert_eq!(ids(&first), ids(&second));
}

#[test]
fn a_node_that_makes_no_blocks_remembers_nobody_whose_transactions_are_gone() {
    let mut pool = Mempool::new(MempoolConfig::default());
    // Blocks that others make: nothing is ever taken here.
    let through = |pool: &mut Mempool, transaction: &Arc<SignedTransaction>| {
        let id = add(pool, transaction, 0).unwrap();
        pool.ordered([(id, &**transaction)]);
        assert!(pool.applied([(&**transaction, id, &Status::Succeeded)]).is_empty());
    };
    // One that stays, so that its account does.
    add(&mut pool, &transaction(1, 0, 5, 0), 0).unwrap();
    let signed = transaction(1, 1, 0, 0);
    for lane in 0..2_000 {
        let mut transaction = SignedTransaction::clone(&signed);
        transaction.transaction.order = Order::Sequence { lane: 1 + lane % 2, number: lane / 2 };
        through(&mut pool, &Arc::new(transaction));
    }
    let turns = pool.accounts[&account(1)].turns.len();
    assert!(turns <= 2 * 3 + 64, "{turns} turns of 2 lanes");
    for number in 0..10_000_u32 {
        let mut transaction = SignedTransaction::clone(&signed);
        let mut bytes = [9; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        transaction.transaction.account = AccountId(Digest::new(bytes));
        through(&mut pool, &Arc::new(transaction));
    }
    assert_eq!((pool.len(), pool.accounts.len(), pool.turns.len()), (1, 1, pool.queued.len()));
    assert!(pool.turns.len() <= 2 * 2 + 1_024, "{} accounts wait for a turn", pool.turns.len());
    // Who waits isn't forgotten.
    let waits = add(&mut pool, &transaction(2, 0, 0, 0), 0).unwrap();
    assert_eq!(take(&mut pool).iter().map(|transaction| transaction.id()).collect::<Vec<_>>(), [waits]);
}

#[test]
fn what_blocks_ahead_hold_is_not_taken_again() {
    let mut pool = Mempool::new(MempoolConfig::default());
    for number in 0..4 {
        add(&mut pool, &transaction(1, 0, number, 0), 0).unwrap();
    }
    let free = [unordered(2, 1), unordered(2, 2)].map(|transaction| add(&mut pool, &transaction, 0).unwrap());
    let rules = Rules::default();
    let first = pool.take(NOW, &rules, 3, &Ahead::default());
    let mut ahead = Ahead::default();
    ahead.extend(first.transactions.iter().map(|(id, transaction)| (*id, &**transaction)));
    let second = pool.take(NOW, &rules, usize::MAX, &ahead);
    let mut all = ids(&first);
    all.extend(ids(&second));
    assert_eq!((first.transactions.len(), all.len()), (3, 6));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 6, "nothing twice");
    assert!(free.iter().all(|id| all.contains(id)));
}

#[test]
fn an_unordered_transaction_goes_once() {
    let mut pool = Mempool::new(MempoolConfig::default());
    let transaction = unordered(1, 1);
    let id = add(&mut pool, &transaction, 0).unwrap();
    assert!(matches!(add(&mut pool, &transaction, 0), Err(Refusal::Duplicate { .. })));
    assert_eq!(pool.get(&id).map(|found| found.id()), Some(id));
    let taken = take(&mut pool);
    assert_eq!((taken.len(), pool.executable()), (1, 0));
    assert!(take(&mut pool).is_empty());
    apply(&mut pool, &taken, &Status::Succeeded);
    assert!(pool.is_empty() && pool.accounts.is_empty());
}

fn apply(pool: &mut Mempool, taken: &[Arc<SignedTransaction>], status: &Status) -> Vec<(TransactionId, Refusal)> {
    pool.applied(taken.iter().map(|transaction| (&**transaction, transaction.id(), status)))
}

#[test]
fn a_gap_holds_back_its_own_lane_only() {
    let mut pool = Mempool::new(MempoolConfig::default());
    add(&mut pool, &transaction(1, 0, 1, 0), 0).unwrap();
    add(&mut pool, &transaction(1, 7, 0, 0), 0).unwrap();
    add(&mut pool, &transaction(2, 0, 0, 0), 0).unwrap();
    assert_eq!((pool.executable(), pool.unexecutable), (2, 1));
    assert_eq!(take(&mut pool).len(), 2);
    add(&mut pool, &transaction(1, 0, 0, 0), 0).unwrap();
    assert_eq!((pool.executable(), pool.unexecutable), (2, 0));
    let numbers: Vec<Order> = take(&mut pool).iter().map(|taken| taken.transaction.order).collect();
    assert_eq!(numbers, [Order::Sequence { lane: 0, number: 0 }, Order::Sequence { lane: 0, number: 1 }]);
}

#[test]
fn every_account_has_its_turn_before_any_has_a_second() {
    let mut pool = Mempool::new(MempoolConfig::default());
    for number in 0..5 {
        add(&mut pool, &transaction(1, 0, number, 0), 0).unwrap();
        add(&mut pool, &transaction(1, 1, number, 0), 0).unwrap();
    }
    for sender in 2..6 {
        add(&mut pool, &transaction(sender, 0, 0, 0), 0).unwrap();
    }
    let senders: Vec<AccountId> = take(&mut pool).iter().map(|taken| taken.transaction.account).collect();
    assert_eq!(senders.len(), 14);
    let first: BTreeSet<AccountId> = senders.iter().take(5).copied().collect();
    assert_eq!(first.len(), 5, "five accounts, five first turns");
}

#[test]
fn what_can_not_run_never_takes_the_room_of_what_can() {
    let config = MempoolConfig { max_unexecutable: 2, max_transactions: 4, ..MempoolConfig::default() };
    let mut pool = Mempool::new(config);
    add(&mut pool, &transaction(1, 0, 5, 0), 0).unwrap();
    add(&mut pool, &transaction(2, 0, 5, 0), 0).unwrap();
    assert!(matches!(add(&mut pool, &transaction(3, 0, 5, 0), 0), Err(Refusal::Busy { limit: 2, .. })));
    add(&mut pool, &transaction(4, 0, 0, 0), 0).unwrap();
    add(&mut pool, &transaction(5, 0, 0, 0), 0).unwrap();
    let full = add(&mut pool, &transaction(6, 0, 0, 0), 0);
    assert!(matches!(full, Err(Refusal::Busy { what: "transactions", limit: 4 })));
    assert_eq!(take(&mut pool).len(), 2);
}

#[test]
fn each_refusal_names_its_reason() {
    let mut pool = Mempool::new(MempoolConfig { max_per_account: 3, max_bytes: 1_500, ..MempoolConfig::default() });
    let first = transaction(1, 0, 3, 0);
    add(&mut pool, &first, 3).unwrap();
    assert!(matches!(add(&mut pool, &first, 3), Err(Refusal::Duplicate { .. })));
    assert!(matches!(add(&mut pool, &transaction(1, 0, 3, 9), 3), Err(Refusal::NumberTaken { lane: 0, number: 3 })));
    assert!(matches!(
        add(&mut pool, &transaction(1, 0, 2, 0), 3),
        Err(Refusal::Rejected(Rejection::OutOfOrder { expected: 3, found: 2, .. }))
    ));
    add(&mut pool, &transaction(1, 0, 4, 0), 3).unwrap();
    add(&mut pool, &transaction(1, 0, 5, 0), 3).unwrap();
    assert!(matches!(
        add(&mut pool, &transaction(1, 0, 6, 0), 3),
        Err(Refusal::Busy { what: "transactions of this account", limit: 3 })
    ));
    add(&mut pool, &transaction(2, 0, 0, 0), 0).unwrap();
    add(&mut pool, &transaction(3, 0, 0, 0), 0).unwrap();
    assert!(matches!(add(&mut pool, &transaction(4, 0, 0, 0), 0), Err(Refusal::Busy { what: "bytes", limit: 1_500 })));
}

#[test]
fn what_expired_or_waited_too_long_is_dropped_and_told() {
    let mut pool = Mempool::new(MempoolConfig { max_wait_ms: 50, ..MempoolConfig::default() });
    let signer = MemorySigner::from_seed([1; 32]);
    let expiring = TransactionBuilder::call(ChainId(Digest::ZERO), ContractId(Digest::ZERO), "m", Vec::new())
        .expires_at(Timestamp(999))
        .sign(&signer)
        .unwrap();
    let id = add(&mut pool, &Arc::new(expiring), 0).unwrap();
    let late = add(&mut pool, &transaction(2, 0, 1, 0), 0).unwrap();
    let taken = pool.take(NOW, &Rules::default(), usize::MAX, &Ahead::default());
    assert!(taken.transactions.is_empty());
    assert!(
        matches!(taken.dropped.as_slice(), [(dropped, Refusal::Rejected(Rejection::Expired { .. }))] if *dropped == id)
    );
    assert_eq!(pool.prune_at(), Some(Timestamp(1_051)));
    assert!(pool.prune(Timestamp(1_050)).is_empty());
    let pruned = pool.prune(Timestamp(1_051));
    assert!(
        matches!(pruned.as_slice(), [(dropped, Refusal::WaitedTooLong { waited_ms: 51, limit_ms: 50 })] if *dropped == late)
    );
    assert!(pool.is_empty() && pool.accounts.is_empty() && pool.bytes == 0);
}

#[test]
fn a_block_applied_while_a_check_reads_an_older_state_is_not_missed() {
    let mut pool = Mempool::new(MempoolConfig::default());
    let (first, second) = (transaction(1, 0, 0, 0), transaction(1, 0, 1, 0));
    add(&mut pool, &first, 0).unwrap();
    let taken = take(&mut pool);
    pool.reserve(NOW, second.id(), Arc::clone(&second), 300).unwrap();
    apply(&mut pool, &taken, &Status::Succeeded);
    // The check saw the state before the block.
    pool.admit(&second.id(), 0).unwrap();
    assert_eq!(pool.executable(), 1);
}

#[test]
fn a_waiting_transaction_whose_number_another_used_up_is_dropped() {
    let mut pool = Mempool::new(MempoolConfig::default());
    let mine = add(&mut pool, &transaction(1, 0, 0, 1), 0).unwrap();
    let elsewhere = [transaction(1, 0, 0, 2)];
    let dropped = apply(&mut pool, &elsewhere, &Status::Succeeded);
    assert!(
        matches!(dropped.as_slice(), [(id, Refusal::Rejected(Rejection::OutOfOrder { expected: 1, .. }))] if *id == mine)
    );
    assert!(pool.is_empty() && pool.accounts.is_empty());
}

#[derive(Clone, Debug)]
enum Action {
    Reserve { sender: u8, lane: u64, number: u64, salt: u8 },
    AdmitOldest,
    RefuseOldest,
    Take,
    Apply { reject: bool },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0u8..3, 0u64..2, 0u64..6, 0u8..2)
            .prop_map(|(sender, lane, number, salt)| Action::Reserve { sender, lane, number, salt }),
        5 => Just(Action::AdmitOldest),
        1 => Just(Action::RefuseOldest),
        2 => Just(Action::Take),
        2 => any::<bool>().prop_map(|reject| Action::Apply { reject }),
    ]
}

/// Recounts from the lanes what the counters should say.
fn recounted(pool: &Mempool) -> (usize, usize) {
    let lanes = pool.accounts.values().flat_map(|account| account.lanes.values());
    lanes.map(Lane::counts).fold((0, 0), |(ready, rest), (r, w)| (ready + r, rest + (w - r)))
}

proptest! {
    #[test]
    fn each_number_is_taken_once_in_order_and_nothing_leaks(actions in prop::collection::vec(action(), 1..120)) {
        let mut pool = Mempool::new(MempoolConfig { max_unexecutable: 6, max_transactions: 20, ..MempoolConfig::default() });
        // What the chain knows: the next number of each lane.
        let mut chain: BTreeMap<(AccountId, u64), u64> = BTreeMap::new();
        let mut checking: VecDeque<Arc<SignedTransaction>> = VecDeque::new();
        let mut in_flight: VecDeque<Vec<Arc<SignedTransaction>>> = VecDeque::new();
        let key = |transaction: &SignedTransaction| match transaction.transaction.order {
            Order::Sequence { lane, number } => ((transaction.transaction.account, lane), number),
            Order::Unordered => unreachable!(),
        };
        for action in actions {
            match action {
                Action::Reserve { sender, lane, number, salt } => {
                    let transaction = transaction(sender + 1, lane, number, salt);
                    if pool.reserve(NOW, transaction.id(), Arc::clone(&transaction), 300).is_ok() {
                        checking.push_back(transaction);
                    }
                }
                Action::AdmitOldest => if let Some(transaction) = checking.pop_front() {
                    let next = chain.get(&key(&transaction).0).copied().unwrap_or(0);
                    let _ = pool.admit(&transaction.id(), next);
                },
                Action::RefuseOldest => if let Some(transaction) = checking.pop_front() {
                    pool.refuse(&transaction.id());
                },
                Action::Take => {
                    let taken = take(&mut pool);
                    let mut expected = chain.clone();
                    for transaction in in_flight.iter().flatten().chain(&taken) {
                        let (lane, number) = key(transaction);
                        let next = expected.entry(lane).or_insert(0);
                        prop_assert_eq!(number, *next, "taken out of order");
                        *next += 1;
                    }
                    if !taken.is_empty() {
                        in_flight.push_back(taken);
                    }
                }
                Action::Apply { reject } => if let Some(block) = in_flight.pop_front() {
                    if reject {
                        // Rejected transactions use nothing up, and with them all later ones of their lanes fall.
                        let all: Vec<_> = std::iter::once(block).chain(in_flight.drain(..)).flatten().collect();
                        let statuses: Vec<Status> = all.iter().map(|transaction| {
                            let ((account, lane), found) = key(transaction);
                            let expected = chain.get(&(account, lane)).copied().unwrap_or(0);
                            Status::Rejected(Rejection::OutOfOrder { lane, expected, found })
                        }).collect();
                        let results = all.iter().zip(&statuses);
                        pool.applied(results.map(|(transaction, status)| (&**transaction, transaction.id(), status)));
                    } else {
                        for transaction in &block {
                            let (lane, number) = key(transaction);
                            chain.insert(lane, number + 1);
                        }
                        apply(&mut pool, &block, &Status::Succeeded);
                    }
                },
            }
            prop_assert_eq!(recounted(&pool), (pool.executable, pool.unexecutable));
            prop_assert_eq!(pool.bytes, pool.len() * 300);
        }
        for transaction in checking {
            pool.refuse(&transaction.id());
        }
        for block in in_flight {
            apply(&mut pool, &block, &Status::Succeeded);
        }
        while !take(&mut pool).is_empty() {}
        pool.prune(Timestamp(u64::MAX));
        let left: Vec<_> = pool.stages.values().filter(|(_, _, stage)| !matches!(stage, Stage::Ordered { .. })).collect();
        prop_assert!(left.is_empty(), "{:?}", left);
    }
}

#[test]
fn an_account_in_the_pool_is_known_by_its_key() {
    let mut pool = Mempool::new(MempoolConfig::default());
    add(&mut pool, &transaction(1, 0, 0, 0), 0).unwrap();
    assert!(pool.accounts.contains_key(&account(1)));
}
