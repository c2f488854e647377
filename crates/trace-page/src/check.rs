//! Checking a page as a browser would, and then every byte of it.

use ledger_core::codec::{self, CodecError};
use ledger_core::{ContractId, Genesis, TrustRoot};
use ledger_traceability::timeline::{Checked, ContractCode, TimelineError, check_lines};

use crate::data::Data;
use crate::write::{LINE, LINE_END, SIGNED, html};
use crate::{MAX_PAGE_BYTES, PageError, escape, not_a_page};

/// What a page is worth.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The item that it says it is of.
    pub item: String,
    /// How many events it shows.
    pub events: usize,
    /// The chain of the trust root that was used.
    pub root: TrustRoot,
    /// Whether that was the page's own: then the page only agrees with itself.
    pub own_word: bool,
    /// Whether nobody but the page says which contract has stored the events, and that is a module, which may keep to any rules.
    pub own_contract: bool,
    /// Each line, and whether they are all; or why nothing can be said of any.
    pub checked: Result<Checked, TimelineError>,
    /// Where the file isn't what this version writes for these proofs: the first byte of the file that differs.
    pub differs_at: Option<usize>,
}

impl Verdict {
    /// Whether everything holds and every byte is as it should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.differs_at.is_none() && self.checked.as_ref().is_ok_and(Checked::holds)
    }

    /// What doesn't hold, a sentence each; nothing where [`Verdict::holds`].
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match &self.checked {
            Err(error) => faults.push(error.to_string()),
            Ok(checked) => {
                for (index, line) in checked.lines.iter().enumerate() {
                    if let Err(error) = line {
                        faults.push(format!("line {}: {error}", index.saturating_add(1)));
                    }
                }
                if let Err(error) = &checked.walk {
                    faults.push(format!("the lines are not shown to be all: {error}"));
                }
            }
        }
        if let Some(at) = self.differs_at {
            faults.push(format!(
                "byte {at} of the file is not what ledgerkit {} writes for these events and proofs: the page was changed, or \
                 another version has written it",
                env!("CARGO_PKG_VERSION")
            ));
        }
        faults
    }
}

/// Checks a page: each line with its proofs against the trust root that is given, or else the page's own, and every byte of the file.
///
/// # Errors
/// [`PageError`] where the text is no trace page.
pub fn check(page: &str, trust: Option<&TrustRoot>) -> Result<Verdict, PageError> {
    check_contract(page, trust, None)
}

/// The same as [`check`], of events that this contract has stored, where one is given.
///
/// # Errors
/// [`PageError`] where the text is no trace page.
pub fn check_contract(
    page: &str,
    trust: Option<&TrustRoot>,
    contract: Option<ContractId>,
) -> Result<Verdict, PageError> {
    if page.len() > MAX_PAGE_BYTES {
        return Err(PageError::TooLarge { what: "the page", limit: MAX_PAGE_BYTES });
    }
    let (_, after) = page.split_once("<script type=\"application/json\" id=\"trace-data\">").ok_or_else(missing)?;
    let (data, _) = after.split_once("</script>").ok_or_else(missing)?;
    let data = Data::from_json(data)?;
    let events = events(page)?;
    let events: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    let root = match trust {
        Some(trust) => trust.clone(),
        None => own(&data.trust_root).map_err(|error| not_a_page(format!("its trust root is none: {error}")))?,
    };
    let checked = check_lines(&root, &data.checkpoint, &data.item, &data.pieces, &events);
    let checked = checked.and_then(|checked| match contract {
        Some(expected) if expected != checked.contract => {
            Err(TimelineError::OtherContract { contract: checked.contract, expected })
        }
        _ => Ok(checked),
    });
    let module = |checked: &Checked| matches!(checked.code, ContractCode::Module(_));
    let own_contract = contract.is_none() && checked.as_ref().is_ok_and(module);
    let ours = html(&data, &events);
    let same = ours.bytes().zip(page.bytes()).take_while(|(ours, theirs)| ours == theirs).count();
    let differs_at = (ours != page).then_some(same);
    let (item, own_word) = (data.item, trust.is_none());
    Ok(Verdict { item, events: events.len(), root, own_word, own_contract, checked, differs_at })
}

fn missing() -> PageError {
    not_a_page("it has no element `trace-data`")
}

/// A genesis alone is a trust root's beginning, so that no bytes are both.
fn own(bytes: &[u8]) -> Result<TrustRoot, CodecError> {
    codec::decode::<TrustRoot>(bytes)
        .or_else(|error| codec::decode::<Genesis>(bytes).map(TrustRoot::new).map_err(|_| error))
}

/// The events that are shown, in their order. Where a line isn't built as it should be, the file differs from what is written.
fn events(page: &str) -> Result<Vec<String>, PageError> {
    let mut events = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once(LINE) {
        let number = events.len().saturating_add(1);
        let broken = || not_a_page(format!("line {number} is not built as a line is"));
        let (_, event) = after.split_once(SIGNED).ok_or_else(broken)?;
        let (event, after) = event.split_once(LINE_END).ok_or_else(broken)?;
        events.push(escape::untext(event).ok_or_else(broken)?);
        rest = after;
    }
    Ok(events)
}
