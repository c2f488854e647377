//! What a member's process answers.

use std::sync::OnceLock;
use std::time::Duration;

use ledger_core::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use ledger_core::{AccountId, Height, SignedTransaction, TransactionId};
use ledger_node::{Chain, Executed, PendingError, Refusal, SubmitError, TransactionStatus};
use ledger_traceability::epcis::{EventKey, Item};
use tokio::time::Instant;

use crate::book::Book;
use crate::ledger::Recorded;
use crate::processes::{App, Fallible};

/// How long a member looks for a transaction that it was handed before.
const FOUND_WITHIN: Duration = Duration::from_secs(20);

const LONGEST: usize = 48 << 20;

/// What a member is asked.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) enum Question {
    /// Record this encoded transaction, and say so when it is final.
    Submit(Bytes),
    /// Which number comes next in lane 0 of the account?
    NextNumber(AccountId),
    /// Which of these events were there after this block?
    Known(Height, List<[u8; 32]>),
    /// Which items are there? At most so many.
    Items(u32),
    /// How many events has the item's trace?
    Trace(Text),
    /// Prove the item's trace.
    Prove(Text),
    /// How far is the chain?
    Standing,
}

impl Format for Question {
    const NAME: &'static str = "question to a member";
    const LIMIT: usize = LONGEST;
}

/// What a member answers.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) enum Answer {
    /// It is final: whether it did what it should, else why not.
    Recorded(Option<Text>),
    /// There is no room; try again.
    Busy,
    /// It won't be recorded.
    Refused(Text),
    Number(u64),
    Known(List<bool>),
    Items(List<(Text, u32)>),
    Trace(Option<u32>),
    /// Checkpoint and proof.
    Proof(Bytes, Bytes),
    Standing(Standing),
}

impl Format for Answer {
    const NAME: &'static str = "answer of a member";
    const LIMIT: usize = LONGEST;
}

/// How far a member's chain is.
#[derive(Clone, Debug, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub(crate) struct Standing {
    /// The last block executed.
    pub(crate) executed: Height,
    /// The newest checkpoint, encoded.
    pub(crate) checkpoint: Bytes,
    /// A proof against it that the contract is there, encoded; none while it isn't.
    pub(crate) proof: Option<Bytes>,
    /// How many double votes it has evidence of.
    pub(crate) evidence: u32,
    /// Why the chain has stopped, if it has.
    pub(crate) stopped: Option<Text>,
}

/// A member's process.
pub(crate) struct MemberProcess {
    chain: Chain,
    /// Made by the first question: that can fail.
    book: OnceLock<Book>,
}

impl MemberProcess {
    fn book(&self) -> Fallible<&Book> {
        match self.book.get() {
            Some(book) => Ok(book),
            None => {
                let book = Book::new(self.chain.clone())?;
                Ok(self.book.get_or_init(|| book))
            }
        }
    }
}

impl App for MemberProcess {
    fn new(chain: Chain) -> Self {
        MemberProcess { chain, book: OnceLock::new() }
    }

    async fn answer(&self, question: &[u8]) -> Fallible<Vec<u8>> {
        let book = self.book()?;
        let answer = match codec::decode::<Question>(question)? {
            Question::Submit(bytes) => submit(&self.chain, codec::decode(&bytes)?).await?,
            Question::NextNumber(account) => Answer::Number(self.chain.next_number(&account, 0)?),
            Question::Known(height, keys) => {
                let keys: Vec<EventKey> = keys.iter().map(|key| EventKey::from_bytes(*key)).collect();
                Answer::Known(List::from(book.known(height, &keys)?))
            }
            Question::Items(limit) => {
                let items = book.items(usize::try_from(limit)?)?;
                Answer::Items(
                    items.into_iter().map(|(item, links)| (item.as_str().into(), links)).collect::<Vec<_>>().into(),
                )
            }
            // A history too large to trace can't be shown either.
            Question::Trace(item) => Answer::Trace(book.trace(&Item::new(&item)).ok().map(|answer| answer.included)),
            Question::Prove(item) => {
                let evidence = book.prove(&Item::new(&item))?;
                Answer::Proof(evidence.checkpoint.into(), evidence.proof.into())
            }
            Question::Standing => Answer::Standing(standing(book)?),
        };
        Ok(codec::encode(&answer))
    }
}

fn standing(book: &Book) -> Fallible<Standing> {
    let progress = book.chain.progress();
    // Where the checkpoint lags behind a start, its state isn't provable until the next one.
    let proven = match book.is_open()? && progress.checkpoint.header.history.size > 0 {
        true => book.prove_contract().ok(),
        false => None,
    };
    let (proof, checkpoint) = match proven {
        Some((proof, checkpoint)) => (Some(codec::encode(&proof).into()), checkpoint),
        None => (None, progress.checkpoint),
    };
    Ok(Standing {
        executed: progress.executed,
        checkpoint: codec::encode(&*checkpoint).into(),
        proof,
        evidence: u32::try_from(book.chain.evidence().len())?,
        stopped: progress.stopped.map(|stop| Text::truncated(&stop.to_string(), 1_000)),
    })
}

async fn submit(chain: &Chain, transaction: SignedTransaction) -> Fallible<Answer> {
    let id = transaction.id();
    let refused = match chain.submit(transaction).await {
        Ok(pending) => match pending_certified(pending).await {
            Ok(executed) => return Ok(recorded(&executed)),
            Err(PendingError::Dropped(error)) => error,
            Err(error) => return Err(error.into()),
        },
        Err(error) => error,
    };
    match refused {
        SubmitError::Mempool(Refusal::Busy { .. }) => Ok(Answer::Busy),
        refused => found(chain, &id, &refused).await,
    }
}

async fn pending_certified(mut pending: ledger_node::Pending) -> Result<Executed, PendingError> {
    Ok(pending.certified().await?.executed)
}

fn recorded(executed: &Executed) -> Answer {
    let Recorded { failure } = Recorded::of(&executed.result.receipt);
    Answer::Recorded(failure.map(|failure| Text::truncated(&failure, 1_000)))
}

/// A transaction that is refused may be one that was handed to another member before, which has passed it on.
async fn found(chain: &Chain, id: &TransactionId, refused: &SubmitError) -> Fallible<Answer> {
    let mut progress = chain.watch_progress();
    let until = Instant::now() + FOUND_WITHIN;
    loop {
        if let TransactionStatus::Certified(certified) = chain.status(id)? {
            return Ok(recorded(&certified.executed));
        }
        match tokio::time::timeout_at(until, progress.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(Answer::Refused(Text::truncated(&refused.to_string(), 1_000))),
        }
    }
}
