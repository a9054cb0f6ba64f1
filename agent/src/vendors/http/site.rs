//! The root of a customer's site, from whatever address was pasted, and the addresses below it.

use url::Url;

/// Everything that a connection calls lies below this address.
#[derive(Clone, Debug)]
pub struct SiteRoot(Url);

impl SiteRoot {
    /// From a pasted URL: its path up to the first segment that the vendor's own addresses begin with (`ends`, in any
    /// case), without query and fragment.
    pub fn new(pasted: &Url, ends: &[&str]) -> Self {
        let mut root = pasted.clone();
        root.set_query(None);
        root.set_fragment(None);
        let kept: Vec<&str> = pasted
            .path_segments()
            .into_iter()
            .flatten()
            .take_while(|segment| !ends.iter().any(|end| segment.eq_ignore_ascii_case(end)))
            .filter(|segment| !segment.is_empty())
            .collect();
        root.set_path(&kept.join("/"));
        Self(root)
    }

    /// The address of these segments below the root.
    pub fn below(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The site's name, the same however its address is written.
    pub fn name(&self) -> String {
        self.0.as_str().trim_end_matches('/').to_ascii_lowercase()
    }

    /// Whether an address that an answer named stays on this site.
    pub fn owns(&self, link: &Url) -> bool {
        let root = self.0.path().trim_end_matches('/');
        let below =
            link.path().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        link.origin() == self.0.origin() && below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_on_the_same_site_only() {
        let url = |text: &str| Url::parse(text).unwrap();
        let site = SiteRoot::new(&url("https://erp.example.test/ERP11/api/v2/?x=1#y"), &["API"]);
        assert_eq!(site.below(&["api", "v1"]).as_str(), "https://erp.example.test/ERP11/api/v1");
        for (link, ours) in [
            ("https://erp.example.test/ERP11/api/v1/x", true),
            ("https://erp.example.test/ERP11", true),
            ("https://erp.example.test/ERP11evil/api", false),
            ("https://erp.example.test/", false),
            ("http://erp.example.test/ERP11/api", false),
            ("https://evil.example.test/ERP11/api", false),
        ] {
            assert_eq!(site.owns(&url(link)), ours, "{link}");
        }
        let bare = SiteRoot::new(&url("https://erp.example.test"), &["api"]);
        assert!(bare.owns(&url("https://erp.example.test/anything")));
        assert_eq!(bare.below(&["a b"]).as_str(), "https://erp.example.test/a%20b");
    }
}
