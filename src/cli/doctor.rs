//! `cellblock doctor`: what this host can do, and what to do about the rest.

use super::output::{Output, Tone};
use crate::config;
use crate::document::{self, Problems};
use crate::exit::Exit;
use crate::host::uids::UidRange;
use crate::host::{self, Audit, AutoUid, Essentials, HostFacts, Keeper, Questions, SLICE, Tmux};
use crate::plan::{self, Ability};
use crate::planning;
use crate::profile::Wall;
use crate::watch;
use clap::Args;
use serde::Serialize;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Ends with status 0 where a strict profile that limits memory and tasks could start, else
with 1. Nothing is changed, and root is not needed.

Examples:
  cellblock doctor
  cellblock doctor --json | jq '.[] | select(.state == \"missing\")'";

/// The oldest tmux whose options a session needs.
const TMUX_LEAST: (u32, u32) = (3, 1);
/// The first kernel with idmapped mounts.
const IDMAP_SINCE: (u32, u32) = (5, 12);

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It is there.
    Stands,
    /// It is not there, and a strict profile does not start.
    Missing,
    /// It is not there, and only profiles that ask for it do not start.
    Lacking,
    /// This kernel does not have it, and no profile can ask for it.
    NotInKernel,
}

impl State {
    fn shown(self) -> (Tone, &'static str) {
        match self {
            Self::Stands => (Tone::Good, "stands"),
            Self::Missing => (Tone::Bad, "MISSING"),
            Self::Lacking => (Tone::Warning, "lacking"),
            Self::NotInKernel => (Tone::Warning, "not in kernel"),
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: &'static str,
    state: State,
    detail: String,
    /// What to do; empty where there is nothing to do.
    cure: String,
}

fn row(name: &'static str, state: State, detail: impl Into<String>, cure: &str) -> Row {
    Row { name, state, detail: detail.into(), cure: cure.to_owned() }
}

impl Doctor {
    /// Prints the table.
    pub fn perform(&self, out: &mut Output) -> Exit {
        let caller = host::probe::caller();
        // What a profile would take for its workspace stands for the trees that it would let be written.
        let disks = caller.directory.clone().into_iter().collect();
        let config = planning::config(None, &caller);
        let uids = config.as_ref().map(|config| config.uids).unwrap_or_default();
        let questions =
            Questions { agent: "doctor".to_owned(), disks, uids, ..Questions::default() };
        let facts = host::probe(&questions, &caller);
        let mut rows = rows(&facts, &host::essentials::probe());
        rows.push(connector(facts.caller.euid, watch::sees));
        rows.push(uid_range(&facts.auto_uid, uids));
        rows.push(configuration(config.err().as_ref()));
        if self.json {
            out.json(&rows);
        } else {
            rows.iter().for_each(|row| print(out, row));
        }
        let fine = rows.iter().all(|row| row.state != State::Missing);
        if fine { Exit::Success } else { Exit::FoundProblems }
    }
}

fn print(out: &mut Output, row: &Row) {
    let (tone, word) = row.state.shown();
    let name = (Tone::Plain, format!("{:<18}", row.name));
    out.cells(&[name, (tone, format!("{word:<13}")), (Tone::Plain, row.detail.clone())]);
    if !row.cure.is_empty() {
        out.line(&format!("{:<18} hint: {}", "", row.cure));
    }
}

fn rows(facts: &HostFacts, essentials: &Essentials) -> Vec<Row> {
    let walls = plan::abilities(facts).into_iter().map(|(wall, ability)| wall_row(wall, ability));
    let others = [
        kernel(facts),
        keeper(facts, essentials.bus),
        pressure(essentials.pressure),
        audit(essentials.audit),
        landlock_audit(facts),
        seccomp_audit(essentials.logs_seccomp),
        tmux(essentials.tmux.as_ref()),
        root(facts.caller.euid),
        utf8(essentials),
        terminals(essentials),
        memory(essentials),
        idmap(facts),
    ];
    walls.chain(others).collect()
}

fn wall_row(wall: Wall, ability: Ability) -> Row {
    let name = wall.name();
    match ability {
        Ability::Stands(how) => row(name, State::Stands, how, ""),
        Ability::NotInKernel(since) => row(name, State::NotInKernel, since, ""),
        // No shipped profile limits these: only one that does so needs them.
        Ability::Lacks { reason, cure } if matches!(wall, Wall::Cpu | Wall::Io | Wall::Disk) => {
            row(name, State::Lacking, reason, &cure)
        }
        Ability::Lacks { reason, cure } => row(name, State::Missing, reason, &cure),
    }
}

fn kernel(facts: &HostFacts) -> Row {
    let state = if facts.kernel.number() >= Some((5, 13)) { State::Stands } else { State::Missing };
    let cure = if state == State::Stands { "" } else { "use Linux 5.13 or later" };
    row("(kernel)", state, format!("Linux {}", facts.kernel.release), cure)
}

fn tmux(tmux: Option<&Tmux>) -> Row {
    let name = "(tmux)";
    let Some(Tmux { path, version, number }) = tmux else {
        let cure = "install it: apt-get install tmux, dnf install tmux, or apk add tmux";
        return row(name, State::Missing, "not found in /usr/local/bin, /usr/bin and /bin", cure);
    };
    let detail = format!("{path}, version {version}");
    match number {
        _ if version.is_empty() => {
            row(name, State::Missing, format!("{path} does not run"), "install it again")
        }
        Some(number) if *number < TMUX_LEAST => {
            row(name, State::Missing, detail, "it is too old: install tmux 3.1 or later")
        }
        Some(_) | None => row(name, State::Stands, detail, ""),
    }
}

/// Who keeps the cgroups, and whether it can be asked.
fn keeper(facts: &HostFacts, bus: bool) -> Row {
    let name = "(cgroup keeper)";
    match (&facts.cgroups.keeper, bus) {
        (Keeper::Nobody, _) => {
            row(name, State::Stands, format!("nobody: cellblock makes {SLICE} itself"), "")
        }
        (Keeper::Systemd { .. }, true) => {
            row(name, State::Stands, format!("systemd: each agent gets a scope in {SLICE}"), "")
        }
        (Keeper::Systemd { .. }, false) => row(
            name,
            State::Missing,
            "systemd, and the system bus by which it is asked is not there",
            "systemctl start dbus (package dbus or dbus-broker)",
        ),
    }
}

/// Not needed for any limit to hold: only to tell that an agent waits for memory.
fn pressure(told: bool) -> Row {
    let name = "(pressure)";
    if told {
        return row(name, State::Stands, "the kernel tells how long processes wait", "");
    }
    let cure = "boot with psi=1, on a kernel with CONFIG_PSI";
    row(name, State::Lacking, "the kernel does not tell how long processes wait", cure)
}

/// Not needed to watch: without it the watch sees less.
fn connector(euid: u32, sees: impl FnOnce() -> Result<(), String>) -> Row {
    let name = "(connector)";
    if euid != 0 {
        let detail = "only root can see whether the kernel tells of processes";
        return row(name, State::Lacking, detail, "sudo cellblock doctor");
    }
    match sees() {
        Ok(()) => row(name, State::Stands, "the kernel tells the watch of processes", ""),
        Err(cause) => {
            let less = "the watch looks at all processes once a second instead: what lives \
                        shorter is not seen, nor what an agent's end left running";
            let cure = "run it outside of containers, on a kernel with CONFIG_PROC_EVENTS";
            row(name, State::Lacking, format!("{cause}; {less}"), cure)
        }
    }
}

/// Not needed for any wall to stand: only for `denials` to tell what the kernel refused.
fn audit(audit: Audit) -> Row {
    let name = "(audit)";
    let lacking = |detail: &str, cure: &str| row(name, State::Lacking, detail, cure);
    match audit {
        Audit::Known(status) if status.enabled => {
            let daemon = match status.daemon {
                0 => "no log service takes it".to_owned(),
                pid => format!("process {pid} takes it, too"),
            };
            row(name, State::Stands, format!("on; {daemon}"), "")
        }
        Audit::Known(_) => lacking(
            "off: what Landlock refuses leaves no record, what system call filters refuse does",
            "audit = \"enable\" in [watch] of the configuration, or boot with audit=1; `cellblock why` answers without it",
        ),
        Audit::Untold => lacking("only root is told whether it is on", "sudo cellblock doctor"),
        Audit::Missing => lacking(
            "this kernel has none, or was started with audit=0: what it refuses leaves no record",
            "use a kernel with CONFIG_AUDIT, and no audit=0; `cellblock why` answers without it",
        ),
    }
}

fn landlock_audit(facts: &HostFacts) -> Row {
    let name = "(landlock audit)";
    match facts.kernel.landlock_abi {
        Some(abi) if abi >= plan::LANDLOCK_LOGS => {
            row(name, State::Stands, format!("ABI {abi} tells the audit what it refuses"), "")
        }
        Some(_) | None => row(
            name,
            State::NotInKernel,
            "exists since Linux 6.15: what Landlock refuses leaves no record",
            "`cellblock why NAME PATH` answers without it",
        ),
    }
}

fn seccomp_audit(logs: bool) -> Row {
    let name = "(seccomp audit)";
    if logs {
        return row(name, State::Stands, "what filters refuse is told to the audit", "");
    }
    row(
        name,
        State::Lacking,
        "`errno` is not in kernel.seccomp.actions_logged: what filters refuse leaves no record",
        "write the setting with `errno` in it (sysctl kernel.seccomp.actions_logged); `cellblock why` answers without it",
    )
}

/// Not counted as missing: it is the caller's, not the host's.
fn root(euid: u32) -> Row {
    match euid {
        0 => row("(root)", State::Stands, "you are root, as exec and run need", ""),
        uid => {
            row("(root)", State::Lacking, format!("you are uid {uid}"), "exec and run need sudo")
        }
    }
}

fn utf8(essentials: &Essentials) -> Row {
    match &essentials.utf8 {
        Some(found) => row("(UTF-8 locale)", State::Stands, found.clone(), ""),
        None => row(
            "(UTF-8 locale)",
            State::Missing,
            "no C.UTF-8 in /usr/lib/locale, and a C library without its own",
            "localedef -i C -f UTF-8 C.UTF-8, or install the package locales or glibc-langpack-en",
        ),
    }
}

fn terminals(essentials: &Essentials) -> Row {
    let name = "(terminals)";
    match (essentials.ptmx, essentials.filesystems.contains("devpts")) {
        (_, false) => row(
            name,
            State::Missing,
            "this kernel has no devpts",
            "use a kernel with CONFIG_UNIX98_PTYS; without it no tmux runs in a jail",
        ),
        (false, true) => row(
            name,
            State::Missing,
            "there is no /dev/ptmx",
            "mount -t devpts devpts /dev/pts -o ptmxmode=0666 && ln -s pts/ptmx /dev/ptmx",
        ),
        (true, true) => row(name, State::Stands, "/dev/ptmx and devpts", ""),
    }
}

fn memory(essentials: &Essentials) -> Row {
    let name = "(tmpfs)";
    if essentials.filesystems.contains("tmpfs") {
        return row(name, State::Stands, "for the jail's root, /tmp and home", "");
    }
    row(name, State::Missing, "this kernel has no tmpfs", "use a kernel with CONFIG_TMPFS")
}

fn idmap(facts: &HostFacts) -> Row {
    let name = "(idmapped mounts)";
    if facts.kernel.number() >= Some(IDMAP_SINCE) {
        let detail = "this kernel has them; each file system decides for itself";
        return row(name, State::Stands, detail, "");
    }
    let detail = "exist since Linux 5.12: a workspace of another owner cannot be shown";
    row(name, State::Lacking, detail, "use a later kernel, or `owner = \"disk\"`")
}

/// Whether what the admin set can be read: where it cannot, no agent starts.
fn configuration(problems: Option<&Problems>) -> Row {
    let name = "(configuration)";
    match problems.and_then(|problems| problems.0.first()) {
        None => row(name, State::Stands, format!("{}, or the defaults", config::PATH), ""),
        Some(problem) => {
            let detail = format!("{}: {}: {}", problem.place, problem.place.key, problem.cause);
            let cure = format!("cellblock check --config {}", config::PATH);
            row(name, State::Missing, document::one_line(&detail).into_owned(), &cure)
        }
    }
}

fn uid_range(uid: &AutoUid, range: UidRange) -> Row {
    let name = "(uids for agents)";
    match uid {
        AutoUid::Assigned(_) | AutoUid::Next(_) => {
            row(name, State::Stands, format!("free ones in {range}"), "")
        }
        AutoUid::None(why) => {
            row(name, State::Missing, why.clone(), "give each profile a user of its own")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Place, Problem};
    use crate::host::audit::Status;
    use crate::host::{Caller, Cgroups, Kernel};

    fn facts() -> HostFacts {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let kernel = Kernel {
            release: "6.12.9".to_owned(),
            landlock_abi: Some(6),
            seccomp: true,
            namespaces: names(&["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]),
            keyrings: true,
            ..Kernel::default()
        };
        let cgroups = Cgroups {
            mount: Some("/sys/fs/cgroup".into()),
            controllers: names(&["memory", "pids"]),
            ..Cgroups::default()
        };
        let caller = Caller { euid: 1000, ..Caller::default() };
        HostFacts { kernel, cgroups, caller, ..HostFacts::default() }
    }

    fn essentials() -> Essentials {
        let tmux = Tmux {
            path: "/usr/bin/tmux".to_owned(),
            version: "3.5a".to_owned(),
            number: Some((3, 5)),
        };
        let filesystems = ["tmpfs", "devpts"].map(str::to_owned).into();
        Essentials {
            tmux: Some(tmux),
            utf8: Some("here".to_owned()),
            ptmx: true,
            bus: true,
            pressure: true,
            filesystems,
            audit: Audit::Untold,
            logs_seccomp: true,
        }
    }

    fn missing(facts: &HostFacts, essentials: &Essentials) -> Vec<&'static str> {
        let rows = rows(facts, essentials).into_iter();
        rows.filter(|row| row.state == State::Missing).map(|row| row.name).collect()
    }

    #[test]
    fn a_good_host_lacks_nothing_that_a_strict_profile_needs() {
        assert_eq!(missing(&facts(), &essentials()), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_not_there_is_told_with_its_cure() {
        let mut facts = facts();
        facts.kernel.landlock_abi = None;
        facts.kernel.release = "4.19.0".to_owned();
        facts.cgroups.keeper = Keeper::Systemd { delegated: None };
        facts.cgroups.controllers.remove("pids");
        let nothing = Essentials::default();
        let expected = ["landlock", "tasks", "(kernel)", "(cgroup keeper)", "(tmux)"];
        let missing = missing(&facts, &nothing);
        assert_eq!(missing[..5], expected);
        let expected = ["(UTF-8 locale)", "(terminals)", "(tmpfs)"];
        assert_eq!(missing[5..], expected);
        let problem = Place::outside("config.toml", "schema");
        let problems = Problems(vec![Problem::new(&problem, "is missing", "")]);
        let range = UidRange::default();
        let others = [
            uid_range(&AutoUid::None("none is free".to_owned()), range),
            configuration(Some(&problems)),
        ];
        assert!(others.iter().all(|row| row.state == State::Missing), "{others:?}");
        assert_eq!(others[1].detail, "config.toml: schema: is missing");
        assert_eq!(uid_range(&AutoUid::Next(70_001), range).detail, "free ones in 70000-79999");
        assert_eq!(configuration(None).state, State::Stands);
        let rows = rows(&facts, &nothing)
            .into_iter()
            .chain(others)
            .filter(|row| row.state == State::Missing);
        assert!(rows.clone().all(|row| !row.cure.is_empty()), "{:?}", rows.collect::<Vec<_>>());
    }

    #[test]
    fn where_the_kernel_tells_of_no_processes_it_is_told_what_is_not_seen() {
        let told = connector(0, || Ok(()));
        assert_eq!((told.state, told.cure.as_str()), (State::Stands, ""));
        let told = connector(0, || Err("cannot join the proc events: EPERM".to_owned()));
        assert_eq!(told.state, State::Lacking);
        assert!(told.detail.starts_with("cannot join the proc events: EPERM; the watch looks"));
        assert!(told.detail.contains("is not seen") && told.cure.contains("CONFIG_PROC_EVENTS"));
        // Who is not root hears nothing of the kernel.
        let told = connector(1000, || panic!("it is not asked"));
        assert_eq!((told.state, told.cure.as_str()), (State::Lacking, "sudo cellblock doctor"));
    }

    #[test]
    fn what_of_refusals_is_not_told_is_said_with_its_cure() {
        let status = |enabled, daemon| Audit::Known(Status { enabled, daemon, lost: 0 });
        let on = audit(status(true, 7));
        assert_eq!((on.state, on.detail.as_str()), (State::Stands, "on; process 7 takes it, too"));
        for lacking in [status(false, 0), Audit::Untold, Audit::Missing] {
            let row = audit(lacking);
            assert!(row.state == State::Lacking && !row.cure.is_empty(), "{row:?}");
        }
        let mut facts = facts();
        for (abi, state) in
            [(Some(6), State::NotInKernel), (None, State::NotInKernel), (Some(7), State::Stands)]
        {
            facts.kernel.landlock_abi = abi;
            assert_eq!(landlock_audit(&facts).state, state);
        }
        assert_eq!(seccomp_audit(false).state, State::Lacking);
    }

    #[test]
    fn an_old_tmux_is_told_from_a_new_one() {
        let of = |version: &str, number| {
            let (path, version) = ("/usr/bin/tmux".to_owned(), version.to_owned());
            tmux(Some(&Tmux { path, version, number })).state
        };
        assert_eq!(of("3.0a", Some((3, 0))), State::Missing);
        assert_eq!(of("3.1", Some((3, 1))), State::Stands);
        assert_eq!(of("master", None), State::Stands);
        assert_eq!(of("", None), State::Missing);
    }
}
