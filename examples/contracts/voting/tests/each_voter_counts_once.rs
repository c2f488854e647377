//! Each voter counts once, with the last vote before the proposal closes.
#![allow(clippy::unwrap_used)]

use ledger_contract_sdk::AccountId;
use ledger_contract_sdk::access::AccessError;
use ledger_contract_sdk::mock::{Chain, account};
use ledger_example_voting::{Ballot, CONTRACT, Error, Outcome, Voted, Voting};

const OWNER: AccountId = account(0);
const HOUR: u64 = 3_600_000;

/// Voters 1 to 4, of weights 1 to 4, and a proposal that is open for an hour.
fn opened(quorum: u64) -> (Chain, Voting, u64) {
    let mut chain = Chain::new();
    let voting = Voting(chain.deploy(OWNER, &CONTRACT, Voting::constructor(quorum)).unwrap());
    for voter in 1..5 {
        chain.call(OWNER, voting.set_weight(account(voter), voter.into())).unwrap();
    }
    let options = vec!["yes".into(), "no".into(), "later".into()];
    let call = voting.propose("Buy the barn?".into(), options, chain.timestamp + HOUR);
    let number = chain.call(account(1), call).unwrap().answer;
    (chain, voting, number)
}

fn counts(chain: &Chain, voting: Voting, number: u64) -> Vec<u64> {
    chain.query(OWNER, voting.proposal(number)).unwrap().unwrap().counts
}

#[test]
fn a_changed_vote_replaces_the_earlier_one_even_after_a_change_of_weight() {
    let (mut chain, voting, number) = opened(0);
    chain.call(account(3), voting.vote(number, 0)).unwrap();
    chain.call(account(4), voting.vote(number, 1)).unwrap();
    assert_eq!(counts(&chain, voting, number), [3, 4, 0]);
    chain.call(OWNER, voting.set_weight(account(3), 10)).unwrap();
    let receipt = chain.call(account(3), voting.vote(number, 2)).unwrap();
    let ballot = Ballot { option: 2, weight: 10 };
    assert_eq!(receipt.emitted::<Voted>(), [Voted { proposal: number, voter: account(3), ballot }]);
    assert_eq!(counts(&chain, voting, number), [0, 4, 10]);
    assert_eq!(chain.query(OWNER, voting.vote_of(number, account(3))).unwrap(), Some(ballot));
}

#[test]
fn an_outcome_is_known_when_the_proposal_has_closed() {
    let (mut chain, voting, number) = opened(5);
    let outcome = |chain: &Chain| chain.query(OWNER, voting.outcome(number)).unwrap();
    chain.call(account(4), voting.vote(number, 1)).unwrap();
    assert_eq!(outcome(&chain), Outcome::Open);
    let mut too_few = chain.clone();
    too_few.advance(HOUR);
    assert_eq!(outcome(&too_few), Outcome::NoQuorum);
    let mut tied = chain.clone();
    tied.call(account(3), voting.vote(number, 0)).unwrap();
    tied.call(account(1), voting.vote(number, 0)).unwrap();
    tied.advance(HOUR);
    assert_eq!(outcome(&tied), Outcome::Tied);
    chain.call(account(2), voting.vote(number, 1)).unwrap();
    chain.advance(HOUR);
    assert_eq!(outcome(&chain), Outcome::Decided { option: 1 });
    assert!(chain.call(account(1), voting.vote(number, 0)).unwrap_err().is(Error::Closed));
}

#[test]
fn only_the_roll_votes_and_only_for_what_there_is() {
    let (mut chain, voting, number) = opened(0);
    assert!(chain.call(account(9), voting.vote(number, 0)).unwrap_err().is(Error::NoVoter));
    assert!(chain.call(account(1), voting.vote(number, 3)).unwrap_err().is(Error::NoOption));
    assert!(chain.call(account(1), voting.vote(number + 1, 0)).unwrap_err().is(Error::Unknown));
    assert!(chain.call(account(1), voting.set_weight(account(1), 99)).unwrap_err().is(AccessError::NotOwner));
    chain.call(OWNER, voting.set_weight(account(1), 0)).unwrap();
    assert!(chain.call(account(1), voting.vote(number, 0)).unwrap_err().is(Error::NoVoter));
}

#[test]
fn a_proposal_has_options_and_a_time_to_come() {
    let (mut chain, voting, _) = opened(0);
    let later = chain.timestamp + HOUR;
    let one = voting.propose("?".into(), vec!["yes".into()], later);
    assert!(chain.call(account(1), one).unwrap_err().is(Error::BadOptions));
    let past = voting.propose("?".into(), vec!["yes".into(), "no".into()], chain.timestamp);
    assert!(chain.call(account(1), past).unwrap_err().is(Error::BadTime));
}
