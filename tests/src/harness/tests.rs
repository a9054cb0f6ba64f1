//! The harness itself, with whatever stands in for the agent's binary.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::binary::Place;
use super::*;

#[tokio::test]
async fn a_sandbox_answers_its_admin_interface_over_http_and_https() {
    for https in [false, true] {
        let sandbox = Sandbox::start(SandboxOptions { https, ..SandboxOptions::new(12) }).await.unwrap();
        for running in System::ALL.map(|system| sandbox.running(system)) {
            let admin = Admin::new(&running.url(), sandbox.ca_pem()).unwrap();
            assert_eq!(admin.state().await.unwrap(), running.state());
            assert_eq!(admin.misuse().await.unwrap(), Vec::<String>::new());
            let rule = json!({ "match": { "path_contains": "/x" }, "action": { "kind": "hang" } });
            assert_eq!(admin.call("POST", "faults", Some(&rule)).await.unwrap(), json!({ "rules": 1 }));
            let refused = admin.call("POST", "control/dance", Some(&json!({}))).await.unwrap_err();
            assert!(matches!(refused, AdminError::Refused { status: 400, .. }), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_stopped_sandbox_is_named_with_what_to_look_at() {
    let sandbox = Sandbox::start(SandboxOptions::new(3)).await.unwrap();
    let url = sandbox.epicor.url();
    drop(sandbox);
    let mut refused = Admin::new(&url, None).unwrap().state().await;
    // The listener is closed by a task of its own.
    while refused.is_ok() {
        refused = Admin::new(&url, None).unwrap().state().await;
    }
    assert!(refused.unwrap_err().to_string().contains("is the sandbox running?"));
    assert!(Admin::new("localhost", None).is_err());
}

#[tokio::test]
async fn the_rendered_configuration_is_valid_in_every_mode() {
    let sandbox = Sandbox::start(SandboxOptions { https: true, ..SandboxOptions::new(3) }).await.unwrap();
    let routes = Route::ALL.map(|route| vec![route]).into_iter().chain([Route::ALL.to_vec()]);
    for (routes, document) in
        routes.flat_map(|r| [(r.clone(), DocumentKind::Journal), (r, DocumentKind::ApInvoice)])
    {
        for ca_file in [None, Some("/tmp/a \"b\" c.pem".into())] {
            let config = AgentConfig {
                document,
                ca_file,
                schedule: Some("*/5 * * * *".to_owned()),
                tables: vec!["[log]\nlevel = \"debug\"".to_owned()],
                ..sandbox.agent_config_for(&routes)
            };
            let (_, valid) = purser::config::check(&config.render()).unwrap();
            assert_eq!(valid.connections.len(), Route::systems(&routes).len());
            assert_eq!(valid.flows.len(), routes.len());
            assert!(valid.flows.iter().all(|flow| flow.document.as_str() == document.as_str()));
        }
    }
}

#[test]
fn canary_secrets_differ_by_seed_and_are_no_defaults() {
    let (one, two) = (Secrets::canaries(1), Secrets::canaries(2));
    for ((a, b), default) in one.values().iter().zip(two.values()).zip(Secrets::default().values()) {
        assert_ne!(*a, b);
        assert_ne!(*a, default);
    }
    assert_eq!(one, Secrets::canaries(1));
}

#[test]
fn the_place_of_the_executable_tells_how_to_build_the_agent_beside_it() {
    let arguments = |executable: &str| {
        let place = Place::of(Path::new(executable));
        let arguments = place.build_arguments("purser", Path::new("/src/Cargo.toml"));
        let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words[4..].join(" ")
    };
    let debug = "--manifest-path /src/Cargo.toml --target-dir /src/target";
    assert_eq!(arguments("/src/target/debug/sandbox"), debug);
    assert_eq!(arguments("/src/target/debug/deps/sandbox-0a1b"), debug);
    assert_eq!(arguments("/src/target/release/sandbox"), format!("{debug} --release"));
    assert_eq!(
        arguments("/src/target/x86_64-unknown-linux-gnu/small/sandbox"),
        format!("{debug} --profile small --target x86_64-unknown-linux-gnu")
    );
}

#[cfg(unix)]
mod with_a_stand_in {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn stand_in(home: &Home, script: &str) -> Purser {
        let file = home.beside().join("stand-in");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        Purser::with_binary(file, home.path())
    }

    #[tokio::test]
    async fn a_child_gets_home_arguments_and_input_and_its_answer_is_read() {
        let home = Home::new().unwrap();
        let purser =
            stand_in(&home, r#"printf '{"args":"%s","input":"%s"}' "$*" "$(cat)"; echo aside >&2; exit 4"#);
        let (finished, value) = purser.json(&["status"]).await.unwrap();
        assert_eq!(finished.code, Some(4));
        assert_eq!(finished.stderr, "aside\n");
        assert_eq!(value["args"], format!("--home {} status --output json", home.path().display()));
        let finished = purser.run_with_input(&["secrets"], "a=b").await.unwrap();
        assert_eq!(finished.json().unwrap()["input"], "a=b");
    }

    #[tokio::test]
    async fn a_child_that_prints_no_json_is_quoted() {
        let home = Home::new().unwrap();
        let error = stand_in(&home, "echo 'no such verb'; exit 2").json(&["x"]).await.unwrap_err();
        assert!(format!("{error:#}").contains("no such verb"), "{error:#}");
    }

    #[tokio::test]
    async fn a_child_is_killed_when_the_condition_holds_and_says_so() {
        let home = Home::new().unwrap();
        let purser = stand_in(&home, "echo begun; exec sleep 1000");
        let mut looks = 0;
        let condition = || {
            looks += 1;
            looks > 5
        };
        let finished =
            purser.spawn(&[]).unwrap().kill_when(Duration::from_secs(60), condition).await.unwrap();
        assert_eq!(finished.code, None);
        let early = stand_in(&home, "exit 3").spawn(&[]).unwrap();
        let finished = early.kill_when(Duration::from_secs(60), || false).await.unwrap();
        assert_eq!(finished.code, Some(3));
    }

    #[tokio::test]
    async fn a_child_does_not_outlive_its_handle() {
        let home = Home::new().unwrap();
        let agent = stand_in(&home, "exec sleep 1000").spawn(&[]).unwrap();
        let process = format!("/proc/{}", agent.pid().unwrap());
        drop(agent);
        // Reaped by the runtime in the background; a zombie has no command line.
        let gone = || std::fs::read(format!("{process}/cmdline")).map_or(true, |line| line.is_empty());
        while !gone() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_home_is_removed_unless_it_is_kept() {
        let mut home = Home::new().unwrap();
        home.configure_text("version = 1").unwrap();
        let mode = std::fs::metadata(home.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        let (path, beside) = (home.path().to_path_buf(), home.beside().to_path_buf());
        home.keep();
        drop(home);
        assert!(path.join("purser.toml").is_file());
        std::fs::remove_dir_all(beside).unwrap();
        let home = Home::new().unwrap();
        home.configure_text("version = 1").unwrap();
        let path = home.path().to_path_buf();
        drop(home);
        assert!(!path.exists());
    }
}
