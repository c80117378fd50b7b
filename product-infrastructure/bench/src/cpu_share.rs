//! The share of a CPU that Lambda gives a function of 128 MB, by a control group of Linux.
//!
//! Lambda gives CPU in proportion to memory, one whole vCPU at 1,769 MB (developer guide, "Configure Lambda function
//! memory"). Time is given out in short periods; 20 ms is near what has been observed of Lambda.
//!
//! Made in version 2 of control groups (`cpu.max`) or, on a machine that still has the CPU in version 1, there
//! (`cpu.cfs_quota_us`): the kernel does the same for both. Nothing of the machine's own groups is changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const PERIOD_MICROS: u64 = 20_000;
const MEMORY_MB: u64 = 128;
const MEMORY_MB_OF_A_CPU: u64 = 1_769;

/// What a function of 128 MB may run in each period.
const QUOTA_MICROS: u64 = PERIOD_MICROS * MEMORY_MB / MEMORY_MB_OF_A_CPU;

/// A control group with that share. It is removed when this is dropped.
#[derive(Debug)]
pub struct CpuShare {
    folder: PathBuf,
}

impl CpuShare {
    /// Creates the group. The error is why this process isn't allowed to.
    pub fn new() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| format!("/proc/self/mounts: {error}"))?;
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
        let mut reasons = Vec::new();
        for candidate in candidates(&mounts, &groups) {
            match candidate.make() {
                Ok(share) => return Ok(share),
                Err(error) => reasons.push(format!("{}: {error}", candidate.parent.display())),
            }
        }
        if reasons.is_empty() {
            reasons.push("no control groups with the CPU are mounted".to_owned());
        }
        // The nearest group's reason: those further up are only less likely to be this process's own.
        Err(reasons.swap_remove(0))
    }

    /// Adds a process with all of its threads to the group.
    pub fn add(&self, process: u32) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.procs"), process.to_string())
    }
}

impl Drop for CpuShare {
    fn drop(&mut self) {
        // A process that has just ended may still be listed.
        for _ in 0..20 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Where a group might be made.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    parent: PathBuf,
    version: u8,
}

impl Candidate {
    fn make(&self) -> io::Result<CpuShare> {
        if self.version == 2 {
            let controllers = fs::read_to_string(self.parent.join("cgroup.subtree_control"))?;
            if !controllers.split_whitespace().any(|controller| controller == "cpu") {
                return Err(io::Error::other("the CPU is not controlled below this group"));
            }
        }
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = self.parent.join(format!("catalogctl-bench-{}-{count}", std::process::id()));
        fs::create_dir(&folder)?;
        // From here on, a failure removes the group.
        let share = CpuShare { folder };
        if self.version == 2 {
            fs::write(share.folder.join("cpu.max"), format!("{QUOTA_MICROS} {PERIOD_MICROS}"))?;
        } else {
            fs::write(share.folder.join("cpu.cfs_period_us"), PERIOD_MICROS.to_string())?;
            fs::write(share.folder.join("cpu.cfs_quota_us"), QUOTA_MICROS.to_string())?;
        }
        Ok(share)
    }
}

/// This process's groups and those above them, the nearest first, version 2 before version 1.
fn candidates(mounts: &str, groups: &str) -> Vec<Candidate> {
    let mount = |wanted: &dyn Fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(kind, options).then(|| PathBuf::from(point))
        })
    };
    let group = |wanted: &dyn Fn(&str, &str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(number, controllers).then_some(path)
        })
    };
    let has_cpu = |list: &str| list.split(',').any(|name| name == "cpu");
    let second = (mount(&|kind, _| kind == "cgroup2"), group(&|number, _| number == "0"), 2);
    let first = (mount(&|kind, options| kind == "cgroup" && has_cpu(options)), group(&|_, names| has_cpu(names)), 1);
    let mut candidates = Vec::new();
    for (mount, group, version) in [second, first] {
        let (Some(mount), Some(group)) = (mount, group) else { continue };
        let own = Path::new(group.trim_start_matches('/'));
        candidates.extend(own.ancestors().map(|path| Candidate { parent: mount.join(path), version }));
    }
    candidates
}

/// The share, for people.
pub fn description() -> String {
    format!("{QUOTA_MICROS} µs in every {} ms", PERIOD_MICROS / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_128_mb_has_a_fourteenth_of_a_cpu() {
        assert_eq!(QUOTA_MICROS, 1_447);
        assert_eq!(description(), "1447 µs in every 20 ms");
    }

    #[test]
    fn groups_are_looked_for_from_the_own_one_upwards() {
        let mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let found = candidates(mounts, "0::/user.slice/session-1.scope\n");
        let parents: Vec<&str> = found.iter().map(|candidate| candidate.parent.to_str().unwrap()).collect();
        assert_eq!(
            parents,
            ["/sys/fs/cgroup/user.slice/session-1.scope", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/"]
        );
        assert!(found.iter().all(|candidate| candidate.version == 2));
    }

    #[test]
    fn version_1_serves_where_it_has_the_cpu() {
        let mounts = "cgroup /c/cpuacct cgroup rw,cpuacct 0 0\ncgroup /c/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /c/unified cgroup2 rw 0 0\n";
        let found = candidates(mounts, "2:cpuacct:/\n1:cpu:/\n0::/\n");
        let expected =
            [("/c/unified/", 2), ("/c/cpu/", 1)].map(|(path, version)| Candidate { parent: path.into(), version });
        assert_eq!(found, expected);
        assert!(candidates("proc /proc proc rw 0 0\n", "0::/\n").is_empty());
    }
}
