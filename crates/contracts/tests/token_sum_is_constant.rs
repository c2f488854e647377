//! Transfers move tokens and make none; only the owner mints.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use ledger_contracts::testing::TestLedger;
use ledger_contracts::token::{Grant, MINTED, TokenError, mint_arguments};
use ledger_contracts::{BAD_ARGUMENTS, LedgerExecutor, NATIVE, NativeRuntime, Token};
use ledger_core::{AccountId, ContractId, Failure, Status, TransactionBuilder};
use ledger_crypto::{MemorySigner, Signer};
use proptest::prelude::*;

struct World {
    ledger: TestLedger,
    signers: Vec<MemorySigner>,
    contract: ContractId,
}

impl World {
    /// Signer 0 is the owner.
    fn new(signers: u8) -> Self {
        let mut ledger = TestLedger::new(LedgerExecutor::default().with(NativeRuntime::new().with(Token)));
        let signers: Vec<_> = (0..signers).map(|seed| MemorySigner::from_seed([seed; 32])).collect();
        let contract = ledger.deploy(&signers[0], NATIVE, Token::NAME.as_bytes(), b"").unwrap();
        World { ledger, signers, contract }
    }

    fn account(&self, who: usize) -> AccountId {
        AccountId::of_ed25519(&self.signers[who].public_key())
    }

    fn amount(&self, method: &str, arguments: &[u8]) -> u128 {
        let answer = self.ledger.simulate(self.account(0), self.contract, method, arguments).unwrap();
        u128::from_le_bytes((*answer.output).try_into().unwrap())
    }

    fn balances(&self) -> Vec<u128> {
        (0..self.signers.len()).map(|who| self.amount("balance", self.account(who).0.as_bytes())).collect()
    }

    fn status(&mut self, who: usize, method: &str, arguments: &[u8]) -> Status {
        self.ledger.call(&self.signers[who], self.contract, method, arguments).unwrap().receipt.status
    }

    fn mint(&mut self, who: usize, to: usize, amount: u128) -> Status {
        let grant = Grant { account: self.account(to), amount };
        self.status(who, "mint", &mint_arguments(&[grant]))
    }
}

fn refused_as(status: &Status, expected: u32) -> bool {
    matches!(status, Status::Failed(Failure::Refused { code, .. }) if *code == expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_sum_of_the_balances_is_the_supply_and_equals_a_model(
        minted in prop::collection::vec(0..1_000u128, 4),
        blocks in prop::collection::vec(prop::collection::vec((0..4usize, 0..4usize, 0..1_500u128), 0..6), 0..5),
    ) {
        let mut world = World::new(4);
        let grants: Vec<_> =
            minted.iter().enumerate().map(|(who, &amount)| Grant { account: world.account(who), amount }).collect();
        prop_assert_eq!(world.status(0, "mint", &mint_arguments(&grants)), Status::Succeeded);
        let mut model = minted.clone();
        for block in blocks {
            let mut transactions = Vec::new();
            let mut expected = Vec::new();
            for (from, to, amount) in block {
                let arguments = Grant { account: world.account(to), amount }.to_bytes().to_vec();
                let call = TransactionBuilder::call(world.ledger.chain(), world.contract, "transfer", arguments);
                transactions.push(world.ledger.sign(&world.signers[from], call).unwrap());
                expected.push(model[from] >= amount);
                if model[from] >= amount {
                    model[from] -= amount;
                    model[to] += amount;
                }
            }
            let execution = world.ledger.apply(transactions).unwrap();
            let succeeded: Vec<_> = execution.results.iter().map(|result| result.receipt.succeeded()).collect();
            prop_assert_eq!(succeeded, expected);
        }
        prop_assert_eq!(world.balances(), model);
        prop_assert_eq!(world.amount("supply", b""), minted.iter().sum::<u128>());
    }
}

#[test]
fn only_the_owner_mints_and_the_mint_is_told() {
    let mut world = World::new(2);
    assert!(refused_as(&world.mint(1, 1, 5), TokenError::NotOwner as u32));
    let grants = mint_arguments(&[Grant { account: world.account(1), amount: 5 }]);
    let result = world.ledger.call(&world.signers[0], world.contract, "mint", &grants).unwrap();
    assert_eq!((&*result.events[0].topic, &*result.events[0].data), (MINTED, 5u128.to_le_bytes().as_slice()));
    assert_eq!(world.balances(), [0, 5]);
}

#[test]
fn a_supply_over_128_bits_is_refused_whole() {
    let mut world = World::new(2);
    assert_eq!(world.mint(0, 0, u128::MAX), Status::Succeeded);
    assert!(refused_as(&world.mint(0, 1, 1), TokenError::SupplyOverflow as u32));
    assert_eq!(world.balances(), [u128::MAX, 0]);
}

#[test]
fn arguments_of_another_shape_are_refused() {
    let mut world = World::new(1);
    for (method, arguments) in [("transfer", vec![0; 47]), ("transfer", vec![0; 49]), ("mint", vec![0; 50])] {
        assert!(refused_as(&world.status(0, method, &arguments), BAD_ARGUMENTS), "{method}");
    }
    assert!(refused_as(&world.status(0, "balance", &[0; 31]), BAD_ARGUMENTS));
}

#[test]
fn a_balance_of_zero_takes_no_room() {
    let mut world = World::new(2);
    world.mint(0, 0, 7);
    let keys = world.ledger.state.len();
    let all = Grant { account: world.account(1), amount: 7 }.to_bytes();
    assert_eq!(world.status(0, "transfer", &all), Status::Succeeded);
    // The receiver's first transaction would add a lane; the sender's balance is gone, the receiver's has come.
    assert_eq!(world.ledger.state.len(), keys);
}
