//! What somebody may have meant by an ID that isn't there.

use ledger_traceability::epcis::Item;

/// The `count` items most like `wanted`, the most like first.
pub(crate) fn nearest<'a>(wanted: &Item, items: &'a [Item], count: usize) -> Vec<&'a Item> {
    let forms = |item: &Item| [item.as_str().to_lowercase(), item.short().to_lowercase()];
    let wanted = forms(wanted);
    let mut ranked: Vec<(usize, &Item)> = items
        .iter()
        .map(|item| {
            let found = forms(item);
            let distance = wanted.iter().zip(&found).map(|(wanted, found)| distance(wanted, found)).min();
            (distance.unwrap_or(usize::MAX), item)
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(count).map(|(_, item)| item).collect()
}

/// Insertions, deletions and substitutions that make one text of the other (Levenshtein). Only the first 200 letters count.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(200).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in (0..).zip(one.chars().take(200)) {
        let mut diagonal = above;
        let mut left = above + 1;
        let mut next = vec![left];
        for (up, letter_of_other) in row.iter().skip(1).zip(&other) {
            let cost = usize::from(letter != *letter_of_other);
            left = (diagonal + cost).min(left + 1).min(up + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_the_one_with_the_typing_error() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        let items: Vec<Item> = ["urn:x:lot-17", "urn:x:lot-18", "urn:x:crate-9"].map(Item::new).into();
        assert_eq!(nearest(&Item::new("urn:x:lt-18"), &items, 1)[0].as_str(), "urn:x:lot-18");
    }
}
