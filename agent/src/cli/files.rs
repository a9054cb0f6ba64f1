//! Files that a verb writes for a person: new, for their owner only, and gone again when nothing came of the verb.

use super::Usage;
use crate::service::private_files::create_private_file;
use anyhow::Result;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A new file that stays only when it was finished.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl NewFile {
    /// Makes it. To be called before the work whose result goes into it, which may take hours.
    ///
    /// # Errors
    /// [`Usage`] when there is a file of that name or no such folder.
    pub fn create(path: &Path) -> Result<Self> {
        match create_private_file(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file, finished: false }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Usage(format!("{} exists already; name another file", path.display())).into())
            }
            Err(error) => {
                let words = format!("cannot write {}", path.display());
                let is_usage = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
                let error = anyhow::Error::from(error);
                Err(if is_usage { error.context(Usage(words)) } else { error.context(words) })
            }
        }
    }

    /// Makes what was written durable, and lets the file stay.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.file.sync_all()?;
        self.finished = true;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished {
            // Half a file would be taken for a whole one, and stand in the way of the next attempt.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::private_files::exposed;

    #[test]
    fn a_file_is_new_and_private_and_stays_only_when_it_was_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        drop(NewFile::create(&path).unwrap());
        assert!(!path.exists(), "nothing came of it");

        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(exposed(&path).unwrap(), None);
        for (wrong, words) in [(path.clone(), "exists already"), (path.join("below"), "cannot write")] {
            let refused = NewFile::create(&wrong).unwrap_err();
            assert!(refused.downcast_ref::<Usage>().is_some(), "{refused:#}");
            assert!(refused.to_string().contains(words), "{refused:#}");
        }
        assert!(NewFile::create(&folder.path().join("none/out")).unwrap_err().is::<Usage>());
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }
}
