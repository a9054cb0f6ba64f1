//! One connection: its secret, the way to the vendor, the vendor's own checks.

use super::{Section, check};
use crate::cli::context::Context;
use crate::cli::errand::Errand;
use crate::cli::{Global, output};
use crate::runtime::commands::{Obeyed, Order};
use crate::secret::Origin;
use crate::store::{SecretInfo, Store};
use crate::vendors::http::net_probe::NetProbe;
use crate::vendors::registry;
use crate::vendors::{ProbeResult, StoreNotes, Verdict, last_use};
use anyhow::Result;
use purser_proto::validate::{ValidConfig, ValidConnection};

/// Examines connections, each as far as it gets.
pub(super) fn examine(
    global: &Global,
    context: &Context,
    config: &ValidConfig,
    wanted: &[&ValidConnection],
) -> Result<Vec<Section>> {
    let store = crate::store::dir_of(context.home()).is_dir().then(|| context.look()).transpose();
    // A store that cannot be opened has its own line above; here its secrets are missing.
    let store = store.ok().flatten();
    let mut sections: Vec<Section> = Vec::new();
    actix::System::new().block_on(async {
        for connection in wanted {
            let bar = output::spinner(global, &format!("looking at the way to {}", connection.url));
            let mut checks = vec![secret(store.as_ref(), connection)];
            checks.extend(store.as_ref().and_then(|store| idle(context, store, connection)));
            checks.extend(way(context, store.as_ref(), connection).await);
            bar.finish_and_clear();
            let name = format!("connection {} ({}, {})", connection.id, connection.kind, connection.url);
            sections.push(Section { name, checks });
        }
    });
    // Beside a writer of this process no second reader is needed.
    drop(store);
    ask_vendors(global, context, config, wanted, &mut sections)?;
    Ok(sections)
}

fn secret(store: Option<&Store>, connection: &ValidConnection) -> ProbeResult {
    let name = &connection.secret;
    let set = format!("`purser secrets set {name}`");
    let known = match store.map(Store::secrets).transpose() {
        Ok(known) => known.unwrap_or_default(),
        Err(error) => return check("secret", Verdict::Fail, error.to_string(), "do what is said there"),
    };
    let Some(info) = known.into_iter().find(|info| info.name == *name) else {
        return check(
            "secret",
            Verdict::Fail,
            format!("there is no secret `{name}` in the store"),
            format!("run {set}"),
        );
    };
    judge_secret(&info, connection, &set)
}

/// The countdown of a credential that dies when it is not used.
fn idle(context: &Context, store: &Store, connection: &ValidConnection) -> Option<ProbeResult> {
    let life = registry::vendor(&connection.kind)?.idle_life?;
    let last = last_use(&StoreNotes::new(store, &connection.id));
    let idle = life.judge(last, context.clock.now().date_naive());
    Some(check("credential life", idle.verdict, idle.words(), idle.fix()))
}

fn judge_secret(info: &SecretInfo, connection: &ValidConnection, set: &str) -> ProbeResult {
    let name = &info.name;
    if info.kind != connection.kind {
        let seen =
            format!("`{name}` is of kind `{}`, the connection is of kind `{}`", info.kind, connection.kind);
        return check(
            "secret",
            Verdict::Fail,
            seen,
            format!("run {set}, or name another secret in the configuration"),
        );
    }
    let bound = Origin::of(&connection.url).is_none_or(|own| info.origins.iter().any(|o| o == own.as_str()));
    if !bound {
        let seen = format!(
            "`{name}` is sealed for {} and the connection's url is elsewhere: it would not be sent",
            info.origins.join(", ")
        );
        let fix = format!("if the new url is right, enter the secret again for it: {set}");
        return check("secret", Verdict::Fail, seen, fix);
    }
    check("secret", Verdict::Pass, format!("`{name}` has {}", info.fields.join(", ")), "")
}

async fn way(context: &Context, store: Option<&Store>, connection: &ValidConnection) -> Vec<ProbeResult> {
    let proxy_secret = connection.network.proxy_secret.as_deref();
    let probe = NetProbe {
        url: connection.url.clone(),
        network: connection.network.clone(),
        proxy_credential: proxy_secret.and_then(|name| store?.secret(name).ok().flatten()),
    };
    probe.run(&context.clock).await
}

/// Vendor checks of those connections whose earlier checks all passed, in one errand.
fn ask_vendors(
    global: &Global,
    context: &Context,
    config: &ValidConfig,
    wanted: &[&ValidConnection],
    sections: &mut [Section],
) -> Result<()> {
    let mut reachable = Vec::new();
    for (connection, section) in wanted.iter().zip(sections) {
        match section.checks.iter().find(|c| c.verdict == Verdict::Fail) {
            None => reachable.push((connection.id.clone(), section)),
            Some(first) => {
                let seen = format!("not checked: `{}` failed", first.check);
                let name = registry::vendor(&connection.kind).map_or("vendor", |vendor| vendor.name);
                section.checks.push(check(format!("{name}'s own checks"), Verdict::Skipped, seen, ""));
            }
        }
    }
    if reachable.is_empty() {
        return Ok(());
    }
    let orders = reachable.iter().map(|(id, _)| Order::Probe { connection: id.clone() }).collect();
    let errand = Errand { global, context, config, words: "asking the vendors" };
    for (obeyed, (_, section)) in errand.orders(orders)?.into_iter().zip(reachable) {
        match obeyed {
            Obeyed::Probed { results } => section.checks.extend(results),
            Obeyed::Refused { why } => section.checks.push(check(
                "vendor",
                Verdict::Fail,
                why,
                "the agent runs with an older configuration; restart the service, then look again",
            )),
            other => crate::cli::errand::refused(other)?,
        }
    }
    Ok(())
}
