//! The whole API under wrong input, made of its own document: wrong types, sizes, ids, methods, encodings. The seed is
//! fixed, so a failure repeats. Whatever comes, the answer is no 5xx, refusals are problem documents, and nothing of
//! another tenant is in them.

use super::sample::{Operation, document, operations, right};
use super::world::{As, World, request};
use fastrand::Rng;
use serde_json::{Value, json};

/// Requests per operation.
const ROUNDS: usize = 40;

fn junk(rng: &mut Rng, depth: usize) -> Value {
    const TEXTS: [&str; 14] = [
        "",
        " ",
        "null",
        "../../etc/passwd",
        "' or 1=1 --",
        "\u{0}",
        "\u{202e}abc",
        "💥💥",
        "{{name}}",
        "%s%n",
        "<script>",
        "-----BEGIN AGE ENCRYPTED FILE-----",
        "9999999999999999999999",
        "owner",
    ];
    match rng.usize(0..if depth > 3 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!([i64::MIN, -1, 0, 1, i64::MAX][rng.usize(0..5)]),
        3 => json!(rng.f64() * 1e300),
        4 | 5 => json!(TEXTS[rng.usize(0..TEXTS.len())]),
        6 => json!("x".repeat(1 << rng.usize(0..17))),
        7 => (0..rng.usize(0..4)).map(|_| junk(rng, depth + 1)).collect(),
        _ => Value::Object((0..rng.usize(0..4)).map(|at| (format!("k{at}"), junk(rng, depth + 1))).collect()),
    }
}

/// A right body with something wrong in it.
fn spoiled(rng: &mut Rng, document: &Value, operation: &Operation) -> Option<Vec<u8>> {
    let schema = operation.spec.pointer("/requestBody/content/application~1json/schema");
    let mut body = match schema {
        Some(schema) => right(document, schema),
        None if rng.bool() => return None,
        None => json!({}),
    };
    match rng.usize(0..10) {
        0 => body = junk(rng, 0),
        1 => return Some(b"{\"email\":".to_vec()),
        2 => return Some((0..rng.usize(1..200)).map(|_| rng.u8(..)).collect()),
        3 => return Some("[".repeat(100_000).into_bytes()),
        4 => drop(body.as_object_mut().map(|fields| fields.insert("more".into(), junk(rng, 0)))),
        5 => drop(body.as_object_mut().and_then(|fields| {
            let name = fields.keys().nth(rng.usize(0..fields.len().max(1))).cloned()?;
            fields.remove(&name)
        })),
        _ => {
            let fields: Vec<String> =
                body.as_object().map(|body| body.keys().cloned().collect()).unwrap_or_default();
            if !fields.is_empty() {
                body[&fields[rng.usize(0..fields.len())]] = junk(rng, 0);
            }
        }
    }
    Some(body.to_string().into_bytes())
}

fn path(rng: &mut Rng, operation: &Operation, world: &World) -> String {
    const IDS: [&str; 10] =
        ["0", "-1", "%00", "%2e%2e", "9223372036854775808", "%F0%9F%92%A5", "a%20b", "x", "%27", "%FF"];
    let own = super::routes::path(operation, &world.one);
    let mut path = if rng.bool() {
        own
    } else {
        let fill = |path: String, hole: &str| {
            let long = "a".repeat(3000);
            let id = if rng.usize(0..8) == 0 { &long } else { IDS[rng.usize(0..IDS.len())] };
            path.replace(&format!("{{{hole}}}"), id)
        };
        operation.holes().into_iter().fold(operation.path.clone(), fill)
    };
    const QUERIES: [&str; 8] = [
        "limit=0",
        "limit=99999999999999999999",
        "after=%00",
        "before=-9223372036854775808",
        "from=-5",
        "limit=%FF",
        "a=b&a=c",
        "before=",
    ];
    if rng.usize(0..3) == 0 {
        path = format!("{path}?{}", QUERIES[rng.usize(0..QUERIES.len())]);
    }
    path
}

#[actix_web::test]
async fn no_request_makes_the_api_fail_or_tell() {
    let world = World::new().await;
    let document = document();
    let mut rng = Rng::with_seed(20_261_121);
    // What would end the test's own credentials is not asked in their name.
    let spared = [
        "delete /v1/session",
        "delete /v1/sessions/{id}",
        "delete /v1/users/{id}/sessions",
        "post /v1/users/{id}/password",
    ];
    let canaries = [&world.two.tenant, &world.two.agent, &world.two.sessions["owner"], &world.fleet];
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for operation in operations(&document) {
        for round in 0..ROUNDS {
            let who = match rng.usize(0..10) {
                0 => As::Nobody,
                1 => As::Session(world.one.sessions["viewer"].clone()),
                2 => As::Token("pct_x_y".into()),
                3 | 4 => As::Session(world.fleet.clone()),
                _ => world.owner(),
            };
            let path = path(&mut rng, &operation, &world);
            if spared.contains(&operation.name().as_str()) && !matches!(who, As::Nobody) {
                continue;
            }
            let mut asked = request(&who, operation.http(), &path, None);
            if let Some(body) = spoiled(&mut rng, &document, &operation) {
                let kind = [
                    "application/json",
                    "application/json",
                    "application/json",
                    "text/plain",
                    "application/xml",
                ];
                asked =
                    asked.insert_header(("content-type", kind[rng.usize(0..kind.len())])).set_payload(body);
            }
            if rng.usize(0..6) == 0 {
                asked = asked.insert_header(("idempotency-key", "k".repeat(rng.usize(0..200))));
            }
            if rng.usize(0..6) == 0 {
                asked = asked
                    .insert_header(("purser-tenant", ["*", "*", "", "t0", "North works"][rng.usize(0..5)]));
            }
            let got = world.send(asked).await;
            let what = format!("{} round {round} at {path} as {who:?}", operation.name());
            *statuses.entry(got.status).or_default() += 1;
            let unset = got.status == 503 && operation.path.starts_with("/v1/oidc");
            assert!(got.status < 500 || unset, "{what}: {got:?}");
            if got.status >= 400 {
                assert_eq!(got.header("content-type"), "application/problem+json", "{what}: {got:?}");
                let problem = got.json();
                assert_eq!(problem["status"], got.status, "{what}");
                assert!(problem["code"].is_string() && problem["title"].is_string(), "{what}");
            }
            // The fleet sees all tenants.
            for canary in
                canaries.iter().filter(|_| !matches!(&who, As::Session(word) if *word == world.fleet))
            {
                assert!(!got.body.contains(canary.as_str()), "{what} tells {canary}");
            }
        }
    }
    let some = |status: u16| statuses.get(&status).copied().unwrap_or_default() > 0;
    assert!(
        some(200) && some(400) && some(401) && some(403) && some(404),
        "the test is too tame: {statuses:?}"
    );
}
