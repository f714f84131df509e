//! Files of others, files of the agent's own that must stay as they are, mounts, devices, and programs.

use super::shared::{
    EXECUTE, READ, WRITE, climb, executable, give, hide, make_device, make_pipe, masters, open,
    plant, protect, said, show, show_at, text, with_workspace,
};
use crate::plan::Plan;
use crate::plan::{Mount as Mounted, Source};
use crate::profile::Profile;
use crate::profile::Wall::{
    Capabilities, MemfdExec, Mount, NestedNamespaces, NoNewPrivs, Seccomp, User,
};
use crate::profile::types::Owner;
use crate::sys::Argument;
use crate::verify::look::Look;
use crate::verify::probe::{
    Answer, Attempted, Claim, Control, Evidence, Family, Job, Layer, Probe, Stop, broken, landlock,
    layer, wall,
};
use crate::verify::prober;
use crate::verify::scene::Scene;
use crate::verify::world::World;
use rustix::fs::{AtFlags, CWD, MemfdFlags, RenameFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;

mod calls;
mod mounts;
mod programs;

/// The family.
pub const FAMILY: Family = Family {
    name: "files",
    title: "files, mounts, devices and programs",
    probes: PROBES,
    jobs: &[
        Job { name: "repeat", run: programs::repeat },
        Job { name: "read", run: programs::read },
    ],
};

const fn error(errno: Errno) -> [Answer; 1] {
    [Answer::Error(errno)]
}

const NOENT: &[Answer] = &error(Errno::NOENT);
const ACCESS: &[Answer] = &error(Errno::ACCESS);
const PERM: &[Answer] = &error(Errno::PERM);
const ROFS: &[Answer] = &error(Errno::ROFS);
const BUSY: &[Answer] = &error(Errno::BUSY);
const INVAL: &[Answer] = &error(Errno::INVAL);
const NOSPC: &[Answer] = &error(Errno::NOSPC);
const NOSYS: &[Answer] = &error(Errno::NOSYS);
const NOTHING: &[Answer] = &[Answer::NoEffect];
const A_TWIN: &[Answer] = &[Answer::Refused("is another name of")];
const A_LINK: &[Answer] = &[Answer::Refused("symbolic link")];
const NO_PLACE: &[Answer] = &[Answer::Refused("which has no such place")];
const A_SOCKET: &[Answer] = &[Answer::Refused("unix socket")];

/// A file of the host that the profile does not show.
const OUTSIDE: Probe = Probe {
    claims: &[wall(Mount, NOENT), landlock(1, ACCESS)],
    evidence: Evidence::Secret,
    source: "open(2)",
    ..Probe::NEW
};

/// One that the permissions of the host keep from the agent as well.
const FORBIDDEN: Probe = Probe {
    claims: &[wall(Mount, NOENT), landlock(1, ACCESS), layer(Layer::Uid, ACCESS)],
    control: Control::Root,
    ..OUTSIDE
};

/// What Landlock has no right for.
const UNMEDIATED: Probe = Probe {
    claims: &[wall(Mount, NOENT)],
    source: "landlock(7): no access right covers it",
    ..Probe::NEW
};

/// A device of the host; nothing is read from it or written to it.
const DEVICE: Probe = Probe {
    attack: "open(2) of the device",
    evidence: Evidence::Answer(&[]),
    control: Control::Root,
    source: "open(2)",
    ..Probe::NEW
};

/// Devices that some hosts keep from the agent's uid and some do not.
const DEVICES: [&[&str]; 6] = [
    &["/dev/kvm"],
    &["/dev/fuse"],
    &["/dev/net/tun"],
    &["/dev/uinput"],
    &["/dev/dri/card0"],
    &["/dev/vhost-vsock", "/dev/vhost-net", "/dev/vsock"],
];

/// Opening device `N` to write.
const fn device<const N: usize>(id: &'static str, title: &'static str) -> Probe {
    let claims =
        const { &[wall(Mount, NOENT), layer(Layer::Uid, ACCESS).unless(is_open_to_all::<N>)] };
    Probe {
        id,
        title,
        claims,
        run: |scene| open(scene, calls::first(DEVICES[N]), libc::O_WRONLY),
        ..DEVICE
    }
}

/// That device `N` of this host may be written by everybody.
fn is_open_to_all<const N: usize>(_: &Plan) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let path = calls::first(DEVICES[N]);
    let open = std::fs::metadata(path).is_ok_and(|device| device.mode() & 0o002 != 0);
    open.then(|| format!("everybody may open {path} here"))
}

/// A device that every host keeps from all but root.
const ROOTS_DEVICE: Probe =
    Probe { claims: &[wall(Mount, NOENT), layer(Layer::Uid, ACCESS)], ..DEVICE };

/// A hidden file of the workspace.
const HIDDEN: Probe = Probe {
    evidence: Evidence::Secret,
    arrange: |profile, _| hide(profile, ".env"),
    source: "mount(2): what is mounted on a file covers it by that name only",
    ..Probe::NEW
};

/// A directory of the workspace whose files run elsewhere, protected.
const HOOKS: Probe = Probe {
    evidence: Evidence::Planted("project/.git/hooks/pre-commit"),
    arrange: |profile, _| protect(profile, ".git/hooks"),
    source: "rename(2)",
    ..Probe::NEW
};

/// A mount that must stay as it is, attacked in a mount namespace of the attack's own.
const LOCKED: Probe = Probe {
    claims: &[
        wall(Mount, PERM),
        landlock(1, PERM),
        wall(Seccomp, PERM),
        wall(NestedNamespaces, NOSPC),
    ],
    source: "mount_namespaces(7): mounts of a more privileged namespace are locked together",
    ..HOOKS
};

/// A call that only namespaces of one's own allow, to which Landlock has nothing to say.
const NAMESPACE: Probe = Probe {
    claims: &[wall(Seccomp, PERM), wall(NestedNamespaces, NOSPC)],
    evidence: Evidence::Answer(&[]),
    source: "CVE-2021-41133: a filter that knew mount(2) and none of these",
    ..Probe::NEW
};

/// One that Landlock refuses.
const NEW_MOUNT: Probe = Probe {
    claims: &[landlock(1, PERM), wall(Seccomp, PERM), wall(NestedNamespaces, NOSPC)],
    source: "landlock(7): a restricted process cannot change the mount topology",
    ..NAMESPACE
};

/// A file that anybody could become the agent by, had the agent its way.
const SET_ID: Probe = Probe {
    claims: &[wall(Seccomp, PERM)],
    evidence: Evidence::Look(|look| left(look).is_some_and(|file| file.mode() & 0o6000 != 0)),
    arrange: |profile, _| {
        with_workspace(profile);
        Ok(())
    },
    source: "chmod(2), inode(7)",
    ..Probe::NEW
};

/// What runs only by help of a program of the host's.
const OTHER_RIGHTS: Probe = Probe {
    arrange: |profile, world| {
        show(profile, &masters(world), EXECUTE)?;
        show(profile, &world.path("private"), READ)
    },
    source: "execve(2), mount(8): nosuid, PR_SET_NO_NEW_PRIVS(2const)",
    ..Probe::NEW
};

/// A program where none may be run. The program's name is the token.
const PROGRAM: Probe = Probe {
    evidence: Evidence::Look(|look| programs::is_run(look, &look.world.token)),
    source: "mount(8): noexec; landlock(7): LANDLOCK_ACCESS_FS_EXECUTE",
    ..Probe::NEW
};

/// A policy that has no memfd_create(2), as `minimal` has none, answers before the setting does.
const IN_MEMORY: &[Claim] =
    &[wall(MemfdExec, &[Answer::Error(Errno::ACCESS), Answer::Error(Errno::NOSYS)])];

/// A tree that the profile shows to be read.
const SHOWN: Probe =
    Probe { arrange: |profile, world| show(profile, &world.path("shown"), READ), ..Probe::NEW };

/// Attributes that a file system keeps of its own.
const ATTRIBUTES: Probe = Probe {
    claims: &[wall(Seccomp, PERM)],
    evidence: Evidence::Answer(&[]),
    arrange: |profile, _| {
        with_workspace(profile);
        Ok(())
    },
    source: "FS_IOC_SETFLAGS(2const)",
    ..Probe::NEW
};

/// Somebody of the host's who listens.
const SOCKET: Probe = Probe {
    claims: &[layer(Layer::Launcher, A_SOCKET)],
    evidence: Evidence::Arrived,
    source: "unix(7), connect(2)",
    ..NOT_SHOWN
};

/// What the launcher must not show at all.
const NOT_SHOWN: Probe = Probe { claims: &[layer(Layer::Launcher, A_LINK)], ..Probe::NEW };

/// What stands at `project/left` on the host.
fn left(look: &Look<'_>) -> Option<std::fs::Metadata> {
    std::fs::symlink_metadata(look.world.path("project/left")).ok()
}

/// What is known of the agent's own file outside.
fn own(look: &Look<'_>) -> Option<std::fs::Metadata> {
    std::fs::symlink_metadata(look.world.path("own/canary")).ok()
}

fn read(path: &str) -> Attempted {
    Ok(std::fs::read(path)?)
}

/// A link to a directory of the host in a place that is the agent's.
fn link_to_secret(own: &Path, secret: &Path) -> Result<(), Stop> {
    Ok(symlink(secret, own.join("link"))?)
}

/// Shows what is behind the link.
fn show_link(profile: &mut Profile, world: &World, path: &str) -> Result<(), String> {
    let linked = link_to_secret(&world.path("own"), &world.path("secret"));
    linked.map_err(|_| "cannot make the link".to_owned())?;
    show(profile, &world.path(path), READ)
}

fn follow_link(scene: &Scene) -> Attempted {
    link_to_secret(Path::new(&scene.at("own")), Path::new(&scene.at("secret")))?;
    read(&scene.at("own/link/canary"))
}

/// Shows the directory above the workspace, too, for the agent to write as the person does.
fn show_above(profile: &mut Profile, world: &World) -> Result<(), String> {
    // Sockets would be refused, and so would a directory of root's.
    for directory in ["", "served", "served too", "given", "aliased"] {
        for socket in ["socket", "datagram"] {
            match std::fs::remove_file(world.path(directory).join(socket)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(said(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
    give(world.directory(), world).map_err(said)?;
    protect(profile, ".git/hooks")?;
    show_at(profile, world.directory(), "/srv/above", WRITE, Owner::Host)
}

/// Sends the token to who listens on the socket `path`.
fn talk(scene: &Scene, path: &str) -> Attempted {
    use std::io::Write as _;
    UnixStream::connect(path)?.write_all(scene.token.as_bytes())?;
    Ok(Vec::new())
}

const PROBES: &[Probe] = &[
    Probe {
        id: "FS-01.secret",
        title: "read a file of the host by its absolute path",
        attack: "open(2) of a file that everybody on the host may read",
        run: |scene| read(&scene.at("secret/canary")),
        helpers: true,
        ..OUTSIDE
    },
    Probe {
        id: "FS-01.own",
        title: "read a file of the agent's own outside of the jail",
        attack: "open(2) of a file that belongs to the agent's uid",
        run: |scene| read(&scene.at("own/canary")),
        ..OUTSIDE
    },
    Probe {
        id: "FS-01.locked",
        title: "read a file in a directory that only root can enter",
        attack: "open(2) of a readable file in a directory of mode 0700",
        run: |scene| read(&scene.at("locked/canary")),
        ..FORBIDDEN
    },
    Probe {
        id: "FS-01.private",
        title: "read a file of root's",
        attack: "open(2) of a file of mode 0600",
        run: |scene| read(&scene.at("private/canary")),
        ..FORBIDDEN
    },
    Probe {
        id: "FS-01.list",
        title: "list a directory of the host",
        attack: "open(2) with O_DIRECTORY of a directory that everybody may list",
        evidence: Evidence::Answer(&[]),
        run: |scene| open(scene, &scene.at("secret"), libc::O_DIRECTORY),
        ..OUTSIDE
    },
    Probe {
        id: "FS-02.create",
        title: "make a file in a directory of the host that everybody may write to",
        attack: "open(2) with O_CREAT in a directory of mode 0777",
        evidence: Evidence::Planted("open/new"),
        run: |scene| {
            std::fs::write(scene.at("open/new"), &scene.token)?;
            Ok(Vec::new())
        },
        helpers: true,
        ..OUTSIDE
    },
    Probe {
        id: "FS-02.own",
        title: "change a file of the agent's own outside of the jail",
        attack: "open(2) with O_WRONLY of a file that belongs to the agent's uid",
        evidence: Evidence::Planted("own/canary"),
        run: |scene| {
            std::fs::write(scene.at("own/canary"), &scene.token)?;
            Ok(Vec::new())
        },
        ..OUTSIDE
    },
    Probe {
        id: "FS-02.truncate",
        title: "empty a file of the agent's own outside of the jail",
        attack: "truncate(2) of a file that belongs to the agent's uid",
        claims: &[wall(Mount, NOENT), landlock(3, ACCESS)],
        evidence: Evidence::Look(|look| own(look).is_some_and(|file| file.len() == 0)),
        run: |scene| {
            nix::unistd::truncate(&*scene.at("own/canary"), 0)?;
            Ok(Vec::new())
        },
        source: "truncate(2)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-02.remove",
        title: "remove a file of the agent's own outside of the jail",
        attack: "unlink(2) of a file that belongs to the agent's uid",
        evidence: Evidence::Look(|look| own(look).is_none()),
        run: |scene| {
            std::fs::remove_file(scene.at("own/canary"))?;
            Ok(Vec::new())
        },
        source: "unlink(2)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-02.rename",
        title: "move a file of the host into another directory",
        attack: "rename(2) from one directory to another, both of them open to the agent's uid",
        // Version 1 of Landlock's ABI refuses all of these, by another error.
        claims: &[
            wall(Mount, NOENT),
            landlock(1, &[Answer::Error(Errno::ACCESS), Answer::Error(Errno::XDEV)]),
        ],
        evidence: Evidence::Look(|look| look.world.path("open/moved").exists()),
        run: |scene| {
            std::fs::rename(scene.at("own/canary"), scene.at("open/moved"))?;
            Ok(Vec::new())
        },
        source: "rename(2)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-02.shown",
        title: "change a file that is shown to be read",
        attack: "open(2) with O_WRONLY of a file of mode 0666 in a tree of the profile's `read`",
        claims: &[wall(Mount, ROFS), landlock(1, ACCESS)],
        evidence: Evidence::Planted("shown/own"),
        run: |scene| {
            std::fs::write(scene.at("shown/own"), &scene.token)?;
            Ok(Vec::new())
        },
        source: "open(2), mount(2)",
        ..SHOWN
    },
    Probe {
        id: "FS-03.root",
        title: "read a file of the host by way of /proc/self/root",
        attack: "open(2) of a path below the link to the process's own root directory",
        run: |scene| read(&format!("/proc/self/root{}", scene.at("secret/canary"))),
        source: "proc_pid_root(5)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-03.thread",
        title: "read a file of the host by way of /proc/thread-self/root",
        attack: "open(2) of a path below the link to the thread's own root directory",
        run: |scene| read(&format!("/proc/thread-self/root{}", scene.at("secret/canary"))),
        source: "proc_pid_task(5)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-03.cwd",
        title: "read a file of the host by way of /proc/self/cwd",
        attack: "open(2) of a path that goes up from the link to the working directory",
        run: |scene| read(&format!("/proc/self/cwd/{}", climb(&scene.at("secret/canary")))),
        source: "proc_pid_cwd(5)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-03.up",
        title: "read a file of the host by going up from the workspace",
        attack: "open(2) of a path with more `..` than there are directories",
        run: |scene| read(&scene.in_workspace(&climb(&scene.at("secret/canary")))),
        source: "path_resolution(7)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-03.link",
        title: "read a file of the host through a symbolic link in the workspace",
        attack: "symlink(2) to the file, and open(2) of the link",
        run: |scene| {
            let link = scene.in_workspace("sub/link");
            symlink(scene.at("secret/canary"), &link).map_err(broken("make a link"))?;
            read(&link)
        },
        arrange: |profile, _| {
            with_workspace(profile);
            Ok(())
        },
        source: "symlink(7)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-04.read",
        title: "read a hidden file",
        attack: "open(2) of a file of the workspace that the profile hides",
        claims: &[wall(Mount, ACCESS)],
        run: |scene| read(&scene.in_workspace(".env")),
        ..HIDDEN
    },
    Probe {
        id: "FS-04.rename",
        title: "read a hidden file by another name",
        attack: "rename(2) of the hidden file, which would leave what covers it behind",
        claims: &[wall(Mount, BUSY)],
        run: |scene| {
            std::fs::rename(scene.in_workspace(".env"), scene.in_workspace("seen"))?;
            read(&scene.in_workspace("seen"))
        },
        ..HIDDEN
    },
    Probe {
        id: "FS-04.link",
        title: "read a hidden file by a hard link made inside",
        attack: "link(2) to the hidden file, and open(2) of the second name",
        claims: &[wall(Mount, &error(Errno::XDEV))],
        run: |scene| {
            std::fs::hard_link(scene.in_workspace(".env"), scene.in_workspace("seen"))?;
            read(&scene.in_workspace("seen"))
        },
        ..HIDDEN
    },
    Probe {
        id: "FS-04.twin",
        title: "read a hidden file by a hard link that was there before",
        attack: "open(2) of another name of the file that the profile hides",
        claims: &[wall(Mount, A_TWIN)],
        run: |scene| read(&scene.in_workspace("sub/seen")),
        control: Control::Careless(|scene| {
            std::fs::hard_link(scene.at("project/.env"), scene.at("project/sub/seen"))?;
            read(&scene.at("project/sub/seen"))
        }),
        arrange: |profile, world| {
            let seen = world.path("project/sub/seen");
            std::fs::hard_link(world.path("project/.env"), seen).map_err(said)?;
            hide(profile, ".env")
        },
        ..HIDDEN
    },
    Probe {
        id: "FS-04.twin-protected",
        title: "change a protected file by a hard link that was there before",
        attack: "open(2) with O_WRONLY of another name of the file that the profile protects",
        claims: &[wall(Mount, A_TWIN)],
        evidence: Evidence::Planted("project/.git/config"),
        run: |scene| plant(scene, "sub/config"),
        control: Control::Careless(|scene| {
            std::fs::hard_link(scene.at("project/.git/config"), scene.at("project/sub/config"))?;
            plant(scene, "sub/config")
        }),
        arrange: |profile, world| {
            let second = world.path("project/sub/config");
            std::fs::hard_link(world.path("project/.git/config"), second).map_err(said)?;
            protect(profile, ".git/config")
        },
        ..HIDDEN
    },
    Probe {
        id: "FS-04.twin-inside",
        title: "change a file of a protected directory by a hard link that was there before",
        attack: "open(2) with O_WRONLY of another name, outside of the directory, of a file in it",
        claims: &[wall(Mount, A_TWIN)],
        run: |scene| plant(scene, "sub/hook"),
        control: Control::Careless(|scene| {
            std::fs::write(scene.at("project/.git/hooks/pre-commit"), "")?;
            let second = scene.at("project/sub/hook");
            std::fs::hard_link(scene.at("project/.git/hooks/pre-commit"), second)?;
            plant(scene, "sub/hook")
        }),
        arrange: |profile, world| {
            let hook = world.path("project/.git/hooks/pre-commit");
            std::fs::write(&hook, "").map_err(said)?;
            give(&hook, world).map_err(said)?;
            std::fs::hard_link(hook, world.path("project/sub/hook")).map_err(said)?;
            protect(profile, ".git/hooks")
        },
        ..HOOKS
    },
    Probe {
        id: "FS-05.rename",
        title: "move away the directory above a protected one",
        attack: "rename(2) of .git, and a new .git with hooks in its place",
        claims: &[wall(Mount, BUSY)],
        run: |scene| {
            std::fs::rename(scene.in_workspace(".git"), scene.in_workspace("moved"))?;
            plant(scene, ".git/hooks/pre-commit")
        },
        ..HOOKS
    },
    Probe {
        id: "FS-05.exchange",
        title: "exchange the directory above a protected one",
        attack: "renameat2(2) with RENAME_EXCHANGE of .git and another directory",
        claims: &[wall(Mount, BUSY)],
        run: |scene| {
            plant(scene, "other/hooks/pre-commit")?;
            let (other, git) = (scene.in_workspace("other"), scene.in_workspace(".git"));
            rustix::fs::renameat_with(CWD, other, CWD, git, RenameFlags::EXCHANGE)?;
            Ok(Vec::new())
        },
        source: "renameat2(2)",
        ..HOOKS
    },
    Probe {
        id: "FS-06.envrc",
        title: "make a protected file that does not exist",
        attack: "open(2) with O_CREAT of .envrc",
        claims: &[wall(Mount, ROFS)],
        evidence: Evidence::Planted("project/.envrc"),
        run: |scene| plant(scene, ".envrc"),
        arrange: |profile, _| protect(profile, ".envrc"),
        helpers: true,
        source: "CVE-2026-25725",
        ..Probe::NEW
    },
    Probe {
        id: "FS-06.mcp",
        title: "make a protected .mcp.json that does not exist",
        attack: "open(2) with O_CREAT of .mcp.json",
        claims: &[wall(Mount, ROFS)],
        evidence: Evidence::Planted("project/.mcp.json"),
        run: |scene| plant(scene, ".mcp.json"),
        arrange: |profile, _| protect(profile, ".mcp.json"),
        source: "CVE-2026-25725",
        ..Probe::NEW
    },
    Probe {
        id: "FS-06.settings",
        title: "make a protected .claude/settings.local.json that does not exist",
        attack: "open(2) with O_CREAT of a file in a directory that exists",
        claims: &[wall(Mount, ROFS)],
        evidence: Evidence::Planted("project/.claude/settings.local.json"),
        run: |scene| plant(scene, ".claude/settings.local.json"),
        arrange: |profile, _| protect(profile, ".claude/settings.local.json"),
        source: "CVE-2026-25725",
        ..Probe::NEW
    },
    Probe {
        id: "FS-06.commondir",
        title: "make a protected .git/commondir that does not exist",
        attack: "open(2) with O_CREAT of the file by which git finds another configuration",
        claims: &[wall(Mount, ROFS)],
        evidence: Evidence::Planted("project/.git/commondir"),
        run: |scene| plant(scene, ".git/commondir"),
        arrange: |profile, _| protect(profile, ".git/commondir"),
        source: "gitrepository-layout(5)",
        ..Probe::NEW
    },
    Probe {
        id: "FS-06.directory",
        title: "make a protected file whose directory does not exist",
        attack: "mkdir(2) of .devcontainer, and open(2) with O_CREAT of devcontainer.json in it",
        claims: &[wall(Mount, ROFS)],
        evidence: Evidence::Planted("project/.devcontainer/devcontainer.json"),
        run: |scene| plant(scene, ".devcontainer/devcontainer.json"),
        arrange: |profile, _| protect(profile, ".devcontainer/devcontainer.json"),
        source: "CVE-2026-25725",
        ..Probe::NEW
    },
    Probe {
        id: "FS-06.rename",
        title: "put a file in the place of a protected one that does not exist",
        attack: "rename(2) of a file made elsewhere to .envrc",
        claims: &[wall(Mount, BUSY)],
        evidence: Evidence::Planted("project/.envrc"),
        run: |scene| {
            plant(scene, "made")?;
            std::fs::rename(scene.in_workspace("made"), scene.in_workspace(".envrc"))?;
            Ok(Vec::new())
        },
        arrange: |profile, _| protect(profile, ".envrc"),
        source: "rename(2)",
        ..Probe::NEW
    },
    Probe {
        id: "FS-07.pattern",
        title: "plant a hook in a repository below the top",
        attack: "open(2) with O_CREAT in sub/.git/hooks, which `**/.git/hooks` protects",
        claims: &[wall(Mount, ROFS)],
        evidence: Evidence::Planted("project/sub/.git/hooks/pre-commit"),
        run: |scene| plant(scene, "sub/.git/hooks/pre-commit"),
        arrange: |profile, _| protect(profile, "**/.git/hooks"),
        source: "githooks(5)",
        ..Probe::NEW
    },
    Probe {
        id: "FS-08.replace",
        title: "put a symbolic link in the place of a protected directory",
        attack: "rename(2) of .git/hooks, and symlink(2) to a directory that can be written",
        claims: &[wall(Mount, BUSY)],
        run: |scene| {
            let hooks = scene.in_workspace(".git/hooks");
            std::fs::rename(&hooks, scene.in_workspace(".git/away"))?;
            symlink("../sub", hooks)?;
            plant(scene, "sub/pre-commit")
        },
        ..HOOKS
    },
    Probe {
        id: "FS-08.before",
        title: "write through a protected path that is a symbolic link",
        attack: "open(2) with O_CREAT in the directory that .git/hooks leads to",
        claims: &[layer(Layer::Launcher, A_LINK)],
        run: |scene| plant(scene, "sub/pre-commit"),
        control: Control::Careless(|scene| {
            std::fs::remove_dir(scene.at("project/.git/hooks"))?;
            symlink("../sub", scene.at("project/.git/hooks"))?;
            plant(scene, "sub/pre-commit")
        }),
        arrange: |profile, world| {
            let hooks = world.path("project/.git/hooks");
            std::fs::remove_dir(&hooks).map_err(said)?;
            symlink("../sub", hooks).map_err(said)?;
            protect(profile, ".git/hooks")
        },
        source: "symlink(7)",
        ..HOOKS
    },
    Probe {
        id: "FS-09.last",
        title: "have the launcher follow a link of the agent's to a tree to show",
        attack: "an entry of the profile whose path is a symbolic link in a directory of the agent's",
        evidence: Evidence::Secret,
        run: |scene| read(&scene.at("own/link/canary")),
        control: Control::Careless(follow_link),
        arrange: |profile, world| show_link(profile, world, "own/link"),
        source: "CVE-2024-42472",
        ..NOT_SHOWN
    },
    Probe {
        id: "FS-09.above",
        title: "have the launcher follow a link of the agent's above a file to show",
        attack: "an entry of the profile whose path goes through a symbolic link of the agent's",
        evidence: Evidence::Secret,
        run: |scene| read(&scene.at("own/link/canary")),
        control: Control::Careless(follow_link),
        arrange: |profile, world| show_link(profile, world, "own/link/canary"),
        source: "CVE-2026-34078",
        ..NOT_SHOWN
    },
    Probe {
        id: "FS-10.place",
        title: "have the launcher follow a link of the agent's to the place of a mount",
        attack: "an entry of the profile that is shown where a symbolic link stands in another",
        evidence: Evidence::Secret,
        run: |scene| read(&scene.at("open/inner/canary")),
        control: Control::Careless(mounts::follow_place),
        arrange: |profile, world| {
            let open = world.path("open");
            std::fs::create_dir(open.join("inner")).map_err(said)?;
            symlink("inner", open.join("place")).map_err(said)?;
            show(profile, &open, WRITE)?;
            let place = open.join("place").display().to_string();
            show_at(profile, &world.path("secret"), &place, READ, Owner::Disk)
        },
        source: "CVE-2021-30465",
        claims: &[layer(Layer::Launcher, NO_PLACE)],
        ..NOT_SHOWN
    },
    Probe {
        id: "FS-14.remount",
        title: "make a read-only mount writable",
        attack: "mount(2) with MS_REMOUNT in a user namespace of one's own",
        run: mounts::remount,
        ..LOCKED
    },
    Probe {
        id: "FS-14.setattr",
        title: "make a read-only mount writable by the new call",
        attack: "mount_setattr(2) without MOUNT_ATTR_RDONLY in a user namespace of one's own",
        run: mounts::set_attributes,
        ..LOCKED
    },
    Probe {
        id: "FS-14.copy",
        title: "write through a writable copy of a read-only mount",
        attack: "open_tree_attr(2) without MOUNT_ATTR_RDONLY in a user namespace of one's own",
        run: mounts::copy_with_attributes,
        ..LOCKED
    },
    Probe {
        id: "FS-15.unmount",
        title: "take a read-only mount away",
        attack: "umount2(2) with MNT_DETACH in a user namespace of one's own",
        claims: &[
            wall(Mount, INVAL),
            landlock(1, PERM),
            wall(Seccomp, PERM),
            wall(NestedNamespaces, NOSPC),
        ],
        run: mounts::unmount,
        ..LOCKED
    },
    Probe {
        id: "FS-15.move",
        title: "move a read-only mount away",
        attack: "mount(2) with MS_MOVE in a user namespace of one's own",
        claims: &[
            wall(Mount, INVAL),
            landlock(1, PERM),
            wall(Seccomp, PERM),
            wall(NestedNamespaces, NOSPC),
        ],
        run: mounts::move_away,
        ..LOCKED
    },
    Probe {
        id: "FS-15.uncover",
        title: "uncover a hidden file",
        attack: "umount2(2) of what covers it in a user namespace of one's own",
        claims: &[
            wall(Mount, INVAL),
            landlock(1, PERM),
            wall(Seccomp, PERM),
            wall(NestedNamespaces, NOSPC),
        ],
        run: mounts::uncover,
        source: "mount_namespaces(7)",
        ..HIDDEN
    },
    Probe {
        id: "FS-16.bind",
        title: "see a hidden file through another mount of the workspace",
        attack: "mount(2) with MS_BIND, without the mounts in it, in a user namespace of one's own",
        claims: &[
            wall(Mount, INVAL),
            landlock(1, PERM),
            wall(Seccomp, PERM),
            wall(NestedNamespaces, NOSPC),
        ],
        run: |scene| mounts::other_view(scene, false),
        source: "mount_namespaces(7)",
        ..HIDDEN
    },
    Probe {
        id: "FS-16.rbind",
        title: "see a hidden file through a recursive mount of the workspace",
        attack: "mount(2) with MS_BIND and MS_REC in a user namespace of one's own",
        claims: &[
            wall(Mount, ACCESS),
            landlock(1, PERM),
            wall(Seccomp, PERM),
            wall(NestedNamespaces, NOSPC),
        ],
        run: |scene| mounts::other_view(scene, true),
        source: "mount_namespaces(7)",
        ..HIDDEN
    },
    Probe {
        id: "FS-17.fsopen",
        title: "open a file system context",
        attack: "fsopen(2) in a user namespace of one's own",
        run: mounts::fsopen,
        helpers: true,
        ..NAMESPACE
    },
    Probe {
        id: "FS-17.fspick",
        title: "open the context of a mounted file system",
        attack: "fspick(2) in a user namespace of one's own",
        run: mounts::fspick,
        ..NAMESPACE
    },
    Probe {
        id: "FS-17.open_tree",
        title: "copy a mount",
        attack: "open_tree(2) with OPEN_TREE_CLONE in a user namespace of one's own",
        run: mounts::open_tree,
        ..NAMESPACE
    },
    Probe {
        id: "FS-17.move_mount",
        title: "attach a file system by the new call",
        attack: "fsmount(2) and move_mount(2) in a user namespace of one's own",
        run: mounts::move_mount,
        ..NEW_MOUNT
    },
    Probe {
        id: "FS-17.mount",
        title: "mount a file system",
        attack: "mount(2) of a tmpfs in a user namespace of one's own",
        run: |scene| mounts::mount(scene, "tmpfs", ""),
        ..NEW_MOUNT
    },
    Probe {
        id: "FS-18.propagation",
        title: "see what the host mounts later",
        attack: "nothing: a mount that shares events with another namespace shows it by itself",
        claims: &[wall(Mount, NOTHING)],
        evidence: Evidence::Look(|look| {
            let tags = ["shared:", "master:"];
            tags.iter().any(|tag| look.proc("mountinfo").contains(tag))
        }),
        run: |_| Ok(Vec::new()),
        control: Control::Careless(mounts::shared_mounts),
        source: "mount_namespaces(7): shared subtrees",
        ..Probe::NEW
    },
    Probe {
        id: "FS-20.chroot",
        title: "leave a root directory that was only changed",
        attack: "chroot(2) in a user namespace of one's own, and fchdir(2) out of it again",
        claims: &[
            wall(Mount, NOENT),
            landlock(1, ACCESS),
            wall(Seccomp, PERM),
            wall(NestedNamespaces, NOSPC),
        ],
        run: mounts::leave_chroot,
        source: "chroot(2)",
        ..OUTSIDE
    },
    Probe {
        id: "FS-21.open",
        title: "open a file by its handle, past the directories above it",
        attack: "name_to_handle_at(2) and open_by_handle_at(2)",
        claims: &[wall(Seccomp, PERM), layer(Layer::Uid, PERM)],
        evidence: Evidence::Answer(&[]),
        run: calls::open_by_handle,
        control: Control::Root,
        arrange: |profile, _| {
            with_workspace(profile);
            Ok(())
        },
        source: "open_by_handle_at(2): CAP_DAC_READ_SEARCH",
        ..Probe::NEW
    },
    Probe {
        id: "FS-21.name",
        title: "ask for the handle of a file",
        attack: "name_to_handle_at(2)",
        claims: &[wall(Seccomp, PERM)],
        evidence: Evidence::Answer(&[]),
        run: calls::name_handle,
        arrange: |profile, _| {
            with_workspace(profile);
            Ok(())
        },
        source: "open_by_handle_at(2)",
        ..Probe::NEW
    },
    Probe {
        id: "FS-22.namespace",
        title: "open a namespace by its handle, without any mount",
        attack: "open_by_handle_at(2) with FD_NSFS_ROOT",
        claims: &[wall(Seccomp, PERM)],
        evidence: Evidence::Answer(&[]),
        run: |scene| calls::open_without_mount(scene, "/proc/self/ns/net", -10003),
        source: "include/uapi/linux/fcntl.h: FD_NSFS_ROOT",
        ..Probe::NEW
    },
    Probe {
        id: "FS-23.character",
        title: "make a character device",
        attack: "mknodat(2) of the device that /dev/null is",
        claims: &[wall(Seccomp, PERM), landlock(1, ACCESS), layer(Layer::Uid, PERM)],
        evidence: Evidence::Answer(&[]),
        run: |scene| calls::make_node(scene, libc::S_IFCHR, 1, 3),
        control: Control::Root,
        source: "mknod(2): CAP_MKNOD",
        ..Probe::NEW
    },
    Probe {
        id: "FS-23.block",
        title: "make a block device",
        attack: "mknodat(2) of a loop device",
        claims: &[wall(Seccomp, PERM), landlock(1, ACCESS), layer(Layer::Uid, PERM)],
        evidence: Evidence::Answer(&[]),
        run: |scene| calls::make_node(scene, libc::S_IFBLK, 7, 0),
        control: Control::Root,
        source: "mknod(2): CAP_MKNOD",
        ..Probe::NEW
    },
    Probe {
        id: "FS-24.shown",
        title: "use a device node in a tree that is shown",
        attack: "open(2) of a node that everybody may use",
        claims: &[wall(Mount, ACCESS)],
        evidence: Evidence::Answer(&[]),
        run: |scene| open(scene, &scene.at("shown/node"), libc::O_RDONLY),
        control: Control::Careless(|scene| {
            make_device(Path::new(&scene.at("shown/node")))?;
            open(scene, &scene.at("shown/node"), libc::O_RDONLY)
        }),
        arrange: |profile, world| {
            make_device(&world.path("shown/node")).map_err(said)?;
            show(profile, &world.path("shown"), READ)
        },
        source: "mount(8): nodev",
        ..Probe::NEW
    },
    device::<0>("FS-24.kvm", "reach the virtual machines of the processor"),
    device::<1>("FS-24.fuse", "reach FUSE"),
    device::<2>("FS-24.tun", "reach network devices"),
    device::<3>("FS-24.uinput", "reach forged key presses"),
    device::<4>("FS-24.dri", "reach the graphics card"),
    device::<5>("FS-24.vhost", "reach the sockets to virtual machines"),
    Probe {
        id: "FS-24.loop",
        title: "reach the control of loop devices",
        run: |scene| open(scene, "/dev/loop-control", libc::O_RDWR),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.btrfs",
        title: "reach the control of btrfs",
        run: |scene| open(scene, "/dev/btrfs-control", libc::O_RDWR),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.mapper",
        title: "reach the device mapper",
        run: |scene| open(scene, "/dev/mapper/control", libc::O_RDWR),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.disk",
        title: "read a block device past its file system",
        run: |scene| {
            let paths =
                ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda", "/dev/mmcblk0", "/dev/loop0"];
            open(scene, calls::first(&paths), libc::O_RDONLY)
        },
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.mem",
        title: "read the memory of the machine",
        run: |scene| open(scene, "/dev/mem", libc::O_RDONLY),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.port",
        title: "read the input and output ports of the machine",
        run: |scene| open(scene, "/dev/port", libc::O_RDONLY),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.msr",
        title: "read registers of the processor",
        run: |scene| open(scene, "/dev/cpu/0/msr", libc::O_RDONLY),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.kmsg",
        title: "write into the kernel's log",
        run: |scene| open(scene, "/dev/kmsg", libc::O_WRONLY),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.screen",
        title: "read the screen of the console",
        run: |scene| open(scene, calls::first(&["/dev/vcs1", "/dev/vcs"]), libc::O_RDONLY),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.keyboard",
        title: "read key presses",
        run: |scene| open(scene, "/dev/input/event0", libc::O_RDONLY),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-24.userfaultfd",
        title: "stop the kernel half-way, by the device for it",
        run: |scene| open(scene, "/dev/userfaultfd", libc::O_RDWR),
        ..ROOTS_DEVICE
    },
    Probe {
        id: "FS-25.ioctl",
        title: "make a request to a device in a tree that is shown",
        attack: "ioctl(2) that the device does not know, on a node that everybody may use",
        claims: &[wall(Mount, ACCESS), landlock(5, ACCESS)],
        // Landlock lets in, and the device answers.
        evidence: Evidence::Answer(&[Errno::NOTTY]),
        run: |scene| calls::request(scene, &scene.at("shown/node"), 0x5401, &mut [0; 64]),
        control: Control::Careless(|scene| {
            make_device(Path::new(&scene.at("shown/node")))?;
            calls::request(scene, &scene.at("shown/node"), 0x5401, &mut [0; 64])
        }),
        arrange: |profile, world| {
            make_device(&world.path("shown/node")).map_err(said)?;
            show(profile, &world.path("shown"), READ)
        },
        source: "landlock(7): LANDLOCK_ACCESS_FS_IOCTL_DEV",
        ..Probe::NEW
    },
    Probe {
        id: "FS-26.fuse",
        title: "mount a file system that a program of the agent's serves",
        attack: "open(2) of /dev/fuse and mount(2) in a user namespace of one's own",
        claims: &[
            wall(Mount, NOENT),
            // The map of the namespace cannot be written.
            landlock(1, ACCESS),
            wall(Seccomp, PERM),
            wall(NestedNamespaces, NOSPC),
        ],
        run: mounts::fuse,
        source: "fuse(4)",
        ..NEW_MOUNT
    },
    Probe {
        id: "FS-27.overlay",
        title: "mount an overlay",
        attack: "mount(2) of two directories over each other in a user namespace of one's own",
        run: mounts::overlay,
        source: "CVE-2023-0386",
        ..NEW_MOUNT
    },
    Probe {
        id: "FS-28.root",
        title: "become root by a set-user-ID program",
        attack: "execve(2) of a program of root's with the mode 04710, which reads a file of root's",
        claims: &[wall(User, ACCESS), wall(Mount, ACCESS), wall(NoNewPrivs, ACCESS)],
        evidence: Evidence::Secret,
        run: |scene| {
            let words = ["as", "read", &scene.at("private/canary")];
            Ok(prober::start_copy(&scene.master("suid"), &words)?.into_bytes())
        },
        ..OTHER_RIGHTS
    },
    Probe {
        id: "FS-29.capability",
        title: "gain a capability by a file that has one",
        attack: "execve(2) of a program with the capability CAP_NET_RAW",
        claims: &[wall(Mount, NOTHING), wall(Capabilities, PERM), wall(NoNewPrivs, NOTHING)],
        evidence: Evidence::Look(programs::has_capability),
        run: |scene| programs::run_prober(&scene.master("capable")),
        source: "capabilities(7)",
        ..OTHER_RIGHTS
    },
    Probe {
        id: "FS-30.fchmodat",
        title: "make a set-user-ID program for somebody else",
        attack: "fchmodat(2) of a file in the workspace with S_ISUID",
        run: |scene| calls::change_mode(scene, libc::SYS_fchmodat),
        helpers: true,
        ..SET_ID
    },
    Probe {
        id: "FS-30.fchmodat2",
        title: "make a set-user-ID program by the new call",
        attack: "fchmodat2(2) of a file in the workspace with S_ISUID",
        run: |scene| calls::change_mode(scene, 452),
        ..SET_ID
    },
    Probe {
        id: "FS-30.fchmod",
        title: "make a set-user-ID program by its descriptor",
        attack: "fchmod(2) of a file in the workspace with S_ISUID",
        run: calls::change_open,
        ..SET_ID
    },
    Probe {
        id: "FS-30.directory",
        title: "make a set-group-ID directory",
        attack: "fchmodat(2) of a directory in the workspace with S_ISGID",
        run: calls::change_directory,
        ..SET_ID
    },
    Probe {
        id: "FS-30.open",
        title: "make a file that is set-user-ID from the beginning",
        attack: "openat(2) with O_CREAT and S_ISUID",
        run: calls::create_set_id,
        source: "open(2)",
        ..SET_ID
    },
    Probe {
        id: "FS-30.openat2",
        title: "make such a file with the mode behind a pointer",
        attack: "openat2(2) with O_CREAT and S_ISUID",
        claims: &[wall(Seccomp, NOSYS)],
        run: calls::create_by_pointer,
        source: "openat2(2)",
        ..SET_ID
    },
    Probe {
        id: "FS-30.mknod",
        title: "make such a file by mknod",
        attack: "mknodat(2) with S_IFREG and S_ISUID",
        run: calls::create_by_mknod,
        source: "mknod(2)",
        ..SET_ID
    },
    Probe {
        id: "FS-30.nameless",
        title: "make such a file without a name, and give it one",
        attack: "openat(2) with O_TMPFILE and S_ISUID, and linkat(2)",
        run: calls::create_nameless,
        source: "open(2)",
        ..SET_ID
    },
    Probe {
        id: "FS-32.read",
        title: "run a program of a tree that is shown to be read",
        attack: "execve(2) of a program that everybody on the host may run",
        claims: &[wall(Mount, ACCESS), landlock(1, ACCESS)],
        evidence: Evidence::Look(|look| programs::is_run(look, "/masters/")),
        run: |scene| programs::run_prober(&scene.master(prober::NAME)),
        arrange: |profile, world| show(profile, &masters(world), READ),
        ..PROGRAM
    },
    Probe {
        id: "FS-32.tmp",
        title: "run a program from /tmp",
        attack: "execve(2) of a program copied there",
        claims: &[wall(Mount, ACCESS)],
        run: |scene| programs::run_copy(&scene.in_scratch(&scene.token)),
        granted: |plan| executable(plan, "/tmp"),
        ..PROGRAM
    },
    Probe {
        id: "FS-32.home",
        title: "run a program from the home",
        attack: "execve(2) of a program copied there",
        claims: &[wall(Mount, ACCESS)],
        run: |scene| programs::run_copy(&format!("{}/{}", scene.home, scene.token)),
        granted: |plan| executable(plan, &plan.identity.home),
        ..PROGRAM
    },
    Probe {
        id: "FS-32.shared-memory",
        title: "run a program from /dev/shm",
        attack: "execve(2) of a program copied there",
        claims: &[wall(Mount, ACCESS), landlock(1, ACCESS)],
        run: |scene| programs::run_copy_and_remove(&format!("/dev/shm/{}", scene.token)),
        ..PROGRAM
    },
    Probe {
        id: "FS-32.loader",
        title: "run a program from /tmp by the dynamic loader",
        attack: "execve(2) of the loader, which maps a program that it is only let read",
        claims: &[wall(Mount, NOTHING)],
        run: |scene| programs::load_copy(&scene.in_scratch(&scene.token)),
        granted: |plan| executable(plan, "/tmp"),
        source: "ld.so(8), mount(8): noexec",
        ..PROGRAM
    },
    Probe {
        id: "FS-33.memory",
        title: "run a program from memory",
        attack: "memfd_create(2) and execve(2) of what it made",
        claims: IN_MEMORY,
        run: |scene| programs::run_from_memory(scene, MemfdFlags::empty()),
        helpers: true,
        source: "memfd_create(2), Documentation/admin-guide/sysctl/vm.rst: memfd_noexec",
        ..PROGRAM
    },
    Probe {
        id: "FS-33.asked",
        title: "run a program from memory that is said to be for programs",
        attack: "memfd_create(2) with MFD_EXEC and execve(2) of what it made",
        claims: IN_MEMORY,
        run: |scene| programs::run_from_memory(scene, MemfdFlags::EXEC),
        source: "memfd_create(2), Documentation/admin-guide/sysctl/vm.rst: memfd_noexec",
        ..PROGRAM
    },
    Probe {
        id: "FS-36.tree",
        title: "talk to a socket in a tree that is shown to be read",
        attack: "connect(2) to a socket of the host: no mount is too read-only for it",
        run: |scene| talk(scene, &scene.at("socket")),
        arrange: |profile, world| show(profile, world.directory(), READ),
        ..SOCKET
    },
    Probe {
        id: "FS-36.written",
        title: "talk to a socket in a tree that is shown to be written",
        attack: "connect(2) to a socket of the host",
        run: |scene| talk(scene, &scene.at("socket")),
        arrange: |profile, world| show(profile, world.directory(), WRITE),
        ..SOCKET
    },
    Probe {
        id: "FS-36.socket",
        title: "talk to a socket that is shown by itself",
        attack: "connect(2) to a socket of the host",
        run: |scene| talk(scene, &scene.at("socket")),
        arrange: |profile, world| show(profile, &world.path("socket"), READ),
        ..SOCKET
    },
    Probe {
        id: "FS-36.alias",
        title: "talk to a socket under another name than it was bound to",
        attack: "connect(2) to a second name, in a tree that is shown to be read",
        run: |scene| talk(scene, &scene.at("shown/alias")),
        control: Control::Careless(|scene| {
            std::fs::hard_link(scene.at("socket"), scene.at("shown/alias"))?;
            talk(scene, &scene.at("shown/alias"))
        }),
        arrange: |profile, world| {
            let alias = world.path("shown/alias");
            std::fs::hard_link(world.path("socket"), alias).map_err(said)?;
            show(profile, &world.path("shown"), READ)
        },
        ..SOCKET
    },
    Probe {
        id: "FS-36.pipe",
        title: "write into a pipe in a tree that is shown to be read",
        attack: "open(2) with O_RDWR of a named pipe: no mount is too read-only for it",
        claims: &[landlock(1, ACCESS)],
        evidence: Evidence::Answer(&[]),
        run: |scene| open(scene, &scene.at("shown/pipe"), libc::O_RDWR),
        control: Control::Careless(|scene| {
            make_pipe(Path::new(&scene.at("shown/pipe")))?;
            open(scene, &scene.at("shown/pipe"), libc::O_RDWR)
        }),
        arrange: |profile, world| {
            make_pipe(&world.path("shown/pipe")).map_err(said)?;
            show(profile, &world.path("shown"), READ)
        },
        source: "fifo(7)",
        ..Probe::NEW
    },
    Probe {
        id: "FS-37.lease",
        title: "have who opens a file wait",
        attack: "fcntl(2) with F_SETLEASE of a file of the agent's own",
        claims: &[wall(Seccomp, ACCESS)],
        evidence: Evidence::Answer(&[]),
        run: |scene| calls::lease(scene, &scene.in_scratch("leased")),
        source: "F_GETLEASE(2const)",
        ..Probe::NEW
    },
    Probe {
        id: "FS-38.stat",
        title: "tell whether a file of the host exists",
        attack: "statx(2)",
        evidence: Evidence::Answer(&[]),
        run: |scene| calls::stat(scene, &scene.at("secret/canary")),
        ..UNMEDIATED
    },
    Probe {
        id: "FS-38.enter",
        title: "enter a directory of the host",
        attack: "chdir(2)",
        evidence: Evidence::Answer(&[]),
        run: |scene| {
            let path = text(&scene.at("secret"));
            scene.call(libc::SYS_chdir, &mut [Argument::Bytes(&path)])?;
            Ok(Vec::new())
        },
        ..UNMEDIATED
    },
    Probe {
        id: "FS-38.mode",
        title: "change the mode of a file of the agent's own outside of the jail",
        attack: "chmod(2)",
        evidence: Evidence::Look(|look| own(look).is_some_and(|file| file.mode() & 0o777 == 0o777)),
        run: |scene| {
            let open = PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(scene.at("own/canary"), open)?;
            Ok(Vec::new())
        },
        ..UNMEDIATED
    },
    Probe {
        id: "FS-38.time",
        title: "change the times of a file of the agent's own outside of the jail",
        attack: "utimensat(2)",
        evidence: Evidence::Look(|look| own(look).is_some_and(|file| file.mtime() == 1)),
        run: |scene| {
            let time = Timespec { tv_sec: 1, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, scene.at("own/canary"), &times, AtFlags::empty())?;
            Ok(Vec::new())
        },
        ..UNMEDIATED
    },
    Probe {
        id: "FS-38.attribute",
        title: "give a file of the agent's own outside of the jail an attribute",
        attack: "setxattr(2)",
        evidence: Evidence::Look(|look| {
            let (path, mut value) = (look.world.path("own/canary"), [0; 64]);
            let found = rustix::fs::getxattr(path, "user.token", &mut value[..]);
            found.is_ok_and(|count| &value[..count] == look.world.token.as_bytes())
        }),
        run: |scene| {
            let (path, value) = (scene.at("own/canary"), scene.token.as_bytes());
            rustix::fs::setxattr(path, "user.token", value, XattrFlags::empty())?;
            Ok(Vec::new())
        },
        ..UNMEDIATED
    },
    Probe {
        id: "FS-45.tree",
        title: "read a file that is hidden in every tree that can be written",
        attack: "open(2) of the file in another tree than the workspace",
        claims: &[wall(Mount, ACCESS)],
        run: |scene| read(&scene.at("shown/canary")),
        arrange: |profile, world| {
            hide(profile, "canary")?;
            show(profile, &world.path("shown"), WRITE)
        },
        ..HIDDEN
    },
    Probe {
        id: "FS-45.pattern",
        title: "read a file that a pattern hides in a tree that is only read",
        attack: "open(2) of a file that `/srv/data/**/c*` hides",
        claims: &[wall(Mount, ACCESS)],
        run: |scene| {
            let tree = if scene.own_root { "/srv/data".to_owned() } else { scene.at("shown") };
            read(&format!("{tree}/canary"))
        },
        arrange: |profile, world| {
            hide(profile, "/srv/data/**/c*")?;
            show_at(profile, &world.path("shown"), "/srv/data", READ, Owner::Disk)
        },
        ..HIDDEN
    },
    Probe {
        id: "FS-46.hidden",
        title: "read a hidden file where another entry shows it, too",
        attack: "open(2) of the file in a tree that shows the workspace under another path",
        claims: &[wall(Mount, ACCESS)],
        run: |scene| {
            let path = if scene.own_root { "/srv/alias".to_owned() } else { scene.at("project") };
            read(&format!("{path}/.env"))
        },
        arrange: |profile, world| {
            hide(profile, ".env")?;
            show_at(profile, &world.path("project"), "/srv/alias", READ, Owner::Disk)
        },
        ..HIDDEN
    },
    Probe {
        id: "FS-46.protected",
        title: "change a protected file where another entry shows it, too",
        attack: "open(2) with O_CREAT in a tree that holds the workspace",
        claims: &[wall(Mount, ROFS)],
        run: |scene| {
            let above = if scene.own_root { "/srv/above" } else { &scene.world };
            std::fs::write(format!("{above}/project/.git/hooks/pre-commit"), &scene.token)?;
            Ok(Vec::new())
        },
        arrange: show_above,
        ..HOOKS
    },
    Probe {
        id: "FS-48.tmp",
        title: "leave a file in the host's /tmp",
        attack: "open(2) with O_CREAT in /tmp",
        claims: &[wall(Mount, NOTHING), landlock(1, ACCESS)],
        evidence: Evidence::Look(|look| {
            // Seen and removed.
            std::fs::remove_file(format!("/tmp/{}", look.world.token)).is_ok()
        }),
        run: |scene| {
            std::fs::write(format!("/tmp/{}", scene.token), "")?;
            Ok(Vec::new())
        },
        granted: |plan| {
            let host = |mount: &&Mounted| {
                mount.at == "/tmp" && matches!(mount.source, Source::Host { .. })
            };
            let mount = plan.mounts.iter().find(host)?;
            Some(format!("the host's /tmp is shown ({})", mount.origin))
        },
        source: "file-hierarchy(7)",
        ..Probe::NEW
    },
    Probe {
        id: "FS-50.flags",
        title: "set attributes of a file that outlast the jail",
        attack: "ioctl(2) with FS_IOC_SETFLAGS of a file of the workspace",
        run: |scene| calls::set_flags(scene, &scene.in_workspace("file")),
        ..ATTRIBUTES
    },
    Probe {
        id: "FS-50.extended",
        title: "set the project of a file, and with it whose limit it counts against",
        attack: "ioctl(2) with FS_IOC_FSSETXATTR of a file of the workspace",
        run: |scene| calls::set_extended(scene, &scene.in_workspace("file")),
        ..ATTRIBUTES
    },
    Probe {
        id: "FS-50.call",
        title: "take attributes of a file away by the new call",
        attack: "file_setattr(2) of a file of the workspace",
        run: |scene| calls::clear_attributes(scene, &scene.in_workspace("file")),
        ..ATTRIBUTES
    },
];
