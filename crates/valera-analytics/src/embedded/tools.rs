//! Finds the binaries of nats-server and PostgreSQL, and refuses versions that would fail quietly.
//!
//! An old nats-server drops settings it does not know without a word (2.11 `allow_atomic`, 2.9 `filter_subjects`), so a
//! version is checked before anything starts. What someone names explicitly is taken or refused, never replaced by
//! another find.
//!
//! It does not fetch or install anything: every refusal says `make setup`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A server that can be looked for.
struct Kind {
    name: &'static str,
    /// What answers `--version`, below the path that names the server; empty where that path is the program.
    program: &'static str,
    minimum: [u32; 3],
}

const NATS: Kind = Kind { name: "nats-server", program: "", minimum: [2, 12, 1] };
const POSTGRES: Kind = Kind { name: "PostgreSQL", program: "postgres", minimum: [15, 0, 0] };

/// Where `scripts/setup` writes what it found, below the checkout.
const TOOLS_ENV: &str = ".valera/tools.env";

/// The servers' binaries, versions checked.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The program nats-server, 2.12.1 or newer.
    pub nats_server: PathBuf,
    /// The directory with `postgres` and `initdb`, 15 or newer.
    pub postgres_bin: PathBuf,
}

impl Tools {
    /// Takes `VALERA_NATS_SERVER` and `VALERA_PG_BIN` from the environment, else from the nearest `.valera/tools.env` at
    /// or above the working directory or this program; else looks on `PATH` and where packages put PostgreSQL.
    ///
    /// # Errors
    /// When a server is missing or too old; the text names what was looked at and says `make setup`.
    pub fn locate() -> Result<Self> {
        let path = variable("PATH").unwrap_or_default();
        let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let nats_server = match setting("VALERA_NATS_SERVER") {
            Some(named) => NATS.check(named.into())?,
            None => NATS.first_good(on_path.iter().map(|dir| dir.join("nats-server")))?,
        };
        let postgres_bin = match setting("VALERA_PG_BIN") {
            Some(named) => POSTGRES.check(named.into())?,
            None => POSTGRES.first_good(packaged_postgres().into_iter().chain(on_path))?,
        };
        Ok(Self { nats_server, postgres_bin })
    }

    /// The same nats-server with the PostgreSQL in `bin`: how tests meet the oldest version that the SQL must run on.
    ///
    /// # Errors
    /// When `bin` holds no PostgreSQL, or one older than 15.
    pub fn with_postgres(&self, bin: impl Into<PathBuf>) -> Result<Self> {
        let postgres_bin = POSTGRES.check(bin.into())?;
        Ok(Self { nats_server: self.nats_server.clone(), postgres_bin })
    }

    /// The major version of the PostgreSQL.
    pub(super) fn postgres_major(&self) -> Result<u32> {
        Ok(version(&self.postgres_bin.join("postgres"))?[0])
    }
}

/// What the environment says under `name`, else what `scripts/setup` wrote: beside the servers `VALERA_PG15_BIN`,
/// `VALERA_NATS_CLI`, `VALERA_TEST_PYTHON`, `VALERA_TEST_PYTHONPATH`, `VALERA_TEST_NODE` and `VALERA_TEST_NODE_PACKAGES`, each
/// only where it was found.
pub fn setting(name: &str) -> Option<String> {
    variable(name).or_else(|| {
        let here = std::env::current_dir().ok();
        let program = std::env::current_exe().ok();
        let file = [here, program]
            .into_iter()
            .flatten()
            .find_map(|start| start.ancestors().map(|dir| dir.join(TOOLS_ENV)).find(|file| file.is_file()))?;
        let mut pairs = dotenvy::from_path_iter(file).ok()?.filter_map(Result::ok);
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    })
}

#[allow(clippy::disallowed_methods, reason = "tools are the machine's, not the system's configuration")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where Debian and Homebrew put PostgreSQL, the newest first.
fn packaged_postgres() -> Vec<PathBuf> {
    let below = |dir: &str, prefix: &str| -> Vec<(u32, PathBuf)> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let numbered = entries.filter_map(|entry| {
            let major = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        });
        numbered.collect()
    };
    let mut found = below("/usr/lib/postgresql", "");
    found.extend(below("/opt/homebrew/opt", "postgresql@"));
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, bin)| bin).collect()
}

impl Kind {
    fn binary(&self, candidate: &Path) -> PathBuf {
        if self.program.is_empty() { candidate.to_path_buf() } else { candidate.join(self.program) }
    }

    fn first_good(&self, candidates: impl Iterator<Item = PathBuf>) -> Result<PathBuf> {
        let mut refused = Vec::new();
        for candidate in candidates.filter(|candidate| self.binary(candidate).is_file()) {
            match self.check(candidate) {
                Ok(good) => return Ok(good),
                Err(error) => refused.push(format!("{error:#}")),
            }
        }
        if refused.is_empty() {
            bail!("no {} found: run `make setup`", self.name);
        }
        bail!("{}", refused.join("; "))
    }

    fn check(&self, candidate: PathBuf) -> Result<PathBuf> {
        let (name, binary) = (self.name, self.binary(&candidate));
        let found =
            version(&binary).with_context(|| format!("no {name} at {}: run `make setup`", binary.display()))?;
        if found < self.minimum {
            let dotted = |[major, minor, patch]: [u32; 3]| format!("{major}.{minor}.{patch}");
            let (found, minimum, at) = (dotted(found), dotted(self.minimum), binary.display());
            bail!("{name} {found} at {at} is older than {minimum}: run `make setup`");
        }
        Ok(candidate)
    }
}

fn version(program: &Path) -> Result<[u32; 3]> {
    let output = Command::new(program).arg("--version").output().context("asking for its version")?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("reading a version from {:?}", text.trim()))
}

/// The first number in `text` with the parts that follow it: `nats-server: v2.15.1`, `postgres (PostgreSQL) 18.6`.
fn parse_version(text: &str) -> Option<[u32; 3]> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let end =
        text[start..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(text.len(), |length| start + length);
    let mut parts = text[start..end].split('.').map_while(|part| part.parse().ok());
    Some([parts.next()?, parts.next().unwrap_or(0), parts.next().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_servers_print_them() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some([2, 15, 1]));
        assert_eq!(parse_version("postgres (PostgreSQL) 18.6\n"), Some([18, 6, 0]));
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some([15, 18, 0]));
        assert_eq!(parse_version("nats-server: v2.12.0-RC.1"), Some([2, 12, 0]));
        assert_eq!(parse_version("postgres (PostgreSQL) 19devel"), Some([19, 0, 0]));
        assert_eq!(parse_version("command not found"), None);
    }

    #[test]
    fn an_old_server_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("nats-server");
        std::fs::write(&old, "#!/bin/sh\necho nats-server: v2.11.9\n").unwrap();
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
        let refusal = NATS.check(old).unwrap_err().to_string();
        assert!(
            refusal.contains("2.11.9") && refusal.contains("2.12.1") && refusal.contains("make setup"),
            "{refusal}"
        );
    }
}
