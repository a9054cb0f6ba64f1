//! Files and folders that only the service's own account may read. What differs by operating system is here and
//! nowhere else; callers see one set of functions.

use std::io;
use std::io::Write as _;
use std::path::Path;

/// What is wrong with the protection of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// Who can read it, in words.
    pub who: String,
    /// The command that mends it.
    pub mend: String,
}

/// Writes a new private file so that it is there whole or not at all, and durable when this returns. An existing file
/// is replaced only when `replace` is set; otherwise the answer is [`io::ErrorKind::AlreadyExists`].
///
/// # Errors
/// What the operating system says.
pub fn write_private(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = write_fresh(&fresh, bytes).and_then(|()| {
        if replace { std::fs::rename(&fresh, path) } else { std::fs::hard_link(&fresh, path) }
    });
    // After a hard link, or a failure, the fresh name is left over; after a rename it is gone already.
    if !replace || written.is_err() {
        drop(std::fs::remove_file(&fresh));
    }
    written?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn write_fresh(path: &Path, bytes: &[u8]) -> io::Result<()> {
    drop(std::fs::remove_file(path));
    let mut file = create_private_file(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
mod system {
    use super::Exposed;
    use std::fs::{DirBuilder, File, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
    use std::path::Path;

    /// Creates a folder (and its parents) that only its owner may enter; an existing one is left as it is.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create_private_dir(path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Takes access to a folder away from everybody but its owner.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn make_private(path: &Path) -> io::Result<()> {
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 == 0 {
            return Ok(());
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700))
    }

    /// Creates a file that only its owner may read; it must not exist.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create_private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).read(true).create_new(true).mode(0o600).open(path)
    }

    /// Opens a file that only its owner may read, and creates it when it is missing.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).read(true).create(true).truncate(false).mode(0o600).open(path)
    }

    /// Whether group or others can read or write a file or folder.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn exposed(path: &Path) -> io::Result<Option<Exposed>> {
        let about = std::fs::metadata(path)?;
        let mode = about.permissions().mode() & 0o777;
        let wanted = if about.is_dir() { "700" } else { "600" };
        Ok((mode & 0o077 != 0).then(|| Exposed {
            who: format!("group or others (mode {mode:04o})"),
            mend: format!("chmod {wanted} {}", path.display()),
        }))
    }

    /// Makes a rename or a new name in a folder durable.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync_dir(path: &Path) -> io::Result<()> {
        // A bare file name has an empty parent, which is the working folder.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path)?.sync_all()
    }
}

#[cfg(windows)]
mod system {
    use super::Exposed;
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    // Seam: on Windows a file inherits the access list of its folder. The installer gives the state folder to SYSTEM,
    // Administrators and the service's own account and stops inheritance there, so what is created below is private.

    /// Creates a folder and its parents; protection comes from the folder above, see the note at the head.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create_private_dir(path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    /// Nothing to do: see the note at the head.
    ///
    /// # Errors
    /// None.
    pub fn make_private(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Creates a file; it must not exist.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create_private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).read(true).create_new(true).open(path)
    }

    /// Opens a file, and creates it when it is missing.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).read(true).create(true).truncate(false).open(path)
    }

    /// Seam: reading the access list comes with the Windows service; until then nothing is reported.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn exposed(path: &Path) -> io::Result<Option<Exposed>> {
        std::fs::metadata(path).map(|_| None)
    }

    /// Nothing to do: NTFS journals names.
    ///
    /// # Errors
    /// None.
    pub fn sync_dir(_path: &Path) -> io::Result<()> {
        Ok(())
    }
}

pub use system::{
    create_private_dir, create_private_file, exposed, make_private, open_private_file, sync_dir,
};

#[cfg(test)]
pub(crate) mod tests {
    use super::{create_private_dir, exposed, make_private, write_private};
    use std::io::ErrorKind;
    use std::path::Path;

    /// Gives a file one exposed mode after the other; nothing on systems without modes.
    pub(crate) fn set_exposed_modes(path: &Path) -> impl Iterator<Item = String> {
        modes().iter().map(move |mode| {
            set_mode(path, *mode);
            format!("{mode:04o}")
        })
    }

    #[cfg(unix)]
    fn modes() -> &'static [u32] {
        &[0o640, 0o604, 0o620, 0o644, 0o666]
    }

    #[cfg(windows)]
    fn modes() -> &'static [u32] {
        &[]
    }

    #[cfg(unix)]
    fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(windows)]
    fn set_mode(_path: &Path, _mode: u32) {}

    #[test]
    fn a_private_file_is_whole_private_and_replaced_only_on_purpose() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_private(&path, b"one", false).unwrap();
        assert_eq!(exposed(&path).unwrap(), None);
        assert_eq!(write_private(&path, b"two", false).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write_private(&path, b"three", true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_made_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a").join("b");
        create_private_dir(&path).unwrap();
        create_private_dir(&path).unwrap();
        for mode in modes() {
            set_mode(&path, 0o700 | *mode);
            make_private(&path).unwrap();
            assert_eq!(exposed(&path).unwrap(), None);
        }
    }
}
