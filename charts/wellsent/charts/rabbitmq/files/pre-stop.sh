#!/bin/bash
# Runs before the node is stopped: waits until every queue can do without it, then hands over leaders and clients.
# It never fails and always ends in time, because it must not keep a node from stopping.

serving() { (: <"/dev/tcp/localhost/15672") 2>/dev/null; }
resolves() { getent hosts "$1" >/dev/null; }

# Whether the whole release is being deleted. Then no other node will make a majority.
going() { ! resolves "${RABBITMQ_NODENAME#*@}" && resolves kubernetes.default; }

deadline=$((SECONDS + QUORUM_WAIT_SECONDS))
# The command's own timeout does not include the time it waits for nodes that are down.
until timeout 20 rabbitmq-upgrade await_online_quorum_plus_one --timeout 10; do
  if ((SECONDS > deadline)) || ! serving || going; then exit 0; fi
done
timeout 60 rabbitmq-upgrade drain
exit 0
