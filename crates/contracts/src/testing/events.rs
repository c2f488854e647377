//! What events a test expects.

use super::typed::decode;
use core::fmt;
use ledger_core::codec::{self, Decode, Encode};
use ledger_core::{ContractId, Event};

/// How many bytes of an event's data are shown.
const SHOWN_BYTES: usize = 48;

/// Some of the events of a receipt or a simulation, and what is expected of them. An expectation that isn't met is an error
/// that says what was looked for and which events there were; a test unwraps it.
///
/// ```
/// use ledger_contracts::testing::Events;
/// # use ledger_core::{ContractId, Event, codec};
/// # use ledger_crypto::Digest;
/// # let shop = ContractId(Digest::ZERO);
/// # let sold = |number: u32| Event { contract: shop, topic: "sold".into(), data: codec::encode(&(number, 5u64)).into() };
/// # let events = vec![sold(1), sold(2)];
/// Events::of(&events).by(shop).topic("sold").exactly(2)?;
/// Events::of(&events).data(&(2u32, 5u64)).at_least(1)?;
/// let sold: Vec<(u32, u64)> = Events::of(&events).topic("sold").decoded()?;
/// assert_eq!(sold[0].0, 1);
///
/// let missing = Events::of(&events).topic("refunded").exactly(1).unwrap_err();
/// assert!(missing.to_string().contains(r#""sold""#));
/// # Ok::<(), ledger_contracts::testing::EventMismatch>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is expected yet"]
pub struct Events<'e> {
    all: &'e [Event],
    found: Vec<&'e Event>,
    looked_for: String,
}

/// Events aren't what a test expected. Its debug form is its words, so that a test that unwraps it is readable.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, but there {} {found}; all events:{}", if *found == 1 { "is" } else { "are" }, listed(all))]
pub struct EventMismatch {
    /// What was expected.
    pub expected: String,
    /// How many events were as they should be.
    pub found: usize,
    /// All events that there were.
    pub all: Vec<Event>,
}

impl fmt::Debug for EventMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'e> Events<'e> {
    /// All of them.
    pub fn of(events: &'e [Event]) -> Self {
        Events { all: events, found: events.iter().collect(), looked_for: String::new() }
    }

    fn only(mut self, what: &str, is_meant: impl Fn(&Event) -> bool) -> Self {
        self.found.retain(|event| is_meant(event));
        self.looked_for += &format!(" {what}");
        self
    }

    /// Those that `contract` has emitted.
    pub fn by(self, contract: ContractId) -> Self {
        self.only(&format!("from {contract}"), |event| event.contract == contract)
    }

    /// Those with this topic.
    pub fn topic(self, topic: &str) -> Self {
        self.only(&format!("with topic {topic:?}"), |event| &*event.topic == topic)
    }

    /// Those with exactly these bytes.
    pub fn bytes(self, data: &[u8]) -> Self {
        self.only(&format!("with data {}", hex(data)), |event| &*event.data == data)
    }

    /// Those whose data is the encoding of `value`.
    pub fn data<T: Encode>(self, value: &T) -> Self {
        self.bytes(&codec::encode(value))
    }

    /// Those whose data is the encoding of a `T` that is as wanted.
    pub fn matching<T: Encode + Decode<()>>(self, is_wanted: impl Fn(&T) -> bool) -> Self {
        let what = format!("with a wanted {}", core::any::type_name::<T>());
        self.only(&what, |event| decode::<T>(&event.data).is_ok_and(|value| is_wanted(&value)))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// The events.
    pub fn list(&self) -> &[&'e Event] {
        &self.found
    }

    /// Expects so many.
    ///
    /// # Errors
    /// [`EventMismatch`] when there are fewer or more.
    pub fn exactly(&self, count: usize) -> Result<(), EventMismatch> {
        self.expect(self.count() == count, &format!("exactly {count}"))
    }

    /// Expects so many or more.
    ///
    /// # Errors
    /// [`EventMismatch`] when there are fewer.
    pub fn at_least(&self, count: usize) -> Result<(), EventMismatch> {
        self.expect(self.count() >= count, &format!("at least {count}"))
    }

    /// Expects none.
    ///
    /// # Errors
    /// [`EventMismatch`] when there are some.
    pub fn none(&self) -> Result<(), EventMismatch> {
        self.expect(self.found.is_empty(), "no")
    }

    /// Expects these topics in this order, and no events beside them.
    ///
    /// # Errors
    /// [`EventMismatch`] when they are others.
    pub fn topics(&self, topics: &[&str]) -> Result<(), EventMismatch> {
        let same = self.found.iter().map(|event| &*event.topic).eq(topics.iter().copied());
        self.expect(same, &format!("the topics {topics:?} in this order of"))
    }

    /// What all of them hold.
    ///
    /// # Errors
    /// [`EventMismatch`] when one holds something else than the encoding of a `T`.
    pub fn decoded<T: Encode + Decode<()>>(&self) -> Result<Vec<T>, EventMismatch> {
        let decoded: Result<Vec<T>, _> = self.found.iter().map(|event| decode(&event.data)).collect();
        match decoded {
            Ok(values) => Ok(values),
            Err(_) => {
                let (found, all) = (self.count(), self.all.to_vec());
                let what = core::any::type_name::<T>();
                Err(EventMismatch { expected: format!("a {what} in all events{}", self.looked_for), found, all })
            }
        }
    }

    fn expect(&self, is_met: bool, count: &str) -> Result<(), EventMismatch> {
        if is_met {
            return Ok(());
        }
        let expected = format!("{count} events{}", self.looked_for);
        Err(EventMismatch { expected, found: self.found.len(), all: self.all.to_vec() })
    }
}

fn listed(events: &[Event]) -> String {
    if events.is_empty() {
        return " none".to_owned();
    }
    let line = |(place, event): (usize, &Event)| {
        let Event { contract, topic, data } = event;
        format!("\n  {place}: {:?} from {contract}, {}", topic.as_str(), hex(data))
    };
    events.iter().enumerate().map(line).collect()
}

fn hex(bytes: &[u8]) -> String {
    let head = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    let mut text: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
    if head.len() < bytes.len() {
        text.push('…');
    }
    text + &format!(" ({} bytes)", bytes.len())
}
