//! Who leads a view, and who is there at all.

use ledger_core::View;

/// Whose turn it is, and who missed it.
#[derive(Debug)]
pub(super) struct Leaders {
    /// By place: the highest view in which a vote of this validator was seen.
    seen: Vec<View>,
    /// By place: the last view that it led and that was nullified.
    missed: Vec<View>,
}

impl Leaders {
    pub(super) fn new(validators: usize) -> Self {
        Leaders { seen: vec![View(0); validators], missed: vec![View(0); validators] }
    }

    /// The leader of a view: validators take turns by place.
    pub(super) fn of(&self, view: View) -> u16 {
        let count = self.seen.len().max(1) as u64;
        u16::try_from(view.0 % count).unwrap_or(0)
    }

    /// A validator's vote in this view was seen.
    pub(super) fn saw(&mut self, place: u16, view: View) {
        if let Some(seen) = self.seen.get_mut(usize::from(place)) {
            *seen = view.max(*seen);
        }
    }

    /// A view was nullified.
    pub(super) fn nullified(&mut self, view: View) {
        let place = self.of(view);
        if let Some(missed) = self.missed.get_mut(usize::from(place)) {
            *missed = view.max(*missed);
        }
    }

    /// Whether a validator missed its last turn, and no later vote of it was seen.
    pub(super) fn inactive(&self, place: u16) -> bool {
        let at = |views: &Vec<View>| views.get(usize::from(place)).copied().unwrap_or_default();
        at(&self.missed) > View(0) && at(&self.seen) <= at(&self.missed)
    }
}
