#!/bin/sh
# An sshd of your own on a free port of this machine, as your own user, to try `run --hosts` over ssh with: nothing of the machine's
# own ssh is used or changed.
#     ssh.sh up [FOLDER]      makes FOLDER with keys and an ssh_config that knows hosts a and b, and starts the server
#     ssh.sh down [FOLDER]    ends the server and removes FOLDER; FOLDER is several-machines-ssh unless given
# With machines of your own, none of this is needed: name them in ssh.toml and leave `-F` out of its `launch`.
set -eu
usage="usage: $0 up|down [FOLDER]"
action=${1:?$usage}
folder=${2:-several-machines-ssh}

down() {
    [ ! -f "$folder/sshd.pid" ] || kill "$(cat "$folder/sshd.pid")" 2>/dev/null || true
    rm -rf "$folder"
}

case $action in
    up)
        sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) || {
            echo "$0: there is no sshd; install openssh-server" >&2
            exit 1
        }
        mkdir -m 700 "$folder"
        trap 'down' EXIT
        absolute=$(cd "$folder" && pwd)
        ssh-keygen -q -t ed25519 -N '' -f "$folder/host_key"
        ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
        cp "$folder/key.pub" "$folder/authorized_keys"
        # A server of root's wants its folder, which Debian has its service make.
        [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
        # From below the ephemeral ports, so that no outgoing connection has it meanwhile.
        port=20022
        while
            cat >"$folder/sshd_config" <<CONFIG
Port $port
ListenAddress 127.0.0.1
HostKey $absolute/host_key
AuthorizedKeysFile $absolute/authorized_keys
PidFile $absolute/sshd.pid
PasswordAuthentication no
UsePAM no
StrictModes no
CONFIG
            # It leaves for the background when it listens; what keeps it from that is in its log.
            "$sshd" -f "$absolute/sshd_config" -E "$absolute/log"
            sleep 1
            [ ! -s "$folder/sshd.pid" ]
        do
            port=$((port + 1))
            [ "$port" -lt 20042 ] || {
                echo "$0: sshd does not listen on any port from 20022 on:" >&2
                cat "$folder/log" >&2
                exit 1
            }
        done
        cat >"$folder/ssh_config" <<CONFIG
Host a b
    HostName 127.0.0.1
    Port $port
    IdentityFile $absolute/key
    IdentitiesOnly yes
    UserKnownHostsFile $absolute/known_hosts
    StrictHostKeyChecking accept-new
CONFIG
        trap - EXIT
        ;;
    down) down ;;
    *)
        echo "$usage" >&2
        exit 2
        ;;
esac
