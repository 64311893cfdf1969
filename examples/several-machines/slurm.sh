#!/bin/sh
# A Slurm of your own on this machine, as your own user, to try `run --hosts` with: two nodes, a and b, with a munge of its own.
# Nothing of a Slurm that is set up here is used or changed.
#     slurm.sh up [FOLDER]      makes FOLDER with slurm.conf, and starts munged, slurmctld and a slurmd for each node
#     slurm.sh down [FOLDER]    ends them and removes FOLDER; FOLDER is several-machines-slurm unless given
# It takes Debian's slurm-wlm and munge, or the like. `srun` finds it by SLURM_CONF=FOLDER/slurm.conf.
set -eu
PATH=$PATH:/usr/sbin:/sbin
usage="usage: $0 up|down [FOLDER]"
action=${1:?$usage}
folder=${2:-several-machines-slurm}

down() {
    for of in slurmd-a slurmd-b slurmctld munged; do
        [ ! -s "$folder/$of.pid" ] || kill "$(cat "$folder/$of.pid")" 2>/dev/null || true
    done
    # They write to their folder until they have ended.
    sleep 1
    rm -rf "$folder"
}

fail() {
    echo "$0: $1:" >&2
    tail -n 5 "$folder"/*.log >&2 || true
    exit 1
}

case $action in
    up)
        for program in munged mungekey slurmctld slurmd srun; do
            command -v "$program" >/dev/null || {
                echo "$0: there is no $program; install slurm-wlm and munge" >&2
                exit 1
            }
        done
        mkdir -m 755 "$folder"
        trap 'down' EXIT
        absolute=$(cd "$folder" && pwd)
        user=$(id -un)
        mkdir "$folder/state" "$folder/spool-a" "$folder/spool-b"
        mungekey --create --keyfile="$absolute/munge.key"
        # Slurm's own ports may be taken by a Slurm of this machine; these are below the ephemeral ones.
        cat >"$folder/slurm.conf" <<CONFIG
ClusterName=several
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=26817
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$absolute/munge.socket
CredType=cred/munge
StateSaveLocation=$absolute/state
SlurmdSpoolDir=$absolute/spool-%n
SlurmctldPidFile=$absolute/slurmctld.pid
SlurmdPidFile=$absolute/slurmd-%n.pid
SlurmctldLogFile=$absolute/slurmctld.log
SlurmdLogFile=$absolute/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
PlugStackConfig=/dev/null
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
NodeName=a NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=26818 CPUs=$(nproc)
NodeName=b NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=26819 CPUs=$(nproc)
PartitionName=all Nodes=a,b Default=YES MaxTime=INFINITE State=UP
CONFIG
        munged --force --key-file="$absolute/munge.key" --socket="$absolute/munge.socket" \
            --pid-file="$absolute/munged.pid" --log-file="$absolute/munged.log" \
            --seed-file="$absolute/munge.seed" || fail "munged did not start"
        export SLURM_CONF="$absolute/slurm.conf"
        slurmctld || fail "slurmctld did not start"
        slurmd -N a || fail "slurmd did not start"
        slurmd -N b || fail "slurmd did not start"
        tries=0
        until [ "$(sinfo --noheader --nodes=a,b --states=idle --format=%D 2>/dev/null || true)" = 2 ]; do
            tries=$((tries + 1))
            [ "$tries" -lt 60 ] || fail "the nodes are not idle after a minute"
            sleep 1
        done
        trap - EXIT
        echo "export SLURM_CONF=$absolute/slurm.conf"
        ;;
    down) down ;;
    *)
        echo "$usage" >&2
        exit 2
        ;;
esac
