//! The user that the servers run as, and the directories that this user can reach.
//!
//! PostgreSQL refuses to run as root, so root (containers, CI) drops to another user for both servers. That user must
//! be able to pass through every directory above the binaries and the data, which a home of mode 700 forbids.
//!
//! It does not change the mode of any directory that it did not create.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use super::spawn;

/// Data of root's checkouts that others cannot enter.
const SHARED_DATA: &str = "/var/lib/valera-analytics";
/// `nobody`, where there is no user of PostgreSQL's.
const NOBODY: u32 = 65534;

/// An unprivileged user, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whom the servers run as; `None` is whoever runs this program.
pub(super) fn server_user() -> Option<User> {
    if !spawn::is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(find_user(&passwd, "postgres").unwrap_or(User { uid: NOBODY, gid: NOBODY }))
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let mut numbers = fields.skip(1).map_while(|field| field.parse().ok());
        Some(User { uid: numbers.next()?, gid: numbers.next()? })
    })
}

/// The first directory above `path`, or `path` itself, that `user` cannot pass through. Missing ones will be created
/// by us and do not count.
pub(super) fn obstacle(path: &Path, user: User) -> Option<PathBuf> {
    let blocks = |dir: &&Path| {
        fs::metadata(dir).is_ok_and(|found| {
            let pass = match (found.uid() == user.uid, found.gid() == user.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            found.permissions().mode() & pass == 0
        })
    };
    path.ancestors().find(blocks).map(Path::to_path_buf)
}

fn reachable(preferred: &Path) -> PathBuf {
    match server_user() {
        Some(user) if obstacle(preferred, user).is_some() => {
            let below_root = preferred.components().filter(|part| matches!(part, Component::Normal(_)));
            Path::new(SHARED_DATA).join(below_root.collect::<PathBuf>())
        }
        _ => preferred.to_path_buf(),
    }
}

/// A directory for data, made if need be: `preferred`, or one under `/var/lib/valera-analytics` where this program is root
/// and the servers' user cannot reach `preferred`, which then is a link to it. The same `preferred` always gives the same
/// answer, so data is found again.
///
/// # Errors
/// When the directory or the link cannot be made.
pub fn data_dir(preferred: &Path) -> Result<PathBuf> {
    let asked = std::path::absolute(preferred).with_context(|| format!("resolving {}", preferred.display()))?;
    let dir = reachable(&asked);
    let creating = || format!("creating {} for {}", dir.display(), asked.display());
    fs::create_dir_all(&dir).with_context(creating)?;
    if !asked.exists() {
        if let Some(above) = asked.parent() {
            fs::create_dir_all(above).with_context(creating)?;
        }
        symlink(&dir, &asked).with_context(creating)?;
    }
    Ok(dir)
}

/// A temporary directory, gone on drop, in which servers can have theirs: whatever the umask, the servers' user may
/// pass through.
///
/// # Errors
/// When the directory cannot be created.
pub fn scratch_dir() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("valera-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .context("creating a temporary directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:101:104:admin:/var/lib:/bin/bash\n";
        let found = find_user(passwd, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        assert!(find_user(passwd, "nobody").is_none());
    }

    #[test]
    fn a_private_directory_is_an_obstacle_to_strangers_only() {
        let private = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
        let inside = private.path().join("data");
        let owner = fs::metadata(private.path()).unwrap();
        let owner = User { uid: owner.uid(), gid: owner.gid() };
        assert_eq!(obstacle(&inside, User { uid: 4242, gid: 4242 }).as_deref(), Some(private.path()));
        assert_eq!(obstacle(&inside, owner), None);
    }
}
