//! Why there is no jail.

use crate::jail::StepError;
use rustix::io::Errno;

/// Why a launch failed. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Not root.
    #[error("a jail can only be made by root")]
    NotRoot,
    /// Not root, and running jails are looked at.
    #[error("what agents use is shown to root alone")]
    NotShown,
    /// A call failed before the child existed.
    #[error("cannot {verb} {object}: {errno}")]
    Call {
        /// What was tried.
        verb: &'static str,
        /// On what.
        object: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A step failed in the child.
    #[error("the step \"{step}\" failed: {error}")]
    Step {
        /// The step in words.
        step: String,
        /// What failed.
        error: StepError,
    },
    /// The child was ended from outside.
    #[error("the jail was ended by {how} in the step \"{step}\"")]
    Died {
        /// Signal or status.
        how: String,
        /// The step in words.
        step: String,
    },
    /// A wall is not as planned.
    #[error("{what} is `{found}` where the plan says `{expected}`: the jail was ended")]
    NotAsPlanned {
        /// What was read back.
        what: String,
        /// By the plan.
        expected: String,
        /// By the kernel.
        found: String,
    },
    /// Another agent has the name.
    #[error("an agent named `{0}` is running already")]
    Running(String),
    /// A file that must be read cannot be.
    #[error("{what}: {error}")]
    File {
        /// What for.
        what: String,
        /// Why not.
        error: crate::host::trust::TrustError,
    },
    /// A secret that is none.
    #[error("cannot use the secret {name}: {file} can be read by others")]
    OpenSecret {
        /// The variable.
        name: String,
        /// Its file.
        file: String,
    },
    /// No service manager has given secrets to this process.
    #[error(
        "cannot use the secret {name}: it is the credential {credential} of a service, and this process has none \
         (CREDENTIALS_DIRECTORY is not set)"
    )]
    NoCredentials {
        /// The variable.
        name: String,
        /// The credential.
        credential: String,
    },
    /// A tree cannot be bounded.
    #[error(transparent)]
    Disk(#[from] super::disk::DiskError),
    /// systemd did not do its part.
    #[error(transparent)]
    Systemd(#[from] crate::systemd::SystemdError),
    /// Nobody sees any more what the agent starts.
    #[error("the agent is not watched any more: {0}")]
    Unwatched(String),
    /// Something the kernel or a file says makes no sense.
    #[error("{0}")]
    Unusable(String),
}

impl LaunchError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotRoot | Self::NotShown => "run it with sudo".to_owned(),
            Self::Running(_) => "give this one another name with --name".to_owned(),
            Self::Call { errno: Errno::NOSPC | Errno::DQUOT, object, .. } => {
                format!("make room on the disk of {object}")
            }
            Self::Call { errno: Errno::AGAIN, .. } => {
                "no task is left, of all agents' ([slice] tasks of the configuration) or of the host's: end \
                 something, or raise the ceiling"
                    .to_owned()
            }
            Self::Call { verb: "translate the owners of", .. } => {
                "this file system has no idmapped mounts: use ext4, xfs, btrfs or tmpfs, or give the \
                 agent the owner's uid with `user`"
                    .to_owned()
            }
            Self::Call { verb: "give to a project", errno: Errno::PERM, object } => {
                format!("a file that cannot be changed cannot be bounded: chattr -i -a {object}")
            }
            // Only now is there a cgroup to look into.
            Self::Call { verb: "open", errno: Errno::NOENT, object } if object.ends_with("/io.weight") => {
                "this kernel gives cgroups no share of the disks (CONFIG_BLK_CGROUP_IOCOST): leave \
                 `io_weight` out, or --without io"
                    .to_owned()
            }
            Self::Disk(error) => error.hint(),
            Self::Call { errno: Errno::ACCESS, .. } if !rustix::process::geteuid().is_root() => {
                "run it with sudo".to_owned()
            }
            // No controller can be handed down by a cgroup that holds processes itself.
            Self::Call { verb: "write", errno: Errno::BUSY, object }
                if object.ends_with("cgroup.subtree_control") =>
            {
                "processes are in that cgroup itself: move them into one below it".to_owned()
            }
            Self::Call { verb: "make" | "open" | "write", errno: Errno::ROFS, object }
                if object.contains("cgroup") =>
            {
                "cgroup v2 is mounted read-only here, as in a container: run cellblock on the host, or give \
                 the container a writable cgroup of its own"
                    .to_owned()
            }
            Self::Call { verb: "open", errno: Errno::NOENT, object }
                if object.contains(crate::host::SLICE) =>
            {
                "this kernel lacks the limit: leave it out of the profile".to_owned()
            }
            Self::Step { error, .. } => step_hint(error),
            Self::File { error, .. } => error.hint(),
            Self::Systemd(error) => error.hint().to_owned(),
            Self::OpenSecret { file, .. } => format!("chmod 600 {file}"),
            Self::NoCredentials { credential, .. } => {
                format!("start it by a service with LoadCredential={credential}:FILE, or name the file itself")
            }
            Self::Unwatched(_) => "start it again; where the kernel ended the watch, as where memory runs \
                                   out, its log says so (dmesg)"
                .to_owned(),
            Self::Call { .. } | Self::Died { .. } | Self::NotAsPlanned { .. } | Self::Unusable(_) => {
                String::new()
            }
        }
    }
}

fn step_hint(error: &StepError) -> String {
    match (error.verb, error.errno) {
        ("start in", _) => "the workdir must exist in the jail and be open to the agent".to_owned(),
        ("start", Errno::ACCESS) => {
            "everybody must be allowed to execute the file of cellblock itself (chmod 755)".to_owned()
        }
        ("start", Errno::NOENT) => {
            "this build of cellblock needs its libraries in the jail: use the static build, or allow /usr"
                .to_owned()
        }
        (_, Errno::MLINK) => {
            "copy the file in place of the link, or take it out of `hide` or `protect`".to_owned()
        }
        _ => String::new(),
    }
}

/// For `map_err`: a call on `object` failed.
pub(super) fn cannot(verb: &'static str, object: &str) -> impl FnOnce(Errno) -> LaunchError {
    move |errno| LaunchError::Call { verb, object: object.to_owned(), errno }
}

/// For `map_err`: a call of std on `object` failed.
pub(super) fn cannot_io(
    verb: &'static str,
    object: &str,
) -> impl FnOnce(std::io::Error) -> LaunchError {
    move |error| cannot(verb, object)(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
