# shellcheck shell=bash
# What a run of an agent may have left behind, found by its scratch directory and its sandbox's id,
# which nobody else has. To be sourced from bash.

# leftovers SCRATCH ID: one line for each process, mount and cgroup that is still there.
leftovers() {
    local pid
    for pid in $(processes_of "$1" "$2"); do
        echo "process $pid ($({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null))"
    done
    mounts_below "$1" | sed 's/^/mount /'
    cgroups_of "$2" | sed 's/^/cgroup /'
}

# remove_leftovers SCRATCH ID: thaw, kill, unmount, remove; nothing happens where nothing is left.
remove_leftovers() {
    local group pid
    for group in $(cgroups_of "$2"); do
        { echo THAWED >"$group/freezer.state" || echo 0 >"$group/cgroup.freeze"; } 2>/dev/null || true
        while read -r pid; do
            kill -KILL "$pid" 2>/dev/null || true
        done <"$group/cgroup.procs"
    done
    for pid in $(processes_of "$1" "$2"); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    unmount_below "$1"
    for group in $(cgroups_of "$2" | sort -r); do
        rmdir "$group" 2>/dev/null || true
    done
}

# unmount_below DIRECTORY: whatever is mounted in it, the innermost first.
unmount_below() {
    local mount
    for mount in $(mounts_below "$1" | sort -r); do
        umount --lazy "$mount" 2>/dev/null || true
    done
}

# Processes whose command line names the id or the directory, or that work inside the directory. The
# grep that looks names them too, but is gone by the time the loop looks again.
processes_of() {
    {
        grep -lsF -e "$1" -e "$2" /proc/[0-9]*/cmdline
        find /proc/[0-9]*/cwd -maxdepth 0 -lname "$1*" 2>/dev/null
    } | cut -d/ -f3 | sort -un | while read -r pid; do
        [ "$pid" = "$$" ] || [ ! -e "/proc/$pid" ] || echo "$pid"
    done
}

mounts_below() { awk -v below="$1/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts; }

cgroups_of() { find /sys/fs/cgroup -depth -type d -path "*$1*" 2>/dev/null || true; }
