//! The executor: turns an ordered block into writes and receipts.

mod ahead;
mod attempt;
mod cache;
mod codes;
mod commit;
mod host;
mod lifecycle;
mod run;
mod trace;
mod unordered;

use crate::journal::{DEFAULT_CACHE_BYTES, Journal};
use crate::runtime::Runtime;
use crate::trace::{Tracer, TransactionTrace};
use ahead::lane_key;
use attempt::{Attempt, Effect, Work};
use cache::PreparedCache;
use codes::{Codes, Purpose};
use ledger_core::codec::{Bytes, List, Text};
use ledger_core::{
    Action, Block, Call, Context, Execution, ExecutionError, Executor, Fuel, Key, Order, Rejection, SignedTransaction,
    Simulation, StateError, StateView, Status, TransactionId, TransactionResult,
};
use std::collections::BTreeMap;
use std::sync::Mutex;

pub use unordered::FORGOTTEN_AT_LEAST;

/// How many bytes the code may take that is kept from trace to trace.
const TRACED_BYTES: usize = 16 << 20;

/// What a [`LedgerExecutor`] may keep in memory. Nothing here changes what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorConfig {
    /// How many bytes the prepared code may [weigh](crate::Prepared::weight) that is kept from block to block. By default
    /// 128 MiB. What a block has loaded is held until its end besides, which is at most what the chain's rules let it load.
    pub prepared_bytes: usize,
    /// The same for queries and simulations, which use what blocks have prepared and change nothing of it. By default
    /// 32 MiB.
    pub asked_bytes: usize,
    /// How many bytes read from the state are kept while a block executes. By default 64 MiB.
    pub cache_bytes: usize,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        ExecutorConfig { prepared_bytes: 128 << 20, asked_bytes: 32 << 20, cache_bytes: DEFAULT_CACHE_BYTES }
    }
}

/// Executes deployments and calls with the runtimes it was given, and applies commits. Redacted bodies are refused: see the
/// [crate's page](crate#failure). A simulation has at most the fuel that a transaction may have.
///
/// Code that a simulation brings along (a deployment's, above all) is made ready for nobody's fuel and isn't kept, so one is made
/// ready at a time, and others are told [`ExecutionError::Busy`] meanwhile: whoever asks takes one processor of the node at
/// most, and the memory of one module. Blocks wait for nobody.
///
/// Which runtimes there are, and which contracts a native runtime links, is part of what every node of a chain must
/// agree on.
pub struct LedgerExecutor {
    runtimes: BTreeMap<String, Box<dyn Runtime>>,
    /// What blocks have prepared.
    prepared: PreparedCache,
    /// What only queries and simulations have needed.
    asked: PreparedCache,
    /// What was made ready for traces.
    traced: PreparedCache,
    /// Whose turn it is to have code made ready that a question brings along.
    bringing: Mutex<()>,
    config: ExecutorConfig,
}

impl Default for LedgerExecutor {
    fn default() -> Self {
        Self::new(ExecutorConfig::default())
    }
}

impl LedgerExecutor {
    /// An executor without runtimes.
    pub fn new(config: ExecutorConfig) -> Self {
        LedgerExecutor {
            runtimes: BTreeMap::new(),
            prepared: PreparedCache::new(config.prepared_bytes),
            asked: PreparedCache::new(config.asked_bytes),
            traced: PreparedCache::new(TRACED_BYTES),
            bringing: Mutex::default(),
            config,
        }
    }

    /// Adds a runtime. Of two with one name, the later counts.
    #[must_use]
    pub fn with(mut self, runtime: impl Runtime + 'static) -> Self {
        self.runtimes.insert(runtime.name().to_owned(), Box::new(runtime));
        self
    }

    fn dry_run(
        &self,
        call: &Call,
        context: &Context<'_>,
        state: &dyn StateView,
        read_only: bool,
        trace: Option<&mut Tracer>,
    ) -> Result<Simulation, ExecutionError> {
        let work = Work::Call { contract: call.contract, method: &call.method, arguments: Some(&call.arguments) };
        let attempt = Attempt {
            executor: self,
            context,
            caller: call.account,
            transaction: None,
            // Whoever asks isn't known, so what it may cost is the chain's to say.
            fuel_limit: call.fuel_limit.min(context.rules.max_transaction_fuel),
            read_only,
        };
        self.dry_attempt(&attempt, &work, state, trace)
    }

    fn dry_attempt(
        &self,
        attempt: &Attempt<'_>,
        work: &Work<'_>,
        state: &dyn StateView,
        trace: Option<&mut Tracer>,
    ) -> Result<Simulation, ExecutionError> {
        let mut journal = Journal::new(state).cache_bytes(self.config.cache_bytes).recording();
        let mut codes = Codes::new(Purpose::Question, attempt.context.rules);
        let effect = attempt.run(work, &mut journal, &mut codes, trace)?;
        let Effect { status, output, events, fuel_used, .. } = effect;
        let (writes, reads) = journal.finish()?;
        let events = events.into_vec();
        Ok(Simulation { status, output, events, fuel_used, reads: reads.keys, ranges: reads.ranges, writes })
    }

    /// Executes one transaction of a block: rejects it, or uses up its place and attempts what it asks for.
    fn transaction(
        &self,
        (signed, id): (&SignedTransaction, TransactionId),
        fuel_left: Fuel,
        context: &Context<'_>,
        journal: &mut Journal<'_>,
        codes: &mut Codes,
        trace: Option<&mut Tracer>,
    ) -> Result<Effect, ExecutionError> {
        let transaction = &signed.transaction;
        let limit = transaction.fuel_limit;
        if let Err(rejection) = context.rules.check_expiry(transaction, context.timestamp) {
            return Ok(Effect::rejected(rejection));
        }
        let place = match standing(signed, || id, |key| journal.get(key))? {
            Ok(standing) => standing,
            Err(rejection) => return Ok(Effect::rejected(rejection)),
        };
        if limit > fuel_left {
            return Ok(Effect::rejected(Rejection::BlockFuel { left: fuel_left, limit }));
        }
        match place {
            Place::Lane { key, next } => journal.put(key, next.to_le_bytes().to_vec()),
            Place::Unordered(key) => journal.put(key, Vec::new()),
        }
        let attempt = Attempt {
            executor: self,
            context,
            caller: transaction.account,
            transaction: Some(id),
            fuel_limit: limit,
            read_only: false,
        };
        attempt.run(&work_of(signed, id), journal, codes, trace)
    }

    /// Executes a block, and notes what its transactions do if there is a trace.
    fn execute_block(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
        mut trace: Option<(&mut Tracer, &mut Vec<TransactionTrace>)>,
    ) -> Result<Execution, ExecutionError> {
        // A sender's number and what it and its receiver have, as a rule.
        let keys = 3 * block.transactions.len();
        let mut journal = Journal::new(state).cache_bytes(self.config.cache_bytes).expecting(keys);
        let mut ahead: Vec<Key> = block.transactions.iter().filter_map(lane_key).collect();
        self.expected_reads(block.transactions.iter(), context.rules, |key| journal.get(key), &mut ahead)?;
        journal.prefetch(ahead)?;
        unordered::forget(&block.transactions, context.timestamp, state, &mut journal)?;
        // Tracing a block is asking about it.
        let purpose = if trace.is_some() { Purpose::Question } else { Purpose::Block };
        let mut codes = Codes::new(purpose, context.rules);
        // What nobody could pay for takes room in the block like what was paid for.
        let (mut fuel_used, mut fuel_owed) = (Fuel(0), Fuel(0));
        let mut results = Vec::with_capacity(block.transactions.len());
        for (index, signed) in (0..).zip(&block.transactions) {
            let id = signed.id();
            journal.begin(index);
            let taken = fuel_used.0.saturating_add(fuel_owed.0);
            let left = Fuel(context.rules.max_block_fuel.0.saturating_sub(taken));
            let tracer = trace.as_mut().map(|(tracer, _)| &mut **tracer);
            let effect = self.transaction((signed, id), left, context, &mut journal, &mut codes, tracer)?;
            fuel_used = Fuel(fuel_used.0.saturating_add(effect.fuel_used.0));
            fuel_owed = Fuel(fuel_owed.0.saturating_add(effect.fuel_owed.0));
            let Effect { status, output, events, fuel_used, .. } = effect;
            if let Some((tracer, traces)) = &mut trace {
                traces.push(tracer.finish(trace::about(signed, id, index), status.clone(), fuel_used));
            }
            results.push(TransactionResult::new(id, index, status, fuel_used, output, events));
        }
        Ok(Execution { writes: journal.into_writes()?, results, fuel_used, validators: List::new() })
    }
}

impl Executor for LedgerExecutor {
    fn execute(
        &self,
        block: &Block,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Execution, ExecutionError> {
        self.execute_block(block, context, state, None)
    }

    fn simulate(
        &self,
        call: &Call,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Simulation, ExecutionError> {
        self.dry_run(call, context, state, false, None)
    }

    fn simulate_transaction(
        &self,
        transaction: &SignedTransaction,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Simulation, ExecutionError> {
        let attempt = Attempt {
            executor: self,
            context,
            caller: transaction.transaction.account,
            transaction: None,
            fuel_limit: context.rules.max_transaction_fuel,
            read_only: false,
        };
        self.dry_attempt(&attempt, &work_of(transaction, transaction.id()), state, None)
    }

    fn query(&self, call: &Call, context: &Context<'_>, state: &dyn StateView) -> Result<Simulation, ExecutionError> {
        self.dry_run(call, context, state, true, None)
    }

    fn admit(
        &self,
        transaction: &SignedTransaction,
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Result<Result<u64, Rejection>, ExecutionError> {
        admit(transaction, context, |key| value(state, key))
    }

    fn admit_all(
        &self,
        transactions: &[&SignedTransaction],
        context: &Context<'_>,
        state: &dyn StateView,
    ) -> Vec<Result<Result<u64, Rejection>, ExecutionError>> {
        let mut keys: Vec<Key> = transactions.iter().filter_map(|transaction| lane_key(transaction)).collect();
        let lanes = keys.len();
        let more = self.expected_reads(transactions.iter().copied(), context.rules, |key| value(state, key), &mut keys);
        // If they can't be read together, each is told by itself what is wrong.
        let read = more.and_then(|()| state.get_many(&keys));
        let mut read = read.into_iter().flat_map(|values| values.into_iter().take(lanes));
        let one = |transaction: &&SignedTransaction| {
            let of_lane = if lane_key(transaction).is_some() { read.next() } else { None };
            match of_lane {
                Some(found) => admit(transaction, context, |_| Ok(found.map(|found| found.value))),
                None => admit(transaction, context, |key| value(state, key)),
            }
        };
        transactions.iter().map(one).collect()
    }
}

/// What a transaction asks for.
fn work_of(signed: &SignedTransaction, id: TransactionId) -> Work<'_> {
    let (transaction, content) = (&signed.transaction, signed.content());
    match &transaction.action {
        Action::Deploy { runtime } => Work::Deploy { id, runtime, body: content },
        Action::Call { contract, method } => Work::Call { contract: *contract, method, arguments: content },
        Action::Commit { .. } => Work::Commit { transaction, body: content },
    }
}

fn value(state: &dyn StateView, key: &Key) -> Result<Option<Bytes>, StateError> {
    Ok(state.get(key)?.map(|found| found.value))
}

/// Whether `transaction` may come in, for which one key is read.
fn admit(
    transaction: &SignedTransaction,
    context: &Context<'_>,
    read: impl FnOnce(&Key) -> Result<Option<Bytes>, StateError>,
) -> Result<Result<u64, Rejection>, ExecutionError> {
    let limit = transaction.transaction.fuel_limit;
    let most = context.rules.max_block_fuel;
    if limit > most {
        return Ok(Err(Rejection::BlockFuel { left: most, limit }));
    }
    // How far ahead it expires is for a time that is the caller's: the state's may be long ago.
    let expiry = context.rules.check_expiry(&transaction.transaction, context.timestamp);
    if let Err(expired @ Rejection::Expired { .. }) = expiry {
        return Ok(Err(expired));
    }
    match standing(transaction, || transaction.id(), read)? {
        Ok(Place::Lane { next, .. }) => Ok(Ok(next.saturating_sub(1))),
        Ok(Place::Unordered(_)) => Ok(Ok(0)),
        Err(Rejection::OutOfOrder { expected, .. }) => Ok(Ok(expected)),
        Err(rejection) => Ok(Err(rejection)),
    }
}

/// What a transaction uses up.
enum Place {
    /// The number before `next` in the lane whose next number stands under this key.
    Lane { key: Key, next: u64 },
    /// Its id, remembered under this key.
    Unordered(Key),
}

/// The place that a transaction uses up; or why it has none. Its expiry is looked at before.
fn standing(
    signed: &SignedTransaction,
    id: impl FnOnce() -> TransactionId,
    read: impl FnOnce(&Key) -> Result<Option<Bytes>, StateError>,
) -> Result<Result<Place, Rejection>, ExecutionError> {
    let transaction = &signed.transaction;
    if signed.witness.account() != transaction.account {
        return Ok(Err(Rejection::WrongKey { key: *signed.witness.key() }));
    }
    let Order::Sequence { lane, number: found } = transaction.order else {
        // A block with one that doesn't expire was refused before.
        let Some(key) = unordered::key(signed, &id()) else {
            return Ok(Err(unsupported("an expiry that never comes")));
        };
        return Ok(match read(&key)? {
            None => Ok(Place::Unordered(key)),
            Some(_) => Err(Rejection::Duplicate),
        });
    };
    let key = Key::sequence(&transaction.account, lane);
    let expected = match read(&key)? {
        None => 0,
        Some(value) => match <[u8; 8]>::try_from(&*value) {
            Ok(bytes) => u64::from_le_bytes(bytes),
            Err(_) => return Err(ExecutionError::Corrupt { key, reason: "a sequence number has 8 bytes".to_owned() }),
        },
    };
    if found != expected {
        return Ok(Err(Rejection::OutOfOrder { lane, expected, found }));
    }
    // A lane ends before its numbers do: the last one could be used for ever.
    Ok(found
        .checked_add(1)
        .map(|next| Place::Lane { key, next })
        .ok_or_else(|| unsupported("the last number of a lane")))
}

fn unsupported(what: &str) -> Rejection {
    Rejection::Unsupported { what: Text::from(what) }
}

impl Effect {
    fn rejected(rejection: Rejection) -> Self {
        Effect { status: Status::Rejected(rejection), ..Effect::default() }
    }
}
