//! The counter stays below its limit, and says what it counts.

use ledger_contract_sdk::access::AccessError;
use ledger_contract_sdk::mock::{Chain, Failure, account};
use my_contract::{Added, CONTRACT, Counter, Error};

#[test]
fn what_would_be_over_the_limit_is_refused_and_changes_nothing() -> Result<(), Failure> {
    let (owner, alice) = (account(1), account(2));
    let mut chain = Chain::new();
    let counter = Counter(chain.deploy(owner, &CONTRACT, Counter::constructor(10))?);
    let receipt = chain.call(alice, counter.add(7))?;
    assert_eq!(receipt.answer, 7);
    assert_eq!(receipt.emitted::<Added>(), [Added { by: alice, step: 7 }]);

    let refused = chain.call(alice, counter.add(4)).err();
    assert!(refused.is_some_and(|failure| failure.is(Error::OverLimit)));
    assert_eq!(chain.query(alice, counter.count())?, 7);

    let refused = chain.call(alice, counter.set_limit(11)).err();
    assert!(refused.is_some_and(|failure| failure.is(AccessError::NotOwner)));
    chain.call(owner, counter.set_limit(11))?;
    assert_eq!(chain.call(alice, counter.add(4))?.answer, 11);
    Ok(())
}
