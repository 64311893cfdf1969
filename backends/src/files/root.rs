//! The directory that is served, and what is found below it.
//!
//! Owns every look at the file system. Rules: nothing above the directory can be reached, whatever the path and
//! whatever links are made while a request is served (`cap-std`: `openat2` with `RESOLVE_BENEATH`, or one component
//! at a time where the kernel has none); a link is followed as long as it stays within; a file that is no regular
//! one is not there, and is never waited for.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use nix::errno::Errno;
use nix::fcntl::OFlag;

/// The most entries of a directory that are listed: a listing is made in memory, by the thread that serves everybody.
pub(super) const MAX_ENTRIES: usize = 5000;

/// A directory that is served.
#[derive(Debug)]
pub(super) struct Root(Dir);

/// What stands at a path.
#[derive(Debug)]
pub(super) enum Found {
    File(Opened),
    Directory,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// When it was opened, bytes.
    pub(super) size: u64,
    /// When it was modified, after 1970.
    pub(super) seconds: i64,
    pub(super) nanoseconds: i64,
}

/// What a directory holds of what can be served.
#[derive(Debug)]
pub(super) struct Entries {
    /// Sorted by name.
    pub(super) entries: Vec<Entry>,
    /// There are more than [`MAX_ENTRIES`].
    pub(super) cut: bool,
}

/// A file or directory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: OsString,
    /// In bytes; `None` for a directory.
    pub(super) size: Option<u64>,
}

/// Why a target is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unserved {
    /// It is not well formed.
    Malformed,
    /// Nothing stands there that is served.
    Missing,
    /// It may not be read, or leads out of the directory.
    Forbidden,
    /// The process is out of descriptors or memory.
    Busy,
    /// The file system failed.
    Failed,
}

impl Root {
    /// The directory at `path`, a path of the process.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        // It may be passed through and not be read: better said now than at the first request.
        drop(dir.entries()?);
        Ok(Root(dir))
    }

    /// What stands at `path`.
    pub(super) fn find(&self, path: &Path) -> Result<Found, Unserved> {
        // Looked at first, because opening is an act for some files: it lets the writer of a FIFO go on.
        let metadata = self.0.metadata(path)?;
        if metadata.is_dir() {
            return Ok(Found::Directory);
        }
        if !metadata.is_file() {
            return Err(Unserved::Missing);
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
        let file = self.0.open_with(path, &options)?.into_std();
        // Another file may have come in the meantime: what was opened counts.
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Unserved::Missing);
        }
        let (size, seconds, nanoseconds) = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        Ok(Found::File(Opened { file, size, seconds, nanoseconds }))
    }

    /// What the directory at `path` holds: what is hidden, special, or leads out of the root is left out.
    pub(super) fn entries(&self, path: &Path) -> Result<Entries, Unserved> {
        let mut found = Entries { entries: Vec::new(), cut: false };
        for entry in self.0.read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if found.entries.len() == MAX_ENTRIES {
                found.cut = true;
                break;
            }
            // By its path from the root, where a link may lead; an entry that is gone meanwhile is left out.
            let Ok(metadata) = self.0.metadata(path.join(&name)) else { continue };
            if metadata.is_dir() || metadata.is_file() {
                found.entries.push(Entry { name, size: metadata.is_file().then(|| metadata.len()) });
            }
        }
        found.entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

impl From<io::Error> for Unserved {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => Unserved::Missing,
            // What leads out of the root is denied by cap-std in the same way.
            ErrorKind::PermissionDenied => Unserved::Forbidden,
            _ => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ELOOP) => Unserved::Missing,
                Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => Unserved::Busy,
                _ => Unserved::Failed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use tempfile::{TempDir, tempdir};

    use super::*;

    /// A directory `served` with `secret` beside it.
    fn tree() -> (TempDir, Root) {
        let dir = tempdir().unwrap();
        fs::create_dir_all(dir.path().join("served/sub")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(dir.path().join("served/file"), "12345").unwrap();
        let root = Root::open(&dir.path().join("served")).unwrap();
        (dir, root)
    }

    fn found(root: &Root, path: &str) -> Result<Found, Unserved> {
        root.find(Path::new(path))
    }

    #[test]
    fn files_and_directories_are_told_apart() {
        let (_dir, root) = tree();
        assert!(matches!(found(&root, "file"), Ok(Found::File(Opened { size: 5, .. }))));
        assert!(matches!(found(&root, "sub"), Ok(Found::Directory)));
        assert!(matches!(found(&root, "."), Ok(Found::Directory)));
    }

    #[test]
    fn what_is_not_there_is_missing() {
        let (_dir, root) = tree();
        for path in ["none", "file/none", "file/", "sub/none", &"x".repeat(300), &"x/".repeat(3000)] {
            assert_eq!(found(&root, path).unwrap_err(), Unserved::Missing, "{path}");
        }
    }

    #[test]
    fn no_path_and_no_link_leads_out() {
        let (dir, root) = tree();
        let secret = dir.path().join("secret");
        symlink(&secret, dir.path().join("served/absolute")).unwrap();
        symlink("../secret", dir.path().join("served/relative")).unwrap();
        symlink("..", dir.path().join("served/up")).unwrap();
        symlink("/", dir.path().join("served/top")).unwrap();
        symlink(dir.path().join("served/file"), dir.path().join("served/home")).unwrap();
        let secret = secret.to_str().unwrap();
        for path in [
            "absolute",
            "relative",
            "up",
            "up/secret",
            "top",
            "home",
            "../secret",
            "sub/../../secret",
            secret,
        ] {
            assert_eq!(found(&root, path).unwrap_err(), Unserved::Forbidden, "{path}");
        }
        assert_eq!(root.entries(Path::new("up")).unwrap_err(), Unserved::Forbidden);
    }

    #[test]
    fn a_link_that_stays_within_is_followed() {
        let (dir, root) = tree();
        symlink("../file", dir.path().join("served/sub/link")).unwrap();
        symlink("sub", dir.path().join("served/other")).unwrap();
        assert!(matches!(found(&root, "sub/link"), Ok(Found::File(_))));
        assert!(matches!(found(&root, "other/link"), Ok(Found::File(_))));
        assert!(matches!(found(&root, "other"), Ok(Found::Directory)));
    }

    #[test]
    fn a_circle_of_links_is_missing() {
        let (dir, root) = tree();
        symlink("b", dir.path().join("served/a")).unwrap();
        symlink("a", dir.path().join("served/b")).unwrap();
        assert_eq!(found(&root, "a").unwrap_err(), Unserved::Missing);
    }

    #[test]
    fn special_files_are_missing_and_never_waited_for() {
        let (dir, root) = tree();
        mkfifo(&dir.path().join("served/fifo"), Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(dir.path().join("served/socket")).unwrap();
        for path in ["fifo", "socket"] {
            assert_eq!(found(&root, path).unwrap_err(), Unserved::Missing, "{path}");
        }
        let devices = Root::open(Path::new("/dev")).unwrap();
        assert_eq!(found(&devices, "null").unwrap_err(), Unserved::Missing);
    }

    #[test]
    fn a_listing_has_what_can_be_served_sorted_by_name() {
        let (dir, root) = tree();
        let served = dir.path().join("served");
        fs::write(served.join(".hidden"), "").unwrap();
        fs::write(served.join("B"), "").unwrap();
        symlink("/etc/passwd", served.join("out")).unwrap();
        symlink("../file", served.join("sub/link")).unwrap();
        mkfifo(&served.join("fifo"), Mode::S_IRWXU).unwrap();
        let listed = |path: &str| {
            let entries = root.entries(Path::new(path)).unwrap().entries;
            entries
                .into_iter()
                .map(|entry| (entry.name.into_string().unwrap(), entry.size))
                .collect::<Vec<_>>()
        };
        assert_eq!(listed("."), [("B".into(), Some(0)), ("file".into(), Some(5)), ("sub".into(), None)]);
        assert_eq!(listed("sub"), [("link".into(), Some(5))]);
    }

    #[test]
    fn a_listing_ends_somewhere() {
        let (dir, root) = tree();
        for number in 0..=MAX_ENTRIES {
            fs::write(dir.path().join(format!("served/sub/{number}")), "").unwrap();
        }
        let listed = root.entries(Path::new("sub")).unwrap();
        assert!(listed.cut && listed.entries.len() == MAX_ENTRIES);
        fs::remove_file(dir.path().join("served/sub/0")).unwrap();
        assert!(!root.entries(Path::new("sub")).unwrap().cut);
    }

    #[test]
    fn a_process_out_of_descriptors_is_busy_and_nothing_is_said_to_be_missing() {
        assert_eq!(Unserved::from(io::Error::from(Errno::EMFILE)), Unserved::Busy);
        assert_eq!(Unserved::from(io::Error::from(Errno::EIO)), Unserved::Failed);
        assert_eq!(Unserved::from(io::Error::from(Errno::EACCES)), Unserved::Forbidden);
    }

    #[test]
    fn only_a_directory_can_be_a_root() {
        let (dir, _root) = tree();
        assert_eq!(Root::open(&dir.path().join("secret")).unwrap_err().kind(), ErrorKind::NotADirectory);
        assert_eq!(Root::open(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
