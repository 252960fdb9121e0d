//! The memory that this process's control groups leave it: a service, a container or a build machine is stopped at these
//! limits however much the system has.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A version of control groups: where it is mounted, and what its files are called.
struct Version {
    mounts: &'static [&'static str],
    limit: &'static str,
    /// In `memory.stat`, what the processes of a group and of those below it hold. Only that counts here: pages of files
    /// are given back when they are in the way.
    held: &'static str,
}

const FIRST: Version =
    Version { mounts: &["sys/fs/cgroup/memory"], limit: "memory.limit_in_bytes", held: "total_rss " };
const SECOND: Version =
    Version { mounts: &["sys/fs/cgroup", "sys/fs/cgroup/unified"], limit: "memory.max", held: "anon " };

/// Bytes that are left until the tightest of the groups is full; none where nothing limits it. `root` is `/`.
pub fn free_bytes(root: &Path) -> Option<u64> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let path_of = |is_it: fn(&str) -> bool| {
        // `4:memory:/a/b` of the first version, which has several hierarchies, `0::/a/b` of the second.
        let mut lines = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines.find(|(controllers, _)| is_it(controllers)).map_or("", |(_, path)| path).trim_matches('/')
    };
    let first = path_of(|controllers| controllers.split(',').any(|name| name == "memory"));
    let second = path_of(str::is_empty);
    let groups = groups(root, &FIRST, first).chain(groups(root, &SECOND, second));
    groups.filter_map(|(version, group)| free_of(version, &group)).min()
}

/// A group and those above it. Where only a part of the hierarchy is mounted, as in a container, its root is our group.
fn groups<'a>(root: &Path, version: &'a Version, path: &str) -> impl Iterator<Item = (&'a Version, PathBuf)> {
    let mounts = version.mounts.iter().map(|mount| root.join(mount)).collect::<Vec<_>>();
    let path = PathBuf::from(path);
    mounts.into_iter().flat_map(move |mount| {
        let groups: Vec<PathBuf> = path.ancestors().map(|group| mount.join(group)).collect();
        groups.into_iter().map(move |group| (version, group))
    })
}

fn free_of(version: &Version, group: &Path) -> Option<u64> {
    let limit = fs::read_to_string(group.join(version.limit)).ok()?.trim().parse::<u64>().ok()?;
    let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let held = statistics.lines().find_map(|line| line.strip_prefix(version.held)?.trim().parse().ok());
    Some(limit.saturating_sub(held.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_tightest_group_above_counts_in_either_version() {
        for (name, own, files, expected) in [
            ("nothing is said", "", &[][..], None),
            (
                "second version, the group of a service and one above it",
                "0::/system.slice/points.service\n",
                &[
                    ("sys/fs/cgroup/system.slice/memory.max", "5000\n"),
                    ("sys/fs/cgroup/system.slice/memory.stat", "anon 4500\nfile 400\n"),
                    ("sys/fs/cgroup/system.slice/points.service/memory.max", "1000\n"),
                    ("sys/fs/cgroup/system.slice/points.service/memory.stat", "anon 300\nfile 700\n"),
                ][..],
                Some(500),
            ),
            (
                "second version, without a limit",
                "0::/a\n",
                &[("sys/fs/cgroup/a/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.stat", "anon 300\n")][..],
                None,
            ),
            (
                "a container sees its own group as the root, and the host's path",
                "0::/docker/6f1c\n",
                &[("sys/fs/cgroup/memory.max", "1000\n"), ("sys/fs/cgroup/memory.stat", "anon 100\n")][..],
                Some(900),
            ),
            (
                "first version, beside hierarchies of other controllers",
                "5:devices:/\n4:cpu,memory:/process/a\n0::/\n",
                &[
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                    ("sys/fs/cgroup/memory/memory.stat", "rss 1\ntotal_rss 12\n"),
                    ("sys/fs/cgroup/memory/process/a/memory.limit_in_bytes", "2000\n"),
                    ("sys/fs/cgroup/memory/process/a/memory.stat", "rss 100\ntotal_rss 150\n"),
                ][..],
                Some(1850),
            ),
            (
                "more is held than allowed",
                "0::/\n",
                &[("sys/fs/cgroup/memory.max", "10\n"), ("sys/fs/cgroup/memory.stat", "anon 100\n")][..],
                Some(0),
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "proc/self/cgroup", own);
            files.iter().for_each(|(path, text)| write(root.path(), path, text));
            assert_eq!(free_bytes(root.path()), expected, "{name}");
        }
    }
}
