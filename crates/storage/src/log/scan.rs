//! Reads groups in order, and looks for later ones behind bytes that are none.

use super::format::{Cursor, Entry, GROUP, GROUP_MAGIC, GroupHeader, decode_body, file_name};
use super::{LogError, LogPosition};
use crate::disk::File;
use crate::segmented::Key;

/// What stands at a cursor.
pub(super) enum Found {
    /// The group that belongs there. Each of its records is as it was written, or is known by chain and height to be damaged.
    Group { records: Vec<Entry>, next: Cursor },
    /// Anything else, and why it is no group.
    Nothing(&'static str),
}

/// Reads the group at `cursor`, in a file of which the bytes up to `limit` count.
///
/// # Errors
/// [`LogError::Damaged`] when an intact group stands there that doesn't follow the one before: no crash leaves that.
pub(super) fn read_group(file: &dyn File, key: &Key, cursor: &Cursor, limit: u64) -> Result<Found, LogError> {
    let (header, next) = match read_header(file, key, cursor, limit)? {
        Ok(found) => found,
        Err(reason) => return Ok(Found::Nothing(reason)),
    };
    let mut body = vec![0; usize::try_from(header.body_length).unwrap_or(usize::MAX)];
    file.read_exact_at(cursor.offset + GROUP as u64, &mut body)?;
    Ok(match decode_body(&body, &header, key, cursor.segment, cursor.offset) {
        Some(records) => Found::Group { records, next },
        None => Found::Nothing("the checksum of the group's frames doesn't match"),
    })
}

/// The cursor behind the group at `cursor`, of which only the header is read and checked, as long as the group ends at or
/// before `position`; `None` when it doesn't, or no group that belongs there is found.
///
/// # Errors
/// As [`read_group`].
pub(super) fn skip_group(
    file: &dyn File,
    key: &Key,
    cursor: &Cursor,
    limit: u64,
    position: LogPosition,
) -> Result<Option<Cursor>, LogError> {
    if cursor.segment != position.segment || cursor.offset >= position.offset {
        return Ok(None);
    }
    let found = read_header(file, key, cursor, limit)?;
    Ok(found.ok().map(|(_, next)| next).filter(|next| next.offset <= position.offset))
}

/// Whether the header of the next group is there: only behind a group that was durable.
///
/// # Errors
/// As [`read_group`].
pub(super) fn is_followed(file: &dyn File, key: &Key, next: &Cursor, limit: u64) -> Result<bool, LogError> {
    Ok(read_header(file, key, next, limit)?.is_ok())
}

/// The header of the group that belongs at `cursor`, and where the next one stands; or why there is none.
fn read_header(
    file: &dyn File,
    key: &Key,
    cursor: &Cursor,
    limit: u64,
) -> Result<Result<(GroupHeader, Cursor), &'static str>, LogError> {
    let body_start = cursor.offset + GROUP as u64;
    if body_start > limit {
        return Ok(Err("it ends in the middle of a group"));
    }
    let mut header = [0; GROUP];
    file.read_exact_at(cursor.offset, &mut header)?;
    let Some(header) = GroupHeader::decode(&header, key, cursor.segment, cursor.offset) else {
        return Ok(Err("the group header's checksum doesn't match"));
    };
    if header.previous != cursor.chain || header.records != cursor.records {
        let reason = "the group there doesn't follow the one before it";
        return Err(LogError::Damaged { file: file_name(cursor.segment), offset: cursor.offset, reason });
    }
    let body_end = body_start + u64::from(header.body_length);
    if body_end > limit {
        return Ok(Err("it ends in the middle of a group"));
    }
    let next = Cursor {
        segment: cursor.segment,
        offset: body_end,
        records: cursor.records + u64::from(header.count),
        chain: header.checksum,
    };
    Ok(Ok((header, next)))
}

/// What follows the last whole group of the last segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing but zeros written ahead.
    Clean,
    /// Bytes that no later group follows: up to this many.
    Torn(u64),
    /// An intact group header at this offset, so that the bytes before it were durable once.
    Followed(u64),
}

const CHUNK: usize = 64 << 10;

/// Classifies the bytes from `cursor` to `limit`, in bounded memory.
pub(super) fn classify_tail(file: &dyn File, key: &Key, cursor: &Cursor, limit: u64) -> Result<Tail, LogError> {
    let mut buffer = vec![0; CHUNK];
    let mut start = cursor.offset;
    let mut torn = None;
    while start < limit {
        let length = usize::try_from(limit - start).unwrap_or(CHUNK).min(CHUNK);
        let chunk = buffer.get_mut(..length).unwrap_or_default();
        file.read_exact_at(start, chunk)?;
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            torn = Some(start + last as u64 + 1 - cursor.offset);
        }
        let candidates = chunk.windows(GROUP_MAGIC.len()).enumerate().filter(|(_, bytes)| *bytes == GROUP_MAGIC);
        for (index, _) in candidates {
            let offset = start + index as u64;
            let header = chunk.get(index..).and_then(|bytes| GroupHeader::decode(bytes, key, cursor.segment, offset));
            if header.is_some() && offset > cursor.offset {
                return Ok(Tail::Followed(offset));
            }
        }
        if start + length as u64 == limit {
            break;
        }
        // A header that straddles two chunks is whole in the second one.
        start += (length - (GROUP - 1)) as u64;
    }
    Ok(torn.map_or(Tail::Clean, Tail::Torn))
}
