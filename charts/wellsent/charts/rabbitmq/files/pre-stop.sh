#!/bin/bash
# Runs before the node is told to stop: waits until every quorum does without it, then hands over leaders and clients.
# Never fails and is always bounded: a node that has to go goes.

serving() { (: <"/dev/tcp/localhost/15672") 2>/dev/null; }
resolves() { getent hosts "$1" >/dev/null; }

# The whole release is being deleted: nobody will come to make a majority.
going() { ! resolves "${RABBITMQ_NODENAME#*@}" && resolves kubernetes.default; }

deadline=$((SECONDS + QUORUM_WAIT_SECONDS))
# The command's own timeout does not count the time it spends asking nodes that are gone.
until timeout 20 rabbitmq-upgrade await_online_quorum_plus_one --timeout 10; do
  if ((SECONDS > deadline)) || ! serving || going; then exit 0; fi
done
timeout 60 rabbitmq-upgrade drain
exit 0
