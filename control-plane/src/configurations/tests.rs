//! Revisions and templates over a real store.

use super::*;
use crate::testing::Plane;

/// The example that the agent ships with.
fn good() -> String {
    include_str!("../../../agent/src/cli/configuration/example.toml").to_owned()
}

async fn plane(folder: &tempfile::TempDir) -> Plane {
    let url = format!("sqlite:{}/control.db", folder.path().display());
    Plane::start(&url, Clock::system()).await
}

fn wanted(tenant: &str, agent: &str, toml: &str) -> Wanted {
    Wanted {
        tenant: tenant.to_owned(),
        agent: agent.to_owned(),
        toml: toml.to_owned(),
        by: "somebody".to_owned(),
        note: "because".to_owned(),
    }
}

#[tokio::test]
async fn a_revision_is_checked_by_the_agents_own_code_and_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let plane = plane(&folder).await;
    let tenant = plane.tenant("t").await;
    let agent = plane.agent(&tenant).await;
    let all = Configurations::new(plane.services.store.clone(), Clock::system());

    let bad = all.apply(wanted(&tenant, &agent.id, "version = 1\nnonsense = 2\n")).await;
    let Err(ConfigurationError::Refused(findings)) = bad else { panic!("{bad:?}") };
    assert_eq!(findings, purser::config::check("version = 1\nnonsense = 2\n").unwrap_err());

    let made = all.apply(wanted(&tenant, &agent.id, &good())).await.unwrap().unwrap();
    assert_eq!((made.number, made.author.as_str(), made.note.as_str()), (1, "somebody", "because"));
    assert!(made.diff.starts_with("@@ -1 +1 @@\n+"));
    assert!(all.apply(wanted(&tenant, &agent.id, &good())).await.unwrap().is_none(), "nothing changes");

    let changed = format!("# a comment\n{}", good());
    let made = all.apply(wanted(&tenant, &agent.id, &changed)).await.unwrap().unwrap();
    assert_eq!(made.number, 2);
    let back = all.roll_back(&tenant, &agent.id, 1, "somebody", "back").await.unwrap();
    assert_eq!((back.number, back.rolls_back, back.toml), (3, Some(1), good()));
    let answer = agent.sync(&agent.says_nothing()).await.unwrap();
    assert_eq!(answer.deliveries.as_slice().len(), 1, "only the newest waits");
    plane.stop().await;
}

#[tokio::test]
async fn a_template_changes_all_its_agents_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let plane = plane(&folder).await;
    let tenant = plane.tenant("t").await;
    let (one, two) = (plane.agent(&tenant).await, plane.agent(&tenant).await);
    let all = Configurations::new(plane.services.store.clone(), Clock::system());
    let text =
        format!("# machine: not a value\n{}", good().replacen("= \"https://", "= \"https://{{host}}", 1));
    assert!(text.contains("{{host}}"));
    let (owner, toml) = (tenant.clone(), text.clone());
    let made = plane.services.store.write(move |tx| {
        Box::pin(async move { templates::create(tx, &owner, "fleet", &toml, "x", 1).await })
    });
    let template = made.await.unwrap();
    for (agent, values) in [(&one.id, r#"{"host": "a."}"#), (&two.id, r#"{"host": "b c"}"#)] {
        let (owner, agent, template) = (tenant.clone(), agent.clone(), template.id.clone());
        let assign = plane.services.store.write(move |tx| {
            Box::pin(async move { templates::assign(tx, &owner, &agent, Some(&template), values).await })
        });
        assign.await.unwrap();
    }
    let refused = all.apply_template(&tenant, "fleet", "x", "roll out").await;
    let Err(ConfigurationError::Refused(findings)) = refused else { panic!("{refused:?}") };
    assert!(findings.iter().all(|finding| finding.path.starts_with(&two.id)), "{findings:?}");
    let answer = one.sync(&one.says_nothing()).await.unwrap();
    assert!(answer.deliveries.is_empty(), "none is changed when one cannot be");

    let (owner, agent, id) = (tenant.clone(), two.id.clone(), template.id.clone());
    let mend = plane.services.store.write(move |tx| {
        Box::pin(async move { templates::assign(tx, &owner, &agent, Some(&id), r#"{"host": "b."}"#).await })
    });
    mend.await.unwrap();
    let made = all.apply_template(&tenant, "fleet", "x", "roll out").await.unwrap();
    assert_eq!(made.len(), 2);
    assert!(made.iter().any(|revision| revision.toml.contains("https://a.")));
    assert!(all.apply_template(&tenant, "fleet", "x", "again").await.unwrap().is_empty());
    plane.stop().await;
}

#[tokio::test]
async fn an_empty_control_plane_counts_on_from_what_the_agent_works_with() {
    let folder = tempfile::tempdir().unwrap();
    let plane = plane(&folder).await;
    let tenant = plane.tenant("t").await;
    let agent = plane.agent(&tenant).await;
    let all = Configurations::new(plane.services.store.clone(), Clock::system());
    let mut says = agent.says_nothing();
    says.in_force.number = 17;
    assert!(agent.sync(&says).await.unwrap().deliveries.is_empty(), "nothing is given out by itself");
    let made = all.apply(wanted(&tenant, &agent.id, &good())).await.unwrap().unwrap();
    assert_eq!(made.number, 18);
    // Restored once more, to before that revision: the agent is ahead of what waits.
    says.in_force.number = 30;
    assert!(agent.sync(&says).await.unwrap().deliveries.is_empty(), "never a lower number");
    let changed = format!("# a comment\n{}", good());
    assert_eq!(all.apply(wanted(&tenant, &agent.id, &changed)).await.unwrap().unwrap().number, 31);
    assert_eq!(agent.sync(&says).await.unwrap().deliveries.as_slice().len(), 1);
    plane.stop().await;
}
