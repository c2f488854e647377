//! A trace leads to every origin, a batch never gives more than it has, and a recall reaches all that was made of it.
#![allow(clippy::unwrap_used)]

use ledger_contract_sdk::AccountId;
use ledger_contract_sdk::mock::{Chain, account};
use ledger_example_provenance::{CONTRACT, Error, Moved, Part, Provenance, Recalled};

const FARM: AccountId = account(1);
const OTHER_FARM: AccountId = account(2);
const MILL: AccountId = account(3);
const SHOP: AccountId = account(4);

fn part(batch: &str, quantity: u64) -> Part {
    Part { batch: batch.into(), quantity }
}

/// Two harvests went to the mill.
fn milled() -> (Chain, Provenance) {
    let mut chain = Chain::new();
    let goods = Provenance(chain.deploy(FARM, &CONTRACT, Provenance::constructor()).unwrap());
    for (farm, batch) in [(FARM, "wheat 1"), (OTHER_FARM, "wheat 2")] {
        chain.call(farm, goods.originate(batch.into(), "wheat".into(), 100, "field".into())).unwrap();
        chain.call(farm, goods.send(batch.into(), MILL)).unwrap();
        chain.call(MILL, goods.receive(batch.into(), "mill".into())).unwrap();
    }
    (chain, goods)
}

fn blend(goods: Provenance, name: &str, first: u64, second: u64) -> ledger_contract_sdk::Call<()> {
    let of = vec![part("wheat 1", first), part("wheat 2", second)];
    goods.make(name.into(), "flour".into(), first + second, "mill".into(), of)
}

#[test]
fn a_trace_has_all_origins_and_says_what_is_recalled() {
    let (mut chain, goods) = milled();
    chain.call(MILL, blend(goods, "flour", 60, 40)).unwrap();
    let bread = goods.make("bread".into(), "bread".into(), 50, "bakery".into(), vec![part("flour", 30)]);
    chain.call(MILL, bread).unwrap();
    let trace = chain.query(SHOP, goods.trace("bread".into())).unwrap();
    assert_eq!(trace.batches, ["bread", "flour", "wheat 1", "wheat 2"]);
    assert!(trace.recalled.is_empty());
    assert!(chain.call(MILL, goods.recall("wheat 2".into(), "mould".into())).unwrap_err().is(Error::NotMaker));
    let receipt = chain.call(OTHER_FARM, goods.recall("wheat 2".into(), "mould".into())).unwrap();
    assert_eq!(receipt.emitted::<Recalled>().len(), 1);
    assert_eq!(chain.query(SHOP, goods.trace("bread".into())).unwrap().recalled, ["wheat 2"]);
    assert!(chain.call(MILL, blend(goods, "more flour", 1, 1)).unwrap_err().is(Error::IsRecalled));
}

#[test]
fn a_batch_gives_no_more_than_it_has() {
    let (mut chain, goods) = milled();
    chain.call(MILL, blend(goods, "flour", 60, 100)).unwrap();
    let left = |chain: &Chain, batch: &str| chain.query(SHOP, goods.batch(batch.into())).unwrap().unwrap().left;
    assert_eq!((left(&chain, "wheat 1"), left(&chain, "wheat 2")), (40, 0));
    assert!(chain.call(MILL, blend(goods, "more", 40, 1)).unwrap_err().is(Error::TooLittle));
    assert_eq!((left(&chain, "wheat 1"), left(&chain, "wheat 2")), (40, 0));
    let twice = vec![part("wheat 1", 1), part("wheat 1", 1)];
    let call = goods.make("more".into(), "flour".into(), 2, "mill".into(), twice);
    assert!(chain.call(MILL, call).unwrap_err().is(Error::BadParts));
}

#[test]
fn goods_change_hands_when_they_arrive() {
    let (mut chain, goods) = milled();
    assert!(chain.call(FARM, goods.send("wheat 1".into(), SHOP)).unwrap_err().is(Error::NotHolder));
    chain.call(MILL, goods.send("wheat 1".into(), SHOP)).unwrap();
    assert!(chain.call(MILL, blend(goods, "flour", 1, 1)).unwrap_err().is(Error::OnItsWay));
    assert!(chain.call(FARM, goods.receive("wheat 1".into(), "home".into())).unwrap_err().is(Error::NotSent));
    let receipt = chain.call(SHOP, goods.receive("wheat 1".into(), "shelf".into())).unwrap();
    assert_eq!(receipt.emitted::<Moved>().first().unwrap().step.place, "shelf");
    let steps = chain.query(SHOP, goods.steps("wheat 1".into(), 0, 100)).unwrap();
    let places: Vec<&str> = steps.iter().map(|step| step.place.as_str()).collect();
    assert_eq!(places, ["field", "mill", "shelf"]);
    assert_eq!(steps.iter().map(|step| step.holder).collect::<Vec<_>>(), [FARM, MILL, SHOP]);
}

#[test]
fn a_name_is_used_once() {
    let (mut chain, goods) = milled();
    let again = goods.originate("wheat 1".into(), "wheat".into(), 1, "field".into());
    assert!(chain.call(FARM, again).unwrap_err().is(Error::AlreadyThere));
    let nothing = goods.originate("wheat 3".into(), "wheat".into(), 0, "field".into());
    assert!(chain.call(FARM, nothing).unwrap_err().is(Error::NoQuantity));
}
