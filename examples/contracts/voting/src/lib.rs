//! Proposals and votes: the owner keeps the roll of voters and their weights, anybody on it proposes, each votes until the
//! proposal closes, and may change their mind until then.
//!
//! A vote counts with the weight that the voter has when voting. A proposal is decided when it has closed and the votes cast
//! reach the quorum: the option with the most weight wins; of equals none does. The counts are kept with each vote, so
//! reading a result costs the same for ten voters and for a million.
#![no_std]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use ledger_contract_sdk::{
    AccountId, Cell, Counter, Map, Result, access, contract, ensure, event, host, record, refusals,
};

contract! {
    /// Proposals and votes.
    pub contract Voting = "voting" {
        construct(quorum: u64);
        methods {
            /// Gives an account a weight; 0 takes it off the roll. By the owner.
            write fn set_weight(voter: AccountId, weight: u32);
            /// Opens a proposal that closes at a time, in ms since 1970. Answers with its number.
            write fn propose(question: String, options: Vec<String>, closes_at: u64) -> u64;
            /// Votes for an option, counted from 0; a vote that was cast is replaced.
            write fn vote(proposal: u64, option: u8);
            /// What is voted on, and the counts.
            read fn proposal(number: u64) -> Option<Proposal>;
            /// What came of it.
            read fn outcome(number: u64) -> Outcome;
            /// What an account voted for.
            read fn vote_of(proposal: u64, voter: AccountId) -> Option<Ballot>;
        }
        events { Proposed, Voted, access::OwnerChanged }
        refusals { Error, access::AccessError }
    }
}

record! {
    /// What is voted on.
    pub struct Proposal {
        /// Who proposed it.
        pub by: AccountId,
        /// The question.
        pub question: String,
        /// The possible answers.
        pub options: Vec<String>,
        /// The weight that voted for each.
        pub counts: Vec<u64>,
        /// Votes are cast before this, in ms since 1970.
        pub closes_at: u64,
    }
}

record! {
    /// A vote.
    #[derive(Copy)]
    pub struct Ballot {
        /// For which option.
        pub option: u8,
        /// With what weight.
        pub weight: u32,
    }
}

record! {
    /// What comes of a proposal.
    #[derive(Copy)]
    pub enum Outcome {
        /// Votes are still cast.
        Open = 0,
        /// Too few voted.
        NoQuorum = 1,
        /// Several options have the most weight.
        Tied = 2,
        /// One has.
        Decided {
            /// Which.
            option: u8,
        } = 3,
    }
}

event! {
    /// A proposal was opened.
    pub struct Proposed = "proposed" {
        /// Its number.
        pub number: u64,
        /// By whom.
        pub by: AccountId,
    }
}

event! {
    /// A vote was cast, or changed.
    pub struct Voted = "voted" {
        /// On which proposal.
        pub proposal: u64,
        /// By whom.
        pub voter: AccountId,
        /// The vote.
        pub ballot: Ballot,
    }
}

refusals! {
    /// Why a vote or a proposal is refused.
    pub enum Error {
        /// The caller isn't on the roll.
        NoVoter = 1 => "the caller isn't on the roll",
        /// There is no such proposal.
        Unknown = 2 => "there is no such proposal",
        /// It has closed.
        Closed = 3 => "the proposal has closed",
        /// There is no such option.
        NoOption = 4 => "the proposal has no such option",
        /// A proposal has 2 to 16 options.
        BadOptions = 5 => "a proposal has 2 to 16 options",
        /// It would close in the past.
        BadTime = 6 => "a proposal closes after it was opened",
    }
}

const QUORUM: Cell<u64> = Cell::new(b'q');
const WEIGHTS: Map<AccountId, u32> = Map::new(b'w');
const NUMBERS: Counter = Counter::new(b'n');
const PROPOSALS: Map<u64, Proposal> = Map::new(b'p');
const BALLOTS: Map<(u64, AccountId), Ballot> = Map::new(b'b');

fn construct(quorum: u64) -> Result {
    access::set_owner(host::caller());
    QUORUM.set(&quorum);
    Ok(())
}

fn set_weight(voter: AccountId, weight: u32) -> Result {
    access::only_owner()?;
    WEIGHTS.set_or_remove(&voter, &weight);
    Ok(())
}

fn weight() -> Result<u32> {
    Ok(WEIGHTS.get(&host::caller()).ok_or(Error::NoVoter)?)
}

fn propose(question: String, options: Vec<String>, closes_at: u64) -> Result<u64> {
    weight()?;
    ensure((2..=16).contains(&options.len()), Error::BadOptions)?;
    ensure(closes_at > host::timestamp(), Error::BadTime)?;
    let (number, by) = (NUMBERS.next(), host::caller());
    let counts = options.iter().map(|_| 0).collect();
    PROPOSALS.set(&number, &Proposal { by, question, options, counts, closes_at });
    Proposed { number, by }.emit();
    Ok(number)
}

fn vote(proposal: u64, option: u8) -> Result {
    let (voter, weight) = (host::caller(), weight()?);
    let mut on = PROPOSALS.get(&proposal).ok_or(Error::Unknown)?;
    ensure(host::timestamp() < on.closes_at, Error::Closed)?;
    if let Some(earlier) = BALLOTS.get(&(proposal, voter)) {
        *count(&mut on, earlier.option)? -= u64::from(earlier.weight);
    }
    // Fewer than 2³² voters with weights below 2³².
    *count(&mut on, option)? += u64::from(weight);
    PROPOSALS.set(&proposal, &on);
    let ballot = Ballot { option, weight };
    BALLOTS.set(&(proposal, voter), &ballot);
    Voted { proposal, voter, ballot }.emit();
    Ok(())
}

fn count(proposal: &mut Proposal, option: u8) -> Result<&mut u64> {
    Ok(proposal.counts.get_mut(usize::from(option)).ok_or(Error::NoOption)?)
}

fn proposal(number: u64) -> Result<Option<Proposal>> {
    Ok(PROPOSALS.get(&number))
}

fn outcome(number: u64) -> Result<Outcome> {
    let proposal = PROPOSALS.get(&number).ok_or(Error::Unknown)?;
    if host::timestamp() < proposal.closes_at {
        return Ok(Outcome::Open);
    }
    if proposal.counts.iter().sum::<u64>() < QUORUM.get_or_default() {
        return Ok(Outcome::NoQuorum);
    }
    let most = proposal.counts.iter().copied().max().unwrap_or_default();
    let mut best = (0..).zip(&proposal.counts).filter(|(_, count)| **count == most);
    match (best.next(), best.next()) {
        (Some((option, _)), None) => Ok(Outcome::Decided { option }),
        _ => Ok(Outcome::Tied),
    }
}

fn vote_of(proposal: u64, voter: AccountId) -> Result<Option<Ballot>> {
    Ok(BALLOTS.get(&(proposal, voter)))
}
