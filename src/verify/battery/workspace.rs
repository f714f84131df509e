//! What an agent leaves in the project for the tools of the host to run, and for the launcher to follow.

use super::shared::{
    give, hide, make_pipe, open, plant, protect, said, unprotected, with_workspace,
};
use crate::profile::Wall::Mount;
use crate::verify::probe::{
    Answer, Attempted, Control, Evidence, Family, Layer, Probe, layer, wall,
};
use crate::verify::scene::Scene;
use rustix::io::Errno;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The family.
pub const FAMILY: Family = Family {
    name: "workspace",
    title: "what the host runs or follows in the project",
    probes: PROBES,
    jobs: &[],
};

const ROFS: &[Answer] = &[Answer::Error(Errno::ROFS)];
const BUSY: &[Answer] = &[Answer::Error(Errno::BUSY)];

/// A path of the project from which the host's tools run something: whether it is protected is the
/// profile's choice.
const PROTECTED: Probe = Probe {
    claims: &[wall(Mount, ROFS)],
    arrange: |profile, _| {
        with_workspace(profile);
        Ok(())
    },
    ..Probe::NEW
};

/// One where the stub of a protected directory is a file.
const STUB: Probe = Probe {
    claims: &[wall(
        Mount,
        &[Answer::Error(Errno::ROFS), Answer::Error(Errno::EXIST), Answer::Error(Errno::NOTDIR)],
    )],
    ..PROTECTED
};

/// Puts a file that was made elsewhere in the place of another.
fn replace(scene: &Scene, made: &str, place: &str) -> Attempted {
    plant(scene, made)?;
    std::fs::rename(scene.in_workspace(made), scene.in_workspace(place))?;
    Ok(Vec::new())
}

/// Where the launcher makes a file there is a link out of the project.
const LINKED: Probe = Probe {
    claims: &[layer(Layer::Launcher, &[Answer::Refused("symbolic link")])],
    source: "CVE-2026-39861",
    ..Probe::NEW
};

/// Opens the pipe in the place of a protected file.
fn open_pipe(scene: &Scene) -> Attempted {
    open(scene, &scene.in_workspace(".mcp.json"), libc::O_RDWR)
}

const PROBES: &[Probe] = &[
    Probe {
        id: "WS-01.hook",
        title: "plant a hook that git runs",
        attack: "open(2) with O_CREAT in .git/hooks",
        evidence: Evidence::Planted("project/.git/hooks/pre-commit"),
        run: |scene| plant(scene, ".git/hooks/pre-commit"),
        granted: |plan| unprotected(plan, ".git/hooks/pre-commit"),
        source: "githooks(5)",
        ..PROTECTED
    },
    Probe {
        id: "WS-02.append",
        title: "have git run a program by its configuration",
        attack: "open(2) with O_APPEND of .git/config: core.fsmonitor, core.sshCommand, core.pager",
        evidence: Evidence::Planted("project/.git/config"),
        run: |scene| {
            let path = scene.in_workspace(".git/config");
            let mut config = std::fs::File::options().append(true).open(path)?;
            config.write_all(scene.token.as_bytes())?;
            Ok(Vec::new())
        },
        granted: |plan| unprotected(plan, ".git/config"),
        source: "git-config(1)",
        ..PROTECTED
    },
    Probe {
        id: "WS-02.lock",
        title: "replace git's configuration as git itself does",
        attack: "rename(2) of .git/config.lock to .git/config",
        claims: &[wall(Mount, BUSY)],
        evidence: Evidence::Planted("project/.git/config"),
        run: |scene| replace(scene, ".git/config.lock", ".git/config"),
        granted: |plan| unprotected(plan, ".git/config"),
        source: "rename(2)",
        ..PROTECTED
    },
    Probe {
        id: "WS-02.replace",
        title: "replace git's configuration from another directory",
        attack: "rename(2) of a file of the project to .git/config",
        claims: &[wall(Mount, &[Answer::Error(Errno::XDEV), Answer::Error(Errno::BUSY)])],
        evidence: Evidence::Planted("project/.git/config"),
        run: |scene| replace(scene, "sub/config", ".git/config"),
        granted: |plan| unprotected(plan, ".git/config"),
        source: "rename(2)",
        ..PROTECTED
    },
    Probe {
        id: "WS-02.remove",
        title: "remove git's configuration and write another",
        attack: "unlink(2) of .git/config",
        claims: &[wall(Mount, BUSY)],
        evidence: Evidence::Planted("project/.git/config"),
        run: |scene| {
            std::fs::remove_file(scene.in_workspace(".git/config"))?;
            plant(scene, ".git/config")
        },
        granted: |plan| unprotected(plan, ".git/config"),
        source: "unlink(2)",
        ..PROTECTED
    },
    Probe {
        id: "WS-03.pointer",
        title: "have git take another directory for the repository",
        attack: "rename(2) of .git, and a file .git that names a directory of the agent's",
        claims: &[wall(Mount, BUSY)],
        evidence: Evidence::Planted("project/.git"),
        run: |scene| {
            std::fs::rename(scene.in_workspace(".git"), scene.in_workspace("moved"))?;
            plant(scene, ".git")
        },
        granted: |plan| unprotected(plan, ".git/config"),
        source: "CVE-2026-55607",
        ..PROTECTED
    },
    Probe {
        id: "WS-04.bare",
        title: "leave a repository that git finds by itself",
        attack: "open(2) with O_CREAT of the configuration of a repository below the top",
        evidence: Evidence::Planted("project/bare/config"),
        run: |scene| plant(scene, "bare/config"),
        granted: |plan| unprotected(plan, "bare/config"),
        source: "git-config(1): safe.bareRepository",
        ..PROTECTED
    },
    Probe {
        id: "WS-04.submodule",
        title: "have git run a program by the configuration of a submodule",
        attack: "open(2) with O_CREAT in .git/modules",
        evidence: Evidence::Planted("project/.git/modules/sub/config"),
        run: |scene| plant(scene, ".git/modules/sub/config"),
        granted: |plan| unprotected(plan, ".git/modules/sub/config"),
        source: "gitsubmodules(7)",
        ..PROTECTED
    },
    Probe {
        id: "WS-05.tasks",
        title: "change a task that an editor runs",
        attack: "open(2) with O_WRONLY of .vscode/tasks.json, which exists",
        evidence: Evidence::Planted("project/.vscode/tasks.json"),
        run: |scene| plant(scene, ".vscode/tasks.json"),
        granted: |plan| unprotected(plan, ".vscode/tasks.json"),
        source: "the file is read when the folder is opened",
        ..PROTECTED
    },
    Probe {
        id: "WS-05.launch",
        title: "leave a task that an editor runs",
        attack: "open(2) with O_CREAT of .vscode/launch.json, which does not exist",
        evidence: Evidence::Planted("project/.vscode/launch.json"),
        run: |scene| plant(scene, ".vscode/launch.json"),
        granted: |plan| unprotected(plan, ".vscode/launch.json"),
        source: "the file is read when the folder is opened",
        ..PROTECTED
    },
    Probe {
        id: "WS-05.makefile",
        title: "leave commands that a build runs",
        attack: "open(2) with O_CREAT of Makefile",
        evidence: Evidence::Planted("project/Makefile"),
        run: |scene| plant(scene, "Makefile"),
        granted: |plan| unprotected(plan, "Makefile"),
        source: "make(1)",
        ..PROTECTED
    },
    Probe {
        id: "WS-05.cargo",
        title: "have cargo run a program",
        attack: "open(2) with O_CREAT of .cargo/config.toml",
        evidence: Evidence::Planted("project/.cargo/config.toml"),
        run: |scene| plant(scene, ".cargo/config.toml"),
        granted: |plan| unprotected(plan, ".cargo/config.toml"),
        source: "The Cargo Book: build.rustc-wrapper",
        ..PROTECTED
    },
    Probe {
        id: "WS-06.settings",
        title: "change what an agent outside may do",
        attack: "open(2) with O_WRONLY of .claude/settings.json",
        evidence: Evidence::Planted("project/.claude/settings.json"),
        run: |scene| plant(scene, ".claude/settings.json"),
        granted: |plan| unprotected(plan, ".claude/settings.json"),
        source: "CVE-2025-59536",
        ..PROTECTED
    },
    Probe {
        id: "WS-06.hooks",
        title: "leave a program that an agent outside runs",
        attack: "open(2) with O_CREAT in .claude/hooks",
        evidence: Evidence::Planted("project/.claude/hooks/start"),
        run: |scene| plant(scene, ".claude/hooks/start"),
        granted: |plan| unprotected(plan, ".claude/hooks/start"),
        source: "CVE-2025-59536",
        ..PROTECTED
    },
    Probe {
        id: "WS-06.codex",
        title: "leave a configuration for another agent",
        attack: "open(2) with O_CREAT of .codex/config.toml",
        evidence: Evidence::Planted("project/.codex/config.toml"),
        run: |scene| plant(scene, ".codex/config.toml"),
        granted: |plan| unprotected(plan, ".codex/config.toml"),
        source: "CVE-2026-48124",
        ..STUB
    },
    Probe {
        id: "WS-06.instructions",
        title: "leave instructions for an agent outside",
        attack: "open(2) with O_CREAT of CLAUDE.md",
        evidence: Evidence::Planted("project/CLAUDE.md"),
        run: |scene| plant(scene, "CLAUDE.md"),
        granted: |plan| unprotected(plan, "CLAUDE.md"),
        source: "CVE-2026-48124",
        ..PROTECTED
    },
    Probe {
        id: "WS-07.bashrc",
        title: "change what a shell runs when it starts",
        attack: "open(2) with O_WRONLY of .bashrc, which exists",
        evidence: Evidence::Planted("project/.bashrc"),
        run: |scene| plant(scene, ".bashrc"),
        granted: |plan| unprotected(plan, ".bashrc"),
        source: "bash(1)",
        ..PROTECTED
    },
    Probe {
        id: "WS-07.profile",
        title: "leave what a shell runs at the log-in",
        attack: "open(2) with O_CREAT of .profile, which does not exist",
        evidence: Evidence::Planted("project/.profile"),
        run: |scene| plant(scene, ".profile"),
        granted: |plan| unprotected(plan, ".profile"),
        source: "bash(1)",
        ..PROTECTED
    },
    Probe {
        id: "WS-07.replace",
        title: "replace what a shell runs when it starts",
        attack: "rename(2) of a file of the project to .bashrc",
        claims: &[wall(Mount, BUSY)],
        evidence: Evidence::Planted("project/.bashrc"),
        run: |scene| replace(scene, "made", ".bashrc"),
        granted: |plan| unprotected(plan, ".bashrc"),
        source: "rename(2)",
        ..PROTECTED
    },
    Probe {
        id: "WS-09.stub",
        title: "have the launcher make a file through a link of the agent's",
        attack: "a symbolic link where a protected file does not exist",
        evidence: Evidence::Planted("open/made"),
        run: |scene| plant(scene, ".envrc"),
        control: Control::Careless(|scene| {
            symlink("../open/made", scene.at("project/.envrc"))?;
            plant(scene, ".envrc")
        }),
        arrange: |profile, world| {
            symlink("../open/made", world.path("project/.envrc")).map_err(said)?;
            protect(profile, ".envrc")
        },
        ..LINKED
    },
    Probe {
        id: "WS-09.above",
        title: "have the launcher make a file in a directory that a link of the agent's leads to",
        attack: "a symbolic link in the place of the directory of a protected file",
        evidence: Evidence::Planted("open/settings"),
        run: |scene| plant(scene, "linked/settings"),
        control: Control::Careless(|scene| {
            symlink("../open", scene.at("project/linked"))?;
            plant(scene, "linked/settings")
        }),
        arrange: |profile, world| {
            symlink("../open", world.path("project/linked")).map_err(said)?;
            protect(profile, "linked/settings")
        },
        ..LINKED
    },
    Probe {
        id: "WS-09.hidden",
        title: "have the launcher cover what a link of the agent's leads to",
        attack: "a symbolic link in the place of a hidden file, which stays readable",
        evidence: Evidence::Secret,
        run: |scene| Ok(std::fs::read(scene.in_workspace("seen"))?),
        control: Control::Careless(|scene| {
            std::fs::rename(scene.at("project/.env"), scene.at("project/seen"))?;
            symlink("file", scene.at("project/.env"))?;
            Ok(std::fs::read(scene.at("project/seen"))?)
        }),
        arrange: |profile, world| {
            let hidden = world.path("project/.env");
            std::fs::rename(&hidden, world.path("project/seen")).map_err(said)?;
            symlink("file", hidden).map_err(said)?;
            hide(profile, ".env")
        },
        ..LINKED
    },
    Probe {
        id: "WS-10.pipe",
        title: "write to a protected path that is a pipe",
        attack: "open(2) with O_RDWR of a named pipe in the place of a protected file",
        claims: &[layer(Layer::Launcher, &[Answer::Refused("named pipe")])],
        evidence: Evidence::Answer(&[]),
        run: |scene| open_pipe(scene),
        control: Control::Careless(|scene| {
            make_pipe(Path::new(&scene.at("project/.mcp.json")))?;
            open_pipe(scene)
        }),
        arrange: |profile, world| {
            let pipe = world.path("project/.mcp.json");
            make_pipe(&pipe).map_err(said)?;
            give(&pipe, world).map_err(said)?;
            protect(profile, ".mcp.json")
        },
        source: "fifo(7): a mount that is read-only does not count",
        ..Probe::NEW
    },
];
