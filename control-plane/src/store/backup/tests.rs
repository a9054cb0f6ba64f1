//! Copy, put back, and all that must be refused.

use super::*;
use crate::store::{Store, tenants};
use purser::service::private_files::exposed;

const NOW: Millis = 1_800_000_000_000;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("sqlite:{}", self.path(name).display())
    }

    async fn open(&self, name: &str) -> Store {
        Store::open(&self.url(name)).await.unwrap()
    }
}

async fn add(store: &Store, name: &'static str) {
    let made = store.write(move |tx| Box::pin(async move { tenants::create(tx, name, NOW).await }));
    made.await.unwrap();
}

async fn names(store: &Store) -> Vec<String> {
    let all = tenants::all(&mut store.read().await.unwrap()).await.unwrap();
    all.into_iter().map(|tenant| tenant.name).collect()
}

#[tokio::test]
async fn a_copy_made_beside_a_running_server_is_put_back_with_the_same_content() {
    let scene = Scene::new();
    let store = scene.open("control.db").await;
    add(&store, "first").await;
    let to = scene.path("copy");
    let bytes = copy(&scene.url("control.db"), &to).await.unwrap();
    assert_eq!(bytes, to.metadata().unwrap().len());
    assert_eq!(exposed(&to).unwrap(), None, "nobody else may read it");
    add(&store, "second").await;
    assert_eq!(names(&store).await, ["first", "second"]);
    store.close().await;

    let old = put_back(&to, &scene.url("control.db"), true, NOW).await.unwrap().unwrap();
    let restored = scene.open("control.db").await;
    assert_eq!(names(&restored).await, ["first"]);
    let marks = sqlx::query_scalar::<_, i64>("select at from restores");
    assert_eq!(marks.fetch_all(&mut *restored.read().await.unwrap()).await.unwrap(), [NOW]);
    restored.close().await;
    let kept = Store::open(&format!("sqlite:{}", old.display())).await.unwrap();
    assert_eq!(names(&kept).await, ["first", "second"], "what was there is kept");
    kept.close().await;
    // The copy itself is as it was, and goes into an empty place without being told twice.
    assert_eq!(put_back(&to, &scene.url("new.db"), false, NOW).await.unwrap(), None);
    let new = scene.open("new.db").await;
    assert_eq!(names(&new).await, ["first"]);
    new.close().await;
}

#[tokio::test]
async fn a_database_in_use_is_not_replaced_whatever_is_said() {
    let scene = Scene::new();
    let store = scene.open("control.db").await;
    add(&store, "first").await;
    copy(&scene.url("control.db"), &scene.path("copy")).await.unwrap();
    for replace in [false, true] {
        let refused = put_back(&scene.path("copy"), &scene.url("control.db"), replace, NOW).await;
        assert!(matches!(refused, Err(BackupError::InUse(_))), "{refused:?}");
    }
    add(&store, "second").await;
    assert_eq!(names(&store).await, ["first", "second"], "the server did not notice");
    store.close().await;
    let refused = put_back(&scene.path("copy"), &scene.url("control.db"), false, NOW).await;
    assert!(matches!(refused, Err(BackupError::Full(_))), "{refused:?}");
    let store = scene.open("control.db").await;
    assert_eq!(names(&store).await, ["first", "second"]);
    store.close().await;
}

#[tokio::test]
async fn what_is_no_whole_copy_of_ours_is_refused() {
    let scene = Scene::new();
    let store = scene.open("control.db").await;
    add(&store, "first").await;
    copy(&scene.url("control.db"), &scene.path("copy")).await.unwrap();
    store.close().await;
    let whole = std::fs::read(scene.path("copy")).unwrap();
    std::fs::write(scene.path("text"), "not a database at all, but long enough to look at").unwrap();
    std::fs::write(scene.path("cut"), &whole[..whole.len() / 2]).unwrap();
    let mut foreign = connect(&scene.path("foreign"), "rwc").await.unwrap();
    foreign.execute("create table things (id integer)").await.unwrap();
    foreign.close().await.unwrap();
    for name in ["text", "cut", "foreign"] {
        let refused = put_back(&scene.path(name), &scene.url("new.db"), true, NOW).await;
        assert!(matches!(refused, Err(BackupError::Foreign(..))), "{name}: {refused:?}");
    }
    let mut newer = connect(&scene.path("copy"), "rw").await.unwrap();
    newer.execute("insert into migrations (number, name) values (9999, 'later')").await.unwrap();
    newer.close().await.unwrap();
    let refused = put_back(&scene.path("copy"), &scene.url("new.db"), true, NOW).await;
    assert!(matches!(refused, Err(BackupError::Newer { found: 9999, .. })), "{refused:?}");
    let refused = put_back(&scene.path("nothing"), &scene.url("new.db"), true, NOW).await;
    assert!(matches!(refused, Err(BackupError::Missing(_))), "{refused:?}");
    assert!(!scene.path("new.db").exists());
    assert!(
        std::fs::read_dir(scene.folder.path())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("restoring") })
    );
}

#[tokio::test]
async fn a_copy_replaces_nothing_and_needs_a_database() {
    let scene = Scene::new();
    let refused = copy(&scene.url("control.db"), &scene.path("copy")).await;
    assert!(matches!(refused, Err(BackupError::Missing(_))), "{refused:?}");
    scene.open("control.db").await.close().await;
    std::fs::write(scene.path("copy"), "precious").unwrap();
    let refused = copy(&scene.url("control.db"), &scene.path("copy")).await;
    assert!(matches!(refused, Err(BackupError::Exists(_))), "{refused:?}");
    assert_eq!(std::fs::read(scene.path("copy")).unwrap(), b"precious");
    assert!(matches!(copy("postgres://h/d", &scene.path("x")).await, Err(BackupError::NoFile)));
}

#[test]
fn the_file_of_an_address() {
    for (url, file) in [
        ("sqlite:control.db", "control.db"),
        ("sqlite:/var/lib/x/control.db?mode=rwc", "/var/lib/x/control.db"),
        ("sqlite:///var/lib/x/control.db", "/var/lib/x/control.db"),
        ("sqlite:/a%20b/c%25.db", "/a b/c%.db"),
    ] {
        assert_eq!(file_of(url).unwrap(), Path::new(file), "{url}");
    }
    assert!(file_of("sqlite:").is_err());
}
