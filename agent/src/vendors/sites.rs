//! What connections share that speak to the same site, where the vendor counts them together whoever signs in.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

type Kept = BTreeMap<(String, String), Weak<dyn Any + Send + Sync>>;

/// What is shared, by vendor and site. Clones are the same.
#[derive(Clone, Default)]
pub struct Sites(Arc<Mutex<Kept>>);

impl fmt::Debug for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sites")
    }
}

impl Sites {
    /// What the connections to `site` share, made when none of them is alive. A vendor asks for one type only.
    pub fn of<T: Any + Send + Sync>(&self, vendor: &str, site: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (vendor.to_owned(), site.to_owned());
        if let Some(known) = kept.get(&key).and_then(Weak::upgrade)
            && let Ok(known) = known.downcast()
        {
            return known;
        }
        kept.retain(|_, known| known.strong_count() > 0);
        let made: Arc<T> = Arc::new(make());
        let shared: Arc<dyn Any + Send + Sync> = made.clone();
        kept.insert(key, Arc::downgrade(&shared));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_site_has_one_of_it_for_as_long_as_somebody_uses_it() {
        let sites = Sites::default();
        let first = sites.of("acumatica", "https://erp.example.test/", || 1_u32);
        assert!(Arc::ptr_eq(&first, &sites.clone().of("acumatica", "https://erp.example.test/", || 2_u32)));
        assert_eq!(*sites.of("acumatica", "https://erp.example.test/other", || 3_u32), 3);
        assert_eq!(*sites.of("epicor", "https://erp.example.test/", || 4_u32), 4);
        drop(first);
        assert_eq!(*sites.of("acumatica", "https://erp.example.test/", || 5_u32), 5);
    }
}
