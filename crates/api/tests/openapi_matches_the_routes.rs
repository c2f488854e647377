//! The OpenAPI document says what the server does: every path in it is there, every reference resolves, and every answer
//! has the members that it promises.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

mod common;

use common::Node;
use serde_json::Value;
use std::collections::BTreeSet;

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.strip_prefix("#/components/schemas/").unwrap().to_owned());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Checks an answer against its schema, as far as the document uses JSON schema.
fn check(schema: &Value, value: &Value, all: &Value, place: &str) {
    if let Some(Value::String(reference)) = schema.get("$ref") {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        return check(&all[name], value, all, name);
    }
    if let Some(Value::Array(choices)) = schema.get("anyOf") {
        return match value {
            Value::Null => assert!(choices.iter().any(|choice| choice["type"] == "null"), "{place}"),
            value => check(&choices[0], value, all, place),
        };
    }
    match schema["type"].as_str() {
        Some("object") => {
            let Some(properties) = schema["properties"].as_object() else { return };
            let fields = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
            let names: BTreeSet<&String> = fields.keys().collect();
            assert_eq!(names, properties.keys().collect(), "{place}");
            for (name, schema) in properties {
                check(schema, &fields[name], all, &format!("{place}.{name}"));
            }
        }
        Some("array") => value.as_array().unwrap().iter().for_each(|item| check(&schema["items"], item, all, place)),
        Some("string") => assert!(value.is_string(), "{place}: {value}"),
        Some("integer") => assert!(value.is_u64(), "{place}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{place}: {value}"),
        other => panic!("{place} has type {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_it_says() {
    let mut node = Node::start().await;
    let id = node.mint_certified(2).await[1];
    let document = node.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = &document["components"]["schemas"];
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    assert_eq!(used, schemas.as_object().unwrap().keys().cloned().collect(), "references and definitions");

    let key = node.get(&node.path(&format!("/state/{}", node.contract))).await.json()["entries"][0]["key"].clone();
    let history = node.get(&node.path("/checkpoint")).await.json()["header"]["history"].clone();
    let account = common::account(&common::owner());
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            let mut filled = path
                .replace("{chain}", &node.chain().id().to_string())
                .replace("{id}", &id.to_string())
                .replace("{index}", "0")
                .replace("{height}", "1")
                .replace("{contract}", &node.contract.to_string())
                .replace("{key}", key.as_str().unwrap())
                .replace("{account}", &account.to_string())
                .replace("{method}", "supply");
            assert!(!filled.contains('{'), "{filled}");
            // Every parameter of the path is described, and no other is.
            let described: BTreeSet<&str> = operation["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let named = path.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect();
            assert_eq!(described, named, "{path}");
            if path.ends_with("consistency") {
                let (size, root) = (history["size"].as_str().unwrap(), history["root"].as_str().unwrap());
                filled = format!("{filled}?size={size}&root={root}");
            }
            let content = &operation["responses"]["200"]["content"];
            if content.get("text/event-stream").is_some() {
                let mut stream = common::Stream::open(node.address, &format!("{filled}?from=0&proof=true"), "").await;
                let schema = &content["text/event-stream"]["schema"]["contentSchema"];
                check(schema, &stream.messages(1).await[0].data, schemas, path);
                continue;
            }
            let reply = match method.as_str() {
                "get" => node.get(&filled).await,
                "post" if path.ends_with("transactions") => {
                    let transaction = node.mint();
                    node.submit(&transaction, "?wait=certified").await
                }
                "post" if path.ends_with("simulations") => {
                    let body = ledger_core::codec::encode(&node.mint_at(0));
                    node.post(&filled, "Content-Type: application/octet-stream\r\n", &body).await
                }
                _ => node.post(&filled, "Content-Type: application/octet-stream\r\n", &[]).await,
            };
            assert!(reply.status == 200, "{method} {path}: {reply:?}");
            let media = reply.header("content-type").unwrap();
            let described = content.get(media).unwrap_or_else(|| panic!("{path} answers {media}"));
            if media == "application/json" {
                check(&described["schema"], &reply.json(), schemas, path);
            }
        }
    }
    assert_eq!(operations, 23);
    let problem = node.get("/v1/chains/0").await;
    check(&schemas["Problem"], &problem.json(), schemas, "Problem");
    node.stop().await;
}
