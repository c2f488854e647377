//! The words of GS1's Core Business Vocabulary 2.0 that may stand in an event without a namespace.
//!
//! Anything with a colon is a URI or a prefixed name: a company's own vocabulary, which is allowed everywhere, except that
//! the CBV's own terms must be given as bare words. Measurement and alert types belong to the GS1 Web Vocabulary, which grows
//! without EPCIS, so a bare word there is not checked against a list. An empty string says that nothing is said.

/// One vocabulary: what its words say, which they are, and where its terms may not come from in full form.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// What a word of it is, for messages: `business step`.
    pub(crate) name: &'static str,
    /// The bare words; `None` when any is fine.
    pub(crate) words: Option<&'static [&'static str]>,
    /// Prefixes of URIs that must be written as bare words instead.
    pub(crate) reserved: &'static [&'static str],
}

const CBV: &[&str] = &["urn:epcglobal:cbv", "http://ns.gs1.org/cbv/", "https://ns.gs1.org/cbv/"];
const WEB: &[&str] =
    &["http://gs1.org/voc/", "https://gs1.org/voc/", "http://www.gs1.org/voc/", "https://www.gs1.org/voc/"];

pub(crate) static BUSINESS_STEP: Vocabulary = Vocabulary {
    name: "business step",
    words: Some(&[
        "accepting",
        "arriving",
        "assembling",
        "collecting",
        "commissioning",
        "consigning",
        "creating_class_instance",
        "cycle_counting",
        "decommissioning",
        "departing",
        "destroying",
        "disassembling",
        "dispensing",
        "encoding",
        "entering_exiting",
        "holding",
        "inspecting",
        "installing",
        "killing",
        "loading",
        "other",
        "packing",
        "picking",
        "receiving",
        "removing",
        "repackaging",
        "repairing",
        "replacing",
        "reserving",
        "retail_selling",
        "sampling",
        "sensor_reporting",
        "shipping",
        "staging_outbound",
        "stock_taking",
        "stocking",
        "storing",
        "transporting",
        "unloading",
        "unpacking",
        "void_shipping",
    ]),
    reserved: CBV,
};

pub(crate) static DISPOSITION: Vocabulary = Vocabulary {
    name: "disposition",
    words: Some(&[
        "active",
        "available",
        "completeness_inferred",
        "completeness_verified",
        "conformant",
        "container_closed",
        "container_open",
        "damaged",
        "destroyed",
        "dispensed",
        "disposed",
        "encoded",
        "expired",
        "in_progress",
        "in_transit",
        "inactive",
        "mismatch_class",
        "mismatch_instance",
        "mismatch_quantity",
        "needs_replacement",
        "no_pedigree_match",
        "non_conformant",
        "non_sellable_other",
        "partially_dispensed",
        "recalled",
        "reserved",
        "retail_sold",
        "returned",
        "sellable_accessible",
        "sellable_not_accessible",
        "stolen",
        "unavailable",
        "unknown",
    ]),
    reserved: CBV,
};

pub(crate) static BUSINESS_TRANSACTION: Vocabulary = Vocabulary {
    name: "business transaction type",
    words: Some(&[
        "bol",
        "cert",
        "desadv",
        "inv",
        "pedigree",
        "po",
        "poc",
        "prodorder",
        "recadv",
        "rma",
        "testprd",
        "testres",
        "upevt",
    ]),
    reserved: CBV,
};

pub(crate) static SOURCE_DESTINATION: Vocabulary = Vocabulary {
    name: "source or destination type",
    words: Some(&["location", "owning_party", "possessing_party"]),
    reserved: CBV,
};

pub(crate) static ERROR_REASON: Vocabulary =
    Vocabulary { name: "error reason", words: Some(&["did_not_occur", "incorrect_data"]), reserved: CBV };

pub(crate) static COMPONENT: Vocabulary = Vocabulary {
    name: "sensor component",
    words: Some(&[
        "altitude",
        "axial_distance",
        "azimuth",
        "easting",
        "elevation_angle",
        "height",
        "latitude",
        "longitude",
        "northing",
        "polar_angle",
        "spherical_radius",
        "x",
        "y",
        "z",
    ]),
    reserved: CBV,
};

pub(crate) static MEASUREMENT: Vocabulary = Vocabulary { name: "measurement type", words: None, reserved: WEB };

pub(crate) static SENSOR_ALERT: Vocabulary = Vocabulary { name: "sensor alert type", words: None, reserved: WEB };

impl Vocabulary {
    /// What is wrong with `word`, if anything.
    pub(crate) fn fault(&self, word: &str) -> Option<&'static str> {
        if self.reserved.iter().any(|prefix| word.starts_with(prefix)) {
            return Some("must be written as a bare word, not as GS1's URI");
        }
        let bare = !word.is_empty() && !word.contains(':');
        match self.words {
            Some(words) if bare && !words.contains(&word) => Some("is not a word of the Core Business Vocabulary"),
            _ => None,
        }
    }
}
