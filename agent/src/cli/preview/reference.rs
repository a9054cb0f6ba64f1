//! How the preview of a reference flow is shown: a table of what would be added, changed and disabled.

use crate::cli::{Exit, output};
use crate::flows::reference_flow::MirrorPreview;
use spend::ids::FlowId;
use spend::mirror::{MirrorChange, MirrorEntry, differences};

/// Whether a person should look.
pub fn verdict(preview: &MirrorPreview) -> Exit {
    if preview.refused.is_some() { Exit::Attention } else { Exit::Done }
}

/// Prints a preview for people. `all` shows also what stays as it is.
pub fn print(flow: &FlowId, preview: &MirrorPreview, all: bool) {
    let mut table = output::table(&["a run would", "key", "name", "what"]);
    for change in &preview.delta.changes {
        let (name, what) = words(change);
        table.add_row([
            output::cell(change.name()),
            output::cell(output::short(change.key(), 60)),
            output::cell(output::short(&name, 40)),
            output::cell(what),
        ]);
    }
    let quiet = [("leave", &preview.delta.untouched), ("not ours", &preview.delta.left_alone)];
    for (word, entries) in quiet.into_iter().filter(|_| all) {
        for entry in entries {
            table.add_row([
                output::cell(word),
                output::cell(output::short(&entry.key, 60)),
                output::cell(output::short(&entry.name, 40)),
                output::cell(attributes(entry)),
            ]);
        }
    }
    if !table.is_empty() {
        output::show(&table);
    }
    let delta = &preview.delta;
    output::line(format!(
        "{flow}: {} of {} to add, {} to change, {} to disable, {} untouched, {} left alone{}",
        delta.count("add"),
        preview.set.as_str(),
        delta.count("change"),
        delta.count("disable"),
        delta.untouched.len(),
        delta.left_alone.len(),
        if all { "" } else { " (listed with --all)" },
    ));
    output::line(format!("plan hash {}; nothing was written", preview.plan_hash));
    match &preview.refused {
        Some(why) => {
            output::line(format!("a run waits for a person: {why}"));
            output::line(format!(
                "to make exactly these changes: purser flows run {flow} --expect {} --beyond-ceiling --note WHY",
                preview.plan_hash
            ));
        }
        None if delta.changes.is_empty() => {}
        None => output::line(format!(
            "to make exactly these changes: purser flows run {flow} --expect {}",
            preview.plan_hash
        )),
    }
}

fn words(change: &MirrorChange) -> (String, String) {
    match change {
        MirrorChange::Add(entry) => (entry.name.clone(), attributes(entry)),
        MirrorChange::Update { before, after } => {
            let told = differences(before, after).into_iter().map(|difference| {
                let before = if difference.before.is_empty() { "nothing" } else { &difference.before };
                format!("{}: {before} to {}", difference.field, difference.after)
            });
            (before.name.clone(), told.collect::<Vec<_>>().join(", "))
        }
        MirrorChange::Disable(entry) => (entry.name.clone(), String::new()),
    }
}

fn attributes(entry: &MirrorEntry) -> String {
    let told = entry.attributes.iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}
