//! Batches of goods from their origin to the shelf: who had them, what they were made of, and what has to be recalled.
//!
//! A batch has a quantity in a unit of its own. It changes hands when the receiver confirms it. Whoever has batches makes
//! others of them: a part, a blend, a product; what goes in is taken off the batches that it comes from, which can't give
//! more than they have. A recall marks a batch; `trace` walks to the origins and says whether any of them is recalled.
#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use ledger_contract_sdk::{AccountId, Map, OrderedMap, Result, contract, ensure, event, host, record, refusals};

contract! {
    /// Batches of goods, from their origin to the shelf.
    pub contract Provenance = "provenance" {
        construct();
        methods {
            /// Registers goods where they begin: a harvest, a catch, a mine's output.
            write fn originate(batch: String, product: String, quantity: u64, place: String);
            /// Makes a batch of parts of batches that the caller has.
            write fn make(batch: String, product: String, quantity: u64, place: String, of: Vec<Part>);
            /// Sends a batch of the caller's to an account.
            write fn send(batch: String, to: AccountId);
            /// Confirms that a batch that was sent to the caller has arrived, and where.
            write fn receive(batch: String, place: String);
            /// Recalls a batch, and with it all that was made of it. By who registered or made it.
            write fn recall(batch: String, reason: String);
            /// What is known of a batch.
            read fn batch(batch: String) -> Option<Batch>;
            /// The steps of a batch, from a number on, at most 100.
            read fn steps(batch: String, from: u32, limit: u32) -> Vec<Step>;
            /// All batches that went into one, itself first, and those of them that are recalled.
            read fn trace(batch: String) -> Trace;
        }
        events { Moved, Recalled }
        refusals { Error }
    }
}

record! {
    /// So much of a batch.
    pub struct Part {
        /// The batch.
        pub batch: String,
        /// How much of it, in its unit.
        pub quantity: u64,
    }
}

record! {
    /// What is known of a batch.
    pub struct Batch {
        /// What it is.
        pub product: String,
        /// Who registered or made it.
        pub maker: AccountId,
        /// Who has it.
        pub holder: AccountId,
        /// To whom it is on its way.
        pub sent_to: Option<AccountId>,
        /// How much it was.
        pub quantity: u64,
        /// How much of it is left.
        pub left: u64,
        /// What it was made of.
        pub of: Vec<Part>,
        /// Why it is recalled, if it is.
        pub recalled: Option<String>,
        /// How many steps it has made.
        pub steps: u32,
    }
}

record! {
    /// A step of a batch.
    pub struct Step {
        /// The block's time, in ms since 1970.
        pub at: u64,
        /// Who has it now.
        pub holder: AccountId,
        /// Where it is.
        pub place: String,
    }
}

record! {
    /// Where goods come from.
    pub struct Trace {
        /// The batch and all that went into it, nearest first.
        pub batches: Vec<String>,
        /// Those of them that are recalled.
        pub recalled: Vec<String>,
    }
}

event! {
    /// A batch came into being, or to another holder.
    pub struct Moved = "moved" {
        /// Which.
        pub batch: String,
        /// The step.
        pub step: Step,
    }
}

event! {
    /// A batch was recalled.
    pub struct Recalled = "recalled" {
        /// Which.
        pub batch: String,
        /// Why.
        pub reason: String,
    }
}

refusals! {
    /// Why the contract refuses.
    pub enum Error {
        /// There is no such batch.
        Unknown = 1 => "there is no such batch",
        /// The name is taken.
        AlreadyThere = 2 => "there is such a batch already",
        /// Somebody else has it.
        NotHolder = 3 => "somebody else has the batch",
        /// It wasn't sent to the caller.
        NotSent = 4 => "the batch wasn't sent to the caller",
        /// It is on its way.
        OnItsWay = 5 => "the batch is on its way",
        /// There is less.
        TooLittle = 6 => "there is less left of the batch",
        /// Nothing is nothing.
        NoQuantity = 7 => "a quantity is more than zero",
        /// It was recalled.
        IsRecalled = 8 => "the batch is recalled",
        /// Only its maker recalls it.
        NotMaker = 9 => "only its maker recalls a batch",
        /// A batch is made of 1 to 32 others.
        BadParts = 10 => "a batch is made of 1 to 32 different batches",
        /// The origins are too many for one call.
        TooLarge = 11 => "more than 256 batches went into it",
        /// A name is empty or too long.
        BadName = 12 => "a batch's name has 1 to 100 bytes",
    }
}

const BATCHES: Map<String, Batch> = Map::new(b'b');
const STEPS: OrderedMap<(String, u32), Step> = OrderedMap::new(b's');

const MAX_PARTS: usize = 32;
const MAX_TRACE: usize = 256;
const MAX_PAGE: u32 = 100;
const MAX_NAME_BYTES: usize = 100;

fn construct() -> Result {
    Ok(())
}

fn originate(batch: String, product: String, quantity: u64, place: String) -> Result {
    begin(batch, product, quantity, place, Vec::new())
}

fn make(batch: String, product: String, quantity: u64, place: String, of: Vec<Part>) -> Result {
    ensure((1..=MAX_PARTS).contains(&of.len()), Error::BadParts)?;
    for (place, part) in of.iter().enumerate() {
        ensure(of.iter().take(place).all(|other| other.batch != part.batch), Error::BadParts)?;
        ensure(part.quantity > 0, Error::NoQuantity)?;
        let mut from = held(&part.batch)?;
        ensure(from.recalled.is_none(), Error::IsRecalled)?;
        from.left = from.left.checked_sub(part.quantity).ok_or(Error::TooLittle)?;
        BATCHES.set(&part.batch, &from);
    }
    begin(batch, product, quantity, place, of)
}

fn begin(name: String, product: String, quantity: u64, place: String, of: Vec<Part>) -> Result {
    ensure((1..=MAX_NAME_BYTES).contains(&name.len()), Error::BadName)?;
    ensure(quantity > 0, Error::NoQuantity)?;
    ensure(!BATCHES.contains(&name), Error::AlreadyThere)?;
    let maker = host::caller();
    let (holder, left) = (maker, quantity);
    step(name, place, Batch { product, maker, holder, sent_to: None, quantity, left, of, recalled: None, steps: 0 });
    Ok(())
}

fn send(batch: String, to: AccountId) -> Result {
    let mut goods = held(&batch)?;
    ensure(goods.recalled.is_none(), Error::IsRecalled)?;
    goods.sent_to = Some(to);
    BATCHES.set(&batch, &goods);
    Ok(())
}

fn receive(batch: String, place: String) -> Result {
    let mut goods = BATCHES.get(&batch).ok_or(Error::Unknown)?;
    ensure(goods.sent_to == Some(host::caller()), Error::NotSent)?;
    goods.sent_to = None;
    goods.holder = host::caller();
    step(batch, place, goods);
    Ok(())
}

fn recall(batch: String, reason: String) -> Result {
    let mut goods = BATCHES.get(&batch).ok_or(Error::Unknown)?;
    ensure(goods.maker == host::caller(), Error::NotMaker)?;
    goods.recalled = Some(reason.clone());
    BATCHES.set(&batch, &goods);
    Recalled { batch, reason }.emit();
    Ok(())
}

/// A batch that the caller has and that isn't on its way.
fn held(batch: &String) -> Result<Batch> {
    let goods = BATCHES.get(batch).ok_or(Error::Unknown)?;
    ensure(goods.holder == host::caller(), Error::NotHolder)?;
    ensure(goods.sent_to.is_none(), Error::OnItsWay)?;
    Ok(goods)
}

/// Stores a batch with one more step.
fn step(name: String, place: String, mut batch: Batch) {
    let step = Step { at: host::timestamp(), holder: batch.holder, place };
    STEPS.set(&(name.clone(), batch.steps), &step);
    batch.steps = batch.steps.checked_add(1).unwrap_or_else(|| host::trap("a batch has made too many steps"));
    BATCHES.set(&name, &batch);
    Moved { batch: name, step }.emit();
}

fn batch(batch: String) -> Result<Option<Batch>> {
    Ok(BATCHES.get(&batch))
}

fn steps(batch: String, from: u32, limit: u32) -> Result<Vec<Step>> {
    let found = STEPS.range((batch.clone(), from)..=(batch, u32::MAX));
    Ok(found.first(limit.min(MAX_PAGE)).map(|(_, step)| step).collect())
}

fn trace(batch: String) -> Result<Trace> {
    let mut trace = Trace { batches: vec![batch], recalled: Vec::new() };
    let mut next = 0;
    // Breadth first: what was found last is looked at last.
    while let Some(name) = trace.batches.get(next).cloned() {
        let goods = BATCHES.get(&name).ok_or(Error::Unknown)?;
        if goods.recalled.is_some() {
            trace.recalled.push(name);
        }
        for part in goods.of {
            // There are few; a set would be half of the module.
            if !trace.batches.contains(&part.batch) {
                trace.batches.push(part.batch);
            }
        }
        ensure(trace.batches.len() <= MAX_TRACE, Error::TooLarge)?;
        next += 1;
    }
    Ok(trace)
}
