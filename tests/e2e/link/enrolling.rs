//! A code is traded for an identity, once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sandbox::harness::{Control, ControlOptions, Home, Purser};

use super::hand::Hand;

pub(super) async fn of_a_hundred_that_use_one_code_one_wins(on: ControlOptions) {
    let control = Control::start(on).await.unwrap();
    let code = control.code().await.unwrap();
    let hands: Vec<Hand> = (0..100).map(|_| Hand::new()).collect();
    let urls: Vec<String> = (0..control.nodes()).map(|node| control.url(node)).collect();
    let tries = hands.iter().zip(urls.iter().cycle()).map(|(hand, url)| hand.enroll(url, &code));
    let answers = join_all(tries).await;
    let won: Vec<usize> = (0..answers.len()).filter(|at| answers[*at].0 == 200).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    let refused: BTreeSet<&str> = answers
        .iter()
        .filter(|(status, _)| *status != 200)
        .filter_map(|(_, said)| said["code"].as_str())
        .collect();
    assert_eq!(refused, ["code-used"].into(), "{answers:?}");
    // Its answer may have been lost: the winner gets it again, nobody else does.
    let winner = &hands[won[0]];
    let (status, again) = winner.enroll(&urls[0], &code).await;
    assert_eq!((status, &again["agent"]), (200, &answers[won[0]].1["agent"]));
    assert_eq!(Hand::new().enroll(&urls[0], &code).await.0, 403);
    let agents = control.says(&["agent", "list", "--tenant", control.tenant()]).await.unwrap();
    assert_eq!(agents.lines().count(), 2, "{agents}");
}

pub(super) async fn a_code_is_typed_as_people_type(on: ControlOptions) {
    let control = Control::start(on).await.unwrap();
    let home = Home::new().unwrap();
    let purser = Purser::new(home.path()).await.unwrap();
    let address = control.address();
    let usual = ["enroll", &address, "-", "--allow-plain-loopback", "--proxy", "none"];
    let typed = control.code().await.unwrap().to_lowercase().replace('-', " ").replace('0', "O");
    let enrolled = purser.run_with_input(&usual, &typed).await.unwrap();
    assert_eq!(enrolled.code, Some(0), "{}", enrolled.words());
    // The same fingerprint on both sides.
    let status = purser.json(&["status"]).await.unwrap().1.to_string();
    let listed = control.says(&["agent", "list", "--tenant", control.tenant()]).await.unwrap();
    let id = listed.lines().nth(1).and_then(|line| line.split_whitespace().next()).unwrap();
    let shown = control.shown(id).await.unwrap();
    assert!(enrolled.stdout.contains(&shown["fingerprint"]), "{}", enrolled.words());
    assert!(status.contains(id), "{status}");
    // A second code is for a second identity, which somebody must want.
    let again = purser.run_with_input(&usual, &control.code().await.unwrap()).await.unwrap();
    assert!(again.code != Some(0) && again.stderr.contains("--again"), "{}", again.words());
    // A wrong one is named as what it is.
    let other = Home::new().unwrap();
    let wrong = Purser::new(other.path()).await.unwrap().run_with_input(&usual, "AAAA-BBBB-CCCC-DDDD").await;
    let wrong = wrong.unwrap();
    assert!(wrong.code != Some(0) && wrong.stderr.contains("code"), "{}", wrong.words());
}

pub(super) async fn a_request_counts_once_on_whichever_node(on: ControlOptions) {
    let control = Control::start(on).await.unwrap();
    let hand = Hand::new();
    let last = control.url(control.nodes() - 1);
    let enrolled = hand.enroll(&control.url(0), &control.code().await.unwrap()).await.1;
    let agent = enrolled["agent"].as_str().unwrap();
    let request = hand.sync(agent);
    assert_eq!(hand.send(&control.url(0), &request).await.0, 200);
    let (status, refused) = hand.send(&last, &request).await;
    assert_eq!((status, refused["code"].as_str()), (401, Some("replayed")), "{refused}");
    let forged = Hand::new().sync(agent);
    assert_eq!(hand.send(&last, &forged).await.1["code"], "bad-signature");
    // Revocation counts at once, on every node.
    control.says(&["agent", "revoke", "--tenant", control.tenant(), agent]).await.unwrap();
    for node in 0..control.nodes() {
        let (status, refused) = hand.send(&control.url(node), &hand.sync(agent)).await;
        assert_eq!((status, refused["code"].as_str()), (403, Some("revoked")), "{refused}");
    }
}
