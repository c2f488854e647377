//! Certificates that an event refers to.
//!
//! Two ways are in use: EPCIS 2.0's `certificationInfo`, one or more URIs, and `certificationList` with the details, which the
//! GS1 web vocabulary, the Core Business Vocabulary (`cbvmda:certificationList`) and communities such as the GDST put in the event or in its `ilmd`.

use jiff::Timestamp;

use super::view::{local, one_or_many};
use super::{Event, time};
use crate::json::Json;

/// A certificate that an event refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its number, or its URI.
    pub id: String,
    /// What kind it is: `urn:gdst:certType:harvestCert`.
    pub kind: Option<String>,
    /// What it certifies: `Q Arabica`.
    pub standard: Option<String>,
    /// Who gave it.
    pub agency: Option<String>,
    /// Its result: `84.5`, `passed`.
    pub value: Option<String>,
    /// Where it can be read.
    pub uri: Option<String>,
    /// From when it holds.
    pub from: Option<Timestamp>,
    /// Until when it holds.
    pub until: Option<Timestamp>,
}

impl Certificate {
    /// Whether it held at `moment`; an end that isn't stated is none.
    #[must_use]
    pub fn held_at(&self, moment: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.until.is_none_or(|until| moment <= until)
    }
}

impl Event {
    /// The certificates that the event refers to: those with details, then those of the URIs in `certificationInfo` that none of them has.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        let detailed = [Some(self.body()), self.body().get("ilmd")]
            .into_iter()
            .flatten()
            .filter_map(|holder| local(holder, "certificationList"))
            .flat_map(|list| one_or_many(local(list, "certification").unwrap_or(list)));
        let mut certificates: Vec<Certificate> = detailed.filter_map(|entry| self.certificate(entry)).collect();
        let uris = self.body().get("certificationInfo").map(one_or_many).unwrap_or_default();
        for uri in uris.iter().filter_map(Json::as_text) {
            let known = |certificate: &Certificate| certificate.id == uri || certificate.uri.as_deref() == Some(uri);
            if !certificates.iter().any(known) {
                certificates.push(Certificate {
                    id: uri.to_owned(),
                    kind: None,
                    standard: None,
                    agency: None,
                    value: None,
                    uri: Some(uri.to_owned()),
                    from: None,
                    until: None,
                });
            }
        }
        certificates
    }

    fn certificate(&self, entry: &Json) -> Option<Certificate> {
        let text = |name: &str| local(entry, name).and_then(Json::as_text).map(str::to_owned);
        let moment = |names: [&str; 2]| {
            names.iter().find_map(|name| time::instant(local(entry, name)?.as_text()?, self.offset()))
        };
        Some(Certificate {
            id: text("certificationIdentification").or_else(|| text("certificationValue"))?,
            kind: text("certificationType"),
            standard: text("certificationStandard"),
            agency: text("certificationAgency"),
            value: text("certificationValue"),
            uri: text("certificationURI"),
            from: moment(["certificationEffectiveStartDateTime", "certificationStartDate"]),
            until: moment(["certificationEffectiveEndDateTime", "certificationEndDate"]),
        })
    }
}
