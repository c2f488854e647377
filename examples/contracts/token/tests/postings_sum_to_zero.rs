//! Whatever is called, balances and the issuer's account sum to zero, and refused calls change nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ledger_contract_sdk::AccountId;
use ledger_contract_sdk::access::AccessError;
use ledger_contract_sdk::mock::{Chain, Failure, account};
use ledger_example_token::{Approved, CONTRACT, Currency, Error, Leg, Payment, Posted, Token};
use proptest::prelude::*;

const OWNER: AccountId = account(0);

fn euro() -> Currency {
    Currency { name: "Euro".into(), symbol: "EUR".into(), decimals: 2 }
}

fn deployed() -> (Chain, Token) {
    let mut chain = Chain::new();
    let token = Token(chain.deploy(OWNER, &CONTRACT, Token::constructor(euro())).unwrap());
    (chain, token)
}

fn balance(chain: &Chain, token: Token, who: u8) -> u64 {
    chain.query(OWNER, token.balance(account(who))).unwrap()
}

/// What is done, by whom.
#[derive(Clone, Debug)]
enum Act {
    Mint(u8, u64),
    Burn(u8, u64),
    Transfer(u8, u8, u64),
    PayMany(u8, Vec<(u8, u64)>),
    Approve(u8, u8, u64),
    TransferFrom(u8, u8, u8, u64),
}

fn acts() -> impl Strategy<Value = Act> {
    let who = || 0..4_u8;
    let amount = || prop_oneof![8 => 0..100_u64, 1 => Just(u64::MAX)];
    prop_oneof![
        (who(), amount()).prop_map(|(to, amount)| Act::Mint(to, amount)),
        (who(), amount()).prop_map(|(by, amount)| Act::Burn(by, amount)),
        (who(), who(), amount()).prop_map(|(by, to, amount)| Act::Transfer(by, to, amount)),
        (who(), prop::collection::vec((who(), amount()), 0..4)).prop_map(|(by, to)| Act::PayMany(by, to)),
        (who(), who(), amount()).prop_map(|(by, to, amount)| Act::Approve(by, to, amount)),
        (who(), who(), who(), amount()).prop_map(|(by, payer, to, amount)| Act::TransferFrom(by, payer, to, amount)),
    ]
}

fn perform(chain: &mut Chain, token: Token, act: &Act) -> Result<Vec<Posted>, Failure> {
    let (by, call) = match act.clone() {
        Act::Mint(to, amount) => (OWNER, token.mint(account(to), amount)),
        Act::Burn(by, amount) => (account(by), token.burn(amount)),
        Act::Transfer(by, to, amount) => (account(by), token.transfer(account(to), amount)),
        Act::PayMany(by, payments) => {
            let payments = payments.into_iter().map(|(to, amount)| Payment { to: account(to), amount });
            (account(by), token.pay_many(payments.collect()))
        }
        Act::Approve(by, spender, amount) => (account(by), token.approve(account(spender), amount)),
        Act::TransferFrom(by, payer, to, amount) => {
            (account(by), token.transfer_from(account(payer), account(to), amount))
        }
    };
    chain.call(by, call).map(|receipt| receipt.emitted())
}

proptest! {
    #[test]
    fn balances_are_the_sums_of_postings_and_sum_to_the_supply(acts in prop::collection::vec(acts(), 0..40)) {
        let (mut chain, token) = deployed();
        let mut books = [0_i128; 4];
        for act in &acts {
            let before = chain.clone();
            match perform(&mut chain, token, act) {
                Ok(postings) => {
                    for posting in postings {
                        prop_assert_eq!(posting.legs.iter().map(|leg| leg.amount).sum::<i128>(), 0);
                        for Leg { account, amount } in posting.legs {
                            if let Some(account) = account {
                                books[usize::from(account.0[0])] += amount;
                            }
                        }
                    }
                }
                Err(failure) => {
                    prop_assert!(matches!(failure, Failure::Refused(_)), "{:?}", failure);
                    prop_assert_eq!(chain.keys(token.0), before.keys(token.0));
                    prop_assert_eq!(chain.events(), before.events());
                }
            }
            for who in 0..4 {
                prop_assert_eq!(i128::from(balance(&chain, token, who)), books[usize::from(who)]);
            }
            let supply = chain.query(OWNER, token.supply()).unwrap();
            prop_assert_eq!(i128::from(supply), books.iter().sum::<i128>());
        }
    }
}

#[test]
fn a_transfer_has_two_legs() {
    let (mut chain, token) = deployed();
    chain.call(OWNER, token.mint(account(1), 10)).unwrap();
    let receipt = chain.call(account(1), token.transfer(account(2), 4)).unwrap();
    let legs = vec![Leg { account: Some(account(1)), amount: -4 }, Leg { account: Some(account(2)), amount: 4 }];
    assert_eq!(receipt.emitted::<Posted>(), [Posted { legs }]);
    assert_eq!((balance(&chain, token, 1), balance(&chain, token, 2)), (6, 4));
}

#[test]
fn an_allowance_is_used_up_and_no_further() {
    let (mut chain, token) = deployed();
    chain.call(OWNER, token.mint(account(1), 10)).unwrap();
    let receipt = chain.call(account(1), token.approve(account(2), 5)).unwrap();
    let approved = Approved { payer: account(1), spender: account(2), amount: 5 };
    assert_eq!(receipt.emitted::<Approved>(), [approved]);
    chain.call(account(2), token.transfer_from(account(1), account(3), 3)).unwrap();
    let more = chain.call(account(2), token.transfer_from(account(1), account(3), 3)).unwrap_err();
    assert!(more.is(Error::InsufficientAllowance));
    assert_eq!(chain.query(OWNER, token.allowance(account(1), account(2))).unwrap(), 2);
    assert_eq!((balance(&chain, token, 1), balance(&chain, token, 3)), (7, 3));
}

#[test]
fn only_the_owner_mints_and_pauses() {
    let (mut chain, token) = deployed();
    assert!(chain.call(account(1), token.mint(account(1), 1)).unwrap_err().is(AccessError::NotOwner));
    assert!(chain.call(account(1), token.set_paused(true)).unwrap_err().is(AccessError::NotOwner));
    chain.call(OWNER, token.mint(account(1), 1)).unwrap();
    chain.call(OWNER, token.set_paused(true)).unwrap();
    assert!(chain.call(account(1), token.transfer(account(2), 1)).unwrap_err().is(AccessError::Paused));
    chain.call(OWNER, token.set_paused(false)).unwrap();
    chain.call(account(1), token.transfer(account(2), 1)).unwrap();
}

#[test]
fn a_supply_over_64_bits_is_refused() {
    let (mut chain, token) = deployed();
    chain.call(OWNER, token.mint(account(1), u64::MAX)).unwrap();
    assert!(chain.call(OWNER, token.mint(account(2), 1)).unwrap_err().is(Error::SupplyOverflow));
}

#[test]
fn a_symbol_has_three_to_five_letters() {
    for symbol in ["EU", "EUROES", "E1R"] {
        let currency = Currency { symbol: symbol.into(), ..euro() };
        let failure = Chain::new().deploy(OWNER, &CONTRACT, Token::constructor(currency)).unwrap_err();
        assert!(failure.is(Error::BadSymbol), "{symbol}");
    }
}

#[test]
fn the_constructor_keeps_what_the_token_is() {
    let (chain, token) = deployed();
    assert_eq!(chain.query(OWNER, token.currency()).unwrap(), euro());
}
