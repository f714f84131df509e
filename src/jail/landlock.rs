//! Landlock: the rules are built while every path can be opened, and bind later.

use super::error::{StepError, cannot};
use super::perform::Inside;
use crate::plan::{LandlockPlan, Log, Rights};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    RestrictSelfAttr as _, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    Scope,
};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The newest version that the crate knows and the kernel has.
fn abi(version: u32) -> ABI {
    match version {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        _ => ABI::V9,
    }
}

/// The rights that `rights` allows on a directory.
fn allowed(rights: Rights, abi: ABI) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match rights {
        Rights::List => AccessFs::ReadDir.into(),
        Rights::Socket => AccessFs::from_all(abi) & AccessFs::ResolveUnix,
        Rights::Devices => {
            let devices = read | AccessFs::WriteFile | AccessFs::IoctlDev;
            devices & AccessFs::from_all(abi)
        }
        Rights::Tree(tree) => {
            let nodes = AccessFs::MakeChar | AccessFs::MakeBlock;
            let never = nodes | AccessFs::IoctlDev | AccessFs::ResolveUnix;
            let write = (AccessFs::from_write(abi) & !never) | AccessFs::WriteFile;
            let mut all = read;
            if tree.write {
                all |= write;
            }
            if tree.execute {
                all |= AccessFs::Execute;
            }
            all
        }
    }
}

/// Builds the ruleset from the plan and a rule for PID 1's program.
pub(super) fn build(inside: &mut Inside<'_>) -> Result<(), StepError> {
    let plan = &inside.plan.landlock;
    let abi = abi(plan.abi);
    let mut ruleset =
        handled(plan, abi).and_then(Ruleset::create).map_err(failed("make", "the ruleset"))?;
    for rule in &plan.rules {
        let place = open(&rule.path)?;
        let rights = fitting(place.as_fd(), allowed(rule.rights, abi), abi)
            .map_err(cannot("look at", &rule.path))?;
        ruleset = ruleset
            .add_rule(PathBeneath::new(place, rights))
            .map_err(failed("allow by Landlock", &rule.path))?;
    }
    let own = AccessFs::Execute | AccessFs::ReadFile;
    ruleset = ruleset
        .add_rule(PathBeneath::new(inside.program, own))
        .map_err(failed("allow by Landlock", "init"))?;
    if plan.log == Log::On {
        // Nobody runs before the exec; and what a sandbox of the agent's own refuses is no wall of the jail.
        ruleset = ruleset
            .log_new_exec(true)
            .and_then(|ruleset| ruleset.log_subdomains(false))
            .map_err(failed("have recorded", "what Landlock refuses"))?;
    }
    inside.ruleset = Some(ruleset);
    Ok(())
}

/// Everything that this kernel can restrict; nothing is dropped in silence.
fn handled(plan: &LandlockPlan, abi: ABI) -> Result<Ruleset, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    if plan.restrict_tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if plan.scopes {
        ruleset = ruleset.scope(Scope::from_all(abi))?;
    }
    Ok(ruleset)
}

fn open(path: &str) -> Result<OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(cannot("open for Landlock", path))
}

/// The kernel refuses rights of directories on anything else.
fn fitting(
    place: BorrowedFd<'_>,
    rights: BitFlags<AccessFs>,
    abi: ABI,
) -> Result<BitFlags<AccessFs>, Errno> {
    let stat = rustix::fs::fstat(place)?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok(if directory { rights } else { rights & AccessFs::from_file(abi) })
}

fn failed(verb: &'static str, object: &str) -> impl FnOnce(landlock::RulesetError) -> StepError {
    move |error| {
        let errno = std::error::Error::source(&error)
            .and_then(|source| source.downcast_ref::<std::io::Error>())
            .and_then(Errno::from_io_error);
        cannot(verb, object)(errno.unwrap_or(Errno::INVAL))
    }
}

/// Binds the process and all it starts (landlock_restrict_self(2)); all of it or nothing.
pub(super) fn restrict(inside: &mut Inside<'_>) -> Result<(), StepError> {
    let ruleset =
        inside.ruleset.take().ok_or_else(|| cannot("find", "the ruleset")(Errno::BADF))?;
    let status = ruleset.restrict_self().map_err(failed("restrict by", "Landlock"))?;
    if status.ruleset != RulesetStatus::FullyEnforced {
        return Err(cannot("restrict fully by", "Landlock")(Errno::OPNOTSUPP));
    }
    Ok(())
}
