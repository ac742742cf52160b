#!/bin/bash
# A Slurm of one node, for tests: as root, without systemd and cgroups, with two GPUs that do not exist.
#   one_node.sh start    install what is missing (Debian), configure, start, wait until the node is idle
#   one_node.sh stop     end the daemons, remove configuration and state
# Exit status 77: Slurm cannot be had on this machine (the last line says why). A Slurm that is already
# configured here is never touched.
set -euo pipefail

dir=/var/lib/stratagem-slurm
conf=/etc/slurm
host=$(hostname -s)
mark="# Written by tests/slurm/one_node.sh"

cannot() { echo "$1"; exit 77; }

ours() { head -n 1 "$conf/slurm.conf" 2>/dev/null | grep -qxF "$mark"; }

wait_for() { # seconds, command...
    local end=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

end_process() { # pid file
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    wait_for 10 bash -c "! kill -0 $pid" || kill -9 "$pid" || true
}

install_packages() {
    hash sbatch slurmctld slurmd munged 2>/dev/null && return
    command -v apt-get >/dev/null || cannot "Slurm is not installed, and there is no apt-get to install it."
    # While this file forbids it, no package starts its daemon from its installation.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
        trap "rm -f $policy" EXIT
    fi
    apt-get update -qq >/dev/null 2>&1 || true # older lists may do
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends slurm-wlm munge >/dev/null 2>&1 \
        || cannot "The Debian packages slurm-wlm and munge cannot be installed."
}

configure() {
    mkdir -p "$dir"/{state,spool,gpu} "$conf"
    # A GPU must be a device node; this one is /dev/null by another name.
    for gpu in 0 1; do [ -c "$dir/gpu/$gpu" ] || mknod "$dir/gpu/$gpu" c 1 3; done
    (umask 077; head -c 128 /dev/urandom > "$dir/munge.key")
    # config_overrides: the node may claim cores and memory that it lacks, so that a small machine takes two jobs.
    # The daemons run as root and find processes by their parents: no users, no cgroups are needed.
    # A job of the partition `urgent` sends those of `main` back to the queue. A job that was sent back waits
    # until its credential has expired: 20 s here, not 120.
    cat > "$conf/slurm.conf" <<C
$mark
ClusterName=stratagem
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthInfo=socket=$dir/munge.socket,cred_expire=20
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=3600
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=16000 Gres=gpu:2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=15
PartitionName=urgent Nodes=$host PriorityTier=2 PreemptMode=OFF
C
    echo "NodeName=$host Name=gpu File=$dir/gpu/[0-1]" > "$conf/gres.conf"
}

idle() { [ "$(sinfo -h -o %t)" = idle ]; }

start() {
    [ "$(id -u)" = 0 ] || cannot "Slurm's daemons need root here."
    [ ! -e "$conf/slurm.conf" ] || ours || cannot "A Slurm is configured here already ($conf/slurm.conf)."
    if ours; then stop; fi
    install_packages
    configure
    munged --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --seed-file="$dir/munge.seed" --log-file="$dir/munged.log"
    slurmctld -c
    slurmd -c
    if ! wait_for 60 idle; then
        sinfo -N -l || true
        tail -n 20 "$dir"/*.log
        stop
        exit 1
    fi
}

stop() {
    ours || return 0
    if [ -e "$dir/slurmctld.pid" ]; then timeout 5 scancel --full -u root || true; fi
    for daemon in slurmd slurmctld munged; do end_process "$dir/$daemon.pid"; done
    # A configuration without its controller would cost every start of a Snakemake with the plugin 9 s.
    rm -f "$conf/slurm.conf" "$conf/gres.conf"
    rm -rf "$dir"
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 start | stop" >&2; exit 2 ;;
esac
