//! `purser explain`: what a finding's code means and what to do about it, one page each.

use super::{Exit, Format, Global, Usage, output};
use anyhow::Result;
use purser_proto::suggest::nearest;
use serde::Serialize;
use spend::finding::FindingCode;

/// Examples.
pub const AFTER_HELP: &str = "Examples:\n  purser explain\n  purser explain period-closed";

/// A code with its page.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
}

/// The page of a code.
pub fn page(code: FindingCode) -> Page {
    Page { code: code.as_str(), title: code.title(), explanation: code.explanation() }
}

/// Prints one page, or the list of codes.
///
/// # Errors
/// A code that is not known, with the nearest one.
pub fn run(global: &Global, code: Option<&str>) -> Result<Exit> {
    let text = code.unwrap_or_default().trim().to_lowercase();
    let text = text.as_str();
    if text.is_empty() {
        return list(global);
    }
    let found = FindingCode::ALL.iter().find(|code| code.as_str() == text);
    let Some(code) = found else {
        let all = || FindingCode::ALL.iter().map(|code| code.as_str());
        let alike: Vec<&str> = nearest(text, all())
            .map_or_else(|| all().filter(|code| code.contains(text)).collect(), |near| vec![near]);
        let help = if alike.is_empty() {
            "`purser explain` lists them".to_owned()
        } else {
            format!("did you mean `{}`?", alike.join("` or `"))
        };
        return Err(Usage(format!("there is no finding `{text}`; {help}")).into());
    };
    match global.output {
        Format::Json => output::json(&page(*code))?,
        Format::Text => output::line(format!("{code}: {}\n\n{}", code.title(), code.explanation())),
    }
    Ok(Exit::Done)
}

fn list(global: &Global) -> Result<Exit> {
    match global.output {
        Format::Json => {
            let pages: Vec<Page> = FindingCode::ALL.iter().map(|code| page(*code)).collect();
            output::json(&serde_json::json!({ "codes": pages }))?;
        }
        Format::Text => {
            let mut table = output::table(&["code", "meaning"]);
            for code in FindingCode::ALL {
                table.add_row([output::cell(code.as_str()), output::cell(code.title())]);
            }
            output::show(&table);
            output::line("one in full: purser explain CODE");
        }
    }
    Ok(Exit::Done)
}
