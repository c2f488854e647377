//! Points are spent in the order in which they expire, and expired ones count for nothing.
#![allow(clippy::unwrap_used)]

use ledger_contract_sdk::AccountId;
use ledger_contract_sdk::access::AccessError;
use ledger_contract_sdk::mock::{Chain, account};
use ledger_example_loyalty::{CONTRACT, Error, Loyalty, Redeemed, Totals};

const OWNER: AccountId = account(0);
const BAKER: AccountId = account(1);
const GROCER: AccountId = account(2);
const ANN: AccountId = account(3);
const DAY: u64 = 86_400_000;

/// Points live for 10 days.
fn programme() -> (Chain, Loyalty) {
    let mut chain = Chain::new();
    let loyalty = Loyalty(chain.deploy(OWNER, &CONTRACT, Loyalty::constructor(10)).unwrap());
    for shop in [BAKER, GROCER] {
        chain.call(OWNER, loyalty.set_shop(shop, true)).unwrap();
    }
    (chain, loyalty)
}

fn balance(chain: &Chain, loyalty: Loyalty) -> u64 {
    chain.query(ANN, loyalty.balance(ANN)).unwrap()
}

fn lots(chain: &Chain, loyalty: Loyalty) -> Vec<u64> {
    chain.query(ANN, loyalty.lots(ANN)).unwrap().iter().map(|lot| lot.points).collect()
}

#[test]
fn the_oldest_points_are_spent_first() {
    let (mut chain, loyalty) = programme();
    chain.call(BAKER, loyalty.award(ANN, 30)).unwrap();
    chain.call(GROCER, loyalty.award(ANN, 20)).unwrap();
    chain.advance(DAY);
    chain.call(BAKER, loyalty.award(ANN, 40)).unwrap();
    assert_eq!(lots(&chain, loyalty), [50, 40]);
    let receipt = chain.call(ANN, loyalty.redeem(GROCER, 60)).unwrap();
    assert_eq!(receipt.emitted::<Redeemed>(), [Redeemed { shop: GROCER, customer: ANN, points: 60 }]);
    assert_eq!(lots(&chain, loyalty), [30]);
    let totals = chain.query(OWNER, loyalty.account(GROCER)).unwrap();
    assert_eq!(totals, Totals { awarded: 20, redeemed: 60 });
}

#[test]
fn expired_points_are_gone() {
    let (mut chain, loyalty) = programme();
    chain.call(BAKER, loyalty.award(ANN, 30)).unwrap();
    chain.advance(6 * DAY);
    chain.call(BAKER, loyalty.award(ANN, 5)).unwrap();
    assert_eq!(balance(&chain, loyalty), 35);
    chain.advance(5 * DAY);
    assert_eq!(balance(&chain, loyalty), 5);
    let before = chain.keys(loyalty.0);
    assert!(chain.call(ANN, loyalty.redeem(BAKER, 6)).unwrap_err().is(Error::TooFew));
    assert_eq!(chain.keys(loyalty.0), before);
    chain.call(ANN, loyalty.redeem(BAKER, 5)).unwrap();
    // Both lots are cleared away, the expired one too.
    assert_eq!(chain.keys(loyalty.0), before - 2);
}

#[test]
fn many_lots_are_spent_across_pages() {
    let (mut chain, loyalty) = programme();
    for _ in 0..10 {
        chain.call(BAKER, loyalty.award(ANN, 1)).unwrap();
        chain.advance(DAY);
    }
    assert_eq!(balance(&chain, loyalty), 10);
    chain.call(ANN, loyalty.redeem(BAKER, 10)).unwrap();
    assert_eq!(balance(&chain, loyalty), 0);
}

#[test]
fn only_shops_give_and_take() {
    let (mut chain, loyalty) = programme();
    assert!(chain.call(ANN, loyalty.award(ANN, 1)).unwrap_err().is(AccessError::NoRole));
    chain.call(BAKER, loyalty.award(ANN, 9)).unwrap();
    assert!(chain.call(ANN, loyalty.redeem(ANN, 1)).unwrap_err().is(Error::NoShop));
    chain.call(OWNER, loyalty.set_shop(BAKER, false)).unwrap();
    assert!(chain.call(BAKER, loyalty.award(ANN, 1)).unwrap_err().is(AccessError::NoRole));
    assert!(chain.call(ANN, loyalty.redeem(GROCER, 0)).unwrap_err().is(Error::NoPoints));
    assert!(chain.deploy(OWNER, &CONTRACT, Loyalty::constructor(0)).unwrap_err().is(Error::BadDays));
}
