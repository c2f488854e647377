//! The canonical property order of CBV 2.0, and what each property is.

pub(super) const CBV: &str = "https://ref.gs1.org/cbv/";
pub(super) const WEB: &str = "https://ref.gs1.org/voc/";

/// What a value is, which says how it is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    /// Text, number or truth: identifiers are brought to their canonical form.
    Value,
    /// A date and time.
    Time,
    /// A word of a vocabulary: the URI that its bare words continue.
    Word(&'static str, &'static str),
    /// An object with these fields, in this order; what else it has are extensions.
    Record(&'static [Field]),
    /// An array of such, whose order says nothing: the name that each item has.
    List(&'static str, &'static Is),
    /// An object whose members are all extensions.
    Extensions,
}

/// A field of the canonical property order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) is: Is,
}

pub(super) const fn field(name: &'static str, is: Is) -> Field {
    Field { name, is }
}

pub(super) const DISPOSITION: Is = Is::Word(CBV, "Disp-");
pub(super) static EPC: Is = Is::Value;
pub(super) static QUANTITY: Is =
    Is::Record(&[field("epcClass", Is::Value), field("quantity", Is::Value), field("uom", Is::Value)]);
pub(super) static BARE_DISPOSITION: Is = DISPOSITION;
pub(super) static PLACE: &[Field] = &[field("id", Is::Value)];
pub(super) static TRANSACTION: Is =
    Is::Record(&[field("type", Is::Word(CBV, "BTT-")), field("bizTransaction", Is::Value)]);
pub(super) static SOURCE: Is = Is::Record(&[field("type", Is::Word(CBV, "SDT-")), field("source", Is::Value)]);
pub(super) static DESTINATION: Is =
    Is::Record(&[field("type", Is::Word(CBV, "SDT-")), field("destination", Is::Value)]);
pub(super) static REPORT: Is = Is::Record(&[
    field("type", Is::Word(WEB, "")),
    field("exception", Is::Word(WEB, "")),
    field("deviceID", Is::Value),
    field("deviceMetadata", Is::Value),
    field("rawData", Is::Value),
    field("dataProcessingMethod", Is::Value),
    field("time", Is::Time),
    field("microorganism", Is::Value),
    field("chemicalSubstance", Is::Value),
    field("value", Is::Value),
    field("component", Is::Word(CBV, "Comp-")),
    field("stringValue", Is::Value),
    field("booleanValue", Is::Value),
    field("hexBinaryValue", Is::Value),
    field("uriValue", Is::Value),
    field("minValue", Is::Value),
    field("maxValue", Is::Value),
    field("meanValue", Is::Value),
    field("sDev", Is::Value),
    field("percRank", Is::Value),
    field("percValue", Is::Value),
    field("uom", Is::Value),
    field("coordinateReferenceSystem", Is::Value),
]);
pub(super) static METADATA: &[Field] = &[
    field("time", Is::Time),
    field("startTime", Is::Time),
    field("endTime", Is::Time),
    field("deviceID", Is::Value),
    field("deviceMetadata", Is::Value),
    field("rawData", Is::Value),
    field("dataProcessingMethod", Is::Value),
    field("bizRules", Is::Value),
];
pub(super) static ELEMENT: Is =
    Is::Record(&[field("sensorMetadata", Is::Record(METADATA)), field(REPORTS, Is::List("sensorReport", &REPORT))]);

/// The list of reports of a sensor element, whose name the standard gives to each report instead.
pub(super) const REPORTS: &str = "sensorReport";
/// The list of sensor elements, which has no name in a pre-hash string of CBV 2.0.
pub(super) const ELEMENTS: &str = "sensorElementList";

/// The canonical property order (CBV 2.0).
pub(super) static ORDER: &[Field] = &[
    field("eventTime", Is::Time),
    field("eventTimeZoneOffset", Is::Value),
    field("epcList", Is::List("epc", &EPC)),
    field("parentID", Is::Value),
    field("inputEPCList", Is::List("epc", &EPC)),
    field("childEPCs", Is::List("epc", &EPC)),
    field("quantityList", Is::List("quantityElement", &QUANTITY)),
    field("childQuantityList", Is::List("quantityElement", &QUANTITY)),
    field("inputQuantityList", Is::List("quantityElement", &QUANTITY)),
    field("outputEPCList", Is::List("epc", &EPC)),
    field("outputQuantityList", Is::List("quantityElement", &QUANTITY)),
    field("action", Is::Value),
    field("transformationID", Is::Value),
    field("bizStep", Is::Word(CBV, "BizStep-")),
    field("disposition", DISPOSITION),
    field(
        "persistentDisposition",
        Is::Record(&[
            field("set", Is::List("set", &BARE_DISPOSITION)),
            field("unset", Is::List("unset", &BARE_DISPOSITION)),
        ]),
    ),
    field("readPoint", Is::Record(PLACE)),
    field("bizLocation", Is::Record(PLACE)),
    field("bizTransactionList", Is::List("", &TRANSACTION)),
    field("sourceList", Is::List("", &SOURCE)),
    field("destinationList", Is::List("", &DESTINATION)),
    field(ELEMENTS, Is::List("sensorElement", &ELEMENT)),
    field("ilmd", Is::Extensions),
];

/// Fields that no standard hash has, but the key.
pub(super) static DECLARATION: Is = Is::Record(&[
    field("declarationTime", Is::Time),
    field("reason", Is::Word(CBV, "ER-")),
    field("correctiveEventIDs", Is::List("correctiveEventID", &EPC)),
]);
