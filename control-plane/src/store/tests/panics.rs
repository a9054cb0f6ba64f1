//! Panics within operations and beside them: a defect costs what it is in, and nothing else.

use super::*;

pub(super) async fn a_panic_undoes_its_operation_and_no_other(store: Store) {
    let panics = |name: String| {
        store.append(move |tx| {
            Box::pin(async move {
                tenants::create(tx, &name, 1).await?;
                let wrong = name.len() > 1;
                assert!(!wrong, "a defect, on purpose");
                Ok(())
            })
        })
    };
    let good =
        |name: String| store.append(move |tx| Box::pin(async move { tenants::create(tx, &name, 1).await }));
    // What is asked meanwhile comes into one transaction.
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel::<()>();
    let first = store.append(move |_| {
        Box::pin(async move {
            begun.send(()).unwrap();
            wait.await.unwrap();
            Ok(())
        })
    });
    let release = async {
        while store.writer_queue() < 30 && store.engine() == Engine::Sqlite {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
    };
    let both = async {
        // Not before the first has the writer for itself: else it would take some of these along.
        has_begun.await.unwrap();
        let pair = |n| futures_util::future::join(panics(format!("panics{n}")), good(format!("good{n}")));
        futures_util::future::join_all((0..15).map(pair)).await
    };
    let (first, (), both) = tokio::join!(first, release, both);
    first.unwrap();
    for (panicked, good) in both {
        assert!(matches!(panicked, Err(StoreError::Panicked)), "{panicked:?}");
        good.unwrap();
    }
    for n in 0..30 {
        let alone = store.write(move |tx| {
            Box::pin(async move {
                tenants::create(tx, &format!("alone{n}"), 1).await?;
                std::panic::resume_unwind(Box::new("a defect, on purpose"))
            })
        });
        let alone: Result<(), _> = alone.await;
        assert!(matches!(alone, Err(StoreError::Panicked)), "{alone:?}");
    }
    store.commits().await.unwrap();
    let mut connection = store.read().await.unwrap();
    let names = tenants::all(&mut connection).await.unwrap();
    assert_eq!(names.iter().filter(|tenant| tenant.name.starts_with("good")).count(), 15);
    assert!(!names.iter().any(|tenant| tenant.name.contains("panics") || tenant.name.contains("alone")));
}

#[tokio::test]
async fn a_writer_outlives_a_panic_outside_of_all_operations() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}/control.db", folder.path().display())).await.unwrap();
    let wrong = std::sync::atomic::AtomicBool::new(true);
    store.set_observer(Box::new(move |_| {
        assert!(!wrong.swap(false, std::sync::atomic::Ordering::Relaxed), "a defect, on purpose");
    }));
    let lost = store.write(|tx| Box::pin(async move { tenants::create(tx, "lost", 1).await })).await;
    assert!(matches!(lost, Err(StoreError::Panicked)), "{lost:?}");
    store.write(|tx| Box::pin(async move { tenants::create(tx, "kept", 1).await })).await.unwrap();
    store.commits().await.unwrap();
    store.close().await;
}
