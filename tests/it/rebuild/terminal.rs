//! A rebuild that asks at a terminal, and the answers: yes, no and Ctrl-C.

use super::clearing::{SHADOWS, TRIGGERS};
use crate::support::{Said, System, event, python};
use chrono::Utc;
use serde_json::json;

/// Runs a program at a terminal of its own, types this when it asks, and says what it said there.
const TYPIST: &str = r#"
import os, pty, signal, sys
signal.alarm(60)
typed, program = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program[0], program)
said, is_asked = b"", False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
    if b"[y/N]" in said and not is_asked:
        is_asked = True
        os.write(terminal, typed.encode())
print(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

fn answered(system: &System, answer: &str) -> Said {
    let program = system.program();
    let mut command = python();
    command.args(["-c", TYPIST, answer]).arg(program.get_program()).args(["rebuild", "--wait", "1"]);
    command.current_dir("/").envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Said::by(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_yes_swaps_and_ctrl_c_at_the_question_leaves_nothing_behind() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let previous = "SELECT count(*) FROM pg_namespace WHERE nspname = 'rollups_previous'";
    for (answer, code, what, swapped) in [
        ("\n", 0, "not swapped in", 0),
        ("\x03", 1, "not swapped in: interrupted", 0),
        ("y\n", 0, "swapped in; folds", 1),
    ] {
        let said = answered(&system, answer);
        assert!(said.code == Some(code) && said.out.contains(what), "{answer:?}: {said:?}");
        let left = (system.count(SHADOWS).await, system.count(TRIGGERS).await);
        assert_eq!((left, system.count(previous).await), ((0, 0), swapped), "{answer:?}");
    }
}
