//! Lays a profile over those it extends: lists add up, scalars override.
//!
//! Pure. The place of every value stays with it, so that `explain` can say which file it is from.

use super::raw::{
    RawAgent, RawEnvironment, RawFilesystem, RawJobs, RawLimits, RawNetwork, RawProfile,
    RawTerminal,
};
use crate::document::Located;
use crate::policy::network::RawRule;

/// `over` laid over `base`.
#[must_use]
pub fn lay(base: RawProfile, over: RawProfile) -> RawProfile {
    RawProfile {
        schema: over.schema.or(base.schema),
        description: over.description.or(base.description),
        extends: over.extends,
        agent: agent(base.agent, over.agent),
        environment: environment(base.environment, over.environment),
        filesystem: filesystem(base.filesystem, over.filesystem),
        network: network(base.network, over.network),
        limits: limits(base.limits, over.limits),
        seccomp: over.seccomp.or(base.seccomp),
        terminal: terminal(base.terminal, over.terminal),
        jobs: RawJobs {
            most: over.jobs.most.or(base.jobs.most),
            longest: over.jobs.longest.or(base.jobs.longest),
            notes: over.jobs.notes.or(base.jobs.notes),
        },
        watch: base.watch.under(over.watch),
        without: sum(base.without, over.without),
    }
}

/// What can be told apart by its content alone: an entry from a base that two profiles share counts once.
trait Content {
    fn same(&self, other: &Self) -> bool;
}

impl<T: PartialEq> Content for Located<T> {
    fn same(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Content for super::raw::RawEntry {
    fn same(&self, other: &Self) -> bool {
        let value = |part: &Option<Located<String>>| part.as_ref().map(|p| p.value.clone());
        self.path.same(&other.path)
            && value(&self.at) == value(&other.at)
            && value(&self.owner) == value(&other.owner)
            && self.optional.as_ref().map(|o| o.value) == other.optional.as_ref().map(|o| o.value)
    }
}

impl Content for RawRule {
    fn same(&self, other: &Self) -> bool {
        let value = |part: &Option<Located<String>>| part.as_ref().map(|p| p.value.clone());
        let addresses = |rule: &Self| {
            rule.addresses.iter().map(|address| address.value.clone()).collect::<Vec<_>>()
        };
        self.to.same(&other.to)
            && value(&self.tls) == value(&other.tls)
            && value(&self.http) == value(&other.http)
            && addresses(self) == addresses(other)
    }
}

fn sum<T: Content>(mut base: Vec<T>, over: Vec<T>) -> Vec<T> {
    for item in over {
        if !base.iter().any(|known| known.same(&item)) {
            base.push(item);
        }
    }
    base
}

fn agent(base: RawAgent, over: RawAgent) -> RawAgent {
    RawAgent {
        user: over.user.or(base.user),
        groups: sum(base.groups, over.groups),
        command: over.command.or(base.command),
        workdir: over.workdir.or(base.workdir),
        home: over.home.or(base.home),
        umask: over.umask.or(base.umask),
    }
}

fn environment(base: RawEnvironment, over: RawEnvironment) -> RawEnvironment {
    RawEnvironment {
        pass: sum(base.pass, over.pass),
        set: named(base.set, over.set),
        secrets: named(base.secrets, over.secrets),
    }
}

type Named = Vec<(String, Located<String>)>;

/// Named values: the same name overrides.
fn named(mut base: Named, over: Named) -> Named {
    base.retain(|(name, _)| !over.iter().any(|(other, _)| other == name));
    base.extend(over);
    base
}

fn filesystem(base: RawFilesystem, over: RawFilesystem) -> RawFilesystem {
    RawFilesystem {
        read: sum(base.read, over.read),
        write: sum(base.write, over.write),
        execute: sum(base.execute, over.execute),
        hide: sum(base.hide, over.hide),
        protect: sum(base.protect, over.protect),
        tmp_size: over.tmp_size.or(base.tmp_size),
        tmp_inodes: over.tmp_inodes.or(base.tmp_inodes),
        tmp_execute: over.tmp_execute.or(base.tmp_execute),
        home_size: over.home_size.or(base.home_size),
        home_inodes: over.home_inodes.or(base.home_inodes),
        home_execute: over.home_execute.or(base.home_execute),
        workspace: over.workspace.or(base.workspace),
    }
}

fn network(base: RawNetwork, over: RawNetwork) -> RawNetwork {
    RawNetwork {
        mode: over.mode.or(base.mode),
        policies: sum(base.policies, over.policies),
        allow: sum(base.allow, over.allow),
        deny: sum(base.deny, over.deny),
        connections: over.connections.or(base.connections),
        rate: over.rate.or(base.rate),
        bytes: over.bytes.or(base.bytes),
        // As a whole: a key for one service must not reach another.
        api: over.api.or(base.api),
    }
}

fn limits(base: RawLimits, over: RawLimits) -> RawLimits {
    RawLimits {
        memory: over.memory.or(base.memory),
        memory_high: over.memory_high.or(base.memory_high),
        swap: over.swap.or(base.swap),
        oom: over.oom.or(base.oom),
        tasks: over.tasks.or(base.tasks),
        cpu: over.cpu.or(base.cpu),
        cpu_weight: over.cpu_weight.or(base.cpu_weight),
        io: over.io.or(base.io),
        io_weight: over.io_weight.or(base.io_weight),
        disk: over.disk.or(base.disk),
        open_files: over.open_files.or(base.open_files),
        file_size: over.file_size.or(base.file_size),
        core: over.core.or(base.core),
    }
}

fn terminal(base: RawTerminal, over: RawTerminal) -> RawTerminal {
    RawTerminal {
        session: over.session.or(base.session),
        history: over.history.or(base.history),
        size: over.size.or(base.size),
        own_config: over.own_config.or(base.own_config),
        record: over.record.or(base.record),
        record_size: over.record_size.or(base.record_size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, text: &str) -> RawProfile {
        RawProfile::parse(name, text).unwrap()
    }

    #[test]
    fn lists_add_up_and_scalars_override() {
        let base = parse(
            "base",
            "[filesystem]\nread=['/usr']\n[limits]\nmemory='4G'\ntasks=10\n[environment.set]\nA='1'\nB='1'",
        );
        let over = parse(
            "over",
            "[filesystem]\nread=['/opt','/usr']\n[limits]\nmemory='1G'\n[environment.set]\nA='2'",
        );
        let merged = lay(base, over);
        let paths: Vec<_> = merged.filesystem.read.iter().map(|e| e.path.value.as_str()).collect();
        assert_eq!(paths, ["/usr", "/opt"]);
        let memory = merged.limits.memory.unwrap();
        assert_eq!((memory.value.as_str(), &*memory.place.file), ("1G", "over"));
        assert_eq!(&*merged.limits.tasks.unwrap().place.file, "base");
        let set: Vec<_> =
            merged.environment.set.iter().map(|(n, v)| (n.as_str(), v.value.as_str())).collect();
        assert_eq!(set, [("B", "1"), ("A", "2")]);
    }

    #[test]
    fn a_recording_that_is_asked_for_below_can_be_turned_off_above() {
        let base = "[terminal]\nrecord = true\nrecord_size = '1G'";
        let laid = |over: &str| lay(parse("base", base), parse("over", over)).terminal;
        let values = |terminal: RawTerminal| {
            (
                terminal.record.map(|record| record.value),
                terminal.record_size.map(|size| size.value),
            )
        };
        assert_eq!(values(laid("")), (Some(true), Some("1G".to_owned())));
        let over = "[terminal]\nrecord = false\nrecord_size = '2M'";
        assert_eq!(values(laid(over)), (Some(false), Some("2M".to_owned())));
        let small = parse("small", "[terminal]\nrecord_size = '1023K'");
        let problems = super::super::validate::profile("small", small).unwrap_err().to_string();
        assert!(problems.contains("`1023K` is less than the least, 1M"), "{problems}");
    }
}
