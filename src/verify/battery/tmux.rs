//! The tmux in the jail is the agent's own: what it can make of those who talk to it.
//!
//! A tmux server makes its clients run commands, write files and hand over their terminal. In a jail
//! the client is behind the same walls, so nothing is gained; where it is not, it is the way out.

use super::super::probe::{
    Answer, Attempted, Claim, Control, Evidence, Family, Job, Layer, Probe, Stage, Stop, broken,
    layer, wall,
};
use super::super::prober::{CONTROL, NAME};
use super::super::scene::Scene;
use crate::profile::Wall;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The family.
pub const FAMILY: Family = Family {
    name: "tmux",
    title: "tmux and those who talk to it",
    probes: PROBES,
    jobs: &[Job { name: "unshare-and-plant", run: unshare_and_plant }],
};

/// How long tmux may need to do what it was told.
const SOON: Duration = Duration::from_millis(300);

/// tmux as a client of the session's server.
#[allow(clippy::disallowed_methods, reason = "tmux is what the attack is made with")]
fn tmux(scene: &Scene, words: &[&str]) -> Result<(), Stop> {
    let mut command = Command::new(&scene.tmux);
    command.args(["-S", &scene.socket]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(broken("start tmux"))?;
    if status.success() { Ok(()) } else { Err(Stop::Broken(format!("tmux said {status}"))) }
}

/// How often and how long it is looked whether somebody is attached: a session begins without anybody.
const LOOKS: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a client is attached, whose terminal or process is to be attacked.
#[allow(clippy::disallowed_methods, reason = "tmux is what the attack is made with")]
fn await_client(scene: &Scene) -> Result<(), Stop> {
    for _ in 0..LOOKS {
        let mut command = Command::new(&scene.tmux);
        command.args(["-S", &scene.socket, "list-clients"]).stdin(Stdio::null());
        let output = command.stderr(Stdio::null()).output().map_err(broken("start tmux"))?;
        if !output.stdout.is_empty() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(Stop::Broken("nobody attaches to the session".to_owned()))
}

/// A command that leaves the token outside, by what every shell has: whoever runs it may be outside, where
/// the prober has no path.
fn planting(scene: &Scene) -> String {
    format!("echo {} > {}", scene.token, scene.at("open/new"))
}

/// Runs tmux with the command that leaves the token outside as its last word.
fn have_planted(scene: &Scene, words: &[&str]) -> Attempted {
    let command = planting(scene);
    let words: Vec<&str> = words.iter().copied().chain([command.as_str()]).collect();
    tmux(scene, &words)?;
    std::thread::sleep(SOON);
    Ok(Vec::new())
}

/// What the walls make of a command that writes outside: nothing is seen of it.
const HARMLESS: &[Answer] = &[Answer::NoEffect];
const NOT_OUTSIDE: &[Claim] = &[wall(Wall::Mount, HARMLESS)];

/// A way to have something run by the server, or by who talks to it.
const fn runs(
    id: &'static str,
    title: &'static str,
    attack: &'static str,
    run: fn(&Scene) -> Attempted,
) -> Probe {
    Probe {
        id,
        title,
        attack,
        claims: NOT_OUTSIDE,
        evidence: Evidence::Planted("open/new"),
        run,
        stage: Stage::Session,
        source: "tmux(1)",
        ..Probe::NEW
    }
}

const PROBES: &[Probe] = &[
    Probe {
        id: "TMUX-03",
        title: "have whoever talks to the session write a file",
        attack: "hooks after tmux's commands that save a buffer as the client that gave them",
        // Init, whose question fails by the hook, may take the session for ended.
        claims: &[wall(Wall::Mount, &[Answer::NoEffect, Answer::Signal(libc::SIGKILL)])],
        evidence: Evidence::Planted("open/new"),
        run: |scene| {
            await_client(scene)?;
            tmux(scene, &["set-buffer", "-b", "probe", &scene.token])?;
            let save = format!("save-buffer -b probe {}", scene.at("open/new"));
            let hooks = [
                "after-display-message",
                "after-capture-pane",
                "after-list-panes",
                "after-refresh-client",
                "client-attached",
            ];
            for hook in hooks {
                tmux(scene, &["set-hook", "-g", hook, &save])?;
            }
            if scene.place == CONTROL {
                // Whoever looks on from outside.
                tmux(scene, &["display-message", "-p", "x"])?;
            }
            // Something to look at.
            rustix::io::write(rustix::stdio::stdout(), b"x")?;
            std::thread::sleep(SOON);
            Ok(Vec::new())
        },
        stage: Stage::Session,
        source: "tmux(1), hooks and save-buffer; client.c MSG_WRITE_OPEN",
        ..Probe::NEW
    },
    runs(
        "TMUX-04",
        "have the attached client run a command",
        "detach-client -E replaces the client by a command",
        |scene| {
            await_client(scene)?;
            have_planted(scene, &["detach-client", "-E"])
        },
    ),
    runs(
        "TMUX-05",
        "have the attached client run a lock command",
        "lock-command and lock-server: the client runs it",
        |scene| {
            await_client(scene)?;
            tmux(scene, &["set-option", "-g", "lock-command", &planting(scene)])?;
            tmux(scene, &["lock-server"])?;
            std::thread::sleep(SOON);
            Ok(Vec::new())
        },
    ),
    Probe {
        id: "TMUX-07",
        title: "write to the terminal of the attached client",
        attack: "open(2) of the client's terminal and an OSC 52 past the server",
        claims: &[layer(Layer::Relay, HARMLESS)],
        evidence: Evidence::Shown(|shown, token| {
            let wanted = [b"\x1b]52;c;", token.as_bytes()].concat();
            shown.windows(wanted.len()).any(|window| window == wanted)
        }),
        run: |scene| {
            await_client(scene)?;
            let text = format!("\x1b]52;c;{}\x07", scene.token);
            let script = format!("printf '{text}' > #{{client_tty}}");
            tmux(scene, &["run-shell", &script])?;
            std::thread::sleep(SOON);
            Ok(Vec::new())
        },
        stage: Stage::Session,
        source: "tmux(1), client_tty",
        ..Probe::NEW
    },
    Probe {
        id: "TMUX-07.passthrough",
        title: "pass a sequence through the agent's own tmux",
        attack: "allow-passthrough and set-clipboard switched on, then OSC 52 in DCS",
        claims: &[layer(Layer::Relay, HARMLESS)],
        evidence: Evidence::Shown(|shown, token| {
            let wanted = [b"]52;c;", token.as_bytes()].concat();
            shown.windows(wanted.len()).any(|window| window == wanted)
        }),
        run: |scene| {
            await_client(scene)?;
            tmux(scene, &["set-option", "-gq", "allow-passthrough", "on"])?;
            tmux(scene, &["set-option", "-s", "set-clipboard", "on"])?;
            let inner = format!("\x1b\x1b]52;c;{}\x07", scene.token);
            let text = format!("\x1bPtmux;{inner}\x1b\\");
            rustix::io::write(rustix::stdio::stdout(), text.as_bytes())?;
            std::thread::sleep(SOON);
            Ok(Vec::new())
        },
        stage: Stage::Session,
        source: "tmux(1), allow-passthrough",
        ..Probe::NEW
    },
    Probe {
        id: "TMUX-10",
        title: "talk to another tmux server",
        attack: "a tmux client on a socket of the host, with the token in its environment",
        claims: NOT_OUTSIDE,
        evidence: Evidence::Arrived,
        run: |scene| {
            #[allow(clippy::disallowed_methods, reason = "tmux is what the attack is made with")]
            let mut command = Command::new(&scene.tmux);
            command.args(["-S", &scene.at("socket"), "new-window"]).env("TOKEN", &scene.token);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut client = command.spawn().map_err(broken("start tmux"))?;
            std::thread::sleep(SOON);
            // It waits for an answer that nobody gives.
            client.kill().map_err(broken("end tmux"))?;
            client.wait().map_err(broken("end tmux"))?;
            Ok(Vec::new())
        },
        stage: Stage::Session,
        source: "tmux(1), -S; client.c MSG_IDENTIFY_ENVIRON",
        ..Probe::NEW
    },
    runs("TMUX-13.run-shell", "have the server run a command", "run-shell", |scene| {
        have_planted(scene, &["run-shell", "-b"])
    }),
    runs("TMUX-13.new-window", "have the server start a pane", "new-window -d", |scene| {
        have_planted(scene, &["new-window", "-d"])
    }),
    runs("TMUX-13.pipe-pane", "have the server pipe a pane to a command", "pipe-pane", |scene| {
        have_planted(scene, &["pipe-pane"])
    }),
    runs("TMUX-13.if-shell", "have the server ask a command", "if-shell -b", |scene| {
        let command = planting(scene);
        tmux(scene, &["if-shell", "-b", &command, "display-message x"])?;
        std::thread::sleep(SOON);
        Ok(Vec::new())
    }),
    runs(
        "TMUX-13.status",
        "have the server run a command for its status line",
        "#() in status-right",
        |scene| {
            tmux(scene, &["set-option", "-g", "status-interval", "1"])?;
            tmux(scene, &["set-option", "-g", "status-right", &format!("#({})", planting(scene))])?;
            std::thread::sleep(SOON);
            Ok(Vec::new())
        },
    ),
    Probe {
        id: "TMUX-14",
        title: "start a server outside of the jail's walls",
        attack: "kill-server, then a new one from the pane's child",
        claims: NOT_OUTSIDE,
        evidence: Evidence::Planted("open/new"),
        run: |scene| {
            let socket = scene.in_scratch("second");
            let second = Scene { socket, ..scene.clone() };
            tmux(&second, &["-f", "/dev/null", "new-session", "-d", &planting(scene)])?;
            std::thread::sleep(SOON);
            Ok(Vec::new())
        },
        stage: Stage::Session,
        control: Control::Agent,
        source: "tmux(1), server.c",
        ..Probe::NEW
    },
    Probe {
        id: "TMUX-13.seccomp",
        title: "have the server make a call that the filter refuses",
        attack: "run-shell of a program that makes a user namespace and leaves the token in the workspace",
        claims: &[wall(Wall::Seccomp, HARMLESS), wall(Wall::NestedNamespaces, HARMLESS)],
        evidence: Evidence::Planted("project/scratch/new"),
        run: |scene| {
            let path = scene.in_workspace("scratch/new");
            let program = std::env::args().next().unwrap_or_default();
            let command = format!("{program} {NAME} as unshare-and-plant {path} {}", scene.token);
            tmux(scene, &["run-shell", "-b", &command])?;
            std::thread::sleep(SOON);
            Ok(Vec::new())
        },
        stage: Stage::Session,
        source: "tmux(1), run-shell; unshare(2)",
        ..Probe::NEW
    },
];

/// Leaves the token where that needs nothing, but only from a user namespace of its own.
fn unshare_and_plant(words: &[&str]) -> Result<(), Stop> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
    let [path, token] = words else { return Err(Stop::Broken("plant what?".to_owned())) };
    Ok(std::fs::write(path, token)?)
}
