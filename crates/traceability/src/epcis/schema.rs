//! The tables: what EPCIS 2.0 asks of documents and events in JSON.
//!
//! Written by hand after the standard (GS1 EPCIS 2.0, section 10) so that the verdict is that of GS1's JSON schema, with
//! these differences, all on the strict side: the bare words of [`super::vocabulary`] are checked, dates and times
//! must be such (a missing UTC offset is forgiven), and an event type of one's own must be a URI or prefixed name.

use super::rules::{Field, Findings, List, Record, Rule, optional, required};
use super::vocabulary as words;
use crate::json::{Json, Members};

const URI: Rule = Rule::Text;

const fn many(item: Rule) -> List {
    List { item, at_least: 0, distinct: false }
}

const fn some(item: Rule) -> List {
    List { item, at_least: 1, distinct: false }
}

const fn open(fields: &'static [Field]) -> Record {
    Record { fields, closed: false, also: None }
}

const fn closed(fields: &'static [Field]) -> Record {
    Record { fields, closed: true, also: None }
}

static URIS: List = many(URI);
static DISTINCT_URIS: List = List { item: URI, at_least: 0, distinct: true };

static PLACE: Record = open(&[required("id", URI)]);

static QUANTITIES: List = many(Rule::Record(&QUANTITY));
static QUANTITY: Record = closed(&[
    required("epcClass", URI),
    optional("quantity", Rule::Number),
    optional("uom", Rule::Form(is_unit, "a unit of measure: two or three capital letters or digits")),
]);

static TRANSACTIONS: List = many(Rule::Record(&TRANSACTION));
static SOME_TRANSACTIONS: List = some(Rule::Record(&TRANSACTION));
static TRANSACTION: Record =
    closed(&[optional("type", Rule::Word(&words::BUSINESS_TRANSACTION)), required("bizTransaction", URI)]);

static SOURCES: List = many(Rule::Record(&SOURCE));
static SOURCE: Record = closed(&[required("type", Rule::Word(&words::SOURCE_DESTINATION)), required("source", URI)]);

static DESTINATIONS: List = many(Rule::Record(&DESTINATION));
static DESTINATION: Record =
    closed(&[required("type", Rule::Word(&words::SOURCE_DESTINATION)), required("destination", URI)]);

static DISPOSITIONS: List = List { item: Rule::Word(&words::DISPOSITION), at_least: 1, distinct: true };
static PERSISTENT: Record = Record {
    fields: &[optional("set", Rule::List(&DISPOSITIONS)), optional("unset", Rule::List(&DISPOSITIONS))],
    closed: true,
    also: Some(sets_or_unsets),
};

static SENSOR_ELEMENTS: List = many(Rule::Record(&SENSOR_ELEMENT));
static SENSOR_ELEMENT: Record = open(&[
    optional("sensorMetadata", Rule::Record(&SENSOR_METADATA)),
    required("sensorReport", Rule::List(&SENSOR_REPORTS)),
]);
static SENSOR_METADATA: Record = open(&[
    optional("time", Rule::Time),
    optional("startTime", Rule::Time),
    optional("endTime", Rule::Time),
    optional("deviceID", URI),
    optional("deviceMetadata", URI),
    optional("rawData", URI),
    optional("dataProcessingMethod", URI),
    optional("bizRules", URI),
]);
static SENSOR_REPORTS: List = some(Rule::Record(&SENSOR_REPORT));
static SENSOR_REPORT: Record = open(&[
    required("type", Rule::Word(&words::MEASUREMENT)),
    optional("exception", Rule::Word(&words::SENSOR_ALERT)),
    optional("component", Rule::Word(&words::COMPONENT)),
    optional("time", Rule::Time),
    optional("deviceID", URI),
    optional("deviceMetadata", URI),
    optional("rawData", URI),
    optional("dataProcessingMethod", URI),
    optional("bizRules", URI),
    optional("microorganism", URI),
    optional("chemicalSubstance", URI),
    optional("coordinateReferenceSystem", URI),
    optional("uriValue", URI),
    optional("stringValue", Rule::Text),
    optional("booleanValue", Rule::Truth),
    optional("hexBinaryValue", Rule::Form(is_hexadecimal, "a number in hexadecimal digits")),
    optional("value", Rule::Number),
    optional("minValue", Rule::Number),
    optional("maxValue", Rule::Number),
    optional("meanValue", Rule::Number),
    optional("sDev", Rule::Number),
    optional("percRank", Rule::Number),
    optional("percValue", Rule::Number),
    optional("uom", Rule::Text),
]);

static CERTIFICATION: Rule = URI;
static ERROR_DECLARATION: Record = open(&[
    required("declarationTime", Rule::Time),
    optional("reason", Rule::Word(&words::ERROR_REASON)),
    optional("correctiveEventIDs", Rule::List(&URIS)),
]);

const ACTION: Rule = Rule::OneOf(&["OBSERVE", "ADD", "DELETE"]);

/// What every event has.
static EVENT: Record = open(&[
    optional("@context", Rule::Context),
    required("eventTime", Rule::Time),
    required("eventTimeZoneOffset", Rule::Form(is_offset, "an offset from UTC like +02:00, up to 14:00")),
    optional("recordTime", Rule::Time),
    optional("eventID", URI),
    optional("certificationInfo", Rule::OneOrMany(&CERTIFICATION)),
    optional("errorDeclaration", Rule::Record(&ERROR_DECLARATION)),
]);

/// What the five types of event share beyond that.
static BUSINESS: Record = open(&[
    optional("bizStep", Rule::Word(&words::BUSINESS_STEP)),
    optional("disposition", Rule::Word(&words::DISPOSITION)),
    optional("readPoint", Rule::Record(&PLACE)),
    optional("bizLocation", Rule::Record(&PLACE)),
    optional("sourceList", Rule::List(&SOURCES)),
    optional("destinationList", Rule::List(&DESTINATIONS)),
    optional("sensorElementList", Rule::List(&SENSOR_ELEMENTS)),
]);

static OBJECT: Record = Record {
    fields: &[
        required("action", ACTION),
        optional("epcList", Rule::List(&DISTINCT_URIS)),
        optional("quantityList", Rule::List(&QUANTITIES)),
        optional("persistentDisposition", Rule::Record(&PERSISTENT)),
        optional("bizTransactionList", Rule::List(&TRANSACTIONS)),
        optional("ilmd", Rule::Anything),
    ],
    closed: false,
    also: Some(object_says_what),
};

static AGGREGATION: Record = Record {
    fields: &[
        required("action", ACTION),
        optional("parentID", URI),
        optional("childEPCs", Rule::List(&URIS)),
        optional("childQuantityList", Rule::List(&QUANTITIES)),
        optional("bizTransactionList", Rule::List(&TRANSACTIONS)),
    ],
    closed: false,
    also: Some(names_children),
};

static TRANSACTION_EVENT: Record = Record {
    fields: &[
        required("action", ACTION),
        required("bizTransactionList", Rule::List(&SOME_TRANSACTIONS)),
        optional("parentID", URI),
        optional("epcList", Rule::List(&URIS)),
        optional("quantityList", Rule::List(&QUANTITIES)),
    ],
    closed: false,
    also: Some(transaction_says_what),
};

static TRANSFORMATION: Record = Record {
    fields: &[
        optional("inputEPCList", Rule::List(&DISTINCT_URIS)),
        optional("inputQuantityList", Rule::List(&QUANTITIES)),
        optional("outputEPCList", Rule::List(&DISTINCT_URIS)),
        optional("outputQuantityList", Rule::List(&QUANTITIES)),
        optional("transformationID", URI),
        optional("persistentDisposition", Rule::Record(&PERSISTENT)),
        optional("bizTransactionList", Rule::List(&TRANSACTIONS)),
        optional("ilmd", Rule::Anything),
    ],
    closed: false,
    also: Some(transforms_something),
};

static ASSOCIATION: Record = Record {
    fields: &[
        required("action", ACTION),
        required("parentID", URI),
        optional("childEPCs", Rule::List(&URIS)),
        optional("childQuantityList", Rule::List(&QUANTITIES)),
        optional("bizTransactionList", Rule::List(&TRANSACTIONS)),
    ],
    closed: false,
    also: Some(names_children),
};

/// The document around a list of events that is being captured.
pub(super) static DOCUMENT: Record = open(&[
    required("@context", Rule::Context),
    required("schemaVersion", Rule::Form(is_version, "a version like 2.0")),
    required("creationDate", Rule::Time),
    required("epcisBody", Rule::Record(&BODY)),
    optional("id", URI),
    optional("instanceIdentifier", Rule::Text),
    optional("sender", Rule::Text),
    optional("receiver", Rule::Text),
    optional("epcisHeader", Rule::Record(&HEADER)),
]);
static BODY: Record = open(&[required("eventList", Rule::List(&EVENTS))]);
// The events themselves are compared one by one, so that each problem names its event.
static EVENTS: List = many(Rule::Anything);

/// The document around the results of a query.
pub(super) static QUERY_DOCUMENT: Record = open(&[
    required("@context", Rule::Context),
    required("epcisBody", Rule::Record(&QUERY_BODY)),
    optional("id", URI),
    optional("schemaVersion", Rule::Form(is_version, "a version like 2.0")),
    optional("creationDate", Rule::Time),
]);
static QUERY_BODY: Record = open(&[required("queryResults", Rule::Record(&RESULTS))]);
static RESULTS: Record = open(&[
    required("queryName", Rule::Text),
    required("resultsBody", Rule::Record(&RESULTS_BODY)),
    optional("subscriptionID", Rule::Text),
]);
static RESULTS_BODY: Record =
    open(&[required("eventList", Rule::List(&EVENTS)), optional("vocabularyList", Rule::List(&VOCABULARIES))]);

static HEADER: Record = open(&[optional("epcisMasterData", Rule::Record(&MASTER_DATA))]);
static MASTER_DATA: Record = open(&[optional("vocabularyList", Rule::List(&VOCABULARIES))]);
static VOCABULARIES: List = many(Rule::Record(&VOCABULARY));
static VOCABULARY: Record = open(&[required("type", URI), optional("vocabularyElementList", Rule::List(&ELEMENTS))]);
static ELEMENTS: List = many(Rule::Record(&ELEMENT));
static ELEMENT: Record = open(&[
    required("id", URI),
    optional("attributes", Rule::List(&ATTRIBUTES)),
    optional("children", Rule::List(&URIS)),
]);
static ATTRIBUTES: List = many(Rule::Record(&ATTRIBUTE));
static ATTRIBUTE: Record = open(&[required("id", URI), optional("attribute", Rule::Attribute)]);

static BARE_EVENT: Record = open(&[required("@context", Rule::Context)]);

/// Compares an event that stands alone, which must bring its context.
pub(super) fn bare_event(members: &Members, findings: &mut Findings) {
    if !members.contains_key("@context") {
        findings.record(members, &BARE_EVENT);
    }
    event(members, findings);
}

/// Compares an event.
pub(super) fn event(members: &Members, findings: &mut Findings) {
    let own = match members.get("type").map(Json::as_text) {
        Some(Some("ObjectEvent")) => &OBJECT,
        Some(Some("AggregationEvent")) => &AGGREGATION,
        Some(Some("TransactionEvent")) => &TRANSACTION_EVENT,
        Some(Some("TransformationEvent")) => &TRANSFORMATION,
        Some(Some("AssociationEvent")) => &ASSOCIATION,
        Some(Some(other)) => {
            if !other.contains(':') {
                let shown = super::rules::shown(other);
                findings.member("type", format!("`{shown}` is neither a type of EPCIS nor a URI for one of your own"));
            }
            return findings.record(members, &EVENT);
        }
        Some(None) => return findings.member("type", "must be a string"),
        None => return findings.member("type", "is missing"),
    };
    findings.record(members, &EVENT);
    findings.record(members, &BUSINESS);
    findings.record(members, own);
}

fn holds_some(members: &Members, name: &str) -> bool {
    members.get(name).and_then(Json::as_list).is_some_and(|items| !items.is_empty())
}

fn is_deleted(members: &Members) -> bool {
    members.get("action").and_then(Json::as_text) == Some("DELETE")
}

fn sets_or_unsets(members: &Members, findings: &mut Findings) {
    if !members.contains_key("set") && !members.contains_key("unset") {
        findings.here("must have `set` or `unset`");
    }
}

fn object_says_what(members: &Members, findings: &mut Findings) {
    let sensed = holds_some(members, "sensorElementList") && members.contains_key("readPoint");
    if !members.contains_key("epcList") && !holds_some(members, "quantityList") && !sensed {
        findings
            .member("epcList", "is missing, and so are `quantityList` and a `sensorElementList` with a `readPoint`");
    }
    let action = members.get("action").and_then(Json::as_text);
    if members.contains_key("ilmd") && matches!(action, Some("OBSERVE" | "DELETE")) {
        findings.member("ilmd", "is only allowed where the action is ADD");
    }
}

fn names_children(members: &Members, findings: &mut Findings) {
    if !holds_some(members, "childEPCs") && !holds_some(members, "childQuantityList") && !is_deleted(members) {
        findings.member("childEPCs", "is missing or empty, and so is `childQuantityList`; only DELETE may name none");
    }
}

fn transaction_says_what(members: &Members, findings: &mut Findings) {
    if !members.contains_key("epcList") && !holds_some(members, "quantityList") && !is_deleted(members) {
        findings.member("epcList", "is missing, and so is `quantityList`; only DELETE may name none");
    }
}

fn transforms_something(members: &Members, findings: &mut Findings) {
    let input = holds_some(members, "inputEPCList") || holds_some(members, "inputQuantityList");
    let output = holds_some(members, "outputEPCList") || holds_some(members, "outputQuantityList");
    let linked = members.contains_key("transformationID");
    if linked && !input && !output {
        findings.member("inputEPCList", "is missing or empty, and so are the other lists of inputs and outputs");
    } else if !linked && !input {
        findings
            .member("inputEPCList", "is missing or empty, and so is `inputQuantityList`; `transformationID` is absent");
    } else if !linked && !output {
        findings.member(
            "outputEPCList",
            "is missing or empty, and so is `outputQuantityList`; `transformationID` is absent",
        );
    }
}

fn is_unit(text: &str) -> bool {
    matches!(text.len(), 2 | 3) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_version(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_offset(text: &str) -> bool {
    super::time::offset(text).is_some()
}
