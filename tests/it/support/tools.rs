//! Programs that a test runs: the product's own, the `nats` CLI, Python with nats-py, Node with its packages, Ruby. A test fails where
//! its program is missing; `scripts/test` leaves it out only by name, and says so.

use super::{Process, System};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};
use valera_analytics::embedded::setting;

/// The root of the checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Runs to the end.
    pub(crate) fn by(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
        Self::from(output)
    }

    /// Fails unless it ended well, and gives its standard output.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    /// Fails unless it ended with this exit code and named all of these on standard error.
    #[track_caller]
    pub(crate) fn complaining(&self, code: i32, of: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in of {
            assert!(self.err.contains(part), "no {part:?} in:\n{}", self.err);
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// The product's binary, built beside this test's, with nothing of a system in its environment.
pub(crate) fn program() -> Command {
    let killable = Path::new(env!("CARGO_BIN_EXE_killable"));
    let mut command = Command::new(killable.with_file_name("valera-analytics"));
    for name in [
        "NATS_URL",
        "DATABASE_URL",
        "VALERA_TIMEZONE",
        "VALERA_CONTENT_KEY",
        "VALERA_CONTENT_KEY_FILE",
        "VALERA_PSEUDONYM_KEYS",
        "VALERA_PSEUDONYM_KEYS_FILE",
        "VALERA_ALERT_LANGUAGE",
        "VALERA_ALERT_TEMPLATES",
        "VALERA_DIGEST_AT",
        "VALERA_TELEGRAM_TOKEN",
        "VALERA_TELEGRAM_TOKEN_FILE",
        "VALERA_TELEGRAM_CHAT_ID",
        "VALERA_TELEGRAM_THREAD_ID",
        "VALERA_TELEGRAM_API",
        "VALERA_LOG",
        "NO_COLOR",
        "VALERA_WEBHOOK_URL",
        "VALERA_WEBHOOK_SECRET",
        "VALERA_WEBHOOK_SECRET_FILE",
        "VALERA_WEBHOOK_ALLOW_PRIVATE",
        "VALERA_SMTP_URL",
        "VALERA_SMTP_PASSWORD",
        "VALERA_SMTP_PASSWORD_FILE",
        "VALERA_EMAIL_FROM",
        "VALERA_EMAIL_TO",
    ] {
        command.env_remove(name);
    }
    // Away from the checkout and its .env.
    command.current_dir("/");
    command
}

impl System {
    /// The product's binary as a second process on this system.
    pub(crate) fn program(&self) -> Command {
        let environment = self.environment();
        let file = |name: &str| self.local.dir().join(name);
        let mut command = program();
        command
            .env("NATS_URL", &environment.nats_url)
            .env("DATABASE_URL", &environment.database_url)
            .env("VALERA_TIMEZONE", environment.time_zone.as_deref().unwrap())
            .env("VALERA_CONTENT_KEY_FILE", file("content.key"))
            .env("VALERA_PSEUDONYM_KEYS_FILE", file("pseudonym.keys"));
        command
    }

    /// The product's binary on this system, running until it is stopped.
    pub(crate) fn start_program(&self, arguments: &[&str]) -> Process {
        let mut command = self.program();
        command.args(arguments);
        Process::of(command)
    }

    /// A command of the product's, run to its end.
    pub(crate) fn says(&self, arguments: &[&str]) -> Said {
        Said::by(self.program().args(arguments))
    }
}

/// The `nats` CLI against a server, without the user's contexts.
pub(crate) fn nats_cli(url: &str) -> Command {
    let path = setting("VALERA_NATS_CLI").expect("the nats CLI is missing: install Go, then run scripts/setup");
    let mut command = Command::new(path);
    command.env("NATS_URL", url).env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// Python with nats-py.
pub(crate) fn python() -> Command {
    let path = setting("VALERA_TEST_PYTHON").expect("Python is missing: run `make setup`");
    let mut command = Command::new(path);
    let clients = setting("VALERA_TEST_PYTHONPATH").expect("nats-py is missing: run `make setup`");
    command.env("PYTHONPATH", clients).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A script in a folder of the checkout, run by Node with the packages that set-up fetched for the folder. Node looks for
/// these beside the script, hence a copy in `place`.
pub(crate) fn node(place: &Path, folder: &str, script: &str) -> Command {
    const MISSING: &str = "Node with npm is missing: install them, then run scripts/setup";
    let packages = Path::new(&setting("VALERA_TEST_NODE_PACKAGES").expect(MISSING)).join(folder);
    std::fs::copy(checkout().join(folder).join(script), place.join(script)).unwrap();
    std::os::unix::fs::symlink(packages.join("node_modules"), place.join("node_modules")).unwrap();
    let mut command = Command::new(setting("VALERA_TEST_NODE").expect(MISSING));
    command.arg(place.join(script));
    command
}

/// Ruby with minitest.
pub(crate) fn ruby() -> Command {
    Command::new(setting("VALERA_TEST_RUBY").expect("Ruby is missing: scripts/setup --with-ruby"))
}
