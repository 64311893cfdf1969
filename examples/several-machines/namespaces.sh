#!/bin/sh
# Two network namespaces of this machine, joined by a veth pair: each is a host with an address of its own.
#     namespaces.sh up [NAME]     makes NAME-a (10.99.0.1) and NAME-b (10.99.0.2); NAME is roundtable unless given
#     namespaces.sh down [NAME]   removes them, and with them what joins them
# It takes root's privileges. Nothing outside of the two is touched.
set -eu
usage="usage: $0 up|down [NAME]"
action=${1:?$usage}
name=${2:-roundtable}

down() {
    for host in a b; do
        ip netns del "$name-$host" 2>/dev/null || true
    done
}

case $action in
    up)
        for host in a b; do
            ip netns add "$name-$host" || {
                echo "$0: this user cannot make network namespaces here; run it as root, outside of a container" >&2
                down
                exit 1
            }
        done
        trap 'down' EXIT
        ip link add veth0 netns "$name-a" type veth peer name veth0 netns "$name-b"
        number=1
        for host in a b; do
            ip -n "$name-$host" address add "10.99.0.$number/24" dev veth0
            ip -n "$name-$host" link set veth0 up
            ip -n "$name-$host" link set lo up
            number=$((number + 1))
        done
        trap - EXIT
        ;;
    down) down ;;
    *)
        echo "$usage" >&2
        exit 2
        ;;
esac
