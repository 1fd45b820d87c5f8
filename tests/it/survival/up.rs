//! `up` as people start, stop, kill and start it again: no process stays behind, and `env` is never a lie.

use crate::support::{Process, Said, eventually, program};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use valera_analytics::embedded::scratch_dir;

async fn up(dir: &Path) -> Process {
    let mut command = program();
    command.arg("up").arg("--data-dir").arg(dir);
    let mut up = Process::of(command);
    let env = dir.join("env");
    eventually("up is ready", || {
        assert!(up.has_ended().is_none(), "up ended");
        let ready = env.exists();
        async move { ready }
    })
    .await;
    up
}

/// Processes that work in a directory: each server has its own below the system's.
fn living_in(dir: &Path) -> Vec<PathBuf> {
    let dir = dir.canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    processes.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&dir))).collect()
}

async fn nobody_lives_in(dir: &Path) {
    eventually("every server is gone", || async { living_in(dir).is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_stops_on_ctrl_c_with_everything_it_started() {
    let scratch = scratch_dir().unwrap();
    let dir = scratch.path().join("up");
    let mut running = up(&dir).await;
    assert!(living_in(&dir).len() >= 2, "the servers are not where this test looks for them");
    let env = fs::read_to_string(dir.join("env")).unwrap();
    for name in ["VALERA_GATEWAY_URL='http://127.0.0.1:", "VALERA_GATEWAY_TOKEN='"] {
        assert!(env.contains(name), "{env}");
    }
    assert_eq!(fs::metadata(dir.join("env")).unwrap().permissions().mode() & 0o777, 0o600);
    running.signal("INT");
    assert_eq!(running.ended("up stops on SIGINT").await.code(), Some(0));
    assert_eq!(living_in(&dir), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_up_leaves_no_process_and_starts_again() {
    let scratch = scratch_dir().unwrap();
    let dir = scratch.path().join("up");
    up(&dir).await.kill();
    nobody_lives_in(&dir).await;
    fs::remove_file(dir.join("env")).unwrap();
    let mut again = up(&dir).await;
    again.signal("INT");
    assert_eq!(again.ended("up stops on SIGINT").await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_goes_when_a_start_fails_and_stays_when_a_second_up_is_refused() {
    let scratch = scratch_dir().unwrap();
    let dir = scratch.path().join("up");
    let mut running = up(&dir).await;
    Said::by(program().arg("up").arg("--data-dir").arg(&dir)).complaining(1, &["in use"]);
    assert!(dir.join("env").exists(), "the running system lost its env");
    running.kill();
    nobody_lives_in(&dir).await;

    // The file that the kill left would send whoever reads it to servers that are gone.
    let elsewhere = ["up", "--timezone", "Asia/Tokyo", "--data-dir"];
    Said::by(program().args(elsewhere).arg(&dir)).complaining(1, &["Asia/Tokyo"]);
    assert!(!dir.join("env").exists(), "env tells of a system that is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn up_ends_and_names_the_server_that_was_lost() {
    for (arguments, server) in [(&["up"][..], "nats"), (&["up", "--servers-only"][..], "postgres")] {
        let scratch = scratch_dir().unwrap();
        let dir = scratch.path().join("up");
        let mut command = program();
        command.args(arguments).arg("--data-dir").arg(&dir).stderr(Stdio::piped());
        let running = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        eventually("up is ready", async || dir.join("env").exists()).await;
        let home = dir.canonicalize().unwrap().join(server);
        let lost = living_in(&home).into_iter().map(|process| process.file_name().unwrap().to_owned());
        assert!(Command::new("kill").arg("-9").args(lost).status().unwrap().success());
        let ended = tokio::task::spawn_blocking(|| running.wait_with_output()).await.unwrap().unwrap();
        Said::from(ended).complaining(1, &[&format!("{server} ended and was not asked to"), "log"]);
        nobody_lives_in(&dir).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_in_a_private_home_is_found_where_it_was_asked_for() {
    // Root's servers are another user's, who cannot get there; anybody else's can.
    let home = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap();
    let dir = home.path().join("up");
    let mut running = up(&dir).await;
    running.signal("INT");
    assert_eq!(running.ended("up stops on SIGINT").await.code(), Some(0));
    fs::remove_dir_all(dir.canonicalize().unwrap()).unwrap();
}
