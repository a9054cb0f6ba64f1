//! Where each set of reference data goes within the account: which workspaces, which tag level, what names look like.

use super::is_id;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where reference flows write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReferenceSettings {
    /// Employees become members.
    pub employees: EmployeeSettings,
    /// Accounts become GL codes of categories.
    pub accounts: CategorySettings,
    /// Cost centres become tags.
    pub cost_centres: TagSettings,
    /// Projects become tags.
    pub projects: TagSettings,
    /// Most of the tags, categories or members of a workspace, in percent and rounded up to a whole one, that may be
    /// missing since they were last read, before writing there is refused: an answer that leaves some out looks like one
    /// after people have taken them out. After a person did so, say 100 here for one run. Default: 10.
    pub max_shrink_percent: u8,
}

impl Default for ReferenceSettings {
    fn default() -> Self {
        Self {
            employees: EmployeeSettings::default(),
            accounts: CategorySettings::default(),
            cost_centres: TagSettings::default(),
            projects: TagSettings::default(),
            max_shrink_percent: 10,
        }
    }
}

/// How employees become members of workspaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmployeeSettings {
    /// Ids of the policies (workspaces) that employees become members of. Default: none.
    pub policies: Vec<String>,
    /// Other policies for people whose address has this domain: `{ "plant.example.test" = ["0123456789ABCDEF"] }`.
    pub by_domain: BTreeMap<String, Vec<String>>,
    /// Address of the approver of those for whom the ERP names none. Default: none, they are not added.
    pub default_approver: Option<String>,
    /// Let Expensify mend chains of approval that a change breaks. Default: yes.
    pub fix_approval_chains: bool,
    /// Let Expensify write an e-mail to people whose membership changes. Default: no.
    pub notify: bool,
}

impl Default for EmployeeSettings {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            by_domain: BTreeMap::new(),
            default_approver: None,
            fix_approval_chains: true,
            notify: false,
        }
    }
}

/// How accounts become categories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CategorySettings {
    /// Ids of the policies (workspaces) whose categories are aligned. Default: none.
    pub policies: Vec<String>,
    /// What the name of a new category looks like. Default: `code-name`.
    pub names: NameForm,
}

/// How values become tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TagSettings {
    /// Ids of the policies (workspaces) whose tags are written. Default: none.
    pub policies: Vec<String>,
    /// Name of the tag level, as the workspace shows it. Of a workspace with a single level Expensify does not tell the
    /// name; it is written with this one.
    pub level: String,
    /// What the name of a new tag looks like. Default: `code-name`.
    pub names: NameForm,
    /// Whether the level is required. Expensify does not tell, and every change of tags writes the levels anew; left
    /// out, nothing is said about it. Default: none.
    pub required: Option<bool>,
}

/// What a name is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NameForm {
    /// `6100 Travel`.
    #[default]
    CodeName,
    /// `Travel`.
    Name,
    /// `6100`.
    Code,
}

impl EmployeeSettings {
    /// The policies that somebody belongs to.
    pub fn policies_of(&self, email: &str) -> &[String] {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase()).unwrap_or_default();
        self.by_domain.get(&domain).unwrap_or(&self.policies)
    }

    /// All policies that anybody belongs to.
    pub fn all_policies(&self) -> Vec<String> {
        let named = self.policies.iter().chain(self.by_domain.values().flatten());
        named.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl ReferenceSettings {
    /// Every fault, each beginning with the path of the setting.
    pub(super) fn check(&self, faults: &mut Vec<String>) {
        if self.max_shrink_percent > 100 {
            faults.push("settings.reference.max_shrink_percent: 0 to 100 are possible".to_owned());
        }
        let mut ids = |path: &str, policies: &[String]| {
            for (index, id) in policies.iter().enumerate().filter(|(_, id)| !is_id(id)) {
                faults.push(format!(
                    "settings.reference.{path}[{index}]: `{id}` is not a policy id (letters and digits)"
                ));
            }
        };
        ids("employees.policies", &self.employees.policies);
        ids("accounts.policies", &self.accounts.policies);
        ids("cost_centres.policies", &self.cost_centres.policies);
        ids("projects.policies", &self.projects.policies);
        for (domain, policies) in &self.employees.by_domain {
            ids(&format!("employees.by_domain.{domain:?}"), policies);
        }
        for domain in self.employees.by_domain.keys() {
            if domain.is_empty() || domain.contains('@') || *domain != domain.to_lowercase() {
                faults.push(format!(
                    "settings.reference.employees.by_domain.{domain:?}: write the part behind the `@`, in lower case"
                ));
            }
        }
        if self.employees.default_approver.as_deref().is_some_and(|address| !address.contains('@')) {
            faults.push("settings.reference.employees.default_approver: write an e-mail address".to_owned());
        }
        for (name, tags) in [("cost_centres", &self.cost_centres), ("projects", &self.projects)] {
            if !tags.policies.is_empty() && tags.level.trim().is_empty() {
                faults.push(format!("settings.reference.{name}.level: name the tag level"));
            }
        }
        let (centres, projects) = (&self.cost_centres, &self.projects);
        let same = |id: &String| projects.policies.iter().any(|other| other.eq_ignore_ascii_case(id));
        if !centres.level.is_empty()
            && centres.level.eq_ignore_ascii_case(&projects.level)
            && centres.policies.iter().any(same)
        {
            faults.push(
                "settings.reference.projects.level: cost centres are written to this level already"
                    .to_owned(),
            );
        }
    }
}
