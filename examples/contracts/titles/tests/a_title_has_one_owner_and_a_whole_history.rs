//! An asset has one owner at a time, changes hands only when both want it and nobody has a lien, and keeps its history.
#![allow(clippy::unwrap_used)]

use ledger_contract_sdk::AccountId;
use ledger_contract_sdk::access::AccessError;
use ledger_contract_sdk::mock::{Chain, account};
use ledger_example_titles::{CONTRACT, Change, Error, Recorded, Titles};

const OWNER: AccountId = account(0);
const REGISTRAR: AccountId = account(1);
const ANN: AccountId = account(2);
const BEN: AccountId = account(3);
const BANK: AccountId = account(4);

fn registry() -> (Chain, Titles) {
    let mut chain = Chain::new();
    let titles = Titles(chain.deploy(OWNER, &CONTRACT, Titles::constructor()).unwrap());
    chain.call(OWNER, titles.set_registrar(REGISTRAR, true)).unwrap();
    chain.call(REGISTRAR, titles.register("plot 7".into(), ANN, [9; 32])).unwrap();
    (chain, titles)
}

fn owner(chain: &Chain, titles: Titles) -> AccountId {
    chain.query(OWNER, titles.title("plot 7".into())).unwrap().unwrap().owner
}

#[test]
fn a_transfer_takes_an_offer_and_its_acceptance() {
    let (mut chain, titles) = registry();
    let plot = || String::from("plot 7");
    assert!(chain.call(BEN, titles.offer(plot(), BEN)).unwrap_err().is(Error::NotOwner));
    assert!(chain.call(BEN, titles.accept(plot())).unwrap_err().is(Error::NotOffered));
    chain.call(ANN, titles.offer(plot(), BEN)).unwrap();
    assert_eq!(owner(&chain, titles), ANN);
    let receipt = chain.call(BEN, titles.accept(plot())).unwrap();
    assert_eq!(owner(&chain, titles), BEN);
    let recorded: Vec<Recorded> = receipt.emitted();
    assert_eq!(recorded.first().unwrap().step.what, Change::Transferred { from: ANN, to: BEN });
    assert!(chain.query(OWNER, titles.assets(ANN, None, 10)).unwrap().is_empty());
    assert_eq!(chain.query(OWNER, titles.assets(BEN, None, 10)).unwrap(), ["plot 7"]);
}

#[test]
fn an_offer_that_was_taken_back_is_not_accepted() {
    let (mut chain, titles) = registry();
    chain.call(ANN, titles.offer("plot 7".into(), BEN)).unwrap();
    chain.call(ANN, titles.withdraw("plot 7".into())).unwrap();
    assert!(chain.call(BEN, titles.accept("plot 7".into())).unwrap_err().is(Error::NotOffered));
}

#[test]
fn a_lien_holds_an_asset_until_its_holder_releases_it() {
    let (mut chain, titles) = registry();
    let plot = || String::from("plot 7");
    chain.call(ANN, titles.offer(plot(), BEN)).unwrap();
    chain.call(ANN, titles.place_lien(plot(), BANK)).unwrap();
    assert!(chain.call(BEN, titles.accept(plot())).unwrap_err().is(Error::NotOffered));
    assert!(chain.call(ANN, titles.offer(plot(), BEN)).unwrap_err().is(Error::Encumbered));
    assert!(chain.call(ANN, titles.release_lien(plot())).unwrap_err().is(Error::NoLien));
    chain.call(BANK, titles.release_lien(plot())).unwrap();
    chain.call(ANN, titles.offer(plot(), BEN)).unwrap();
    chain.call(BEN, titles.accept(plot())).unwrap();
    let steps = chain.query(OWNER, titles.history(plot(), 0, 100)).unwrap();
    let changes: Vec<Change> = steps.iter().map(|step| step.what.clone()).collect();
    let lien = Change::LienPlaced { holder: BANK };
    let sold = Change::Transferred { from: ANN, to: BEN };
    assert_eq!(changes, [Change::Registered { owner: ANN }, lien, Change::LienReleased, sold]);
    assert!(steps.is_sorted_by_key(|step| step.at));
    assert_eq!(chain.query(OWNER, titles.history(plot(), 3, 100)).unwrap(), steps.get(3..).unwrap());
}

#[test]
fn registrars_register_and_nothing_twice() {
    let (mut chain, titles) = registry();
    let again = chain.call(REGISTRAR, titles.register("plot 7".into(), BEN, [0; 32])).unwrap_err();
    assert!(again.is(Error::AlreadyRegistered));
    let other = chain.call(ANN, titles.register("plot 8".into(), ANN, [0; 32])).unwrap_err();
    assert!(other.is(AccessError::NoRole));
    assert!(chain.call(REGISTRAR, titles.register(String::new(), ANN, [0; 32])).unwrap_err().is(Error::BadName));
}

#[test]
fn assets_are_listed_page_by_page() {
    let (mut chain, titles) = registry();
    for number in 0..75 {
        chain.call(REGISTRAR, titles.register(format!("car {number:02}"), BEN, [0; 32])).unwrap();
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = chain.query(OWNER, titles.assets(BEN, after, 20)).unwrap();
        after = page.last().cloned();
        all.extend(page);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all, (0..75).map(|number| format!("car {number:02}")).collect::<Vec<_>>());
}
