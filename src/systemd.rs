//! What only systemd may do with the cgroups that it keeps, asked for over D-Bus
//! (org.freedesktop.systemd1(5), <https://systemd.io/CGROUP_DELEGATION>); [`notify`]: what a service tells it.
//!
//! Each call makes a connection of its own on this thread and leaves neither a thread nor a
//! descriptor behind: a launch clones afterwards.

pub mod notify;

use std::future::Future;
use std::time::{Duration, Instant};
use zbus::{Connection, Proxy, Variant};

/// How long systemd may take for one answer, and for a scope to start.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);

/// The supervisor's unit.
const SERVICE: &str = "cellblock.service";

/// Why systemd did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// The bus cannot be reached.
    #[error("cannot reach systemd over the system bus: {0}")]
    Bus(zbus::Error),
    /// systemd said no.
    #[error("systemd does not {what}: {error}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its answer.
        error: zbus::Error,
    },
    /// systemd said yes and nothing came of it.
    #[error("systemd did not {what} within {} seconds", PATIENCE.as_secs())]
    Late {
        /// What was asked for.
        what: String,
    },
    /// No connection can be waited for.
    #[error("cannot wait for the system bus: {0}")]
    Wait(std::io::Error),
}

impl SystemdError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Bus(_) => {
                "start the message bus: systemctl start dbus (package dbus or dbus-broker)"
            }
            Self::Late { .. } => "look at: systemctl list-jobs",
            Self::Refused { .. } | Self::Wait(_) => "",
        }
    }
}

/// A setting of a unit: its D-Bus name as in systemd.resource-control(5), and its value, where the
/// most there is stands for none.
pub type Setting = (&'static str, u64);

/// Puts this process into a new scope in `slice`, whose cgroup is then this process's to fill
/// (`Delegate=yes`). Returns when `entered` does not return false any more.
///
/// # Errors
/// [`SystemdError`].
pub fn enter_scope(
    scope: &str,
    slice: &str,
    description: &str,
    entered: impl Fn() -> bool,
) -> Result<(), SystemdError> {
    let properties: Vec<(&str, Variant<'_>)> = vec![
        ("Description", description.into()),
        ("Slice", slice.into()),
        ("Delegate", true.into()),
        ("PIDs", vec![std::process::id()].into()),
        // The agent's own limits stand below; the scope must not have a lower one by default.
        ("TasksMax", u64::MAX.into()),
        ("CollectMode", "inactive-or-failed".into()),
        // Ended after it when the machine is: it must not see agents be killed, and tell of that or start them again.
        ("Before", vec![SERVICE].into()),
    ];
    let no_others: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    let body = (scope, "fail", properties, no_others);
    call("StartTransientUnit", &format!("start {scope}"), &body)?;
    let since = Instant::now();
    while !entered() {
        if since.elapsed() > PATIENCE {
            return Err(SystemdError::Late { what: format!("start {scope}") });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Sets `settings` of `unit` until the next boot.
///
/// # Errors
/// [`SystemdError`].
pub fn set(unit: &str, settings: &[Setting]) -> Result<(), SystemdError> {
    let variant = |(name, value): &Setting| (*name, Variant::from(*value));
    let settings: Vec<(&str, Variant<'_>)> = settings.iter().map(variant).collect();
    call("SetUnitProperties", &format!("limit {unit}"), &(unit, true, settings))
}

/// Stops `unit`, also one that systemd is about to start; one that is gone is stopped.
///
/// # Errors
/// [`SystemdError`].
pub fn stop(unit: &str) -> Result<(), SystemdError> {
    match call("StopUnit", &format!("stop {unit}"), &(unit, "replace")) {
        Err(SystemdError::Refused { error: zbus::Error::MethodError(name, ..), .. })
            if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit" =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Calls a method of systemd's manager and drops its answer.
fn call<B>(method: &'static str, what: &str, body: &B) -> Result<(), SystemdError>
where
    B: serde::Serialize + zbus::zvariant::Type,
{
    let refused = |error| SystemdError::Refused { what: what.to_owned(), error };
    let late = || SystemdError::Late { what: what.to_owned() };
    wait(late, async {
        let builder = zbus::connection::Builder::system().method_timeout(PATIENCE);
        let bus: Connection = builder.build().await.map_err(SystemdError::Bus)?;
        let service = "org.freedesktop.systemd1";
        let manager = "org.freedesktop.systemd1.Manager";
        let proxy = Proxy::new(&bus, service, "/org/freedesktop/systemd1", manager).await;
        proxy.map_err(refused)?.call_method(method, body).await.map_err(refused)?;
        bus.close().await.map_err(SystemdError::Bus)
    })
}

/// Runs `work` to its end on this thread. zbus bounds what it waits for an answer, not what it waits for a bus
/// that takes the connection and says nothing.
fn wait<T>(
    late: impl FnOnce() -> SystemdError,
    work: impl Future<Output = Result<T, SystemdError>>,
) -> Result<T, SystemdError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bounded = async { tokio::time::timeout(PATIENCE, work).await.map_err(|_| late())? };
    runtime.map_err(SystemdError::Wait)?.block_on(bounded)
}
