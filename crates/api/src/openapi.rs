//! The OpenAPI 3.1 document, made from the table of routes.

use crate::routes::{Answers, Place, ROUTES, Route};
use crate::tokens::Right;
use ledger_client::wire::schema::Schema;
use ledger_client::wire::{Problem, ProblemKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const ABOUT: &str = "Digests, ids, keys and state keys are lower-case hex; other bytes are base64 (the standard alphabet, \
    padded). 64-bit numbers are strings of decimal digits, since a JSON number is exact up to 2^53 only in most \
    languages; smaller numbers are JSON numbers. What isn't there is null. Unknown parameters are refused. Errors are \
    problem details (RFC 9457); their `type` is stable. Proofs and checkpoints are the ledger's canonical bytes: verify \
    them against a genesis that you trust.";

/// Problems that every route can have.
const COMMON: &[ProblemKind] = &[
    ProblemKind::MalformedRequest,
    ProblemKind::Unauthorized,
    ProblemKind::Forbidden,
    ProblemKind::Misdirected,
    ProblemKind::RateLimited,
    ProblemKind::Internal,
    ProblemKind::Busy,
    ProblemKind::Timeout,
];

/// The document.
pub fn document() -> Value {
    let mut schemas = Map::new();
    <Problem as Schema>::define(&mut schemas);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES {
        let method = route.method.as_str().to_ascii_lowercase();
        paths.entry(route.path).or_default().insert(method, operation(route, &mut schemas));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ledgerkit",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "not needed on a loopback address without tokens"},
            },
        },
    })
}

fn operation(route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let parameters = route.parameters.iter().map(|parameter| {
        let place = match parameter.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        };
        json!({
            "name": parameter.name,
            "in": place,
            "required": parameter.required,
            "schema": (parameter.schema)(),
            "description": parameter.about,
        })
    });
    let mut described = json!({
        "operationId": format!("{:?}", route.operation),
        "summary": route.about,
        "parameters": parameters.collect::<Vec<_>>(),
        "responses": responses(route, schemas),
    });
    let Some(fields) = described.as_object_mut() else { return described };
    if let Some(request) = &route.request {
        (request.define)(schemas);
        fields.insert(
            "requestBody".to_owned(),
            json!({
                "required": true,
                "content": {
                    "application/octet-stream": {},
                    "application/json": {"schema": (request.schema)()},
                },
            }),
        );
    }
    if route.right != Right::Public {
        fields.insert("security".to_owned(), json!([{"token": []}]));
        let right = match route.right {
            Right::Public => "none",
            Right::Read => "read",
            Right::Submit => "submit",
            Right::ReadOrSubmit => "read or submit",
            Right::Admin => "admin",
        };
        fields.insert("x-right".to_owned(), right.into());
    }
    described
}

fn responses(route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let content = match &route.answers {
        Answers::Json(body) => {
            (body.define)(schemas);
            json!({"application/json": {"schema": (body.schema)()}})
        }
        Answers::Stream(body) => {
            (body.define)(schemas);
            json!({"text/event-stream": {"schema": {"type": "string", "contentSchema": (body.schema)()}}})
        }
        Answers::Text(media) => json!({*media: {"schema": {"type": "string"}}}),
        Answers::Document => json!({"application/json": {"schema": {"type": "object"}}}),
    };
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({"description": route.about, "content": content}));
    if route.operation == crate::routes::Operation::Submit {
        responses.insert("202".to_owned(), json!({"description": "taken up; no receipt yet", "content": content}));
    }
    let mut problems: BTreeMap<u16, Vec<ProblemKind>> = BTreeMap::new();
    for kind in COMMON.iter().chain(route.problems) {
        problems.entry(kind.status()).or_default().push(*kind);
    }
    for (status, kinds) in problems {
        let titles: Vec<String> = kinds.iter().map(|kind| format!("{} (`{}`)", kind.title(), kind.urn())).collect();
        responses.entry(status.to_string()).or_insert(json!({
            "description": titles.join("; "),
            "content": {"application/problem+json": {"schema": <Problem as Schema>::schema()}},
        }));
    }
    Value::Object(responses)
}
