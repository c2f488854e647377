//! Both amounts change hands or neither does, whichever token refuses.
#![allow(clippy::unwrap_used)]

use ledger_contract_sdk::mock::{Chain, account};
use ledger_contract_sdk::{AccountId, CALL_FAILED, ContractId, Refusal};
use ledger_example_swap::{Amount, CONTRACT, Cancelled, Error, Offered, Swap, Swapped};
use ledger_example_token::{self as token, Posted, Token};

const BANK: AccountId = account(0);
const ANN: AccountId = account(1);
const BEN: AccountId = account(2);

struct Market {
    chain: Chain,
    euro: Token,
    yen: Token,
    swap: Swap,
}

impl Market {
    /// Ann has 100 euros, Ben 9,000 yen, and both allow the swap to move all of it.
    fn new() -> Self {
        let mut chain = Chain::new();
        let mut currency = |symbol: &str| {
            let currency = token::Currency { name: symbol.into(), symbol: symbol.into(), decimals: 0 };
            Token(chain.deploy(BANK, &token::CONTRACT, Token::constructor(currency)).unwrap())
        };
        let (euro, yen) = (currency("EUR"), currency("JPY"));
        let swap = Swap(chain.deploy(BANK, &CONTRACT, Swap::constructor()).unwrap());
        chain.call(BANK, euro.mint(ANN, 100)).unwrap();
        chain.call(BANK, yen.mint(BEN, 9_000)).unwrap();
        chain.call(ANN, euro.approve(swap.0.into(), 100)).unwrap();
        chain.call(BEN, yen.approve(swap.0.into(), 9_000)).unwrap();
        Market { chain, euro, yen, swap }
    }

    fn offer(&mut self, euros: u64, yen: u64) -> u64 {
        let give = Amount { token: self.euro.0, amount: euros };
        let want = Amount { token: self.yen.0, amount: yen };
        let call = self.swap.offer(give, want, None, self.chain.timestamp + 60_000);
        let receipt = self.chain.call(ANN, call).unwrap();
        assert_eq!(receipt.emitted::<Offered>().len(), 1);
        receipt.answer
    }

    /// Euros of Ann, Ben and the swap, then their yen.
    fn balances(&self) -> [u64; 6] {
        let holders = [ANN, BEN, self.swap.0.into()];
        let all = [self.euro, self.yen]
            .map(|token| holders.map(|holder| self.chain.query(BANK, token.balance(holder)).unwrap()));
        let [[a, b, c], [d, e, f]] = all;
        [a, b, c, d, e, f]
    }
}

#[test]
fn an_accepted_offer_moves_both_amounts() {
    let mut market = Market::new();
    let number = market.offer(40, 6_400);
    assert_eq!(market.balances(), [60, 0, 40, 0, 9_000, 0]);
    let receipt = market.chain.call(BEN, market.swap.accept(number)).unwrap();
    assert_eq!(receipt.emitted::<Swapped>(), [Swapped { number, taker: BEN }]);
    assert_eq!(receipt.emitted::<Posted>().len(), 2);
    assert_eq!(market.balances(), [60, 40, 0, 6_400, 2_600, 0]);
    assert!(market.chain.call(BEN, market.swap.accept(number)).unwrap_err().is(Error::Unknown));
}

#[test]
fn a_refusal_of_the_second_token_takes_back_what_the_first_did() {
    let mut market = Market::new();
    let number = market.offer(40, 6_400);
    // The yen would move; the euros can't, for their token is paused.
    market.chain.call(BANK, market.euro.set_paused(true)).unwrap();
    let before = market.balances();
    let events = market.chain.events().len();
    let failure = market.chain.call(BEN, market.swap.accept(number)).unwrap_err();
    assert!(failure.is(ledger_contract_sdk::access::AccessError::Paused));
    assert_eq!(market.balances(), before);
    assert_eq!(market.chain.events().len(), events);
    assert!(market.chain.query(BANK, market.swap.offered(number)).unwrap().is_some());
}

#[test]
fn a_taker_without_enough_gets_nothing() {
    let mut market = Market::new();
    let number = market.offer(40, 9_001);
    let before = market.balances();
    let failure = market.chain.call(BEN, market.swap.accept(number)).unwrap_err();
    assert!(failure.is(token::Error::InsufficientAllowance));
    assert_eq!(market.balances(), before);
}

#[test]
fn an_offer_goes_back_to_its_maker() {
    let mut market = Market::new();
    let number = market.offer(40, 1);
    assert!(market.chain.call(BEN, market.swap.cancel(number)).unwrap_err().is(Error::NotMaker));
    market.chain.advance(60_000);
    assert!(market.chain.call(BEN, market.swap.accept(number)).unwrap_err().is(Error::Expired));
    let receipt = market.chain.call(BEN, market.swap.cancel(number)).unwrap();
    assert_eq!(receipt.emitted::<Cancelled>(), [Cancelled { number }]);
    assert_eq!(market.balances(), [100, 0, 0, 0, 9_000, 0]);
}

#[test]
fn an_offer_for_one_account_is_for_nobody_else() {
    let mut market = Market::new();
    let give = Amount { token: market.euro.0, amount: 1 };
    let want = Amount { token: market.yen.0, amount: 1 };
    let later = market.chain.timestamp + 60_000;
    let number = market.chain.call(ANN, market.swap.offer(give, want, Some(BEN), later)).unwrap().answer;
    assert!(market.chain.call(account(3), market.swap.accept(number)).unwrap_err().is(Error::NotForCaller));
    market.chain.call(BEN, market.swap.accept(number)).unwrap();
    let same = market.swap.offer(give, give, None, later);
    assert!(market.chain.call(ANN, same).unwrap_err().is(Error::SameCurrency));
}

#[test]
fn what_is_no_token_makes_the_offer_fail() {
    let mut market = Market::new();
    let give = Amount { token: ContractId([9; 32]), amount: 1 };
    let want = Amount { token: market.yen.0, amount: 1 };
    let later = market.chain.timestamp + 60_000;
    let failure = market.chain.call(ANN, market.swap.offer(give, want, None, later)).unwrap_err();
    let ledger_contract_sdk::mock::Failure::Refused(Refusal { code, .. }) = failure else { unreachable!("{failure}") };
    assert_eq!(code, CALL_FAILED);
    // A swap can't be its own token: it is running.
    let give = Amount { token: market.swap.0, amount: 1 };
    assert!(market.chain.call(ANN, market.swap.offer(give, want, None, later)).is_err());
}
