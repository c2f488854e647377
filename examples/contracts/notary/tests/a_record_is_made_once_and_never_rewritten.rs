//! A document is recorded once, with its time; later versions and revocations add to that and take nothing away.
#![allow(clippy::unwrap_used)]

use ledger_contract_sdk::AccountId;
use ledger_contract_sdk::mock::{Chain, account};
use ledger_example_notary::{Attested, CONTRACT, Document, Error, Notary, Recorded, Revoked, Standing};

const ANN: AccountId = account(1);
const BEN: AccountId = account(2);
const DEED: [u8; 32] = [7; 32];

fn recorded() -> (Chain, Notary) {
    let mut chain = Chain::new();
    let notary = Notary(chain.deploy(ANN, &CONTRACT, Notary::constructor()).unwrap());
    let receipt = chain.call(ANN, notary.record_document(DEED, "deed".into(), None)).unwrap();
    assert_eq!(receipt.emitted::<Recorded>(), [Recorded { digest: DEED, by: ANN }]);
    (chain, notary)
}

fn document(chain: &Chain, notary: Notary, digest: [u8; 32]) -> Document {
    chain.query(BEN, notary.document(digest)).unwrap().unwrap()
}

#[test]
fn the_first_to_record_is_who_recorded() {
    let (mut chain, notary) = recorded();
    let (at, height) = (chain.timestamp, chain.height);
    let again = chain.call(BEN, notary.record_document(DEED, "mine".into(), None)).unwrap_err();
    assert!(again.is(Error::AlreadyRecorded));
    let found = document(&chain, notary, DEED);
    assert_eq!((found.by, found.at, found.height), (ANN, at, height));
    assert_eq!(chain.query(BEN, notary.document([8; 32])).unwrap(), None);
}

#[test]
fn a_later_version_takes_the_place_of_the_earlier() {
    let (mut chain, notary) = recorded();
    let stolen = notary.record_document([8; 32], "deed 2".into(), Some(DEED));
    assert!(chain.call(BEN, stolen.clone()).unwrap_err().is(Error::NotRecorder));
    chain.call(ANN, stolen).unwrap();
    assert_eq!(document(&chain, notary, DEED).standing, Standing::Replaced { by: [8; 32] });
    assert_eq!(document(&chain, notary, [8; 32]).replaces, Some(DEED));
    let forked = notary.record_document([9; 32], "deed 3".into(), Some(DEED));
    assert!(chain.call(ANN, forked).unwrap_err().is(Error::NotValid));
    assert_eq!(chain.query(BEN, notary.documents(ANN, 0, 100)).unwrap(), [DEED, [8; 32]]);
    assert_eq!(chain.query(BEN, notary.documents(ANN, 1, 100)).unwrap(), [[8; 32]]);
}

#[test]
fn witnesses_vouch_once_for_what_holds() {
    let (mut chain, notary) = recorded();
    assert!(chain.call(ANN, notary.attest(DEED)).unwrap_err().is(Error::AlreadyAttested));
    let receipt = chain.call(BEN, notary.attest(DEED)).unwrap();
    assert_eq!(receipt.emitted::<Attested>(), [Attested { digest: DEED, by: BEN }]);
    let at = chain.timestamp;
    assert!(chain.call(BEN, notary.attest(DEED)).unwrap_err().is(Error::AlreadyAttested));
    chain.call(account(3), notary.attest(DEED)).unwrap();
    assert_eq!(chain.query(ANN, notary.witnesses(DEED, None, 1)).unwrap(), [(BEN, at)]);
    assert_eq!(chain.query(ANN, notary.witnesses(DEED, Some(BEN), 9)).unwrap().len(), 1);
    assert!(chain.call(BEN, notary.revoke(DEED)).unwrap_err().is(Error::NotRecorder));
    let receipt = chain.call(ANN, notary.revoke(DEED)).unwrap();
    assert_eq!(receipt.emitted::<Revoked>(), [Revoked { digest: DEED }]);
    assert!(chain.call(account(4), notary.attest(DEED)).unwrap_err().is(Error::NotValid));
}
